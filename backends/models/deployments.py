"""A service with its sides, and what is said of it before anything is moved."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, Self

from msgspec import Struct, field

from backends.models.controllers import ControllerView
from backends.models.health import Health, worst
from backends.text import counted

FindingLevel = Literal["block", "warning", "ok"]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at before acting. `block` forbids; `--override` names a `code`; `fix`: what to do."""

    level: FindingLevel
    code: str
    text: str
    fix: str = ""
    overridable: bool = False

    @classmethod
    def block(cls, code: str, text: str, fix: str) -> Self:
        """One that forbids, whoever asks."""
        return cls(level="block", code=code, text=text, fix=fix)


FAILING_PCT = 5.0
"""Of the requests of a side, from where it is told as failing: the limit of the metric gate `error-rate`."""

ENOUGH_REQUESTS = 20
"""Of so many on, a single one that failed is not beyond it; of fewer nobody can tell."""


class ColorState(Struct, frozen=True, kw_only=True):
    """One side of a deployment. `healthy` is null where nobody could look; `weight_pct` is 0..100. `requests` are the
    newest that were looked at, `failed` those of them that failed, `error_pct` their share, `p95_ms` that of them; each
    null where nobody tells of it: the time of a health request is none. `rates_pending`: its requests are counted, and
    this is the first look at that count: how many fail is known with the next one.
    """

    version: str | None = None
    weight_pct: float | None = None
    ready: int | None = None
    desired: int | None = None
    healthy: bool | None = None
    detail: str = ""
    rps: float | None = None
    requests: int | None = None
    failed: int | None = None
    error_pct: float | None = None
    p95_ms: float | None = None
    rates_pending: bool = False

    @property
    def takes_traffic(self) -> bool:
        """Whether any request goes there."""
        return (self.weight_pct or 0) > 0

    @property
    def few(self) -> bool:
        """Whether there were requests, and too few of them to tell how many fail. Where nobody says of how many a share
        is, it is taken for what it says."""
        return self.requests is not None and 0 < self.requests < ENOUGH_REQUESTS

    @property
    def beyond(self) -> bool:
        """Whether more of its requests failed than may, be they few."""
        return self.error_pct is not None and self.error_pct > FAILING_PCT

    @property
    def failing(self) -> bool:
        """Whether more of its requests fail than may, whatever its health check says."""
        return self.beyond and not self.few

    @property
    def errors(self) -> str:
        """How many of its requests fail, in words: `30 % of its 212 requests fail`; of few how many they were. Empty
        where that is not known."""
        if self.error_pct is None:
            return ""
        if self.few:
            return f"{self.failed} of {counted(self.requests or 0, 'request')} failed, too few to judge"
        share = f"{self.error_pct:.{0 if self.error_pct >= 99.95 else 1}f} %"
        return f"{share} of its {'requests' if self.requests is None else f'{self.requests:,} requests'} fail"


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


class RunCondition(Struct, frozen=True, kw_only=True):
    """What besides us decides how a side runs: an autoscaler, a disruption budget, a node under pressure.

    kind: `autoscaler`, `vertical-autoscaler`, `disruption-budget`, `node`. name: of the object; empty where none could
    be read. color: the side; empty for both. health: `unknown` where nobody could look, and `text` says why.
    numbers: what `text` says, for scripts: `current`, `desired`, `min`, `max` of an autoscaler, `healthy`, `needed`,
    `expected`, `allowed` of a budget, `pods` of a node.
    """

    kind: str
    name: str = ""
    color: str = ""
    health: Health = "ok"
    text: str = ""
    fix: str = ""
    numbers: dict[str, int] = {}


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


class SwitchMark(Struct, frozen=True, kw_only=True):
    """What the last write left on the switch: `<action>:<step>`, the id of the journal that gave it, the weights that
    it made (empty: nobody knows), whether its action has ended, and what can not be read as a mark."""

    stamp: str = ""
    journal: str = ""
    wrote: dict[str, int] = {}
    ended: bool = False
    odd: str = ""


class Freeze(Struct, frozen=True, kw_only=True):
    """Why nothing new goes out: who said so, or `config` for one of its windows; `until` null where it has no end."""

    by: str
    since: datetime | None = None
    until: datetime | None = None
    reason: str = ""


