"""T0 is the first trouble after the last moment at which all was well: held against an oracle of what the looks saw,
over random troubles and random times at which nobody looked."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from actions.journal.episodes import UNWATCHED, Book, Episode, remembered
from actions.models import Watch
from backends.models import Alert, CheckResult
from console.ports.store import Snapshot, SourceKey
from console.reading.history import of_watches
from console.reading.told_episodes import of_episodes
from console.reading.turning import Turning
from panels.kinds.timeline import events
from panels.kinds.timeline_ends import NOT_OVER, PRESUMED
from tests.console.reading.test_turning import NOW, alert, check

STEPS = 60
"""At most one look at each."""
EVERY = timedelta(minutes=3)
"""What fires twice within two minutes is told once."""
JUST = timedelta(microseconds=1)
CHECK, ALERTS = "router", ("am/1", "am/2")


def at(step: int) -> datetime:
    return NOW + EVERY * step


class World(Struct, frozen=True):
    """Step by step: is each thing wrong, and does anybody look; somebody does at the last one. `#` is yes."""

    states: dict[str, str]
    eyes: str

    @property
    def wrong(self) -> dict[str, list[bool]]:
        return {name: [each == "#" for each in states] for name, states in self.states.items()}

    @property
    def looks(self) -> list[bool]:
        return [each == "#" for each in self.eyes]

    def since(self, name: str, step: int) -> int:
        """Since when it is wrong without a break."""
        while step > 0 and self.wrong[name][step - 1]:
            step -= 1
        return step

    @property
    def seen(self) -> list[int]:
        """The steps of the looks."""
        return [step for step, looks in enumerate(self.looks) if looks]

    @property
    def watches(self) -> list[Watch]:
        """The consoles that were open, one after the other."""
        found: list[list[int]] = []
        for step in self.seen:
            if not (step and self.looks[step - 1]):
                found.append([])
            found[-1].append(step)
        return [Watch(opened_at=at(steps[0]), closed_at=at(steps[-1])) for steps in found]

    def alerts(self, step: int) -> list[Alert]:
        """Those that fire then; a system of alerts says since when."""
        return [
            alert(number, 3 * self.since(name, step), labels={"service": name})
            for number, name in enumerate(ALERTS, 1) if self.wrong[name][step]
        ]  # fmt: skip

    def check(self, step: int) -> CheckResult:
        """A check only says how it is."""
        return check("critical" if self.wrong[CHECK][step] else "ok")


def turns(first: str, then: str, most: int) -> st.SearchStrategy[str]:
    """One and the other by turns, each for some steps; the first of them for the rest."""
    lengths = st.lists(st.integers(1, most), max_size=24)
    return lengths.map(
        lambda found: "".join((first, then)[turn % 2] * n for turn, n in enumerate(found))[:STEPS].ljust(STEPS, first)
    )


WORLDS = st.builds(
    lambda router, one, two, eyes: World({CHECK: router, ALERTS[0]: one, ALERTS[1]: two}, f"{eyes[:-1]}#"),
    turns(".", "#", 20), turns(".", "#", 30), turns(".", "#", 9), turns("#", ".", 25),
)  # fmt: skip


def kept(world: World) -> list[Episode]:
    """What consoles keep that see it so, each for as long as somebody looks."""
    book: list[Episode] = []
    turning = Turning(at(0))
    for step in world.seen:
        if step and not world.looks[step - 1]:
            turning = Turning(at(step))
            turning.know(book)
        for panel, items in (("alerts", tuple(world.alerts(step))), ("checks", (world.check(step),))):
            snapshot = Snapshot(
                key=SourceKey(panel, "am"), type="fake", items=items, fetched_at=at(step),
                interval_s=EVERY.total_seconds(),
            )  # fmt: skip
            book = remembered(book, turning.look(snapshot, at(step), sure=True))
    return book


def spells(world: World, name: str) -> list[tuple[datetime, datetime]]:
    """What the looks know of one thing: from when to when it was wrong, or is presumed to have been."""
    found: list[tuple[int, int, datetime]] = []  # begin, last look, at the latest over
    for step in world.seen:
        on = world.wrong[name][step]
        since = world.since(name, step) if name in ALERTS else step
        if found and found[-1][2] == NOT_OVER:
            begin, last, latest = found[-1]
            if on and (name == CHECK or since <= last):
                found[-1] = begin, step, latest
                continue
            over = at(since) - JUST if on else at(step)
            blind = at(step) - at(last) >= UNWATCHED
            found[-1] = begin, last, min(over, at(last) + PRESUMED) if blind else over
        if on:
            found.append((since, step, NOT_OVER))
    return [(at(begin), over) for begin, _, over in found]


def began(troubles: Sequence[tuple[datetime, datetime]]) -> datetime | None:
    """Of all troubles the beginning of the last that nothing before them reaches into."""
    first, over = None, datetime.min.replace(tzinfo=at(0).tzinfo)
    for begin, end in sorted(troubles):
        if first is None or begin > over:
            first, over = begin, end
        over = max(over, end)
    return first


@settings(max_examples=200, deadline=None)
@given(WORLDS)
def test_t0_is_where_the_last_stretch_without_a_well_moment_began(world: World) -> None:
    now = at(STEPS)
    told = of_episodes(Book(episodes=kept(world)), at(-5), now) + of_watches(world.watches, at(-5), now)
    found = events([*world.alerts(STEPS - 1), *told], at(-5), now)
    zero = [event for event in found if event.t0]
    expected = began([spell for name in world.wrong for spell in spells(world, name)])
    assert [event.at for event in zero] == ([] if expected is None else [expected])
    well = [at(m) for m in world.seen if not any(states[m] for states in world.wrong.values())]
    newest = max((event.at for event in found if event.health == "critical"), default=None)
    if newest is not None:
        (first,) = zero
        assert all(moment < first.at or moment >= newest for moment in well), "all was seen to be well after it"


def test_the_oracle_is_right_where_everybody_sees_everything() -> None:
    one = f"{'.' * 5}{'#' * 15}".ljust(STEPS, ".")
    two = f"{'.' * 30}{'#' * 10}{'.' * 10}".ljust(STEPS, "#")
    world = World({CHECK: "." * STEPS, ALERTS[0]: one, ALERTS[1]: two}, "#" * STEPS)
    assert spells(world, ALERTS[0]) == [(at(5), at(20))]
    assert [begin for begin, _ in spells(world, ALERTS[1])] == [at(30), at(50)]
    assert began([spell for name in world.wrong for spell in spells(world, name)]) == at(50)
    assert all(first[0] < second[0] for first, second in pairwise(spells(world, ALERTS[1])))
