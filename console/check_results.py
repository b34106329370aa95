"""What `teal check` judges: the checks of the config, and each panel as a whole."""

from collections import Counter
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from actions.orphans import since_words, ways_out
from actions.telling import title
from backends.models import (
    Alert,
    CheckResult,
    Deployment,
    Health,
    Item,
    Panel,
    PerfDatum,
    PipelineRun,
    QualityScore,
    TimelineEvent,
    badness,
)
from console.reading.derive import latest_runs, panel_health
from console.reading.store import Snapshot
from console.session import Acting, Session
from panels.kinds.deployments import why_not_well
from panels.kinds.pipelines import reason as run_reason
from panels.kinds.quality import why

JUDGED_PANELS: tuple[Panel, ...] = ("pipelines", "quality", "alerts", "deployments")
ACTIONS = "actions"
_HIDDEN = ("acknowledged", "silenced", "inhibited")
ACTING = frozenset({ACTIONS, "deployments"})
"""What is not known to be well where nobody knows who acts."""


def check_results(session: Session) -> list[CheckResult]:
    """One result a check, and one a panel that has sources; what was not heard of is unknown."""
    sources = session.sources()
    results: list[CheckResult] = []
    for snapshot in sources:
        if snapshot.key.panel != "checks":
            continue
        results += snapshot.items if snapshot.error is None and snapshot.items else [_lost(snapshot)]
    for panel in JUDGED_PANELS:
        own = [snapshot for snapshot in sources if snapshot.key.panel == panel]
        if own:
            results.append(_judged(panel, own))
    return results


def of_actions(acting: Acting, zone: tzinfo) -> CheckResult:
    """The open actions: critical where nobody runs one, unknown where the journal can not be read."""
    alone = [action for action in acting.actions if action.orphaned_since is not None]
    words = [
        f"{title(action)} {action.status}, {since_words(since, zone)}: {ways_out(action)}"
        for action in alone
        if (since := action.orphaned_since) is not None
    ]
    state: Health = "critical" if alone else "unknown" if acting.unknown else "ok"
    message = "; ".join([*words, acting.unknown]).strip("; ") or f"{len(acting.actions)} open"
    counts = (
        PerfDatum(label="open", value=len(acting.actions), min=0),
        PerfDatum(label="nobody_runs", value=len(alone), min=0),
    )
    return CheckResult(ref=ACTIONS, name=ACTIONS, state=state, message=message, perfdata=counts)


def _lost(snapshot: Snapshot) -> CheckResult:
    message = snapshot.error.message if snapshot.error else "no answer in time"
    return CheckResult(ref=snapshot.key.name, name=snapshot.key.name, state="unknown", message=message)


def _judged(panel: Panel, snapshots: list[Snapshot]) -> CheckResult:
    items = [item for snapshot in snapshots for item in snapshot.items]
    items = latest_runs(items) if panel == "pipelines" else items
    bad = sorted((item for item in items if item.health != "ok"), key=lambda item: badness(item.health))
    lost = [_lost(snapshot).message for snapshot in snapshots if snapshot.error or snapshot.fetched_at is None]
    lost += [part.message for snapshot in snapshots for part in snapshot.missing]
    named = [_name(item) for item in bad[:3]]
    message = "; ".join([*lost, *named]) or _well(items)
    if len(bad) > 3:
        message += f" and {len(bad) - 3} more"
    counts = (PerfDatum(label="total", value=len(items), min=0), PerfDatum(label="not_ok", value=len(bad), min=0))
    return CheckResult(ref=panel, name=panel, state=panel_health(snapshots), message=message, perfdata=counts)


def _well(items: Sequence[Any]) -> str:
    """So many are well; of alerts those that are hidden do not ask for anybody, and are not gone."""
    words = Counter(item.state if isinstance(item, Alert) and item.state in _HIDDEN else "ok" for item in items)
    return ", ".join(f"{words[word]} {word}" for word in ("ok", *_HIDDEN) if words[word]) or "0 ok"


def _because(item: Deployment) -> str:
    return f", {why}" if (why := why_not_well(item)) else ""


def _name(item: Item) -> str:
    match item:
        case Alert():
            return f"{item.name} {item.summary}".strip()
        case PipelineRun():
            return ": ".join(filter(None, (f"{item.pipeline} {item.state}", run_reason(item))))
        case QualityScore():
            return why(item)
        case Deployment():
            nobody = f", nobody runs {item.action}" if item.orphaned_since is not None else ""
            changed = f", {item.unverified}" if item.unverified else ""
            return f"{item.service} live {item.live}{_because(item)}{nobody}{changed}"
        case TimelineEvent():
            return item.text
        case CheckResult():
            return item.message
        case _:
            return str(item)
