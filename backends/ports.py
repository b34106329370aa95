"""What the console asks of an outside system: one small Protocol per kind of thing.

Every method may raise `backends.errors.BackendError` and nothing else; none blocks the event loop; all I/O is bounded
in time by the caller (`asyncio.timeout`) and by the adapter. Reads may be cancelled at any await. Adapters are built
by `backends.registry` and closed once with `aclose()`.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal, Protocol

from msgspec import Struct, field

from backends.models import (
    Alert,
    CheckResult,
    ColorState,
    Deployment,
    Finding,
    LogEntry,
    LogLevel,
    Matcher,
    PipelineRun,
    QualityScore,
    Silence,
    TaskRun,
    TimelineEvent,
    TruthLayer,
)


class Closable(Protocol):
    """Everything that the registry builds."""

    async def aclose(self) -> None:
        """Release connections and threads; safe to call twice."""


class Pipelines(Closable, Protocol):
    """Runs of pipelines, and what can be done with them. What a system does not have is an empty list."""

    async def runs(self, *, since: datetime | None = None, limit: int = 100) -> list[PipelineRun]:
        """Runs over all pipelines, newest first: those that started after `since`, and always the last of each."""

    async def run(self, pipeline: str, run_id: str) -> PipelineRun:
        """One run now, also one that `runs` does not reach. Raises `not_found`."""

    async def tasks(self, pipeline: str, run_id: str) -> list[TaskRun]:
        """The tasks of one run, in an order that respects `depends_on`."""

    async def task_log(self, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        """The last lines of the log of one task with all its tries, or of all tasks of the run in time order."""

    def follow_log(self, pipeline: str, run_id: str, task: str | None = None) -> AsyncIterator[LogEntry]:
        """The lines of `task_log`, then those that are added, until the task (or the run) has ended."""

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """What people and the system did to pipelines from `since` up to `until`, oldest first: who paused, cleared,
        triggered, deployed. Runs that began and ended by themselves are not repeated here."""

    async def pipelines(self) -> list["PipelineInfo"]:
        """The pipelines that can be triggered; without their params where those cost a request each."""

    async def pipeline(self, pipeline: str) -> "PipelineInfo":
        """One pipeline with its params. Raises `not_found`."""

    async def trigger(self, pipeline: str, run_id: str, params: dict[str, Any]) -> None:
        """Start a run under the given id. The same id again is no second run. Raises `conflict` for an id in use
        with other params, `not_found` for an unknown pipeline."""

    async def retry_preview(self, pipeline: str, run_id: str) -> list[str]:
        """The tasks that `retry` would run again, in order; nothing is written. None for a run that succeeded. Raises
        `not_found`, and `conflict` while it is running."""

    async def retry(self, pipeline: str, run_id: str) -> None:
        """Run the failed and skipped tasks of an ended run again. Raises `conflict` while it is running."""

    async def cancel(self, pipeline: str, run_id: str) -> None:
        """Ask a run to stop. Cancelling an ended run changes nothing."""

    async def set_paused(self, pipeline: str, paused: bool) -> None:
        """Stop or resume the schedule of a pipeline."""

    async def approvals(self, pipeline: str, run_id: str) -> list["Approval"]:
        """What of a run waits for a person to say yes. Raises `not_found`."""

    async def approve(self, pipeline: str, run_id: str, comment: str) -> None:
        """Say yes to all that waits and that we may approve. Raises `not_found`, `conflict` where nothing waits, and
        `auth` where we may not."""


ParamType = Literal["string", "integer", "number", "boolean", "array", "object", "any"]


class PipelineParam(Struct, frozen=True, kw_only=True):
    """A parameter of a pipeline. `required`: a run is not started without a value, which `default` may be; `nullable`:
    null is one. `choices`: nothing else is accepted; `schema`: other JSON Schema keywords, as `minimum` or `pattern`.
    """

    name: str
    type: ParamType = "any"
    default: Any = None
    required: bool = False
    nullable: bool = False
    description: str = ""
    choices: tuple[Any, ...] = ()
    schema: dict[str, Any] = {}


class PipelineInfo(Struct, frozen=True, kw_only=True):
    """A pipeline that can be triggered. `paused`: its schedule rests; `note`: what is wrong with it, in words (an
    import error, why nothing starts)."""

    pipeline: str
    schedule: str = ""
    paused: bool = False
    params: tuple[PipelineParam, ...] = ()
    note: str = ""


class Approval(Struct, frozen=True, kw_only=True):
    """Something that waits for a person: an environment or a task. `mine`: whether we may approve it; `detail` in
    words, as who else may."""

    name: str
    since: datetime | None = None
    mine: bool = True
    detail: str = ""


class Quality(Closable, Protocol):
    """Scores of datasets."""

    async def scores(self) -> list[QualityScore]:
        """The newest score of each dataset, with its trend, oldest first."""


class Alerts(Closable, Protocol):
    """Alerts as one system sees them."""

    async def alerts(self) -> list[Alert]:
        """All alerts that are not resolved."""


class SilenceResult(Struct, frozen=True, kw_only=True):
    """A silence after an order: `changed` is false where it was so already. Of all `peers`, `visible_on` show it so
    now, those `behind` answer and do not (those that are `pending` have it, to begin later by their clock), and `lost`
    says why the others cannot be asked."""

    id: str
    changed: bool
    peers: tuple[str, ...]
    visible_on: tuple[str, ...]
    behind: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    lost: dict[str, str] = {}


class Silencer(Alerts, Protocol):
    """A system of alerts that also keeps them quiet. Each order is idempotent, and sent once: where its answer was
    lost, the system is looked at for what it would have made, and only then is it an error."""

    def ack_matchers(self, alert: Alert) -> tuple[Matcher, ...]:
        """What an acknowledgement of `alert` matches: this alert and no other that fires, or what the config says.
        Raises `config` where it has nothing to match on."""

    async def matching(self, matchers: tuple[Matcher, ...]) -> list[Alert]:
        """The alerts that a silence of these matchers would hide now, also those that something hides already."""

    async def silences(self, *, hiding: str | None = None) -> list[Silence]:
        """All that the system still knows, also expired ones; `hiding`: those that hide the alert of that fingerprint
        now. Those that end first come first."""

    async def silence(
        self, matchers: tuple[Matcher, ...], *, until: datetime, by: str, comment: str, ack: bool
    ) -> SilenceResult:
        """One silence of `matchers` by `by` until about `until`: an active equal one that lasts as long is left as it
        is, one that ends sooner is extended, else one is made."""

    async def extend(self, silence_id: str, until: datetime) -> SilenceResult:
        """The silence lasts at least until then. Raises `conflict` for one that has expired."""

    async def expire(self, silence_id: str) -> SilenceResult:
        """The silence hides nothing any more. Raises `not_found` for one that no peer knows."""


class SwitchState(Struct, frozen=True, kw_only=True):
    """What the control object says: weights in percent by color, and a token that changes with every write to it.

    `weights` is empty where the object is unreadable or names a color that the config does not know; `detail` says why.
    `stamp`, `fence` and `journal` are those of the last write, where the object can carry them: fences are numbers of
    one journal, and an older program names none. `ended`: the action that wrote it has ended; no part of `revision`.
    `odd_mark`: what is there and can not be read as a mark, of a newer program or of nobody known; empty for nothing.
    """

    weights: dict[str, int]
    revision: str
    detail: str = ""
    stamp: str = ""
    fence: int = 0
    journal: str = ""
    ended: bool = False
    odd_mark: str = ""

    @property
    def live(self) -> str:
        """The color that has all traffic, `mixed` for a split, `unknown` for neither."""
        taking = [color for color, weight in self.weights.items() if weight > 0]
        if not taking:
            return "unknown"
        return taking[0] if len(taking) == 1 else "mixed"


class Switch(Closable, Protocol):
    """The way traffic is moved between the colors of one service.

    `shift` is compare-and-swap: it writes only where the control object still equals `expected`.
    """

    @property
    def moves(self) -> str:
        """What it writes to, however that is reached: the same entry of another config moves the same thing."""

    @property
    def splits(self) -> bool:
        """Whether shares between 0 and 100 percent can be written."""

    @property
    def deployer(self) -> "Deployer | None":
        """How a version gets onto a side; None where neither the system nor a `deploy` command of the config can."""

    @property
    def late_write_s(self) -> float:
        """For how many seconds a write that was not answered may still take effect; 0 where it never does."""

    async def deployment(self) -> Deployment:
        """Everything a panel shows of the service; costs a read of control, endpoints and one fresh request."""

    async def observe(self) -> SwitchState:
        """The control object now, never from a cache."""

    async def endpoints(self) -> TruthLayer:
        """What is behind the control object now: a color where only sides of that color can be reached."""

    async def color_health(self, color: str) -> ColorState:
        """One side asked directly: is it healthy, which version, and did it prove to be this color."""

    async def request_counts(self) -> dict[str, int]:
        """Requests that each side has taken since it began to count; a side that can not say is not in it."""

    async def preflight(self, expected: SwitchState, weights: dict[str, int]) -> list[Finding]:
        """What the system itself says of this shift: permissions, a dry run, other owners of the switch, the capacity
        of the side that gains traffic, whether the write outlives a reload. Nothing is written.

        The code `capacity` is of what a deploy changes: a release asks again when it has deployed. A rollback is warned
        of what may be overridden, and goes on."""

    async def shift(
        self, expected: SwitchState, weights: dict[str, int], *, stamp: str, fence: int = 0, journal: str = ""
    ) -> SwitchState:
        """Write `weights` (percent by color, summing to 100) with `stamp` (`<action>:<step>`), the `fence` of the
        writer's lease and the id of the `journal` that gave it, in the same write.

        Returns the state read back. Raises `conflict` where the object is not `expected`, or where a later lease of the
        same action in the same journal has written; nothing is written then.
        """

    async def end(self, expected: SwitchState) -> None:
        """Note that the action whose stamp `expected` has is over; weights, stamp and revision stay as they are.

        Raises `conflict` where the object is not `expected`; nothing is written then."""

    def describe_shift(self, before: SwitchState, weights: dict[str, int]) -> list[str]:
        """What `shift` would write, in words, one effect a line (`control  …: blue → green`)."""

    def manual_commands(self, weights: dict[str, int]) -> list[str]:
        """Shell commands that a person could type to reach `weights` without this program."""


class Deployed(Struct, frozen=True, kw_only=True):
    """What runs on one side: `artifact` is what the system calls it (an image), `revision` changes with every write."""

    version: str | None
    artifact: str = ""
    desired: int | None = None
    ready: int | None = None
    revision: str = ""
    stamp: str = ""
    detail: str = ""


class Rollout(Struct, frozen=True, kw_only=True):
    """How far a version is on its side; `detail` in words (`2 of 3 ready`, `ImagePullBackOff: …`)."""

    state: Literal["progressing", "complete", "failed"]
    detail: str
    ready: int | None = None
    desired: int | None = None


class Deployer(Protocol):
    """The way a version gets onto the side that has no traffic. Each write is compare-and-swap against `expected`, and
    is refused (`conflict`) on a side that takes traffic at that moment."""

    async def deployed(self, color: str) -> Deployed:
        """What runs there now, never from a cache."""

    async def deploy_preflight(self, color: str, version: str) -> list[Finding]:
        """Permissions, a paused or missing workload, autoscaler limits, a malformed version. Nothing is written."""

    async def deploy(
        self, expected: Deployed, color: str, version: str, *, replicas: int | None, stamp: str, fence: int = 0
    ) -> Deployed:
        """Put `version` there, with at least `replicas` (None: as many as it has). Returns what was read back."""

    async def rollout(self, color: str, version: str) -> Rollout:
        """How far `version` is on that side; `failed` only for what this version itself did."""

    async def restore(
        self, expected: Deployed, color: str, recorded: Deployed, *, stamp: str, fence: int = 0
    ) -> Deployed:
        """Put back what was recorded before a deploy: artifact and size."""

    async def retire(self, expected: Deployed, color: str, *, stamp: str, fence: int = 0) -> Deployed:
        """Take the side's capacity down to nothing; nothing is deleted."""

    def describe_deploy(self, color: str, version: str) -> list[str]:
        """What `deploy` would write, in words, one effect a line."""


