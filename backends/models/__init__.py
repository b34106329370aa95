"""What every part speaks of: frozen Structs, field for field the JSON of docs/contract.md, Models.

Times are aware UTC; durations are seconds; every string that came from outside has passed `backends.text.clean()`.
A `ref` is unique over all backends of a context and is what every command and key is bound to. One module a port.
"""

from backends.models.alerts import (
    Acknowledgement,
    Alert,
    AlertState,
    Incident,
    Matcher,
    Silence,
    SilenceState,
    alert_subject,
    firing_health,
)
from backends.models.checks import CheckResult, PerfDatum
from backends.models.controllers import (
    CONTROLLER_SIDES,
    ControllerPhase,
    ControllerView,
    OrderName,
    OrderOffer,
    Revision,
)
from backends.models.deployments import (
    ENOUGH_REQUESTS,
    ColorState,
    Deployment,
    Finding,
    FindingLevel,
    Freeze,
    LastSwitch,
    RollbackOffer,
    RunCondition,
    SwitchMark,
    Truth,
    TruthLayer,
)
from backends.models.errors import ErrorIssue, IssueState
from backends.models.health import Health, severity_rank, worst
from backends.models.item import Item, Panel
from backends.models.logs import LogEntry, LogLevel
from backends.models.oncall import OnCall, Shift
from backends.models.pipelines import PipelineRun, RunState, TaskRun, run_states
from backends.models.quality import FailedExpectation, Freshness, QualityScore, TrendPoint
from backends.models.timeline import TimelineEvent
from backends.models.traces import Span, Trace, TraceTree

__all__ = [
    "CONTROLLER_SIDES",
    "ENOUGH_REQUESTS",
    "Acknowledgement",
    "Alert",
    "AlertState",
    "CheckResult",
    "ColorState",
    "ControllerPhase",
    "ControllerView",
    "Deployment",
    "ErrorIssue",
    "FailedExpectation",
    "Finding",
    "FindingLevel",
    "Freeze",
    "Freshness",
    "Health",
    "Incident",
    "IssueState",
    "Item",
    "LastSwitch",
    "LogEntry",
    "LogLevel",
    "Matcher",
    "OnCall",
    "OrderName",
    "OrderOffer",
    "Panel",
    "PerfDatum",
    "PipelineRun",
    "QualityScore",
    "Revision",
    "RollbackOffer",
    "RunCondition",
    "RunState",
    "Shift",
    "Silence",
    "SilenceState",
    "Span",
    "SwitchMark",
    "TaskRun",
    "TimelineEvent",
    "Trace",
    "TraceTree",
    "TrendPoint",
    "Truth",
    "TruthLayer",
    "alert_subject",
    "firing_health",
    "run_states",
    "severity_rank",
    "worst",
]
