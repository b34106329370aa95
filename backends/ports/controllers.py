"""A system that moves the traffic of a service itself: it is ordered and watched, and nothing is written past it.

A service has a `Switch` (we move its traffic) or a `Controller`, whose sides are `stable` and `candidate`.
"""

from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from msgspec import Struct

from backends.models import ControllerView, Deployment, Finding, OrderName, Revision
from backends.ports.closable import Closable
from backends.times import local_words

OperationState = Literal["open", "succeeded", "rolled_back", "stopped", "failed", "unknown"]


TO = "to"
"""The form of a rollback that names its revision."""
MIGRATES = "migration"
"""The code of a finding of a preflight: the order runs what may change data. It is agreed to as a way forward is."""


class Pause(Struct, frozen=True, kw_only=True):
    """Where an operation waits. `id` changes from pause to pause; `until`: when it ends by itself, null for never;
    `then`: what the system does at that time; `preview`: the URL where the candidate answers while it waits here,
    before it has traffic; empty where it does not yet, or nobody knows where."""

    id: str
    why: str
    since: datetime | None = None
    until: datetime | None = None
    then: Literal["promote", "rollback", ""] = ""
    preview: str = ""

    @property
    def words(self) -> str:
        """`POST_SCALE_UP waits since 03:10 UTC; it PROMOTES ITSELF at 03:40 UTC`."""
        since = f" since {local_words(self.since, UTC)}" if self.since else ""
        if self.until is None:
            return f"{self.why} waits{since}"
        return f"{self.why} waits{since}; it {self.then_words} at {local_words(self.until, UTC)}"

    @property
    def then_words(self) -> str:
        """What the system does at its end."""
        known = {"promote": "PROMOTES ITSELF", "rollback": "rolls back by itself"}
        return known.get(self.then, "goes on by itself")


class Operation(Struct, frozen=True, kw_only=True):
    """One change of the controller: from `source` to `target`.

    state: `rolled_back`: the source has all traffic again; `stopped`: it was ended and stays as it is; `failed`: it
        ended, and the system itself could not put it right.
    back: it is on its way back. still_wanted: it went back, and the system is still told to run its target: it may go
        forward to it again. arrived: the target has all traffic, and nothing is left but to take the source down,
        which ends the way back at once: that is `retire`. shares: percent by side, empty where the system does not say.
    undone_by_us: the system takes nothing back by itself; what it left half done is put right by a rollback.
    stamp: of the action of ours that began it. by: who else began it, since when, as far as the system tells; `ask`:
        the command that tells more.
    answers: the version that fresh requests answer with once it has succeeded; empty: as its target is called; null
        where nobody can tell. detail: the stage, or what it ended for, in one line. took_s: how long it took, or takes.
    """

    id: str
    state: OperationState
    target: Revision
    source: Revision | None = None
    back: bool = False
    still_wanted: bool = False
    arrived: bool = False
    undone_by_us: bool = False
    shares: dict[str, int] = {}
    stage: str = ""
    step: int | None = None
    steps_total: int | None = None
    pause: Pause | None = None
    stamp: str = ""
    by: str = ""
    ask: str = ""
    answers: str | None = ""
    detail: str = ""
    began_at: datetime | None = None
    ended_at: datetime | None = None
    took_s: float | None = None

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return self.state == "open"

    @property
    def left(self) -> bool:
        """Whether it was ended where it was, with traffic on its target."""
        return self.state in ("stopped", "failed", "unknown") and self.moved

    @property
    def name(self) -> str:
        """What people call it: its id, of an ARN the last part."""
        return self.id.rpartition("/")[2]

    @property
    def moved(self) -> bool:
        """Whether its target has any traffic, as far as is known."""
        return self.shares.get("candidate", 0) > 0