class Deployment(Struct, frozen=True, kw_only=True):
    """A service with its colors. `live` is a color only when all layers that can be read agree.

    `action_about`: what the open action does, in words, `action_by` who ordered it, `action_until` when the phase in
    which it only watches is over; where `action` is null, `action_about` says that one of another journal may be at
    work. `orphaned_since`: the last sign of its runner, where nobody runs it, `orphaned_why` what its runner said last,
    `action_stopped` that its runner is a process of this host that is stopped, in words (else empty),
    `action_held` why it waits for evidence or for a person, which is a warning, and `action_then` what comes of it by
    itself, and when, in words,
    and `ways_out` the commands that go on with it or end it; `action_unknown`: why nobody
    knows whether one is open. `verified_version`: what was proven on the live side when it took the traffic.
    `changed_since`: that the traffic is not as the newest change of the journal left it, and how that is accepted on a
    line of its own; `rejected`: why a version that has traffic should have none.
    `rollback_failed`: that the newest change is a way back that failed, and how it is tried again.
    `controller`: what moves the traffic itself, and is ordered; null where we move it.
    `conditions`: what else decides how its sides run; null where that was not asked: it costs requests of its own.
    `mark`: what the last write left on the switch; null where nothing is known of it.
    `armed`: that what is written is not what runs, or may not be, and what the next reload of anybody does; empty where
    nothing waits for one. `live` and the weights are of what runs, and unknown where nobody can say that.
    `stuck`: why nothing that is written now would be put in force, a way back neither, and what helps; else empty.
    """

    ref: str
    backend: str
    service: str
    live: str
    colors: dict[str, ColorState]
    truth: Truth
    rollback: RollbackOffer | None = None
    action: str | None = None
    action_about: str = ""
    action_by: str = ""
    action_until: datetime | None = None
    last_switch: LastSwitch | None = None
    freeze: Freeze | None = None
    orphaned_since: datetime | None = None
    orphaned_why: str = ""
    ways_out: str = ""
    action_stopped: str = ""
    action_held: str = ""
    action_then: str = ""
    action_unknown: str = ""
    verified_version: str | None = None
    changed_since: str | None = None
    rejected: str | None = None
    rollback_failed: str | None = None
    controller: ControllerView | None = None
    conditions: tuple[RunCondition, ...] | None = None
    mark: SwitchMark | None = None
    armed: str = ""
    stuck: str = ""

    @property
    def taking(self) -> dict[str, ColorState]:
        """The sides that get requests: of a split of which nobody knows the shares, each."""
        known = any(side.weight_pct is not None for side in self.colors.values())
        if self.live == "mixed" and not known:
            return self.colors
        return {name: side for name, side in self.colors.items() if side.takes_traffic}

    @property
    def unverified(self) -> str:
        """That the live side runs another version than the one that was verified there; empty where it does not, or
        either is not known."""
        side = self.colors.get(self.live)
        if self.verified_version is None or side is None or side.version in (None, self.verified_version):
            return ""
        return f"{self.live.upper()} runs {side.version}, and {self.verified_version} was verified there"

    @property
    def elsewhere(self) -> str:
        """That an action of another journal may be at work, in words: nobody here knows whether anybody runs it."""
        return "" if self.action else self.action_about

    @property
    def health(self) -> Health:
        """A switch that is ARMED, an action that nobody runs or whose runner is stopped, a way back that failed,
        a live version that nobody verified or that was rejected,
        requests that fail, an unhealthy side that takes traffic, unknown or mixed truth is worst, and so is a journal
        that can not be read; then traffic
        that somebody moved outside, an action that is held or of another journal, failures among few requests, no proof
        or no way back, also where nothing that is written would be put in force."""
        return worst(["ok", *self._facts()])

    def _facts(self) -> Iterator[Health]:
        """How bad each thing is that is told of it: the worst of them counts, in whatever order they are told."""
        taking = list(self.taking.values())
        live = [side for name, side in self.colors.items() if name == self.live]  # its share may not be known
        if (
            self.armed  # a reload of anybody's moves the traffic, or has
            or self.orphaned_since is not None
            or self.action_stopped
            or self.unverified
            or self.rejected
            or self.rollback_failed
            or any(color.failing or color.healthy is False for color in [*taking, *live])
        ):
            yield "critical"
        if self.live == "unknown" or (self.controller is not None and self.controller.phase == "unknown"):
            yield "unknown"
        if self.action_unknown:  # what was rejected, verified or moved since is not known either
            yield "unknown"
        elif self.live == "mixed":  # a split is somebody's plan, or nobody's
            yield "warning" if self.action or self._moves_itself else "critical"
        if any(color.healthy is None for color in taking):
            yield "unknown"
        proven = self.truth.data.value != "unknown"
        well = proven and self.changed_since is None and not self.elsewhere and not self.action_held
        well = well and not any(color.beyond for color in taking)
        if self.controller is not None and self.controller.phase in ("paused", "degraded", "rolling_back"):
            yield "warning"
        if self.stuck or not (well and all(color.healthy for color in self.colors.values())):
            yield "warning"

    @property
    def _moves_itself(self) -> bool:
        """Whether the controller is in the midst of a change."""
        return self.controller is not None and self.controller.phase in ("progressing", "paused", "rolling_back")
