"""What a plan goes by, and its write compares with: a Struct of each family of kinds, which `actions.kinds` names.

Field for field what the journal keeps as `expected`: one that is UNSET is not there. What an older version did not keep
has a default; what only a later one keeps is passed over.
"""

from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from backends.json_text import decode_text
from backends.models import Matcher, OrderName
from backends.ports import Deployed, read_stamp
from backends.ports.incidents import IncidentOrder


class Expected(Struct, frozen=True, kw_only=True):
    """Nothing: of a kind that goes by nothing, of an order to an open action, or of a kind that only a later version
    knows."""

    @property
    def before(self) -> dict[str, Any]:
        """What the audit keeps of it with the command."""
        return {}

    @property
    def queued_to(self) -> str:
        """The open action that carries it out; empty where it is an action of its own."""
        return ""

    @property
    def undoes(self) -> str:
        """The action that it takes back; empty for none."""
        return ""

    @property
    def comes_after(self) -> tuple[str, ...]:
        """The actions that it saw the outcome of."""
        return ()

    @property
    def without_journal(self) -> str | UnsetType:
        """Why no journal can be used for it."""
        return UNSET


class SwitchExpected(Expected, frozen=True, kw_only=True):
    """Of a change of traffic, and of a retirement. `weights`, `revision` and `stamp` are those of the control object,
    `runs` what ran of one that was ARMED, which a way back writes,
    `to_weights` what it will say, by way of the shares `stages` of the side that gains traffic. `start` is what must be
    brought up there first, and `holds` the version that it must then say; `versions` and `deployed` are what runs on
    the sides, kept for a way back (`actions.switching.versions.OnSides`)."""

    weights: dict[str, int]
    revision: str
    stamp: str = ""
    runs: dict[str, int] | UnsetType = UNSET
    to_weights: dict[str, int] = {}
    undoes: str = ""
    queued_to: str = ""
    stages: tuple[int, ...] = (100,)
    start: Deployed | UnsetType = UNSET
    holds: str | UnsetType = UNSET
    versions: dict[str, str] = {}
    deployed: dict[str, Deployed] = {}
    without_journal: str | UnsetType = UNSET

    @property
    def before(self) -> dict[str, Any]:
        """The control object."""
        return {"weights": self.weights, "revision": self.revision}

    @property
    def comes_after(self) -> tuple[str, ...]:
        """What it takes back, and what wrote the switch last."""
        return self.undoes, read_stamp(self.stamp).action


class ControlExpected(SwitchExpected, frozen=True, kw_only=True):
    """Of an order to a controller. Its sides are versions: `weights`, `to_weights` and `versions` go by them;
    `revision` is that of its state. `order`: what is ordered first; `operation`: what was under way; `home`: the
    revision that the way back goes to, as the system calls it."""

    order: OrderName
    operation: str = ""
    home: str = ""
    stages: tuple[int, ...] = ()


class RunExpected(Expected, frozen=True, kw_only=True):
    """Of a run that is made: the id that it will have."""

    run_id: str


class RunAsSeen(RunExpected, frozen=True, kw_only=True):
    """Of a run that is there: what it was."""

    state: str
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def before(self) -> dict[str, Any]:
        """Its state."""
        return {"state": self.state}


class SilenceExpected(Expected, frozen=True, kw_only=True):
    """Of any order about a silence: who gave it, and when the silence ends then."""

    by: str
    until: datetime


class NewSilence(SilenceExpected, frozen=True, kw_only=True):
    """Of one that is made: what it hides, and how many alerts that is now. `extends`: the one that is the same and is
    made to last longer instead. `also`: what is acknowledged with it."""

    matchers: tuple[Matcher, ...]
    matches: int
    extends: str | UnsetType = UNSET
    also: "tuple[LinkedAck, ...] | UnsetType" = UNSET


class LinkedAck(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An acknowledgement in another system: of an alert by a silence, or of an incident."""

    source: str
    ref: str
    silence: NewSilence | None = None
    order: IncidentOrder | None = None


class KnownSilence(SilenceExpected, frozen=True, kw_only=True):
    """Of one that is there; UNSET where none is, and nothing is to be done. `exactly`: it ends at `until`, and no
    later."""

    silence_id: str | UnsetType = UNSET
    exactly: bool | UnsetType = UNSET


class IncidentExpected(Expected, frozen=True, kw_only=True):
    """Of an order to an incident: as it was, who orders, and what is ordered. `also`: what is acknowledged with it."""

    order: IncidentOrder
    also: tuple[LinkedAck, ...] | UnsetType = UNSET

    @property
    def before(self) -> dict[str, Any]:
        """Its state, and who has it."""
        return {"status": self.order.status, "assigned": self.order.assigned}


class _Told(Struct):
    order: str = ""


def expected_from(text: bytes, family: type[Expected]) -> Expected:
    """What a journal keeps of a plan of that family; an order to a controller says so itself, whatever its kind.
    Raises msgspec.DecodeError."""
    ordered = issubclass(family, SwitchExpected) and decode_text(text, _Told).order
    return decode_text(text, ControlExpected if ordered else family)
