"""What the console knows of a kind of outside system: one record a port.

The config, feeds, kept snapshots, `teal status`, `check`, `doctor`, the commands, their JSON Schemas, the panels and
the palette go over the table of `console.ports.table`. What needs Textual or click is named as text, `module:name`, and
imported when it is used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from msgspec import Struct

from actions.journal.episodes import Episode
from backends.models import Deployment, LogEntry
from console.ports.entry import Entry
from console.ports.links import Links
from console.ports.store import Snapshot, SourceKey, Store

if TYPE_CHECKING:
    from backends.ports import Logs

P = TypeVar("P")
ItemT = TypeVar("ItemT")


class Adapters(Protocol):
    """The adapters of one context, as a port asks them."""

    @property
    def read_only(self) -> bool:
        """Whether nothing is written from here."""

    def of(self, port: Port[P, Any], name: str) -> P:
        """The adapter of that name. Raises BackendError: not_found, or the problem of its entry."""


class Desk(Protocol):
    """What a port reads with: the adapters of one context, what is known there, and which time is looked at."""

    @property
    def adapters(self) -> Adapters:
        """Those of the context."""

    @property
    def store(self) -> Store:
        """What all sources said last."""

    @property
    def links(self) -> Links:
        """What belongs together."""

    def window(self) -> tuple[datetime, datetime]:
        """From when to when is looked."""

    async def before(self, key: SourceKey) -> Snapshot | None:
        """What that source said last, to this program or to one before it; None where that is not known."""

    def wake(self, key: SourceKey) -> None:
        """Read that source now."""

    def hasten(self, key: SourceKey, interval_s: float | None) -> None:
        """From now on that source is read each `interval_s`; None: as its port says."""

    async def read_logs(self, logs: Logs) -> list[LogEntry]:
        """The lines that are wanted of a source."""

    async def with_action(self, deployment: Deployment) -> Deployment:
        """With the action that is open on it, or why that is not known."""


class Then(Struct, frozen=True):
    """A time of the past, and from when to when is looked at around it."""

    at: datetime
    since: datetime
    until: datetime


class Problem(Struct, frozen=True, kw_only=True):
    """Something that is not well, as the timeline keeps it: `subject` is its name, `text` how it began, in a line.
    `state`: a health, or the word of what asks for nobody; `since` and, of what is over, `until` where its source knows
    them."""

    kind: str
    ref: str
    state: str
    subject: str
    text: str
    since: datetime | None = None
    until: datetime | None = None


def no_problems(_: Sequence[Any]) -> Sequence[Problem]:
    """Of what is neither well nor ill."""
    return ()


def over_when_gone(_: Sequence[Any], __: Episode, read_at: datetime) -> datetime | None:
    """What a source does not tell of any more was over when it was read."""
    return read_at


def everything(snapshots: Sequence[Snapshot]) -> list[Any]:
    """The items of all of them."""
    return [item for snapshot in snapshots for item in snapshot.items]


def no_time(_: Any) -> datetime | None:
    """Of what is about no time."""
    return None


def nothing_follows(_: Desk, snapshot: Snapshot) -> None:
    """Where no other source is seen with other eyes for it."""


def judged_at_once(_: Any) -> str:
    """Of what one look judges."""
    return ""


def name_of(item: Any) -> str:
    """Its name, or else its ref."""
    return str(getattr(item, "name", "") or item.ref)


def one_look(_: Any) -> int:
    """Of what is judged by what one look sees."""
    return 0


class Reading(Struct, Generic[P, ItemT], frozen=True, kw_only=True):
    """A port that is read again and again.

    item: what one read hands out.
    fetch: one read of the source of that name. Raises BackendError.
    interval_s: between two reads, at the usual `refresh`.
    then: what follows for other sources from a new snapshot.
    beside: the ports without which its items can not be judged.
    kept: whether its snapshots may lie on disk.
    checked: what `teal check` judges: the port as a whole, each source, or nothing, since what was is no state.
    standing: what of the items counts now.
    single: what one is called in `no … "x"`; empty where none can be named.
    title: what this one is called.
    says: what is the matter with it, in a line.
    unjudged: what of this one only a further look can tell, in words; empty where one look judges it.
    quiet: what of it could not be judged since nothing happened between two looks, or is hidden and was not seen, in
        words; that is no fault.
    more_looks: how many looks after the first one may tell more of this one.
    at: the time that it is about.
    past: what a source can say of a time of the past. Raises BackendError.
    began: since when it is there; of a time of the past those stand that had begun.
    listed_as: the key of its list in `teal status -o json`, where its port is called as another key of that.
    empty: what is said where there are none; `No` with the port's name where it is left out.
    problems: what of one read is not well, for the timeline.
    over: since when what is no problem any more is well, by the items of a read and when that was; None where they do
        not say so.
    turned: what has become of an item between two reads that nothing else tells, in words, and which of the two the
        next one is held against.
    """

    item: type[ItemT]
    fetch: Callable[[Desk, str], Awaitable[tuple[ItemT, ...]]]
    interval_s: float
    then: Callable[[Desk, Snapshot], None] = nothing_follows
    beside: tuple[str, ...] = ()
    kept: bool = True
    checked: Literal["whole", "each", ""] = "whole"
    standing: Callable[[Sequence[Snapshot]], list[ItemT]] = everything
    single: str = ""
    title: Callable[[ItemT], str] = name_of
    says: Callable[[ItemT], str] = name_of
    unjudged: Callable[[ItemT], str] = judged_at_once
    quiet: Callable[[ItemT], str] = judged_at_once
    more_looks: Callable[[ItemT], int] = one_look
    at: Callable[[ItemT], datetime | None] = no_time
    past: Callable[[Adapters, str, Then], Awaitable[tuple[ItemT, ...]]] | None = None
    began: Callable[[ItemT], datetime | None] = no_time
    listed_as: str = ""
    empty: str = ""
    problems: Callable[[Sequence[ItemT]], Sequence[Problem]] = no_problems
    over: Callable[[Sequence[ItemT], Episode, datetime], datetime | None] = over_when_gone
    turned: Callable[[ItemT, ItemT], tuple[ItemT, str]] | None = None


class Noun(Struct, frozen=True, kw_only=True):
    """Its command: `teal NAME list` and `teal NAME show REF`, unless `command` is one of its own.

    help: its line in `teal --help`; one that ends in a colon is followed by what is below it.
    listed, shown: the help of the two.
    lines: what `show` says below the table.
    """

    name: str
    help: str
    command: str = ""
    listed: str = "All of them, worst first."
    shown: str = "One of them."
    lines: str = ""


class Place(Struct, frozen=True, kw_only=True):
    """Its panel: the Kind of its rows (none: lines of text), key, heading, row of the overview. Where it has
    no row it is shown alone, by the palette."""

    kind: str
    title: str
    key: str = ""
    row: Literal["upper", "lower", "last", ""] = ""


class Port(Struct, Generic[P, ItemT], frozen=True, kw_only=True):
    """A kind of outside system: what it is asked by, what it tells, and what is said of it.

    name: of its entries in the config, its snapshots and its list in `teal status -o json`.
    about: what its entries are for, as the schema of the config says it.
    protocol: what its adapters can do, or where that is written, as `module:name`.
    ask: one look at an entry for doctor and validate, that changes nothing and tells nobody (`console.reading.asking`).
    reads, writes, orders: what can be done from here, as doctor says it; the last two begin with a method that may be
        missing.
    referred: whether entries of other ports name one of this by a key that is called as the port.
    noun_of_entry: what one of its entries is called where it is missing.
    documents: what the items of each of its JSON documents are.
    show: what makes an answer of one thing for `teal open`, where that is more than a row of its table.
    shown_as: the document of one thing, where it is not `show` of its noun.
    command_of: the headless command that shows an item, in a context, where it is not `show` of its noun.
    screen: what opens an item in the console.
    """

    name: str
    about: str
    protocol: Any
    ask: Callable[[Adapters, Entry], Awaitable[Sequence[Any]]]
    reads: str = "read"
    writes: tuple[str, str] = ("", "")
    orders: tuple[str, str] = ("", "")
    referred: bool = False
    noun_of_entry: str = ""
    reading: Reading[P, ItemT] | None = None
    noun: Noun | None = None
    documents: Mapping[str, type | str] = {}
    show: str = ""
    shown_as: str = ""
    command_of: Callable[[ItemT, str], str] | None = None
    screen: str = "console.screens.item_detail:ItemDetail"
    place: Place | None = None


def loaded(text: str) -> Any:
    """What `module:name` names, imported now."""
    module, _, name = text.partition(":")
    return getattr(import_module(module), name)
