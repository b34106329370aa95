"""The tables of headless output: what each kind shows, in full, whatever the width of the terminal."""

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import Any

from msgspec import Struct

from actions.models import Action, OpenConsole, is_starting
from actions.orphans import orphan_words, since_words, stopped_ways, ways_out
from actions.telling import STOPPED_WORDS, cause, hold_end, is_noop, outcome, pause_words
from backends.models import (
    Alert,
    CheckResult,
    Deployment,
    ErrorIssue,
    LogEntry,
    OnCall,
    PipelineRun,
    QualityScore,
    RunCondition,
    Silence,
    Span,
    TaskRun,
    Trace,
)
from backends.text import side_name
from console import moment
from console.ports.table import readings
from console.printing.output import table
from panels.kinds.alerts import over_words
from panels.kinds.deployments import (
    action_words,
    against,
    armed_words,
    freeze_words,
    how_ready,
    named_condition,
    why_in_full,
)
from panels.kinds.errors import amount as events
from panels.kinds.errors import standing
from panels.kinds.oncall import people, when
from panels.kinds.pipelines import last_words
from panels.kinds.pipelines import reason as run_reason
from panels.kinds.quality import TREND, trend
from panels.kinds.traces import fault, lasted, waited
from panels.words import NOTHING, SPARK_BARS, UNICODE, ago, amount, clock, dated, took


class View(Struct, frozen=True):
    """When and where a table is read."""

    now: datetime
    zone: tzinfo

    def ago(self, at: datetime | None) -> str:
        """How long before now."""
        return NOTHING if at is None else ago((self.now - at).total_seconds())

    @classmethod
    def at_now(cls, zone: tzinfo) -> "View":
        """A view at this moment."""
        return cls(moment.utc_now(), zone)


class Field(Struct, frozen=True):
    """One column: its header, what it shows of an item, and whether it is a number that lines up on the right."""

    header: str
    show: Callable[[Any, View], str]
    right: bool = False
    optional: bool = False


def _state(symbol_of: str, word: str) -> str:
    return f"{UNICODE.of(symbol_of)} {word}"


def _run_state(run: PipelineRun, view: View) -> str:
    if run.state == "success" and run.data in ("critical", "warning"):
        return _state(run.data, "bad data")
    word = "late" if run.late else run.state
    return _state(word, word)


def _history(run: PipelineRun, view: View) -> str:
    return "".join(UNICODE.of(word) for word in last_words(run)) if run.history else ""


def _score(score: QualityScore, view: View) -> str:
    return score.words


def _trend(score: QualityScore, view: View) -> str:
    return trend(score, TREND, SPARK_BARS)


def _why(score: QualityScore, view: View) -> str:
    return "; ".join([*filter(None, [score.reason]), *(f"{f.check}: {f.detail}" for f in score.failures)])


def _checks(score: QualityScore, view: View) -> str:
    return NOTHING if score.total is None else f"{score.passed}/{score.total}"


def _alert_state(alert: Alert, view: View) -> str:
    if alert.fired_again:
        return _state(alert.health, f"{alert.state}, fired again since")
    return _state(alert.health if alert.state == "firing" else alert.state, alert.state)


def _ends(silence: Silence, view: View) -> str:
    if silence.ends_at is None:
        return NOTHING
    left = (silence.ends_at - view.now).total_seconds()
    return f"in {took(left)}" if left >= 0 else f"{ago(-left)} ago"


def on_words(consoles: Sequence[OpenConsole], zone: tzinfo) -> str:
    """`alice@bastion-1 ARMED since 14:02:11, root@vm ×3`: who has a console open, and whether one of theirs may
    write; since when, of one alone."""
    of: dict[str, list[OpenConsole]] = {}
    for console in consoles:
        of.setdefault(str(console.actor), []).append(console)
    return ", ".join(_on(who, theirs, zone) for who, theirs in of.items())


def _on(who: str, theirs: Sequence[OpenConsole], zone: tzinfo) -> str:
    armed = " ARMED" if any(console.armed for console in theirs) else ""
    if len(theirs) > 1:
        return f"{who} ×{len(theirs)}{armed}"
    return f"{who}{armed} since {clock(theirs[0].opened_at, zone)}"


