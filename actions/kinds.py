"""The kinds of actions: a record of each, in one table, from which everybody knows what is true of it.

A new kind is one record in `TABLE`. How it is planned and carried out stands in the module that its record names, which
is imported when such an action is first planned or run (`actions/doing.py`).
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Literal

from msgspec import Struct

GuardClass = Literal["0", "1", "2", "3", "R"]
OrderPort = Literal["deployments", "pipelines", "alerts"]
_EXPECTED = "actions.expected"


class Place(Struct, frozen=True):
    """A line of the menu of the things of a port: its id, by which a keymap gives it another key, its key, and whether
    a form asks for more before it is planned."""

    id: str
    key: str
    form: bool = False


class Kind(Struct, frozen=True, kw_only=True):
    """What is true of all actions of a kind.

    port: what it is done to, in the config, the menu and the command line. menu: its lines there; label: what they say.
        verb: the first word of its plan; button: what pressing it does; leave: what not pressing it does, where
        "Cancel" could mean both.
    help: of its command, where that takes a REF and nothing else; one that takes more is written in `console/cli/`.
    command: what that is called, where another port has a kind of that name.
    doing: finds its `actions.doing.Doing`. expects: finds what its plans go by (`actions.expected`); here, since the
        journal reads it of every kind and needs nothing else of how one is done.
    traffic: which way it moves any. deploys: a version is put on the side first. held_back: a freeze forbids it, and so
        does a command that an earlier action has left running. onward: a controller goes on to its version by it, which
        a rejection forbids as it does where we move the traffic.
    recorded: it is done once the journal has it. one_order: it is one request to a system, of which a runner that died
        leaves nothing to go on with; overview: the command that shows what came of it.
    on: the method that a source of alerts must have for it, where sources differ in what they can.
    way: its from → to is one for people; side: they name the side that it is done to. asks: the fields that make two
        requests different, beside those that all have.
    """

    name: str
    port: OrderPort
    guard_class: GuardClass
    doing: Callable[[], Any]
    expects: Callable[[], Any] = lambda: import_module(_EXPECTED).Expected
    verb: str
    button: str = ""
    leave: str = ""
    label: str = ""
    help: str = ""
    command: str = ""
    menu: tuple[Place, ...] = ()
    traffic: Literal["", "forward", "back"] = ""
    deploys: bool = False
    held_back: bool = False
    onward: bool = False
    recorded: bool = False
    one_order: bool = False
    overview: str = ""
    on: str = ""
    way: bool = True
    side: bool = False
    asks: tuple[str, ...] = ()

    @property
    def forward(self) -> bool:
        """Whether it moves traffic to where it was not, and so can be taken back."""
        return self.traffic == "forward"

    @property
    def moves(self) -> bool:
        """Whether it moves traffic at all."""
        return self.traffic != ""

    @property
    def gains(self) -> bool:
        """Whether its version gets more traffic by it, moved by us or by a controller."""
        return self.forward or self.onward

    @property
    def back(self) -> bool:
        """Whether it is the way back."""
        return self.traffic == "back"

    @property
    def goes_on(self) -> bool:
        """Whether another runner goes on with it, where its own has died."""
        return not (self.recorded or self.one_order)


def _at(module: str, name: str) -> Callable[[], Any]:
    return lambda: getattr(import_module(module), name)


def _move(
    name: str, verb: str, *menu: Place, guard_class: GuardClass = "3", expects: str = "SwitchExpected", **more: Any
) -> Kind:
    return Kind(
        name=name, port="deployments", guard_class=guard_class,
        doing=_at("actions.moving", name.replace("-", "_").upper()), expects=_at(_EXPECTED, expects),
        verb=verb, menu=menu, **more,
    )  # fmt: skip


_control = partial(_move, expects="ControlExpected")


def _standing(name: str, verb: str, *menu: Place, **more: Any) -> Kind:
    return Kind(
        name=name, port="deployments", guard_class="3", doing=_at("actions.orders.freeze_and_reject", name.upper()),
        verb=verb, menu=menu, recorded=True, way=False, asks=("version", "for_s"), **more,
    )  # fmt: skip


def _run(name: str, verb: str, *menu: Place, expects: str = "Expected", **more: Any) -> Kind:
    return Kind(
        name=name, port="pipelines", guard_class="2", doing=_at("actions.orders.runs", name.upper()),
        expects=_at(_EXPECTED, expects), verb=verb, menu=menu, one_order=True, overview="`teal run list`", **more,
    )  # fmt: skip


def _alert(name: str, verb: str, *menu: Place, expects: str, **more: Any) -> Kind:
    return Kind(
        name=name, port="alerts", guard_class="1", doing=_at("actions.orders.alert_order", name.upper()),
        expects=_at(_EXPECTED, expects), verb=verb, menu=menu, one_order=True, overview="`teal alert silences`",
        asks=("matchers", "for_s"), on="silence", **more,
    )  # fmt: skip


def _incident(name: str, verb: str, *menu: Place, guard_class: GuardClass = "1", **more: Any) -> Kind:
    return Kind(
        name=name, port="alerts", guard_class=guard_class,
        doing=_at("actions.orders.incidents", name.replace("-", "_").upper()),
        expects=_at(_EXPECTED, "IncidentExpected"), verb=verb, menu=menu, one_order=True,
        overview="`teal alert list`", asks=("to", "params", "for_s"), on="order_incident", **more,
    )  # fmt: skip


TABLE: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _move(
            "flip", "Flip", Place("deploy.flip", "f"), button="Flip traffic", label="flip traffic to {color}",
            traffic="forward", held_back=True,
        ),
        _move(
            "release", "Release", Place("deploy.release", "d", form=True), Place("deploy.weights", "w", form=True),
            label="release a version onto the idle side, then move the traffic",
            traffic="forward", deploys=True, held_back=True,
        ),
        _move(
            "rollback", "Roll back", Place("deploy.rollback", "b"), label="roll back", guard_class="R", traffic="back",
        ),
        _move("retire", "Retire", held_back=True, way=False, side=True),
        _control(
            "promote", "Promote", held_back=True, onward=True, button="Promote",
            help="Let the controller of SERVICE go on from where it waits.",
        ),
        _control(
            "abort", "Abort", guard_class="R", traffic="back", button="Abort",
            help="End what the controller of SERVICE does: back to the stable version.",
        ),
        _control(
            "retry-release", "Retry", command="retry", held_back=True, onward=True, button="Retry",
            help="Let the controller of SERVICE try again what was aborted.",
        ),
        _control(
            "pause-release", "Pause", command="pause", guard_class="R", button="Pause",
            help="Stop the controller of SERVICE where it is.",
        ),
        _control(
            "resume-release", "Resume", command="resume", held_back=True, onward=True, button="Resume",
            help="Let the controller of SERVICE go on after a pause.",
        ),
        _control(
            "restart-release", "Restart", command="restart", held_back=True, button="Restart",
            help="Let the controller of SERVICE replace its pods; the version stays.",
        ),
        _standing(
            "freeze", "Freeze", Place("deploy.freeze", "h"),
            label="freeze it: nothing new goes out, a rollback still does",
        ),
        _standing(
            "unfreeze", "Unfreeze", label="unfreeze it",
            help="End the freeze of SERVICE. Freeze windows of the config stay.",
        ),
        _standing(
            "reject", "Reject", Place("deploy.reject", "j"), button="Reject version",
            label="reject {version}: it is not released again",
        ),
        _standing(
            "accept", "Accept", Place("deploy.accept", "i"), button="Accept version", side=True,
            label="accept {version}: it is meant to be live all the same",
        ),
        _run(
            "retry", "Retry", Place("run.retry", "r"), expects="RunAsSeen", button="Retry run",
            label="retry its failed tasks",
        ),
        _run(
            "trigger", "Trigger", Place("run.trigger", "t", form=True), expects="RunExpected", button="Trigger run",
            label="trigger a new run of {pipeline}",
        ),
        _run(
            "cancel", "Cancel", Place("run.cancel", "c"), expects="RunAsSeen", button="Cancel run",
            label="cancel the run", leave="Keep running", help="Stop a run.",
        ),
        _run(
            "pause", "Pause", Place("run.pause", "p"), button="Pause schedule", label="pause or unpause the schedule",
        ),
        _run("unpause", "Unpause", button="Unpause schedule"),
        _run(
            "approve", "Approve", Place("run.approve", "v"), expects="RunAsSeen", label="approve what waits in it",
            help="Approve what waits for a person in a run.",
        ),
        _alert(
            "ack", "Acknowledge", Place("alert.acknowledge", "a"), expects="NewSilence", label="acknowledge it for 1h",
        ),
        _alert(
            "silence", "Silence", Place("alert.silence", "s", form=True), expects="NewSilence",
            label="silence it, or more than it, for a time",
        ),
        _alert(
            "extend", "Extend the silence of", Place("alert.extend", "e"), expects="KnownSilence",
            button="Extend silence", label="extend what silences it to 1h from now",
        ),
        _alert("unsilence", "Unsilence", Place("alert.unsilence", "u"), expects="KnownSilence", label="unsilence it"),
        _incident(
            "ack-incident", "Acknowledge", Place("alert.acknowledge", "a"), command="ack",
            label="acknowledge the incident: it runs out as its service says",
        ),
        _incident(
            "snooze", "Snooze", Place("alert.snooze", "z"), label="snooze the incident for 1h",
        ),
        _incident(
            "resolve", "Resolve", Place("alert.resolve", "r"), guard_class="2", label="resolve the incident",
            help="Resolve an incident: it calls nobody any more. An acknowledgement never does that.",
        ),
        _incident(
            "escalate", "Escalate", Place("alert.escalate", "l"), guard_class="2", label="call the next level",
            help="Call the next level of the escalation policy of an incident.",
        ),
        _incident("reassign", "Reassign", guard_class="2"),
        _incident("note-incident", "Note on", command="note"),
    )
}  # fmt: skip


def kind_of(name: str) -> Kind:
    """The record of a kind. One that only a later version knows moves nothing here, and is guarded as what may."""
    found = TABLE.get(name)
    return found or Kind(
        name=name, port="deployments", guard_class="3", doing=lambda: None, verb=name.capitalize(), way=False
    )


def moving() -> tuple[str, ...]:
    """The names of those that move traffic."""
    return tuple(kind.name for kind in TABLE.values() if kind.traffic)


def forward() -> tuple[str, ...]:
    """The names of those that move it forward."""
    return tuple(kind.name for kind in TABLE.values() if kind.forward)


def commands_of(port: OrderPort) -> dict[str, Kind]:
    """Those of a port that have a command which takes a REF and nothing else, by its name."""
    return {kind.command or kind.name: kind for kind in TABLE.values() if kind.port == port and kind.help}


def of_port(port: OrderPort) -> list[Kind]:
    """Those that are done to things of a port, in the order of the menu."""
    return [kind for kind in TABLE.values() if kind.port == port]
