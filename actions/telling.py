"""What was ordered and what came of it in words: the same in tables, timeline, report, notices and on screens."""

from datetime import datetime, tzinfo
from typing import Literal

from actions.kinds import kind_of
from actions.models import Action, Finding, Plan, Step, SwitchReport
from backends.settings import Duration
from backends.text import clean, side_name
from backends.times import local_words

Standing = Literal["ok", "warning", "critical", "running"]

LIVE_DOWN = "live-down"
"""The finding that the side with all traffic is down or fails."""
ACCEPTED = "accepted by hand"
"""In the detail of a verification whose evidence a person did without."""

_CAUSES = {
    "gate_failed": "a metric gate", "verify_failed": "its verification", "smoke_failed": "the smoke test",
    "health_failed": "its health check", "shift_failed": "a failed write", "deadline": "its time limit",
    "unproven": "missing proof",
}  # fmt: skip
_PHASES = {
    "plan": "planning", "preflight": "checking first", "deploy": "deploying", "health": "waiting for health",
    "smoke": "smoke-testing", "shift": "moving traffic", "verify": "verifying", "analyse": "judging", "bake": "baking",
    "retire": "retiring", "shift-back": "moving traffic back", "verify-back": "verifying the way back",
}  # fmt: skip
_BACKWARDS = ("shift-back", "verify-back")
_WATCHES = ("analyse", "bake")
"""The phases that take their time: when they are over is known. Others say only when they are given up."""


def phase_words(phase: str) -> str:
    """A phase as people say it: `judging` for `analyse[25]`; one that is not known here as it is."""
    name = phase.partition("[")[0]
    return _PHASES.get(name, name)


def share_words(phase: str) -> str:
    """`25 %` of `shift[25]`; empty for a phase of no stage."""
    number = phase.partition("[")[2].removesuffix("]")
    return f"{number} %" if number.isdigit() else ""


def phase_told(phase: str) -> str:
    """`judging 25 %` of `analyse[25]`."""
    return " ".join(filter(None, (phase_words(phase), share_words(phase))))


def over_at(action: Action) -> datetime | None:
    """When the phase in which it only watches is over; None in any other, and where nobody runs it or it is held."""
    if action.status != "running" or unattended(action) or action.hold is not None:
        return None
    watching = (step for step in action.steps if step.status == "running" and step.name.partition("[")[0] in _WATCHES)
    return next((step.until for step in watching if step.until is not None), None)


def title(of: Action | Plan) -> str:
    """`flip analytics`, `release analytics 2.4.1`, `freeze analytics for 2h`, `retire analytics GREEN`."""
    return " ".join([of.kind, of.named, *_details(of)])


def short_title(action: Action) -> str:
    """The same where the service stands above: `release 2.4.1`."""
    return " ".join([action.kind, *_details(action)])


def _details(of: Action | Plan) -> list[str]:
    asked = of.request if isinstance(of, Plan) else of
    details = [asked.version] if asked.version else []
    details += [side_name(of.to)] if kind_of(of.kind).side and of.to else []
    return details + ([f"for {Duration(asked.for_s)}"] if asked.for_s is not None else [])


_STANDING: dict[str, Standing] = {
    "rollback_failed": "critical", "in_doubt": "critical", "conflict": "critical", "rolled_back": "warning",
    "rolling_back": "warning", "aborted": "warning", "abandoned": "warning", "paused": "warning", "succeeded": "ok",
}  # fmt: skip


STOPPED_WORDS = "its process is stopped"


def unattended(action: Action) -> bool:
    """Whether it is open and goes on by nobody now: its runner is gone, or stopped."""
    return action.orphaned_since is not None or action.stopped_pid != 0


def standing(action: Action) -> Standing:
    """How an action stands, the same in lists, timeline, strip, header and JSON: one that nobody runs or that nobody
    can know is critical; what is held, goes back or did not come about is a warning; what goes on is `running`."""
    if unattended(action):
        return "critical"
    if unmended(action):
        return "warning"
    found = _STANDING.get(action.status, "running")
    return "warning" if found == "running" and action.hold is not None else found


def unmended(action: Action) -> tuple[Finding, ...]:
    """What is not well although there was nothing to do: nothing was done about it either."""
    return tuple(finding for finding in action.findings if finding.level == "warning") if is_noop(action) else ()


def proof_words(action: Action) -> str:
    """What shows that traffic is where it should be: `verified by fresh requests`, or that nothing does, and why."""
    wanted = "verify-back" if action.status == "rolled_back" else "verify"
    steps = [step for step in action.steps if step.name.startswith(wanted) and step.status == "succeeded"]
    if not steps:
        return "not verified by fresh requests"
    by_hand = any(ACCEPTED in step.detail for step in steps)
    return "not verified, its evidence was accepted by hand" if by_hand else "verified by fresh requests"