class ControllerState(Struct, frozen=True, kw_only=True):
    """What the system says now. `revision` changes with everything that an order must have seen; `newest` is the
    newest operation, open or ended.

    `before`: the revision that was stable before the stable one, where a rollback goes once nothing is under way; null
    where the system knows none; `at_once`: why that would have all traffic at once, empty where it goes by stages.
    `returned`: the newest change was a way back already, so another one changes nothing. `unanswered`: an order that
    was taken and shows no effect, so that nobody knows whether one comes. `past`: what a rollback may go to by name
    (`TO`), as people call it; empty where it goes to `before` only.
    """

    view: ControllerView
    revision: str
    newest: Operation | None = None
    before: Revision | None = None
    at_once: str = ""
    returned: bool = False
    unanswered: str = ""
    past: dict[str, Revision] = {}

    @property
    def open(self) -> Operation | None:
        """What is under way."""
        return self.newest if self.newest is not None and self.newest.open else None


class Order(Struct, frozen=True, kw_only=True):
    """An order to a controller. `version`: what a release puts out; `revision`: where a rollback goes, as the system
    calls it; `operation`: which operation it is about; `by`: who gives it, for systems that keep that; `how`: the
    explicit form of an order that skips what the system would judge, one of those that its offer names."""

    order: OrderName
    version: str = ""
    revision: str = ""
    operation: str = ""
    by: str = ""
    how: str = ""


class Controller(Closable, Protocol):
    """How a service is ordered whose traffic its system moves.

    `order` is compare-and-swap on what the system offers: a resource version, an operation's lock, a deployment's id.
    It never writes what the controller owns (listener rules, routes, Services).
    """

    @property
    def object_id(self) -> str:
        """Which service it orders, however it is reached."""

    @property
    def order_settles_s(self) -> float:
        """After how many seconds an order that was not answered takes effect no more; 0 where it never does later."""

    async def deployment(self) -> Deployment:
        """Everything a panel shows of the service, with `controller` and the way back that the system offers."""

    async def observe(self) -> ControllerState:
        """What the system says now, never from a cache."""

    async def operation(self, operation: str) -> Operation:
        """That operation, open or ended, whatever was begun since. Raises BackendError(not_found)."""

    async def preflight(self, expected: ControllerState, order: Order) -> list[Finding]:
        """What the system itself says of this order: permissions, a malformed version, a missing container, alarms
        that are red, who else owns the service and what that owner does next. Nothing is written."""

    async def order(self, expected: ControllerState, order: Order, *, stamp: str) -> ControllerState:
        """Give it once; returns what was read back, whose `newest` is the operation that it is about.

        Raises `conflict` where the system is not as `expected`, `config` for an order that it does not have, in one
        line that says what it has instead; nothing was ordered then.
        """

    def describe_order(self, expected: ControllerState, order: Order) -> list[str]:
        """What it would do, in words, one effect a line (`release   2.4.0 → 2.4.1 …`)."""

    def manual_commands(self, order: Order) -> list[str]:
        """Shell commands that a person could type for it without this program."""


def is_controller(adapter: Any) -> bool:
    """Whether the adapter of a deployment is a `Controller`; else it is a `Switch`."""
    return is_controller_class(type(adapter))


def is_controller_class(adapter: type) -> bool:
    """Whether its instances are."""
    return hasattr(adapter, "describe_order")


def shows(order: Order, before: ControllerState, found: ControllerState, stamp: str) -> bool:
    """Whether `found` shows that `order` was taken, where its answer was lost."""
    was, now = before.newest, found.newest
    if order.order in ("release", "rollback"):
        begun = now is not None and (was is None or now.id != was.id)
        return begun and now is not None and (now.stamp == stamp or (not now.stamp and now.target.id == order.revision))
    if was is None or now is None or now.id != was.id:
        return False
    if order.order == "abort":
        return not now.open or now.back
    if order.order == "promote" and was.pause is not None:
        return not now.open or now.pause is None or now.pause.id != was.pause.id
    return found.view.phase != before.view.phase or found.revision != before.revision
