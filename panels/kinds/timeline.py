"""What changed, in one order: ends of runs, switches, alerts, scores that fell. T0 is where it began to go wrong."""

from collections.abc import Iterable, Sequence, Set
from datetime import UTC, datetime, tzinfo

from msgspec.structs import replace

from backends.models import Alert, Deployment, Item, PipelineRun, QualityScore, TimelineEvent
from backends.text import side_name
from panels.columns import Cell, Column, Kind, Moment, Tone, tone_of
from panels.kinds.alerts import fold
from panels.kinds.pipelines import in_words, reason, run_name, state_words
from panels.kinds.timeline_ends import NOT_OVER, Gap, gaps_of, over_at, told_end, with_known_ends
from panels.kinds.timeline_event import Event
from panels.kinds.timeline_once import told_once
from panels.words import ago, clock

_NEVER_WRONG = datetime.min.replace(tzinfo=UTC)


def events(items: Iterable[Item], since: datetime, until: datetime | None = None, zone: tzinfo = UTC) -> list[Event]:
    """What happened after `since`, up to `until`, oldest first; runs that are named by a time have it in `zone`. What
    came before T0 says how long before. T0 is the same for each window that its trouble reaches: one that began before
    `since` comes first, and says so.

    A run that ends well is no change, except where the one before it did not.
    """
    everything = with_known_ends(items)
    told = {item.ref for item in everything if isinstance(item, TimelineEvent)}
    found = [event for item in everything for event in _of(item, told, zone)]
    made = {item.made for item in everything if isinstance(item, TimelineEvent) and item.made}
    found += _of_alerts([item for item in everything if isinstance(item, Alert)], made)
    found += _recoveries([item for item in everything if isinstance(item, PipelineRun)], zone)
    found = sorted(
        (event for event in told_once(found, everything) if until is None or event.at <= until),
        key=lambda event: (event.at, event.ref),
    )
    wrong = [event for event in found if event.health in ("critical", "unknown") and not _is_hushed(event.item)]
    runs = [item for item in everything if isinstance(item, PipelineRun)]
    first = _after_all_was_well(wrong, runs, gaps_of(everything), since)
    within = [event for event in found if since <= event.at]
    if first is None:
        return within
    earlier = [_begun_before(first, zone)] if first.at < since else []
    return earlier + [_relative(event, first) for event in within]


def _begun_before(first: Event, zone: tzinfo) -> Event:
    at = first.at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    return replace(first, t0=True, text=f"{first.text} (began before this window, at {at})")


def _after_all_was_well(
    wrong: Sequence[Event], runs: Sequence[PipelineRun], gaps: Sequence[Gap], since: datetime
) -> Event | None:
    """The first of what went wrong after the last moment at which nothing was, as far as the ends are known; none where
    all of it was over before `since`."""
    first, well_again = None, _NEVER_WRONG
    for event in wrong:
        if first is None or event.at > well_again:
            first, well_again = event, _NEVER_WRONG
        well_again = max(well_again, _over_at(event, runs, gaps))
    return first if first is None or since <= max(first.at, well_again) else None


def _over_at(event: Event, runs: Sequence[PipelineRun], gaps: Sequence[Gap]) -> datetime:
    """When it was well again: what is so now is not over."""
    match event.item:
        case PipelineRun() as bad:
            good = [
                run.ended_at
                for run in runs
                if (run.backend, run.pipeline) == (bad.backend, bad.pipeline)
                and run.ended_at is not None
                and run.ended_at > event.at
                and run.state == "success"
                and run.health == "ok"
            ]
            return min(good, default=NOT_OVER)
        case TimelineEvent() as told:
            return over_at(told, gaps)
        case _:
            return NOT_OVER


def _is_hushed(item: Item) -> bool:
    """Whether nobody is to hear of it: what is acknowledged is wrong still."""
    return isinstance(item, Alert) and item.state in ("silenced", "inhibited")


def _relative(event: Event, first: Event) -> Event:
    if event is first:
        return replace(event, t0=True)
    if event.at < first.at:
        return replace(event, before=f"{ago((first.at - event.at).total_seconds())} before")
    return event


def _of(item: Item, told: Set[str], zone: tzinfo) -> Iterable[Event]:
    """`told`: actions that tell of themselves, so that the switch they made is not told twice."""
    match item:
        case PipelineRun() if item.ended_at is not None and item.health != "ok":
            words = f"{_run(item, zone)} {ended(item)}"
            yield Event(f"{item.ref}#end", item.ended_at, item.health, words, item, "run")
        case QualityScore() if item.state in ("critical", "warning") and item.score is not None:
            if (began := breached_since(item)) is not None:
                yield Event(f"{item.ref}#quality", began, item.state, _scored_at(item, began), item, "quality")
        case TimelineEvent():
            yield Event(
                f"{item.ref}#{item.kind}@{item.at.timestamp()}",
                item.at,
                item.health,
                told_end(item, zone),
                item,
                item.kind,
            )
        case Deployment() if item.last_switch is not None and item.last_switch.action not in told:
            switch = item.last_switch
            way = f"{side_name(switch.from_)} → {side_name(switch.to)}"
            words = f"{item.service} {way}" + (f" by {switch.by}" if switch.by else "")
            yield Event(f"{item.ref}#switch", switch.at, "ok", words, item, "switch")
        case _:
            return


_BEFORE_IT_WAS_HIDDEN = {"acknowledged": "firing", "silenced": "firing", "inhibited": "firing"}