def _colors(deployment: Deployment, view: View) -> str:
    sides = []
    for name, color in deployment.colors.items():
        weight = amount(color.weight_pct, " %")
        health = {True: "healthy", False: "not healthy", None: "health unknown"}[color.healthy]
        sides.append(f"{name.upper()} {color.version or NOTHING} {weight} {health}")
    return "; ".join(sides)


def _live(deployment: Deployment, view: View) -> str:
    """What is live, first and alone: what is said against it stands below the table (`reasons`)."""
    words = deployment.live.upper()
    words += f" {freeze_words(deployment.freeze, view.zone)}" if deployment.freeze is not None else ""
    marks = dict.fromkeys(UNICODE.of(word) for word, _ in against(deployment))
    return " ".join([words, *marks])


def _truth(deployment: Deployment, view: View) -> str:
    truth = deployment.truth
    return f"control {truth.control.value}, endpoints {truth.endpoints.value}, data {truth.data.value}"


def _back(deployment: Deployment, view: View) -> str:
    offer = deployment.rollback
    if offer is None or offer.to is None:
        return offer.reason.partition(": ")[0] if offer is not None and offer.reason else NOTHING
    if not offer.ready:
        return f"{side_name(offer.to)} not ready"
    return f"{side_name(offer.to)} ready, {how_ready(deployment, offer)}"


def _open_action(deployment: Deployment, view: View) -> str:
    """The action that is open, and where nobody runs it, since when and what to do; why it is not known."""
    if deployment.action_unknown:
        return f"{UNICODE.unknown} {deployment.action_unknown}"
    if deployment.action_stopped:
        return f"{UNICODE.critical} {deployment.action_stopped}: {deployment.ways_out}"
    if deployment.action is None or deployment.orphaned_since is None:
        if deployment.action is None:
            return deployment.action_about or NOTHING
        held = f"{UNICODE.warning} " if deployment.action_held else ""
        then = f", {deployment.action_then}" if deployment.action_then else ""
        return f"{held}{deployment.action} {action_words(deployment, view.now)}{then}"
    alone = since_words(deployment.orphaned_since, view.zone, deployment.orphaned_why)
    return f"{UNICODE.critical} {alone}: {deployment.ways_out}"


def _status(action: Action, view: View) -> str:
    if action.stopped_pid:
        return f"{UNICODE.critical} {action.status}, {STOPPED_WORDS}: {stopped_ways(action)}"
    if action.orphaned_since is None:
        if is_noop(action):
            return outcome(action)
        if is_starting(action):
            return f"{action.status}, not started yet"
        said = pause_words(action, view.zone) or " ".join(filter(None, (action.status, cause(action))))
        return ", ".join(filter(None, (said, hold_end(action, view.zone))))
    return f"{UNICODE.critical} {action.status}, {orphan_words(action, view.zone)}: {ways_out(action)}"


