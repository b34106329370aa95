"""What every part speaks of: frozen Structs, field for field the JSON of docs/contract.md, Models.

Times are aware UTC; durations are seconds; every string that came from outside has passed `backends.text.clean()`.
A `ref` is unique over all backends of a context and is what every command and key is bound to.
"""

from datetime import datetime
from typing import Literal

from msgspec import Struct, field

Health = Literal["ok", "warning", "critical", "unknown"]
RunState = Literal["queued", "running", "waiting", "success", "failed", "cancelled", "skipped", "unknown"]
AlertState = Literal["firing", "pending", "silenced", "inhibited", "acknowledged", "unknown"]
SilenceState = Literal["active", "pending", "expired", "unknown"]
LogLevel = Literal["debug", "info", "warning", "error", "critical", "unknown"]
Panel = Literal["pipelines", "quality", "alerts", "deployments", "logs", "checks", "timeline"]

_BADNESS: dict[str, int] = {"critical": 0, "unknown": 1, "warning": 2, "running": 3, "ok": 4}


def badness(health: str) -> int:
    """Sort key, worst first: critical, unknown, warning, running, ok. A word that is not known counts as unknown."""
    return _BADNESS.get(health, _BADNESS["unknown"])


def worst(healths: list[Health]) -> Health:
    """The worst of `healths`; `unknown` for none at all, since nobody looked."""
    return min(healths, key=badness, default="unknown")


class PipelineRun(Struct, frozen=True, kw_only=True):
    """One run of a pipeline. `tasks_*` count its tasks; `history`: the pipeline's last states, newest last.

    `note`: what the system knows beside its state (why it is still queued, that its code changed since the last good).
    `data`: the worst quality of what it wrote, where the links of the config say so; null where nobody knows.
    `data_reason` names what of it is bad.
    """

    ref: str
    backend: str
    pipeline: str
    run_id: str
    state: RunState
    raw_state: str = ""
    trigger: str = ""
    logical_date: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    usual_s: float | None = None
    late: bool = False
    tasks_done: int | None = None
    tasks_total: int | None = None
    history: tuple[RunState, ...] = ()
    url: str | None = None
    error: str | None = None
    note: str = ""
    data: Health | None = None
    data_reason: str | None = None

    @property
    def health(self) -> Health:
        """Failed is critical, late or cancelled a warning, unknown stays unknown; of a success, what its data is."""
        if self.state == "success" and self.data in ("critical", "warning"):
            return self.data
        if self.state == "failed":
            return "critical"
        if self.state == "unknown":
            return "unknown"
        return "warning" if self.late or self.state in ("cancelled", "waiting") else "ok"


class TaskRun(Struct, frozen=True, kw_only=True):
    """One task of a run. `depends_on` names tasks of the same run."""

    task: str
    state: RunState
    try_number: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    depends_on: tuple[str, ...] = ()
    error: str | None = None


class TimelineEvent(Struct, frozen=True, kw_only=True):
    """Something that happened in an outside system: `kind` is its word for it (`trigger`, `paused`, `deployment`),
    `ref` what it happened to (a run, or `backend/pipeline`), `text` says it in one line, with who did it where known.
    `until` is the end of what lasted.
    """

    at: datetime
    kind: str
    ref: str
    text: str
    url: str | None = None
    health: Health = "ok"
    until: datetime | None = None


class FailedExpectation(Struct, frozen=True):
    """A quality check that failed, and what it found in words."""

    check: str
    detail: str


class TrendPoint(Struct, frozen=True):
    """A score (0..1) and when it was measured."""

    at: datetime
    score: float


class Freshness(Struct, frozen=True, kw_only=True):
    """How new the newest row of a dataset was when somebody looked: `loaded_at` the row, `checked_at` the look.

    The limits are its age in seconds, where there are any. `unknown` also where nobody has looked for longer than that.
    """

    state: Health
    loaded_at: datetime | None = None
    checked_at: datetime | None = None
    warn_after_s: float | None = None
    error_after_s: float | None = None