class ProbeTarget(Struct, frozen=True, kw_only=True):
    """Where a fresh request proves which color answers.

    url: asked through the load balancer, on a new connection each time.
    header: the response header that names the color.
    """

    url: str
    header: str = "X-Environment"


class LogQuery(Struct, frozen=True, kw_only=True):
    """Which lines are wanted. `grep`: a regular expression; `level`: the least severe. `limit` counts from the end, or
    with `first` from the beginning: what follows on `since`, however many lines come after it."""

    since: datetime | None = None
    until: datetime | None = None
    grep: str | None = None
    level: LogLevel | None = None
    limit: int = 500
    first: bool = False


class Logs(Closable, Protocol):
    """Lines of text with a time."""

    async def query(self, query: LogQuery) -> list[LogEntry]:
        """The last `limit` matching lines, or the first ones where `first` is asked; oldest first either way."""

    def follow(self, query: LogQuery) -> AsyncIterator[LogEntry]:
        """First what `query` would give (nothing with `limit=0`), then matching lines as they are written, until the
        iterator is closed: none between the two is lost, none comes twice. `since` bounds only the first part. `first`
        is for `query` alone.

        What had to be skipped is said by a line of `backends.logs.merging.gap`."""


class Check(Closable, Protocol):
    """One health check."""

    async def run(self) -> CheckResult:
        """Look once. What is wrong with the checked system is a state, not an error."""