FIELDS: dict[type, tuple[Field, ...]] = {
    PipelineRun: (
        Field("STATE", _run_state),
        Field("PIPELINE", lambda run, view: run.pipeline),
        Field("RUN", lambda run, view: run.run_id),
        Field("LAST", _history),
        Field("AGO", lambda run, view: view.ago(run.started_at), right=True),
        Field("TOOK", lambda run, view: took(run.duration_s), right=True),
        Field("TASKS", lambda run, view: NOTHING if not run.tasks_total else f"{run.tasks_done}/{run.tasks_total}"),
        Field("REF", lambda run, view: run.ref),
        Field("ERROR", lambda run, view: run.error or (run_reason(run) if run.state == "success" else "")),
    ),
    TaskRun: (
        Field("STATE", lambda task, view: _state(task.state, task.state)),
        Field("TASK", lambda task, view: task.task),
        Field("TRY", lambda task, view: str(task.try_number), right=True),
        Field("STARTED", lambda task, view: dated(task.started_at, view.zone, view.now)),
        Field("TOOK", lambda task, view: took(task.duration_s), right=True),
        Field("AFTER", lambda task, view: ", ".join(task.depends_on)),
        Field("ERROR", lambda task, view: task.error or ""),
    ),
    QualityScore: (
        Field("STATE", lambda score, view: _state(score.state, score.state)),
        Field("DATASET", lambda score, view: score.dataset),
        Field("SUITE", lambda score, view: score.suite, optional=True),
        Field("SCORE", _score),
        Field("CHECKS", _checks, right=True),
        Field("TREND", _trend),
        Field("AGO", lambda score, view: view.ago(score.evaluated_at), right=True),
        Field("SOURCE", lambda score, view: score.backend),
        Field("REF", lambda score, view: score.ref),
        Field("WHY", _why),
    ),
    Alert: (
        Field("STATE", _alert_state),
        Field("SEVERITY", lambda alert, view: alert.severity),
        Field("ALERT", lambda alert, view: alert.name),
        Field("SINCE", lambda alert, view: view.ago(alert.since), right=True),
        Field("SUMMARY", lambda alert, view: over_words(alert, view.zone) or alert.summary),
        Field("LABELS", lambda alert, view: " ".join(f"{key}={value}" for key, value in alert.told_labels.items())),
        Field("REF", lambda alert, view: alert.ref),
    ),
    Silence: (
        Field("STATE", lambda silence, view: _state("acknowledged" if silence.is_ack else "silenced", silence.state)),
        Field("KIND", lambda silence, view: "ack" if silence.is_ack else "silence"),
        Field("ENDS", _ends, right=True),
        Field("BY", lambda silence, view: silence.created_by),
        Field("HIDES", lambda silence, view: str(silence.matches), right=True),
        Field("MATCHERS", lambda silence, view: " ".join(str(matcher) for matcher in silence.matchers)),
        Field("COMMENT", lambda silence, view: silence.comment),
        Field("REF", lambda silence, view: silence.ref),
    ),
    Deployment: (
        Field("STATE", lambda deployment, view: _state(deployment.health, deployment.health)),
        Field("SERVICE", lambda deployment, view: deployment.service),
        Field("LIVE", _live),
        Field("COLORS", _colors),
        Field("TRUTH", _truth),
        Field("ROLL BACK TO", _back),
        Field("ACTION", _open_action),
    ),
    CheckResult: (
        Field("STATE", lambda check, view: _state(check.state, check.state)),
        Field("CHECK", lambda check, view: check.name),
        Field("MS", lambda check, view: amount(check.latency_ms), right=True),
        Field("MESSAGE", lambda check, view: check.message),
    ),
    ErrorIssue: (
        Field("STATE", lambda item, view: _state(item.health, standing(item))),
        Field("SERVICE", lambda item, view: item.service or item.project),
        Field("ERROR", lambda item, view: item.title),
        Field("EVENTS", lambda item, view: events(item.count), right=True),
        Field("USERS", lambda item, view: events(item.users), right=True),
        Field("SEEN", lambda item, view: view.ago(item.last_seen), right=True),
        Field("RELEASE", lambda item, view: item.release or "", optional=True),
        Field("RAISED IN", lambda item, view: item.frame),
        Field("ASSIGNED", lambda item, view: item.assigned, optional=True),
        Field("REF", lambda item, view: item.ref),
    ),
    OnCall: (
        Field("STATE", lambda item, view: _state(item.state, item.state)),
        Field("SCHEDULE", lambda item, view: item.schedule),
        Field("ON CALL", lambda item, view: people(item.now)),
        Field("UNTIL", lambda item, view: when(item.now.until if item.now else None, view.now, view.zone)),
        Field("THEN", lambda item, view: people(item.next)),
        Field("UNTIL", lambda item, view: when(item.next.until if item.next else None, view.now, view.zone)),
        Field("WHY", lambda item, view: item.reason, optional=True),
    ),
    Trace: (
        Field("STATE", lambda trace, view: _state(trace.state, trace.state)),
        Field("AT", lambda trace, view: dated(trace.started_at, view.zone, view.now)),
        Field("TOOK", lambda trace, view: lasted(trace.duration_s), right=True),
        Field("SPANS", lambda trace, view: amount(trace.span_count), right=True),
        Field("FAILED", lambda trace, view: amount(trace.errors), right=True),
        Field("SERVICE", lambda trace, view: trace.service),
        Field("OPERATION", lambda trace, view: trace.operation),
        Field("REF", lambda trace, view: trace.ref),
    ),
    Span: (
        Field("AFTER", lambda span, view: lasted(span.offset_s), right=True),
        Field("TOOK", lambda span, view: lasted(span.duration_s), right=True),
        Field("WAITED", lambda span, view: waited(span), right=True),
        Field("SPAN", lambda span, view: f"{'  ' * min(span.depth, 20)}{span.service} {span.operation}"),
        Field("FAILED", lambda span, view: fault(span), optional=True),
    ),
    Action: (
        Field("ID", lambda action, view: action.id or NOTHING),
        Field("KIND", lambda action, view: action.kind),
        Field("SERVICE", lambda action, view: action.named),
        Field("VERSION", lambda action, view: action.version, optional=True),
        Field("STATUS", _status),
        Field("FROM", lambda action, view: NOTHING if is_noop(action) else action.from_ or NOTHING),
        Field("TO", lambda action, view: NOTHING if is_noop(action) else action.to or NOTHING),
        Field("AGO", lambda action, view: view.ago(action.started_at), right=True),
        Field("BY", lambda action, view: action.actor.person if action.actor else NOTHING),
        Field("REASON", lambda action, view: action.reason),
    ),
}  # fmt: skip


