"""The switch of a service, and how a version gets onto one of its sides."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

from backends.models import ColorState, Deployment, Finding, RunCondition, SwitchMark, TimelineEvent, TruthLayer
from backends.ports.closable import Closable

COLOR_HEADER = "X-Environment"


class SwitchState(Struct, frozen=True, kw_only=True):
    """What the control object says: weights in percent by color, and a token that changes with every write to it.

    `weights` is empty where the object is unreadable or names a color that the config does not know; `detail` says why,
    in one line; further lines are how that is put right.
    `stamp`, `fence` and `journal` are those of the last write, where the object can carry them: fences are numbers of
    one journal, and an older program names none. `wrote`: the weights that this write made, where its mark says so
    (empty: nobody knows): with others now somebody has moved traffic since. `ended`: the action that wrote it has
    ended; no part of `revision`.
    `odd_mark`: what is there and can not be read as a mark, of a newer program or of nobody known; empty for nothing.
    `edited`: what somebody else did to it, in words; with weights, who is live is as it was written all the same.
    `anew`: of one that nobody can read where nothing proves who is live: by color, the line that says how it is written
    with all traffic there.
    `over`: of an `expected`: a way back, which writes over what was edited, and goes without its mark where that is
    refused. `parts`: of an object of several (rules, nodes) that differ, the weights of each by its name: `weights` is
    the mean of them then. `back_to`: of an `expected`: what each part gets instead of the mean. `pending`: what has not
    taken it over yet, or refuses to, in words: it is no proof that requests go there. `armed`: that what is written is
    not what runs, or may not be, and what the next reload of anybody does, in words: `weights` is neither then, so that
    no write takes it for its own. `runs`: of one that is armed, what the process that runs gives to each color; empty
    where nobody knows.
    """

    weights: dict[str, int]
    revision: str
    detail: str = ""
    stamp: str = ""
    fence: int = 0
    journal: str = ""
    wrote: dict[str, int] = {}
    ended: bool = False
    odd_mark: str = ""
    edited: str = ""
    over: bool = False
    anew: dict[str, str] = {}
    parts: dict[str, dict[str, int]] = {}
    back_to: dict[str, dict[str, int]] = {}
    pending: str = ""
    armed: str = ""
    runs: dict[str, int] = {}

    @property
    def live(self) -> str:
        """The color that has all traffic, `mixed` for a split, `unknown` for neither. Of one that is armed either may
        have it at any moment: see `serving`."""
        return _all_on(self.weights)

    @property
    def served(self) -> dict[str, int]:
        """What users get, in percent by color; empty where nobody knows. Never a mean, and never what waits for a
        reload or is not in force yet."""
        if self.armed:
            return self.runs
        return {} if self.parts or self.pending else self.weights

    @property
    def serving(self) -> str:
        """As `live`, of what runs."""
        return _all_on(self.runs) if self.armed else self.live

    @property
    def home(self) -> dict[str, int]:
        """What a way back from here writes: where users were, be that a split."""
        return self.runs if self.armed else self.weights

    @property
    def mark(self) -> SwitchMark | None:
        """What a panel shows of the last write; None where the object carries nothing."""
        if not (self.stamp or self.odd_mark):
            return None
        return SwitchMark(stamp=self.stamp, journal=self.journal, wrote=self.wrote, ended=self.ended, odd=self.odd_mark)

    def goes_over(self, found: "SwitchState") -> bool:
        """Whether a write that expects this one may replace `found`: one that can be read, or an edit by a way back."""
        return bool(found.weights or (found.edited and self.over))


def _all_on(weights: dict[str, int]) -> str:
    taking = [color for color, weight in weights.items() if weight > 0]
    if not taking:
        return "unknown"
    return taking[0] if len(taking) == 1 else "mixed"


class RequestCounts(Struct, frozen=True, kw_only=True):
    """Who was served and who was hit, by one look: all that was counted since each began to count.

    requests: those that each side has taken. failures: those of them that failed. A side that nobody counts is in
    neither. refused: those that the load balancer answered itself with an error, for no side, as of a side that is
    down; None where nobody counts them.
    """

    requests: dict[str, int] = {}
    failures: dict[str, int] = {}
    refused: int | None = None


class Switch(Closable, Protocol):
    """The way traffic is moved between the colors of one service.

    `shift` is compare-and-swap: it writes only where the control object still equals `expected`.
    """

    @property
    def object_id(self) -> str:
        """Which control object it writes to, however it is reached: entries with the same one move the same traffic."""

    @property
    def can_split(self) -> bool:
        """Whether shares between 0 and 100 percent can be written."""

    @property
    def deployer(self) -> "Deployer | None":
        """How a version gets onto a side; None where neither the system nor a `deploy` command of the config can."""

    @property
    def write_settles_s(self) -> float:
        """After how many seconds a write that was not answered takes effect no more; 0 where it never does later."""

    async def deployment(self) -> Deployment:
        """Everything a panel shows of the service; costs a read of control, endpoints and one fresh request."""

    async def observe(self) -> SwitchState:
        """The control object now, never from a cache."""

    async def endpoints(self) -> TruthLayer:
        """What is behind the control object now: a color where only sides of that color can be reached."""

    async def color_health(self, color: str) -> ColorState:
        """One side asked directly: is it healthy, which version, and did it prove to be this color."""

    async def request_counts(self) -> RequestCounts:
        """All that is counted of requests, each page read once. Raises BackendError where nobody can look."""

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

    async def mark_ended(self, expected: SwitchState) -> None:
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

    def describe_retire(self, color: str) -> list[str]:
        """The commands that `retire` would run, one a line; nothing where it runs none."""


def retire_lines(deployer: Deployer, color: str) -> list[str]:
    """What `describe_retire` says; nothing of a deployer that was written before there was one."""
    describe: Callable[[str], list[str]] | None = getattr(deployer, "describe_retire", None)
    return [] if describe is None else describe(color)


async def retire_findings(deployer: Deployer, color: str) -> list[Finding]:
    """What `retire_preflight(color)` says of taking the side down now, of a deployer that has one."""
    look: Callable[[str], Awaitable[list[Finding]]] | None = getattr(deployer, "retire_preflight", None)
    return [] if look is None else await look(color)


class RememberingDeployments(Protocol):
    """A switch or a controller whose system warns of things. An adapter may leave that out."""

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """What the system warned of from `since` up to `until`, about what carries the service, oldest first; what it
        may not be asked for is told as missing. Raises BackendError."""


async def conditions_of(adapter: object) -> tuple[RunCondition, ...] | None:
    """What else decides how the sides run (`conditions()`), of a switch or a controller that can tell; else None. It
    costs requests of its own: asked when somebody looks at this one service."""
    look: Callable[[], Awaitable[tuple[RunCondition, ...]]] | None = getattr(adapter, "conditions", None)
    return None if look is None else await look()


class ProbeTarget(Struct, frozen=True, kw_only=True):
    """Where a fresh request proves which color answers.

    url: asked through the load balancer, on a new connection each time.
    header: the response header that names the color.
    version_header: of a service that has a controller, the response header that names the version; `header` is taken
        for it, else X-Version.
    version_json: the same as a key of the JSON in the body.
    """

    url: str
    header: str = COLOR_HEADER
    version_header: str = ""
    version_json: str = ""

    @property
    def names_version(self) -> str:
        """The header that names the version."""
        return self.version_header or ("X-Version" if self.header == COLOR_HEADER else self.header)
