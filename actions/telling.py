"""What was ordered and what came of it in words: the same in tables, timeline, report, notices and on screens."""

from typing import Literal

from actions.kinds import kind_of
from actions.models import Action, Plan
from backends.settings import Duration

Standing = Literal["ok", "warning", "critical", "running"]

_CAUSES = {
    "gate_failed": "a metric gate", "verify_failed": "its verification", "smoke_failed": "the smoke test",
    "health_failed": "its health check", "shift_failed": "a failed write", "deadline": "its time limit",
    "unproven": "missing proof",
}  # fmt: skip


def title(of: Action | Plan) -> str:
    """`flip analytics`, `release analytics 2.4.1`, `freeze analytics for 2h`, `retire analytics GREEN`."""
    return " ".join([of.kind, of.named, *_details(of)])


def short_title(action: Action) -> str:
    """The same where the service stands above: `release 2.4.1`."""
    return " ".join([action.kind, *_details(action)])


def _details(of: Action | Plan) -> list[str]:
    asked = of.request if isinstance(of, Plan) else of
    details = [asked.version] if asked.version else []
    details += [of.to.upper()] if kind_of(of.kind).side and of.to else []
    return details + ([f"for {Duration(asked.for_s)}"] if asked.for_s is not None else [])


_STANDING: dict[str, Standing] = {
    "rollback_failed": "critical", "in_doubt": "critical", "conflict": "critical", "rolled_back": "warning",
    "rolling_back": "warning", "aborted": "warning", "abandoned": "warning", "paused": "warning", "succeeded": "ok",
}  # fmt: skip


def standing(action: Action) -> Standing:
    """How an action stands, the same in lists, timeline, strip, header and JSON: one that nobody runs or that nobody
    can know is critical; what is held, goes back or did not come about is a warning; what goes on is `running`."""
    if action.orphaned_since is not None:
        return "critical"
    found = _STANDING.get(action.status, "running")
    return "warning" if found == "running" and action.hold is not None else found


def doing(action: Action) -> str:
    """What it does now, or what came of it: `bake`, `rolling back`, `held: no requests`; of one that nobody runs,
    that."""
    if action.orphaned_since is not None:
        state = f"{action.status.replace('_', ' ')}, " if action.status != "running" else ""
        return f"{state}nobody runs it"
    if action.open and action.hold is not None:
        return f"held: {action.hold.why}"
    return action.phase if action.status == "running" and action.phase else outcome(action)


def who_does_what(action: Action, arrow: str = "→", *, short: bool = False) -> str:
    """`alice: flip analytics BLUE → GREEN, bake`; `short`: where the service stands above."""
    who = f"{action.actor.login}: " if action.actor else ""
    return f"{who}{short_title(action) if short else title(action)}{way(action, arrow)}, {doing(action)}"


def is_noop(action: Action) -> bool:
    """Whether there was nothing to do: it was so before it was ordered."""
    return action.status == "succeeded" and not action.changed


def way(action: Action, arrow: str = "→", *, capitals: bool = True) -> str:
    """` BLUE → GREEN`, with a space before it and its colors in `capitals`; empty where it goes nowhere: nothing was to
    be done, or what is ordered is no move."""
    if is_noop(action) or not kind_of(action.kind).way or not (action.from_ and action.to):
        return ""
    words = f" {action.from_} {arrow} {action.to}"
    return words.upper() if capitals and kind_of(action.kind).moves else words


def outcome(action: Action) -> str:
    """The status as people say it, with the `cause`; of what had nothing to do, that nothing changed."""
    if is_noop(action):
        return f"{_already(action)}, nothing changed"
    return " ".join(filter(None, (action.status.replace("_", " "), cause(action))))


def cause(action: Action) -> str:
    """Who or what took it back or kept it from going on: `by gate error-rate`, `(abort ordered by root)`; empty where
    it did neither, or it is not known."""
    if action.error is None or action.status not in ("rolled_back", "aborted"):
        return ""
    if action.error.kind == "ordered":
        return f"({action.error.message})"
    failed = ", ".join(gate.name for gate in action.gates if gate.word == "fail" and not gate.dry_run)
    if action.error.kind == "gate_failed" and failed:
        return f"by gate {failed}"
    return f"by {_CAUSES[action.error.kind]}" if action.error.kind in _CAUSES else ""


def _already(action: Action) -> Literal["back already", "already so"]:
    return "back already" if kind_of(action.kind).back else "already so"