def _usual(kind: type) -> tuple[Field, ...]:
    """The columns of a port that needs no others."""
    reading = next(reading for _, reading in readings() if reading.item is kind)
    return (
        Field("STATE", lambda item, view: _state(item.health, item.health)),
        Field(reading.single.upper(), lambda item, view: reading.title(item)),
        Field("AGO", lambda item, view: view.ago(reading.at(item)), right=True),
        Field("REF", lambda item, view: item.ref),
        Field("SAYS", lambda item, view: reading.says(item)),
    )


def item_table(kind: type, items: Sequence[Any], view: View) -> list[str]:
    """`items`, all of one kind, as lines; only the header for none. An optional column is there where any has it."""
    fields = [
        field
        for field in FIELDS.get(kind) or _usual(kind)
        if not field.optional or any(field.show(item, view) for item in items)
    ]
    rows = [[field.show(item, view) for field in fields] for item in items]
    return table(rows, headers=[field.header for field in fields], right=[field.right for field in fields])


def reasons(deployments: Sequence[Deployment]) -> list[str]:
    """Why each service that is not well is not, at full length, with the command that begins what is missing on a line
    of its own, and why a way back is not at once: below the table, since a column would cut it."""
    bad = [(found.service, why_in_full(found)) for found in deployments if found.health != "ok"]
    bad += [(found.service, found.truth.control.detail) for found in deployments if found.armed]
    told = [(found, words) for found in deployments for _, words in against(found)]
    bad += [(found.service, words) for found, words in told if words != armed_words(found)]
    bad += [(found.service, _why_not_back(found)) for found in deployments]
    return ["\n  ".join(f"{service}: {why}".splitlines()) for service, why in bad if why]


def condition_words(deployment: Deployment, condition: RunCondition) -> str:
    """`analytics: GREEN autoscaler analytics-green: 2 of 2 wanted, …`, with what to do on a line of its own."""
    line = f"{UNICODE.of(condition.health)} {deployment.service}: {named_condition(condition)}: {condition.text}"
    return f"{line}\n  {condition.fix}" if condition.fix else line


def _why_not_back(deployment: Deployment) -> str:
    offer = deployment.rollback
    if offer is None or offer.to is None or offer.instant or not offer.reason:
        return ""
    side = deployment.colors.get(offer.to)
    if side is not None and not side.healthy:
        return ""  # it is said of the side
    return f"back to {side_name(offer.to)}: {offer.reason}"


def log_line(entry: LogEntry, zone: tzinfo) -> str:
    """One line of a log: time in the operator's zone, level, source, message."""
    at = (
        entry.at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S.") + f"{entry.at.microsecond // 1000:03d}"
        if entry.at
        else ""
    )
    level = "" if entry.level == "unknown" else entry.level.upper()
    late = " (late)" if entry.late else ""
    return f"{at:23} {level:8} {entry.source}{late}  {entry.message}"
