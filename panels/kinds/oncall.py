"""Who is on call, in words: of a row, of the header, of a line. Never imports Textual."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from backends.models import OnCall, Shift, severity_rank
from panels.columns import Cell, Column, Kind, Line, Moment, Tone, crop
from panels.words import NOTHING, ago

SOON = timedelta(days=6)
NAME = 18  # cells of people in the header
_LABEL = "   on call "


def people(shift: Shift | None, nobody: str = "nobody") -> str:
    """`alice, bob`; `nobody` of a shift of nobody."""
    return ", ".join(shift.who) or nobody if shift is not None else NOTHING


def when(at: datetime | None, now: datetime, zone: tzinfo) -> str:
    """`18:00` today, `Tue 09:00` within days, else with its date."""
    if at is None:
        return NOTHING
    local, today = at.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M}"
    return f"{local:%a %H:%M}" if timedelta() < at - now < SOON else f"{local:%Y-%m-%d %H:%M}"


def says(item: OnCall) -> str:
    """What is the matter with a schedule, or how it is, in a line that needs no zone."""
    if item.now is None or item.state == "unknown":
        return f"{item.schedule}: who is on call is unknown: {item.reason}"
    left = f" for another {ago((item.now.until - item.at).total_seconds())}" if item.now.until is not None else ""
    after = f", then {people(item.next)}" if item.next is not None else ""
    verb = "are" if len(item.now.who) > 1 else "is"
    return f"{item.schedule}: {people(item.now)} {verb} on call{left}{after}"


def turns(item: OnCall, now: datetime, zone: tzinfo) -> str:
    """`alice until 18:00, then bob`."""
    if item.now is None:
        return f"unknown: {item.reason}"
    until = f" until {when(item.now.until, now, zone)}" if item.now.until is not None else ""
    return f"{people(item.now)}{until}" + (f", then {people(item.next)}" if item.next is not None else "")


def gap(item: OnCall) -> Shift | None:
    """The next shift of nobody that somebody's shift follows; what lies behind all that is planned is none."""
    later = zip(item.shifts[1:], item.shifts[2:], strict=False)
    return next((shift for shift, after in later if not shift.who and after.who), None)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def is_me(shift: Shift | None, me: Sequence[str]) -> bool:
    """Whether whoever is called one of `me` is on call: by name (`Alice Smith` is `alice.smith`) or by the name in an
    address."""
    if shift is None:
        return False
    known = {_plain(name.partition("@")[0]) for name in (*shift.who, *shift.emails)}
    return bool({_plain(name.partition("@")[0]) for name in me} & known - {""})


def worst_first(items: Sequence[OnCall], me: Sequence[str]) -> list[OnCall]:
    """Those of nobody and those that nobody knows, then mine, then the others as they are configured."""
    return sorted(items, key=lambda item: (severity_rank(item.state), not is_me(item.now, me)))


def duty(items: Sequence[OnCall], me: Sequence[str], moment: Moment) -> list[Line]:
    """What a header says, the most first: `on call alice until 18:00, then bob`, `on call alice → bob 18:00`,
    `on call alice`. Nothing where no schedule is known of."""
    if not items:
        return []
    first, *others = worst_first(items, me)
    more = [Cell(f" +{len(others)}", "muted")] if others else []
    return [[*line, *more] for line in _duty(first, f"{first.schedule} " if others else "", me, moment)]


def _duty(item: OnCall, named: str, me: Sequence[str], moment: Moment) -> list[Line]:
    label = Cell(f"{_LABEL}{named}", "muted")
    if item.state == "unknown":
        was = f", was {_short(item.now, moment)}" if item.now is not None and item.now.who else ""
        line = [label, Cell("UNKNOWN", "unknown")]
        return [*([[*line, Cell(was, "muted")]] * 2), line]
    now, then = item.now, item.next
    until = when(now.until, moment.now, moment.zone) if now is not None and now.until is not None else ""
    after: Line = [Cell(_short(then, moment), _tone(then))] if then is not None else []
    if mine := is_me(now, me):
        line = [Cell("   you are on call", "strong"), *([Cell(f" {named.strip()}", "muted")] if named else [])]
    else:
        line = [label, Cell(_short(now, moment), _tone(now) or "strong")]
    ends = [Cell(f" until {until}", "" if mine else "muted")] if until else []
    full = [*line, *ends, *([Cell(", then ", "muted"), *after] if after else [])]
    brief = [Cell(f" {moment.symbols.arrow} ", "muted"), *after, Cell(f" {until}", "muted")] if until and after else []
    return [full, [*line, *(ends if mine else brief)], line]


def _short(shift: Shift | None, moment: Moment) -> str:
    return crop(people(shift, "NOBODY"), NAME, moment.symbols.ellipsis)


def _tone(shift: Shift | None) -> Tone:
    return "" if shift is None or shift.who else "warning"


def shift_words(shift: Shift, moment: Moment) -> str:
    """`alice  Mon 09:00 to 18:00`."""
    begin = f"{when(shift.since, moment.now, moment.zone)} " if shift.since is not None else ""
    end = f"to {when(shift.until, moment.now, moment.zone)}" if shift.until is not None else "on"
    return f"{people(shift)}  {begin}{end}"


def _state(item: OnCall) -> Tone:
    return "" if item.state == "ok" else item.state


def _now(item: OnCall, _: Moment) -> Cell:
    known = item.now is not None and item.state != "unknown"
    return Cell(people(item.now) if known else "unknown", _state(item))


def _until(item: OnCall, moment: Moment) -> Cell:
    return Cell(when(item.now.until if item.now is not None else None, moment.now, moment.zone), "muted")


ONCALL: Kind[OnCall] = Kind(
    name="schedules",
    columns=(
        Column(title="", cell=lambda item, moment: Cell(moment.symbols.of(item.state), _state(item)), max_width=1),
        Column(title="SCHEDULE", cell=lambda item, _: Cell(item.schedule), min_width=8, max_width=32),
        Column(title="ON CALL", cell=_now, min_width=8, max_width=40, flex=True),
        Column(title="UNTIL", cell=_until, min_width=5, max_width=16),
        Column(title="THEN", cell=lambda item, _: Cell(people(item.next), _tone(item.next)), min_width=6, max_width=40),
        Column(title="SOURCE", cell=lambda item, _: Cell(item.backend, "muted"), max_width=16, priority=5),
    ),
    key=lambda item: item.ref,
    health=lambda item: item.state,
    sort_key=lambda item: (severity_rank(item.state), item.schedule),
    counted=lambda item: ((item.state, _state(item)),),
    count_order=("critical", "unknown", "warning"),
    reason=lambda item: item.reason if item.state == "unknown" else "",
    text=lambda item: f"{item.schedule} {people(item.now)} {people(item.next)}",
    fields=lambda item: {"state": item.state, "schedule": item.schedule, "source": item.backend},
    empty="No schedules of people on call",
)
