"""What is written down of an incident, and what the next shift takes over: Markdown from what is known. Pure functions.

A report says also what it could not see: sources without an answer, and nothing that was not read counts as well.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo

from msgspec import Struct

from actions.journal.audit import AuditRecord
from actions.models import Action
from actions.orphans import orphan_words, stopped_ways, ways_out
from actions.telling import (
    STOPPED_WORDS,
    cause,
    doing,
    failed_words,
    hold_end,
    is_noop,
    outcome,
    phase_told,
    title,
    unattended,
    way,
)
from backends.command_line import command
from backends.models import (
    Alert,
    CheckResult,
    ControllerView,
    Deployment,
    Freeze,
    Item,
    OnCall,
    PipelineRun,
    QualityScore,
    Silence,
)
from backends.ports import PipelineInfo
from backends.text import counted, first_line
from console.ports.derive import latest_runs, ref_of
from console.ports.store import Snapshot
from console.printing.causes import by_cause
from console.printing.tables import View
from panels.kinds.alerts import over_words
from panels.kinds.cause import Cause
from panels.kinds.deployments import against, controller_words, doubts, failures, why_not_well
from panels.kinds.oncall import says, turns
from panels.kinds.pipelines import reason as run_reason
from panels.kinds.timeline_event import Event
from panels.words import UNICODE, ago, clock, dated, zone_name

RED_FOR = timedelta(days=1)
_WRONG = ("critical", "unknown", "warning")
_ALL_WELL = "nothing is wrong in this window"


class OpenItem(Struct, frozen=True, kw_only=True):
    """Something that somebody has to know of: what it is (`action`, `incident`, `silence`, `ack`, `freeze`, `rejected`,
    `paused`, `override`, `red`), who left it so, and until when it stays so by itself."""

    kind: str
    ref: str
    text: str
    by: str = ""
    until: datetime | None = None


class Facts(Struct, frozen=True, kw_only=True):
    """What a report is made of, read at `made_at` for the window `since` to `until`."""

    title: str
    made_at: datetime
    since: datetime
    until: datetime
    zone: tzinfo
    sources: Sequence[Snapshot]
    events: Sequence[Event]
    actions: Sequence[Action]
    items: Sequence[Item]
    audit_head: str = ""
    causes: Sequence[Cause] = ()
    unwatched_until: datetime | None = None
    """Up to then nobody is known to have looked, from the beginning of the window on."""


def incident(facts: Facts) -> list[str]:
    """The report of an incident as lines of Markdown: state, timeline, evidence, actions, what could not be seen."""
    first, unseen = next((event for event in facts.events if event.t0), None), _unseen(facts)
    well = "nothing is known to be wrong in this window, not all of which was seen" if unseen else _ALL_WELL
    began = f"{_time(first.at, facts)}: {first.text}" if first else well
    return [
        f"# {facts.title}: {_full(facts.since, facts)} to {_time(facts.until, facts)}",
        "",
        f"Written {_full(facts.made_at, facts)} {zone_name(facts.made_at, facts.zone)}. T0: {began}.",
        *_section("Timeline", [_event(event, facts) for event in facts.events], _lost(facts)),
        *_section("Problems now", [line for _, line in _evidence(facts)], _lost(facts, *_NOW)),
        *_section(
            "Actions",
            [_action(action, facts) for action in facts.actions if _within(action, facts)],
            _lost(facts, JOURNAL),
        ),
        *_section("What could not be seen", unseen),
        *_audit(facts),
    ]


def _audit(facts: Facts) -> list[str]:
    """By which it can be checked later that no record of these actions was changed or cut off."""
    return ["", f"Audit: `{command('audit verify', head=facts.audit_head)}`"] if facts.audit_head else []


def handover(items: Sequence[OpenItem], facts: Facts) -> list[str]:
    """What the next shift takes over as lines of Markdown: what is wrong now, then by kind what is open, with who left
    it so and until when."""
    lines = [f"# {facts.title}: handover {_full(facts.made_at, facts)} {zone_name(facts.made_at, facts.zone)}"]
    if any(snapshot.key.panel == "oncall" for snapshot in facts.sources):
        lines += _section("On call", _on_call(facts), _lost(facts, "oncall"))
    problems = by_cause(_evidence(facts), facts.causes, View(facts.made_at, facts.zone), _plain)
    lines += _section("Problems now", problems, _lost(facts, *_NOW))
    for kind, (heading, *told_by) in _KINDS.items():
        found = [_open_item(item, facts) for item in items if item.kind == kind]
        lines += _section(heading, found, _lost(facts, *told_by))
    return [*lines, *_section("What could not be seen", _unseen(facts)), *_audit(facts)]


JOURNAL = "journal"
_NOW = ("pipelines", "quality", "alerts", "deployments", "checks", "oncall")
_KINDS = {  # the heading, and which sources tell of it
    "action": ("Open actions", JOURNAL, "deployments"), "red": ("Red for a day", "pipelines", "quality", "alerts"),
    "incident": ("Incidents whose alert is over", "alerts"),
    "ack": ("Acknowledged", "alerts"), "silence": ("Silenced", "alerts"), "freeze": ("Frozen", JOURNAL),
    "rejected": ("Rejected versions", JOURNAL), "paused": ("Paused pipelines", "pipelines"),
    "override": ("Overridden guards", JOURNAL),
}  # fmt: skip


def open_items(
    facts: Facts,
    *,
    silences: Iterable[Silence],
    pipelines: Iterable[tuple[str, PipelineInfo]],
    records: Iterable[AuditRecord],
    freezes: Iterable[tuple[str, Freeze]] = (),
    rejections: Iterable[Action] = (),
) -> list[OpenItem]:
    """What is open. `pipelines`: with the name of their source; `records`: the audit of the window;
    `freezes`: with their service."""
    found = [_of_action(action, facts.zone) for action in facts.actions if action.open]
    found += [_of_controller(item, view) for item in facts.items if isinstance(item, Deployment)
              if (view := item.controller) is not None and view.phase not in ("healthy", "unknown")]  # fmt: skip
    found += [_of_incident(item, facts) for item in facts.items if isinstance(item, Alert) and item.is_over]
    found += [_of_silence(silence) for silence in silences if silence.state in ("active", "pending")]
    found += [_of_freeze(service, freeze) for service, freeze in freezes]
    found += [_of_rejection(action, facts) for action in rejections]
    found += [
        OpenItem(
            kind="paused", ref=f"{source}/{info.pipeline}", text=f"{info.pipeline} ({source}) does not run by itself"
        )
        for source, info in pipelines
        if info.paused
    ]
    overrides = [
        OpenItem(
            kind="override", ref=record.action, by=str(record.actor or ""),
            text=f"{record.result} overridden for {record.order} {record.target}: {record.reason or 'no reason given'}",
        )
        for record in records
        if record.kind == "override"
    ]  # fmt: skip
    found += [item for number, item in enumerate(overrides) if item not in overrides[:number]]  # two gates, one code
    return [*found, *_red(facts)]


def _of_freeze(service: str, freeze: Freeze) -> OpenItem:
    words = f"{service} is frozen" + (f": {freeze.reason}" if freeze.reason else "")
    return OpenItem(kind="freeze", ref=service, text=words, by=freeze.by, until=freeze.until)


def _of_rejection(action: Action, facts: Facts) -> OpenItem:
    seen = [outcome(action), action.error.message] if action.error else [action.reason]
    words = ": ".join([f"{action.service} {action.version}", *filter(None, seen)])
    at = action.ended_at or action.started_at
    words += f", since {_full(at, facts)}" if at else ""
    return OpenItem(kind="rejected", ref=action.id or "", text=words, by=str(action.actor or ""))


def _of_action(action: Action, zone: tzinfo) -> OpenItem:
    how = "" if unattended(action) and action.status == "running" else f"{outcome(action)}, "
    words = f"{title(action)}{way(action)}: {how}{phase_told(action.phase) or 'no step yet'}"
    if action.hold is not None:
        words += f"; held: {', '.join(filter(None, (action.hold.why, hold_end(action, zone))))}"
    if action.orphaned_since is not None:
        words += f"; {orphan_words(action, zone)}: {ways_out(action)}"
    if action.stopped_pid:
        words += f"; {STOPPED_WORDS}: {stopped_ways(action)}"
    return OpenItem(kind="action", ref=action.id or "", text=words, by=str(action.actor or ""))


def _of_controller(item: Deployment, view: ControllerView) -> OpenItem:
    """What moves the traffic of a service by itself now, whoever ordered it, and what it does if nobody comes."""
    words = f"{item.service}: {controller_words(item)}"
    return OpenItem(kind="action", ref=item.ref, text=words, until=view.paused_until)


def _of_incident(alert: Alert, facts: Facts) -> OpenItem:
    """What calls somebody for nothing, until it is resolved by hand."""
    words = f"{alert.named}: {over_words(alert, facts.zone)}; {command('alert resolve', alert.ref)}"
    return OpenItem(kind="incident", ref=alert.ref, text=words, by=", ".join(alert.targets))


def _of_silence(silence: Silence) -> OpenItem:
    conditions = " ".join(str(matcher) for matcher in silence.matchers)
    words = f"{conditions}" + (f': "{silence.comment}"' if silence.comment else "")
    kind = "ack" if silence.is_ack else "silence"
    return OpenItem(kind=kind, ref=silence.ref, text=words, by=silence.created_by, until=silence.ends_at)


def _red(facts: Facts) -> Iterable[OpenItem]:
    """What has been wrong for a day, and nobody has made it better."""
    before = facts.made_at - RED_FOR
    for item in facts.items:
        if isinstance(item, Alert) and item.health == "critical" and item.since is not None and item.since <= before:
            text = f"alert {item.named} fires for {ago((facts.made_at - item.since).total_seconds())}: {item.summary}"
            yield OpenItem(kind="red", ref=item.ref, text=text)
    runs = [item for item in facts.items if isinstance(item, PipelineRun)]
    for run in latest_runs(runs):
        if run.health == "critical" and run.ended_at is not None and run.ended_at <= before:
            text = f"{run.pipeline} failed {ago((facts.made_at - run.ended_at).total_seconds())} ago and not run since"
            yield OpenItem(kind="red", ref=run.ref, text=text)
    for score in (item for item in facts.items if isinstance(item, QualityScore) and item.state == "critical"):
        good = [point for point in score.trend if not score.is_beyond(point.score, score.crit)]
        last_good = max((point.at for point in good), default=None)
        if score.trend and score.trend[0].at <= before and (last_good is None or last_good <= before):
            yield OpenItem(kind="red", ref=score.ref, text=_long_red(score))


def _long_red(score: QualityScore) -> str:
    side = "above" if score.better == "lower" else "below"
    return f"{score.named} {side} {score.crit:g}{f' {score.unit}' if score.unit else ''} for a day or longer"


def _section(heading: str, lines: Sequence[str], lost: Sequence[str] = ()) -> list[str]:
    """`lost`: who could not be asked of it: then nobody knows that there is none, or no more."""
    unread = f"{', '.join(lost)} could not be read"
    if not lines:
        return ["", f"## {heading}", "", f"Unknown: {unread}." if lost else "None."]
    return ["", f"## {heading}", "", *lines, *([f"- Not all is known: {unread}."] if lost else [])]


def _lost(facts: Facts, *told_by: str) -> list[str]:
    """Of the panels `told_by`, or of all, and of the journal, those sources of which an answer is missing."""
    whole, parts = dict[str, None](), dict[str, None]()
    for snapshot in facts.sources:
        whose = JOURNAL if snapshot.type == JOURNAL else snapshot.key.panel
        if whose in told_by or not told_by:
            name = "the journal" if whose == JOURNAL else f"{snapshot.key.panel} {_plain(snapshot.key.name)}"
            if _is_lost(snapshot):
                whole[name] = None
            elif snapshot.missing:
                parts[name] = None
    return [*whole, *(f"a part of {name}" for name in parts if name not in whole)]


def _is_lost(snapshot: Snapshot) -> bool:
    return snapshot.error is not None or snapshot.fetched_at is None


def _event(event: Event, facts: Facts) -> str:
    mark = "**T0** " if event.t0 else ""
    before = f" ({event.before})" if event.before else ""
    return f"- {_time(event.at, facts)} {UNICODE.of(event.sign)} {mark}{_plain(event.text)}{before}"


def _on_call(facts: Facts) -> list[str]:
    return [f"- {_code(item.schedule)} {_plain(turns(item, facts.made_at, facts.zone))}"
            for item in facts.items if isinstance(item, OnCall)]  # fmt: skip


def _evidence(facts: Facts) -> list[tuple[str, str]]:
    runs = {run.ref for run in latest_runs([item for item in facts.items if isinstance(item, PipelineRun)])}
    return [(ref_of(item), line) for item in facts.items if (line := _problem(item, facts, runs))]


def _problem(item: Item, facts: Facts, runs: set[str]) -> str:
    """The line of one; empty where nothing is wrong with it."""
    match item:
        case PipelineRun() if item.health == "critical" and item.ref in runs:
            words = item.error or (run_reason(item) if item.state == "success" else "") or "no reason given"
            return f"- run {_code(item.ref)} {item.state}: {_plain(words)}{_link(item.url)}"
        case QualityScore() if item.state in _WRONG:
            limit = item.warn if item.state == "warning" else item.crit
            score = "no data" if item.score is None else f"{item.told(item.score)} (limit {limit:g})"
            failed = [f"{failure.check}: {failure.detail}" for failure in item.failures[:5]]
            words = "; ".join([*filter(None, [item.reason]), *failed])
            return f"- dataset {_code(item.named)} {item.state} {score}{': ' + _plain(words) if words else ''}"
        case Alert() if item.state in ("firing", "unknown") and item.health in _WRONG:
            return f"- alert {_code(item.named)} {item.state}: {_plain(item.summary)}{_link(item.runbook_url)}"
        case Alert() if item.state == "acknowledged":
            by = f" by {_plain(item.ack.by)}" if item.ack else ""
            until = f" until {_time(item.ack.until, facts)}" if item.ack and item.ack.until else ""
            if item.ack and item.ack.until and item.back_at and item.back_at > item.ack.until:
                until += f", hidden by a silence until {_time(item.back_at, facts)}"
            again = ", before it fired again" if item.fired_again else ""
            return (
                f"- alert {_code(item.named)} still fires, acknowledged{by}{until}{again}: {_plain(item.summary)}"
                f"{_link(item.runbook_url)}"
            )
        case CheckResult() if item.state in _WRONG:
            return f"- check {_code(item.name)} {item.state}: {_plain(item.message)}"
        case OnCall() if item.state in _WRONG:
            return f"- on call {_plain(says(item))}"
        case Deployment() if item.health != "ok":
            of = item.truth
            layers = f"control {of.control.value}, endpoints {of.endpoints.value}, data {of.data.value}"
            said = [*failures(item), *doubts(item)] or [*filter(None, [why_not_well(item)])]
            said += [first_line(words) for _, words in against(item)]
            words = "".join(f"; {_plain(each)}" for each in said)
            live = f"live {item.live.upper()}{' ARMED' if item.armed else ''} ({layers})"
            return f"- service {_code(item.service)} {live}{words}{_unattended(item)}"
    return ""


def _unattended(item: Deployment) -> str:
    """The action on it that nobody runs, or whose runner is stopped, with the ways out."""
    why = "nobody runs it" if item.orphaned_since is not None else item.action_stopped
    return f"; `{item.action}`: {_plain(why)}: {_plain(item.ways_out)}" if why else ""


def _action(action: Action, facts: Facts) -> str:
    who = f" by {action.actor}" if action.actor else ""
    why = f', reason "{_plain(action.reason)}"' if action.reason else ", no reason given"
    switch = action.switch
    seen = ""
    if switch:
        own = f"{counted(switch.requests, 'request')} and {counted(switch.errors, 'error')} of its own tests"
        seen = f", {own}{failed_words(switch)}"
    error = f": {_plain(action.error.message)}" if action.error else ""
    caused = cause(action)  # who ordered it did not take it back
    alone = action.open and unattended(action)
    came = f": {doing(action) if alone else outcome(action)}" if alone or is_noop(action) else f" {action.status}"
    came = "" if caused else came
    back = f", {_plain(outcome(action))}" if caused else ""
    if action.error and action.error.kind == "ordered":
        error = "" if caused else error  # the order says it
    at = _time(action.started_at or facts.until, facts)
    return f"- {at} `{action.id}` {title(action)}{way(action)}{came}{who}{why}{back}{seen}{error}"


def _open_item(item: OpenItem, facts: Facts) -> str:
    who = f", by {item.by}" if item.by else ""
    until = f", until {_full(item.until, facts)}" if item.until else ""
    return f"- {_code(item.ref)} {_plain(item.text)}{who}{until}"


def _unseen(facts: Facts) -> list[str]:
    lines = [
        f"- {snapshot.key.panel} {snapshot.key.name}: {_plain(why)}" for snapshot in facts.sources
        for why in [*([_why(snapshot)] if _is_lost(snapshot) else []), *(part.message for part in snapshot.missing)]
    ]  # fmt: skip
    lines = list(dict.fromkeys(lines))
    blind = [event for event in facts.events if event.kind == "unwatched"]
    lines += [f"- {_time(event.at, facts)} {_plain(event.text)}" for event in blind]
    if (first := facts.unwatched_until) is not None:
        when = "in this window" if first >= facts.until else f"before {_time(first, facts)}"
        lines.append(f"- nobody is known to have looked {when}: what no source remembers is not told")
    return lines


def _why(snapshot: Snapshot) -> str:
    return snapshot.error.message if snapshot.error else "no answer in time"


def _within(action: Action, facts: Facts) -> bool:
    at = action.ended_at or action.started_at
    return at is not None and facts.since <= at <= facts.until


def _link(url: str | None) -> str:
    return f" <{url}>" if url else ""


def _code(name: str) -> str:
    """A name from outside as code, which nothing in it ends."""
    return "`" + name.replace("`", "'") + "`"


def _plain(text: str) -> str:
    """Words from outside as words: nothing in them is Markdown."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>#|" else letter for letter in text)


def _time(at: datetime, facts: Facts) -> str:
    """The title has the day on which the window begins."""
    return dated(at, facts.zone, facts.since)


def _full(at: datetime, facts: Facts) -> str:
    return f"{at.astimezone(facts.zone):%Y-%m-%d} {clock(at, facts.zone)}"