class QualityScore(Struct, frozen=True, kw_only=True):
    """The quality of one dataset. `score` is 0..1, null where there is no data; `warn` and `crit` are lower limits.

    `suite` is what was evaluated, where a dataset has several. `failures` are checks that the data did not pass, and
    `errors` those that gave no verdict. `downstream`: what is made of the dataset, those who read it first.
    """

    ref: str
    backend: str
    dataset: str
    score: float | None
    warn: float
    crit: float
    state: Health
    evaluated_at: datetime | None = None
    age_s: float | None = None
    passed: int | None = None
    total: int | None = None
    failures: tuple[FailedExpectation, ...] = ()
    trend: tuple[TrendPoint, ...] = ()
    run_ref: str | None = None
    reason: str | None = None
    suite: str = ""
    errors: tuple[FailedExpectation, ...] = ()
    freshness: Freshness | None = None
    downstream: tuple[str, ...] = ()

    @property
    def health(self) -> Health:
        """The same word as `state`."""
        return self.state


class Acknowledgement(Struct, frozen=True, kw_only=True):
    """Who took an alert on, until when, why, and the silence that carries it."""

    by: str
    until: datetime | None = None
    reason: str = ""
    silence_id: str | None = None


class Alert(Struct, frozen=True, kw_only=True):
    """One alert. `fingerprint` identifies its label set; `group` is what it is shown under; `hidden_since` is when the
    acknowledgement or the silence that hides it began, where that is known."""

    ref: str
    backend: str
    fingerprint: str
    name: str
    severity: str
    state: AlertState
    raw_state: str = ""
    since: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    group: str = ""
    ack: Acknowledgement | None = None
    hidden_since: datetime | None = None
    targets: tuple[str, ...] = ()
    runbook_url: str | None = None
    source_url: str | None = None

    @property
    def health(self) -> Health:
        """What it means now: acknowledged, silenced and inhibited alerts no longer ask for anybody.

        Neither does one of severity `none`, as a watchdog that always fires.
        """
        if self.state == "unknown":
            return "unknown"
        if self.state == "pending":
            return "warning"
        if self.state != "firing" or self.severity == "none":
            return "ok"
        return "critical" if self.severity in ("critical", "page", "error", "emergency") else "warning"


class Matcher(Struct, frozen=True, kw_only=True):
    """One condition on a label: `name="value"`, or with `!=`, `=~`, `!~`. A label that is absent is ""."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def __str__(self) -> str:
        sign = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{sign[self.is_regex, self.is_equal]}"{value}"'


class Silence(Struct, frozen=True, kw_only=True):
    """What keeps alerts from notifying anybody until `ends_at`. `matches` counts the alerts that it hides now.

    An acknowledgement is a silence too: `is_ack`, its `comment` without the mark that says so.
    """

    ref: str
    backend: str
    id: str
    matchers: tuple[Matcher, ...]
    state: SilenceState
    raw_state: str = ""
    created_by: str = ""
    comment: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    is_ack: bool = False
    matches: int = 0


FindingLevel = Literal["block", "warning", "ok"]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at before acting. `block` forbids; `--override` names a `code`; `fix`: what to do."""

    level: FindingLevel
    code: str
    text: str
    fix: str = ""
    overridable: bool = False


class ColorState(Struct, frozen=True, kw_only=True):
    """One side of a deployment. `healthy` is null where nobody could look; `weight_pct` is 0..100."""

    version: str | None = None
    weight_pct: float | None = None
    ready: int | None = None
    desired: int | None = None
    healthy: bool | None = None
    detail: str = ""
    rps: float | None = None
    error_pct: float | None = None
    p95_ms: float | None = None


class TruthLayer(Struct, frozen=True, kw_only=True):
    """What one layer says is live: a color, `mixed` or `unknown`; `detail` in words, `at` when it was observed, `ready`
    how many endpoints take requests (null where the layer counts none)."""

    value: str
    detail: str = ""
    at: datetime | None = None
    ready: int | None = None


class Truth(Struct, frozen=True, kw_only=True):
    """Three layers side by side: the control object, the endpoints behind it, fresh requests through the balancer."""

    control: TruthLayer
    endpoints: TruthLayer
    data: TruthLayer