def doing(action: Action) -> str:
    """What it does now, or what came of it: `baking`, `rolling back`, `held: no requests`; of one that nobody runs,
    or whose runner is stopped, that."""
    if unattended(action):
        state = f"{action.status.replace('_', ' ')}, " if action.status != "running" else ""
        return f"{state}{STOPPED_WORDS if action.stopped_pid else 'nobody runs it'}"
    if action.open and action.hold is not None:
        return f"held: {action.hold.why}"
    return phase_words(action.phase) if action.status == "running" and action.phase else outcome(action)


def who_does_what(action: Action, arrow: str = "→") -> str:
    """`alice: flip analytics BLUE → GREEN, baking`, `alice: canary analytics 25 %, judging`."""
    who = f"{action.actor.person}: " if action.actor else ""
    return f"{who}{move(action, arrow)}, {doing(action)}"


def what_it_does(action: Action) -> str:
    """The same where the service stands above, without who: `canary 25 %, judging`."""
    return f"{move(action, short=True)}, {doing(action)}"


def move(action: Action, arrow: str = "→", *, short: bool = False) -> str:
    """What was asked and where it goes: `flip analytics BLUE → GREEN`; in a stage how far it is: `canary analytics
    25 %`. `short`: without the service."""
    if action.open and (share := share_words(action.phase)):
        words = [action.strategy or action.kind, *([] if short else [action.named]), share]
        return " ".join(words)
    return f"{short_title(action) if short else title(action)}{way(action, arrow)}"


def is_noop(action: Action) -> bool:
    """Whether there was nothing to do: it was so before it was ordered."""
    return action.status == "succeeded" and not action.changed


def way(action: Action, arrow: str = "→", *, capitals: bool = True) -> str:
    """` BLUE → GREEN`, with a space before it and its colors in `capitals`; empty where it goes nowhere: nothing was to
    be done, or what is ordered is no move."""
    if is_noop(action) or not kind_of(action.kind).way or not (action.from_ and action.to):
        return ""
    from_, to = action.from_, action.to
    if capitals and kind_of(action.kind).moves:
        from_, to = side_name(from_), side_name(to)
    return f" {to}" if is_once_more(action) else f" {from_} {arrow} {to}"


def is_once_more(action: Action) -> bool:
    """Whether traffic was there before it was ordered back, and is only written anew, for a runner that may live."""
    return kind_of(action.kind).back and kind_of(action.kind).moves and action.from_ == action.to != ""


def outcome(action: Action) -> str:
    """The status as people say it, with the `cause`; of what had nothing to do, that nothing changed."""
    if is_noop(action):
        return f"{_already(action)}, nothing changed"
    if is_once_more(action) and action.status == "succeeded":
        return "back already, written once more"
    status = f"paused by {action.paused.by}" if action.paused is not None else action.status.replace("_", " ")
    return " ".join(filter(None, (status, cause(action))))


def failed_words(report: SwitchReport) -> str:
    """` (verify 2 of 25, bake 13 of 13)`: the phases in which fresh requests failed; empty where none did."""
    said = [
        f"{name or 'before'} {seen.errors} of {seen.requests}" for name, seen in report.phases.items() if seen.errors
    ]
    return f" ({', '.join(said)})" if said else ""


def pause_words(action: Action, zone: tzinfo) -> str:
    """`paused by alice since 14:02 CET: asks the team`; empty where nobody has paused it."""
    if (paused := action.paused) is None:
        return ""
    reason = f": {clean(paused.reason, 300)}" if paused.reason else ""
    return f"paused by {paused.by or 'somebody'} since {local_words(paused.since, zone)}{reason}"


def hold_end(action: Action, zone: tzinfo) -> str:
    """`goes back by itself at 14:12:00 CET`: what comes of a hold that nobody ends; of one on the way back, that it
    gives up then. Empty where it is not held, or nobody runs it."""
    if action.hold is None or not action.open or unattended(action):
        return ""
    when = "" if action.hold.until is None else f"at {local_words(action.hold.until, zone)}"
    return unless_released(when, back=is_backwards(action))


def is_backwards(action: Action) -> bool:
    """Whether it is the way back, or on it: then a hold gives up at its end."""
    return kind_of(action.kind).back or action.phase in _BACKWARDS


def unless_released(when: str, *, back: bool) -> str:
    """`goes back by itself in 10m`: what comes `when` a hold is over that nobody ends; empty where it has no end.
    `back`: of one on the way back."""
    if not when:
        return "until the evidence comes or somebody decides"
    return f"{'gives up' if back else 'goes back by itself'} {when}"


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


def step_status(action: Action, step: Step) -> str:
    """The status of a step as people read it: one that an order has ended was `stopped`, which is no failure."""
    ordered = action.error is not None and action.error.kind == "ordered" and action.error.message in step.detail
    return "stopped" if ordered and step.status == "failed" else step.status


def _already(action: Action) -> Literal["back already", "already so"]:
    return "back already" if kind_of(action.kind).back else "already so"
