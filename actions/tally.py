"""Every fresh request that an action sends: in which phase, what it saw, and which side it was answered by.

They go the way of users: they find what users find, in each phase, and count in what is measured of users.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime

from msgspec import Struct

from actions.ids import now
from actions.models import PhaseSeen, SwitchReport
from backends.deployments.common import ProbeResult

KEPT = 100_000
RECENT = 500

Probe = Callable[[], Awaitable[ProbeResult | None]]


class Own(Struct, frozen=True, kw_only=True):
    """Requests of the action itself: those that `color` answered, how many of these were errors, and how many errors
    named no side."""

    taken: int = 0
    failed: int = 0
    unnamed: int = 0


class Times(Struct, frozen=True, kw_only=True):
    """When the new side answered first, and the old one last, in seconds from the write; None where it never did, or
    that is not known."""

    first_new_s: float | None = None
    last_old_s: float | None = None


OwnOf = Callable[[str, datetime, datetime], Own]
"""What a side took of the action's own requests, from one time to another."""


def no_own(color: str, since: datetime, until: datetime) -> Own:
    """An `OwnOf` of nothing."""
    return Own()


class Tally:
    """The requests of one action. `phase` is the step that sends them now."""

    def __init__(self, earlier: SwitchReport | None = None, *, new: str = "") -> None:
        """`earlier`: what another runner of the action has told. `new`: the side that is to gain traffic."""
        self.phase = ""
        self._begun = earlier is not None
        self._phases = {} if earlier is None else _phases_of(earlier)
        self._times = Times()
        self._new, self._new_seen = new, earlier is not None and earlier.new_seen
        if earlier is not None:
            self._times = Times(first_new_s=earlier.first_new_s, last_old_s=earlier.last_old_s)
        self._told = None if earlier is None else self._report()
        self._seen: deque[tuple[datetime, str, bool]] = deque(maxlen=KEPT)
        self.recent: deque[ProbeResult] = deque(maxlen=RECENT)
        self.answered_before = False

    def counted(self, probe: Probe) -> Probe:
        """`probe`, each answer counted in the phase in which it comes."""

        async def ask() -> ProbeResult | None:
            seen = await probe()
            if seen is not None:
                self._add(seen)
            return seen

        return ask

    def begin(self) -> None:
        """Traffic is about to move: from here on there is something to tell, with what was seen before."""
        self._begun = True

    def moving(self) -> None:
        """Traffic is moved now: what comes from here on is `recent`; whether anybody `answered_before` stays known."""
        self.answered_before = any(seen.color is not None for seen in self.recent)
        self.recent.clear()

    def timed(self, times: Times) -> None:
        """When which side answered; what has no time takes none away that an earlier runner has told."""
        if times != Times():
            self._times = times

    def news(self) -> SwitchReport | None:
        """The whole report; None where nothing was begun, or nothing is new since it was `told`."""
        report = self._report()
        return report if self._begun and report != self._told else None

    def _report(self) -> SwitchReport:
        return SwitchReport(
            requests=sum(each.requests for each in self._phases.values()),
            errors=sum(each.errors for each in self._phases.values()),
            first_new_s=self._times.first_new_s, last_old_s=self._times.last_old_s, new_seen=self._new_seen,
            phases=dict(self._phases),
        )  # fmt: skip

    def told(self, report: SwitchReport) -> None:
        """`report` is in the journal now."""
        self._told = report

    def own(self, color: str, since: datetime, until: datetime) -> Own:
        """As `OwnOf`; nothing of what another runner sent."""
        mine = [(named, failed) for at, named, failed in self._seen if since <= at <= until]
        return Own(
            taken=sum(named == color for named, _ in mine),
            failed=sum(named == color and failed for named, failed in mine),
            unnamed=sum(not named and failed for named, failed in mine),
        )

    def _add(self, seen: ProbeResult) -> None:
        failed = seen.color is None
        self._new_seen = self._new_seen or (not failed and seen.color == self._new)
        self.recent.append(seen)
        before = self._phases.get(self.phase, PhaseSeen())
        self._phases[self.phase] = PhaseSeen(requests=before.requests + 1, errors=before.errors + failed)
        if seen.reached:  # what nobody took is in nobody's numbers
            self._seen.append((now(), seen.color or seen.named, failed))


def _phases_of(earlier: SwitchReport) -> dict[str, PhaseSeen]:
    """An earlier program told no phases."""
    counted = sum(each.requests for each in earlier.phases.values())
    failed = sum(each.errors for each in earlier.phases.values())
    left = PhaseSeen(requests=earlier.requests - counted, errors=earlier.errors - failed)
    return {**({"": left} if left.requests > 0 else {}), **earlier.phases}