class Sample(Struct, frozen=True, kw_only=True):
    """One value of a query at a time. `value` is None where it is no finite number; `reason` then says what it is
    (`NaN`, `+Inf`, `native histogram`). `warnings`: what the system said about the whole answer, as that it is partial.
    """

    labels: dict[str, str]
    value: float | None
    at: datetime
    reason: str = ""
    warnings: tuple[str, ...] = ()


class Point(Struct, frozen=True):
    """A value of a series at a time; None as in `Sample`."""

    at: datetime
    value: float | None


class Series(Struct, frozen=True, kw_only=True):
    """The values of one label set, oldest first. A step without data has no point. `warnings` as in `Sample`."""

    labels: dict[str, str]
    points: tuple[Point, ...]
    warnings: tuple[str, ...] = ()


class Metrics(Closable, Protocol):
    """Numbers over time, asked for in the system's own query language.

    Nothing found is an empty list, which is not zero: whoever judges it says what no data means. An empty answer that
    the system calls partial raises, since nobody can tell what is not there from what was not read. A query that the
    system refuses raises `malformed` with the system's words.
    """

    async def instant(self, query: str, *, at: datetime | None = None) -> list[Sample]:
        """What `query` says at a time, by default now: one sample for each label set."""

    async def range(self, query: str, *, start: datetime, end: datetime, step: float) -> list[Series]:
        """What `query` says from `start` to `end` (both included), every `step` seconds."""

    async def series_exist(self, metric: str) -> bool:
        """Whether any series of that name or selector has a value now: tells a misspelt name from no traffic."""

    def names(self, query: str) -> tuple[str, ...]:
        """The metrics that `query` reads, each as `series_exist` takes it. Asks nobody; a query that is none of this
        system gives what it can."""


EventKind = Literal["started", "held", "succeeded", "failed", "rolled_back", "rollback_failed"]


class ActionEvent(Struct, frozen=True, kw_only=True):
    """What became of an action, for those who do not look at the console. `kind` is that of the action, `action` its
    id, `from` and `to` colors or states (empty where there are none), `by` who ordered it; `text` says it in one line,
    with `head`, the newest record of the audit (`SEQ:HASH`), by which its end can be checked later.
    """

    what: EventKind
    context: str
    kind: str
    service: str
    from_: str = field(name="from")
    to: str
    by: str
    reason: str
    action: str
    at: datetime
    text: str
    head: str = ""


class Notifier(Closable, Protocol):
    """Where people are told of actions. Each event is sent once: it may be lost, and is never told twice."""

    async def notify(self, event: ActionEvent) -> None:
        """Returns when the system has taken it. No message of an error holds the address, which is a secret."""

    async def dry_run(self) -> None:
        """All of the way to the system that can be gone without telling anybody: the secret, the name, the connection,
        the certificate, and where it can be asked, whether we may. Raises as `notify`."""
