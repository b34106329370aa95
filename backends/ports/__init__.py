"""What the console asks of an outside system: one small Protocol per kind of thing, one module a port.

Every method may raise `backends.errors.BackendError` and nothing else; none blocks the event loop; all I/O is bounded
in time by the caller (`asyncio.timeout`) and by the adapter. Reads may be cancelled at any await. Adapters are built
by `backends.registry` and closed once with `aclose()`.
"""

from backends.ports.alerts import Alerts, RememberingAlerts, SilenceEffects, Silencer, SilenceResult
from backends.ports.checks import Check
from backends.ports.closable import Closable
from backends.ports.controllers import Controller, ControllerState, Operation, Order, Pause, is_controller
from backends.ports.deployments import (
    Deployed,
    Deployer,
    ProbeTarget,
    RememberingDeployments,
    RequestCounts,
    Rollout,
    Switch,
    SwitchState,
    conditions_of,
    retire_findings,
    retire_lines,
)
from backends.ports.errors import Errors, LiveVersions
from backends.ports.logs import LogQuery, Logs, SearchableLogs, Searched, costs
from backends.ports.metrics import Metrics, Point, Sample, Series
from backends.ports.notify import ActionEvent, EventKind, FollowingNotifier, Notifier, following
from backends.ports.oncall import Schedules
from backends.ports.pipelines import (
    Approval,
    ComparablePipelines,
    ParamType,
    PipelineInfo,
    PipelineParam,
    Pipelines,
    RunInputs,
    comparable,
)
from backends.ports.quality import Quality
from backends.ports.stamps import Stamp, read_stamp
from backends.ports.traces import TraceQuery, Traces

__all__ = [
    "ActionEvent",
    "Alerts",
    "Approval",
    "Check",
    "Closable",
    "ComparablePipelines",
    "Controller",
    "ControllerState",
    "Deployed",
    "Deployer",
    "Errors",
    "EventKind",
    "FollowingNotifier",
    "LiveVersions",
    "LogQuery",
    "Logs",
    "Metrics",
    "Notifier",
    "Operation",
    "Order",
    "ParamType",
    "Pause",
    "PipelineInfo",
    "PipelineParam",
    "Pipelines",
    "Point",
    "ProbeTarget",
    "Quality",
    "RememberingAlerts",
    "RememberingDeployments",
    "RequestCounts",
    "Rollout",
    "RunInputs",
    "Sample",
    "Schedules",
    "SearchableLogs",
    "Searched",
    "Series",
    "SilenceEffects",
    "SilenceResult",
    "Silencer",
    "Stamp",
    "Switch",
    "SwitchState",
    "TraceQuery",
    "Traces",
    "comparable",
    "conditions_of",
    "costs",
    "following",
    "is_controller",
    "read_stamp",
    "retire_findings",
    "retire_lines",
]