class RollbackOffer(Struct, frozen=True, kw_only=True):
    """Where a rollback would go, whether that side is ready to take traffic, at once or not, and until when."""

    to: str | None
    ready: bool
    instant: bool = False
    until: datetime | None = None
    reason: str = ""


class LastSwitch(Struct, frozen=True, kw_only=True):
    """The last time traffic was moved."""

    at: datetime
    by: str
    from_: str = field(name="from")
    to: str
    action: str | None = None


class Freeze(Struct, frozen=True, kw_only=True):
    """Why nothing new goes out: who said so, or `config` for one of its windows; `until` null where it has no end."""

    by: str
    since: datetime | None = None
    until: datetime | None = None
    reason: str = ""


class Deployment(Struct, frozen=True, kw_only=True):
    """A service with its colors. `live` is a color only when all layers that can be read agree.

    `orphaned_since`: the last sign of the runner of the open action, where nobody runs it; `action_unknown`: why nobody
    knows whether one is open. `verified_version`: what was proven on the live side when it took the traffic.
    """

    ref: str
    backend: str
    service: str
    live: str
    colors: dict[str, ColorState]
    truth: Truth
    rollback: RollbackOffer | None = None
    action: str | None = None
    last_switch: LastSwitch | None = None
    freeze: Freeze | None = None
    orphaned_since: datetime | None = None
    action_unknown: str = ""
    verified_version: str | None = None

    @property
    def unverified(self) -> str:
        """That the live side runs another version than the one that was verified there; empty where it does not, or
        either is not known."""
        side = self.colors.get(self.live)
        if self.verified_version is None or side is None or side.version in (None, self.verified_version):
            return ""
        return f"{self.live.upper()} runs {side.version}, and {self.verified_version} was verified there"

    @property
    def health(self) -> Health:
        """An action that nobody runs, a live version that nobody verified, unknown or mixed truth is worst; then an
        unhealthy side that takes traffic, then no proof or no way back."""
        if self.orphaned_since is not None or self.unverified:
            return "critical"
        if self.live == "unknown":
            return "unknown"
        if self.live == "mixed":
            return "warning" if self.action else "critical"  # a split is somebody's plan, or nobody's
        taking = [color for color in self.colors.values() if (color.weight_pct or 0) > 0]
        if any(color.healthy is False for color in taking):
            return "critical"
        if any(color.healthy is None for color in taking):
            return "unknown"
        proven = self.truth.data.value != "unknown"
        return "ok" if proven and all(color.healthy for color in self.colors.values()) else "warning"


class LogEntry(Struct, frozen=True, kw_only=True):
    """One line of a log. `at_ns` is the time in nanoseconds as a string, since JSON numbers lose it.

    Both are null for a line without a time of its own: a time is never made up. `late`: it was merged with the lines of
    other sources, and came when younger ones had been handed out already.
    """

    at: datetime | None
    at_ns: str | None = None
    source: str
    level: LogLevel = "unknown"
    message: str
    labels: dict[str, str] = field(default_factory=dict)
    late: bool = False

    @property
    def health(self) -> Health:
        """Errors are critical, warnings warnings, the rest is fine."""
        if self.level in ("error", "critical"):
            return "critical"
        return "warning" if self.level == "warning" else "ok"


class PerfDatum(Struct, frozen=True, kw_only=True):
    """One measured value of a check, as the monitoring plugins write it: label, value, unit, limits."""

    label: str
    value: float | None
    unit: str = ""
    warn: str = ""
    crit: str = ""
    min: float | None = None
    max: float | None = None


class CheckResult(Struct, frozen=True, kw_only=True):
    """The outcome of one health check. `latency_ms` is how long it took."""

    ref: str
    name: str
    state: Health
    message: str
    latency_ms: float | None = None
    perfdata: tuple[PerfDatum, ...] = ()

    @property
    def health(self) -> Health:
        """The same word as `state`."""
        return self.state


Item = PipelineRun | QualityScore | Alert | Deployment | LogEntry | CheckResult | TimelineEvent


def run_states(words: dict[str, RunState], raw: str) -> RunState:
    """`raw` translated by `words`, casefolded; a word that a later version of the system added is `unknown`."""
    return words.get(raw.casefold(), "unknown")