def _of_alerts(alerts: Sequence[Alert], made: Set[str]) -> Iterable[Event]:
    """What is so now did not begin all at once: an alert fires, and is acknowledged or silenced later. `made`: the
    silences of actions that tell of themselves."""
    for group in fold(alerts, by_name=False):
        first = group.first
        several = f" ×{len(group.alerts):,}" if len(group.alerts) > 1 else ""
        if first.since is not None:
            begun = replace(first, state=_BEFORE_IT_WAS_HIDDEN.get(first.state, first.state))
            named = first.name if several else first.named
            words = f"{named}{several} {begun.state}" + (f": {first.summary}" if first.summary else "")
            yield Event(f"{first.ref}#alert", first.since, begun.health, words, first, "alert")
        hidden = [
            alert.hidden_since for alert in group.alerts if alert.hidden_since is not None and not _is_told(alert, made)
        ]
        if hidden and first.state in ("acknowledged", "silenced"):
            who = f" by {first.ack.by}" if first.ack else ""
            yield Event(
                f"{first.ref}#hidden", min(hidden), "ok", f"{first.name}{several} {first.state}{who}", first, "alert"
            )


def _is_told(alert: Alert, made: Set[str]) -> bool:
    return alert.ack is not None and f"{alert.backend}/{alert.ack.silence_id}" in made


def _recoveries(runs: Sequence[PipelineRun], zone: tzinfo) -> Iterable[Event]:
    before: dict[tuple[str, str], PipelineRun] = {}
    ended = [(run.ended_at, run) for run in runs if run.ended_at is not None]
    for at, run in sorted(ended, key=lambda pair: pair[0]):
        last = before.get((run.backend, run.pipeline))
        if run.state == "success" and last is not None and last.state == "failed":
            yield Event(f"{run.ref}#end", at, "ok", f"{_run(run, zone)} succeeded again", run, "run")
        before[run.backend, run.pipeline] = run


def ended(run: PipelineRun) -> str:
    """How a run that is not well ended, and why."""
    if (state := state_words(run)) != run.state:  # what ended well and wrote bad data did not succeed for whom it is
        why = in_words(run.error) or run.data_reason
    else:
        why = in_words(run.error) or (reason(run) if run.state == "success" or run.late else "")
        state = run.raw_state or run.state
    return state + (f": {why}" if why else "")


def _run(run: PipelineRun, zone: tzinfo) -> str:
    return f"{run.pipeline} {run_name(run.run_id, zone)}"


def scored(score: QualityScore) -> str:
    """A score beyond its limit as an event."""
    return f"{score.named} scored {'no data' if score.score is None else score.told(score.score)}"


def _scored_at(score: QualityScore, at: datetime) -> str:
    """What it was then, and what has become of it since."""
    then = next((point.score for point in score.trend if point.at == at), score.score)
    words = scored(replace(score, score=then))
    now = "" if score.score is None else score.told(score.score)
    return words if words == scored(score) or not now else f"{words}, {now} now"


def breached_since(score: QualityScore) -> datetime | None:
    """When the first of its newest measurements beyond the limit was made, as far as the trend goes back."""
    began = score.evaluated_at
    for point in reversed(score.trend):
        if not score.is_beyond(point.score, score.warn):
            break
        began = point.at
    return began


def _tone(event: Event) -> Tone:
    return tone_of(event.health, ("critical", "warning", "unknown"), "muted")


def folded(found: Sequence[Event]) -> list[Event]:
    """What went wrong again and again, with nothing between, as one row of the newest."""
    rows: list[Event] = []
    for event in found:
        last = rows[-1] if rows else None
        if last is not None and not (last.t0 or event.t0) and _story(last) == _story(event) != ():
            rows[-1] = replace(event, ref=last.ref, times=last.times + 1)
        else:
            rows.append(event)
    return rows


def _story(event: Event) -> tuple[str, ...]:
    """What two events have in common that tell of the same thing; nothing of those that are told one by one."""
    if event.health == "ok":
        return ()
    match event.item:
        case PipelineRun() as run:
            return event.kind, event.health, run.backend, run.pipeline, state_words(run)
        case Alert() as alert:
            return event.kind, event.health, event.text, alert.backend
        case _:
            return ()


def _when(event: Event, _: Moment) -> Cell:
    """`T0`, or how long before it: `-16m`."""
    return Cell("T0", "strong") if event.t0 else Cell(f"-{event.before.split()[0]}" if event.before else "", "muted")


def _what(event: Event, moment: Moment) -> Cell:
    what, colon, why = event.text.partition(": ")
    text = f"{what} ×{event.times:,}{colon}{why}" if event.times > 1 else event.text
    text = text.replace("→", "->").replace("×", "x") if moment.symbols.arrow.isascii() else text
    return Cell(text, "" if event.health == "ok" else "strong" if event.t0 else "")


TIMELINE: Kind[Event] = Kind(
    name="timeline",
    columns=(
        Column(title="", cell=lambda event, moment: Cell(clock(event.at, moment.zone), "muted"), max_width=8),
        Column(title="", cell=lambda event, moment: Cell(moment.symbols.of(event.sign), _tone(event)), max_width=1),
        Column(title="", cell=_when, min_width=2, max_width=5),
        Column(title="", cell=_what, min_width=20, max_width=200, flex=True),
    ),
    key=lambda event: event.ref,
    health=lambda event: event.health,
    sort_key=lambda event: (event.at, event.ref),
    text=lambda event: event.text,
    fields=lambda event: {"state": event.health},
    fold=folded,
    item=lambda event: event.item,
    newest_last=True,
    empty="Nothing happened yet",
)
