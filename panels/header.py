"""The first line: where we are, as whom, how it is, what is live. And the line of what is wrong."""

from collections.abc import Collection, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from backends.models import Deployment, Health
from panels.columns import Cell, Line, Moment, Tone, brief, crop, line_width
from panels.kinds.deployments import waits_alone
from panels.kinds.sides import color_tone
from panels.lines import Lines, sides
from panels.widths import display_width
from panels.words import UNICODE, Symbols, zone_name

ENOUGH = 22
TITLE = 24  # cells of a long title where it would push out who acts, or what may be done


class Place(Struct, frozen=True, kw_only=True):
    """Where we are: the context, who acts there, and what may be done."""

    title: str
    name: str
    identity: str = ""
    protected: bool = False
    read_only: bool = False
    sandbox: bool = False
    armed: bool = False
    arm_key: str = "!"


class Header(Lines):
    """One line. What matters least goes first where there is no room; drawn with the data, not by the second."""

    DEFAULT_CSS = """
    Header { height: 1; background: $panel; }
    Header.-protected { background: $error 22%; }
    Header.-protected:ansi { background: transparent; }
    """

    def __init__(self, place: Place, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._place = place
        self._worst: Health = "unknown"
        self._live: list[Deployment] = []
        self._lost: Collection[str] = ()
        self._duty: Sequence[Line] = ()
        self._moment: Moment | None = None

    def show(
        self,
        place: Place,
        worst: Health,
        deployments: Sequence[Deployment],
        moment: Moment,
        lost: Collection[str] = (),
        duty: Sequence[Line] = (),
    ) -> None:
        """Replace what is said; of services whose source is `lost` nobody knows what is live. `duty`: who is on call,
        the most that can be said first."""
        self._place, self._worst, self._moment, self._lost, self._duty = place, worst, moment, lost, duty
        self._live = sorted(deployments, key=lambda item: (item.health == "ok", item.service))
        self.set_class(place.protected, "-protected")
        self.repaint()

    def tells_duty(self, width: int) -> bool:
        """Whether there is room for who is on call in so many cells."""
        left, _ = self._fitting(width)
        return any(_same(left, line) for line in self._duty)

    def line(self, y: int) -> Line:
        width = self.size.width
        return sides(*self._fitting(width), width)

    def _fitting(self, width: int) -> tuple[Line, Line]:
        """The first that fits; else what is never left out."""
        variants = self._variants()
        fitting = (each for each in variants if line_width(each[0]) + line_width(each[1]) + 2 <= width)
        return next(fitting, variants[-1])

    def _variants(self) -> list[tuple[Line, Line]]:
        """What could be said, the most first; the last one is what is never left out."""
        place, symbols = self._place, self._moment.symbols if self._moment else UNICODE
        name = "SANDBOX" if place.sandbox else place.name.upper()
        loud: Tone = "critical" if place.protected else "strong"
        where = [Cell(f"{crop(place.title, TITLE, symbols.ellipsis)} {symbols.dot} "), Cell(name, loud)]
        who = [Cell(f"   as {place.identity}", "muted")] if place.identity else []
        tone: Tone = "strong" if self._worst == "ok" else self._worst
        worst = [Cell(f"   {symbols.of(self._worst)} {'all ok' if self._worst == 'ok' else self._worst}", tone)]
        every, first = self._live_words(len(self._live)), self._live_words(1)
        brand = [Cell(" teal   ", "brand"), *where]
        most, brief, least = (self._duty[min(n, len(self._duty) - 1)] if self._duty else [] for n in range(3))
        in_full = [brand[0], Cell(f"{place.title} {symbols.dot} "), Cell(name, loud)]
        full, short, clock = self._may(full=True), self._may(full=False), self._clock()
        here, terse = [Cell(" "), *where], [Cell(" "), Cell(name, loud)]
        variants = [
            ([*in_full, *who, *worst, *every, *most], [*full, *clock]),
            ([*brand, *who, *worst, *every, *most], [*full, *clock]),
            ([*brand, *who, *worst, *first, *most], [*full, *clock]),
            ([*brand, *who, *worst, *first, *brief], [*full, *clock]),
            ([*brand, *who, *worst, *first, *brief], [*short, *clock]),
            ([*brand, *worst, *first, *most], [*short, *clock]),
            ([*brand, *worst, *first, *brief], [*short, *clock]),
            ([*here, *worst, *first, *brief], [*short, *clock]),
            ([*here, *worst, *first, *least], [*short, *clock]),
            *([([*terse, *worst, *first, *brief], [*short, *clock])] if self._duty else []),
            ([*terse, *worst, *first, *least], [*full, *clock]),
            ([*terse, *worst, *first, *least], [*short, *clock]),
        ]
        if self._duty:
            closer = [_closer(line) for line in (worst, first, least)]
            variants.append(([*terse, *(cell for line in closer for cell in line)], [*short, *clock]))
            variants.append(([*terse, *(cell for line in closer for cell in line)], short))
            variants += [(left, [*right, *clock]) for left, right in (
                ([*brand, *worst, *first], short), ([*here, *worst, *first], short),
                ([*terse, *worst, *first], full), ([*terse, *worst, *first], short),
            )]  # fmt: skip
        return [*variants, ([*terse, *worst, *first], short), ([*terse, *worst], short)]

    def _may(self, *, full: bool) -> Line:
        place = self._place
        if place.read_only:
            return [Cell("READ-ONLY  ", "strong")]
        if not place.protected:
            return []
        if place.armed:
            return [Cell(f"ARMED ({place.arm_key} disarms)  " if full else "ARMED  ", "critical")]
        return [Cell(f"READ-ONLY ({place.arm_key} arms)  " if full else "READ-ONLY  ", "strong")]

    def _clock(self) -> Line:
        if self._moment is None:
            return []
        now, zone = self._moment.now, self._moment.zone
        return [Cell(f"{now.astimezone(zone):%H:%M} {zone_name(now, zone)} ", "muted")]

    def _live_words(self, most: int) -> Line:
        line: Line = []
        several = len(self._live) > 1
        for item in self._live[:most]:
            state = item.colors.get(item.live)
            version = f" {state.version}" if state and state.version else ""
            tone: Tone = "critical" if item.live == "mixed" and item.health == "critical" else color_tone(item.live)
            tone = "unknown" if item.live == "unknown" else "critical" if item.rejected or item.armed else tone
            service = f"{item.service} " if several else ""
            if item.backend in self._lost and item.live != "unknown":
                line += [Cell(f"   live {service}", "muted"), Cell("UNKNOWN", "unknown")]
                line += [Cell(f", was {item.live.upper()}{version}", "muted")]
                continue
            line += [Cell(f"   live {service}", "muted"), Cell(item.live.upper(), tone), Cell(version)]
            line += [Cell(f" FROZEN by {item.freeze.by.partition('@')[0]}", "warning")] if item.freeze else []
            line += [Cell(" PAUSED", "warning")] if waits_alone(item) else []
        return [*line, Cell(f" +{len(self._live) - most}", "muted")] if len(self._live) > most else line


def _closer(line: Line) -> Line:
    """With less room between its parts."""
    return [replace(cell, text=cell.text[1:]) if cell.text.startswith("   ") else cell for cell in line]


def _same(left: Line, duty: Line) -> bool:
    """Whether `left` ends with `duty`, or with the same closer together."""
    told = left[-len(duty) :]
    return told in (duty, _closer(duty))


class Trouble(Struct, frozen=True):
    """One thing of the strip: a check, a lost source, an open action or a pause that nobody watches; `item` is what
    opens of it."""

    tone: Tone
    symbol: str
    text: str
    item: Any = None


class Strip(Lines):
    """One line of what is not ok among checks, sources and open actions; not there while there is nothing."""

    DEFAULT_CSS = "Strip { height: 1; display: none; } Strip.-shown { display: block; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._troubles: tuple[Trouble, ...] = ()
        self._duty: Sequence[Line] = ()

    @property
    def first(self) -> Trouble | None:
        """The worst thing that opens."""
        return next((trouble for trouble in self._troubles if trouble.item is not None), None)

    @property
    def alarm(self) -> str:
        """The action that wants a person now, in few words; nothing where none does."""
        wants = (each for each in self._troubles if each.symbol == "@" and each.tone == "critical")
        told = next(wants, None)
        return "" if told is None else f"@ {told.text.partition('; ')[0].partition(' for ')[0]}"

    def on_mount(self) -> None:
        symbols = getattr(self.app, "symbols", UNICODE)
        self.cut = symbols.ellipsis if isinstance(symbols, Symbols) else self.cut

    def show(self, troubles: Sequence[Trouble], duty: Sequence[Line] = ()) -> None:
        """Replace what is said; nothing hides the line. `duty`: who is on call, where the header has no room for it: it
        is said behind all that is wrong, as far as there is room."""
        self._troubles, self._duty = tuple(troubles), duty
        self.set_class(bool(troubles or duty), "-shown")
        self.repaint()

    @property
    def text(self) -> str:
        """What it says."""
        return "   ".join(f"{trouble.symbol} {trouble.text}" for trouble in self._troubles)

    def line(self, y: int) -> Line:
        wrong = self._wrong()
        room = self.size.width - line_width(wrong) - 1
        fits = next((duty for duty in self._duty if line_width(duty) <= room), None)
        return wrong if fits is None else sides(wrong, [*fits, Cell(" ")], self.size.width)

    def _wrong(self) -> Line:
        troubles, total, width = self._troubles, len(self._troubles), self.size.width
        if sum(5 + display_width(each.text) for each in troubles) > width:
            troubles = tuple(replace(each, text=brief(each.text, self.cut)) for each in troubles)
        for shown in range(total, 0, -1):
            more = [Cell(f"   +{total - shown} more", "muted")] if shown < total else []
            room = width - 1 - 3 * (shown - 1) - line_width(more)
            first, *others = troubles[:shown]
            if not others or room >= 2 + display_width(first.text) + sum(map(_least, others)):
                return [Cell(" "), *self._first(troubles[:shown], room), *more]
        return []

    def _first(self, troubles: Sequence[Trouble], room: int) -> Line:
        """These in `room` cells: the first as it is, the others as far as the least of those after them
        allows."""
        line: Line = []
        for index, trouble in enumerate(troubles):
            later = sum(map(_least, troubles[index + 1 :]))
            words = crop(trouble.text, room - later - 2, self.cut)
            room -= display_width(words) + 2
            line += [Cell("   " if line else ""), Cell(f"{trouble.symbol} ", trouble.tone), Cell(words)]
        return line


def _least(trouble: Trouble) -> int:
    """How many cells say enough of it: what it is about and how it is come first."""
    return 2 + min(display_width(trouble.text), ENOUGH)
