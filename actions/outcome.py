"""What an action means to whoever ordered it: exit codes, and actions that never were in the journal."""

from msgspec.structs import replace

from actions.kinds import kind_of
from actions.models import Action, ActionKind, ActionStatus, Actor, Plan, Refused

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_REFUSED, EXIT_AUTH, EXIT_NOT_FOUND, EXIT_CONFLICT = 0, 1, 2, 3, 4, 5, 6
EXIT_NO_ANSWER, EXIT_STILL_OPEN, EXIT_PAGE_SOMEONE = 7, 8, 9
_OF_ERROR = {
    "auth": EXIT_AUTH, "not_found": EXIT_NOT_FOUND, "conflict": EXIT_CONFLICT, "unreachable": EXIT_NO_ANSWER,
    "timeout": EXIT_NO_ANSWER, "malformed": EXIT_NO_ANSWER, "rate_limited": EXIT_NO_ANSWER,
    "config": EXIT_USAGE,
}  # fmt: skip
_OF_STATUS: dict[ActionStatus, int] = {
    "succeeded": EXIT_DONE, "rolled_back": EXIT_FAILED, "aborted": EXIT_FAILED, "abandoned": EXIT_FAILED,
    "rollback_failed": EXIT_PAGE_SOMEONE, "in_doubt": EXIT_PAGE_SOMEONE, "conflict": EXIT_CONFLICT,
}  # fmt: skip


def exit_code(action: Action, *, ordered: ActionKind | None = None) -> int:
    """As docs/contract.md has it. `ordered`: what was asked for, where that is not the action's own kind: a rollback
    that was queued to an open flip is done when the flip is back, or nothing was moved, by whomever."""
    back, is_back = kind_of(ordered or action.kind).back, kind_of(action.kind).back
    if action.status == "paused" and action.error is not None and action.error.kind == "target_unhealthy":
        return EXIT_PAGE_SOMEONE
    if back and not is_back and action.status in ("rolled_back", "aborted"):
        elsewhere = action.status == "aborted" and action.error is not None and action.error.kind == "conflict"
        return EXIT_CONFLICT if elsewhere else EXIT_DONE
    code = _OF_STATUS.get(action.status, EXIT_STILL_OPEN)
    if action.status != "aborted" or action.changed or action.error is None:
        return code
    if action.error.kind == "target_unhealthy":
        return EXIT_PAGE_SOMEONE if back else EXIT_FAILED
    return _OF_ERROR.get(action.error.kind, code)


def preview(plan: Plan, *, actor: Actor | None = None) -> Action:
    """A plan as an action that was not begun: what `--dry-run` prints."""
    return Action(
        id=None, kind=plan.kind, service=plan.service, status="planned", phase="plan", from_=plan.from_, to=plan.to,
        about=plan.about,
        findings=plan.findings, plan_hash=plan.hash, actor=actor, plan=plan.summary, undo=plan.summary.undo,
        ref=plan.request.ref or None,
    )  # fmt: skip


def already(plan: Plan, *, actor: Actor | None = None) -> Action:
    """A plan with nothing to do, as an action that no journal has."""
    return replace(preview(plan, actor=actor), status="succeeded", phase="")


def refused_action(plan: Plan, refusal: Refused, *, actor: Actor | None = None) -> Action:
    """The action that a refusal prevented: aborted, nothing changed, `id` null."""
    return Action(
        id=None, kind=plan.kind, service=plan.service, status="aborted", phase="plan", from_=plan.from_, to=plan.to,
        about=plan.about,
        findings=refusal.findings or plan.findings, plan_hash=plan.hash, actor=actor, plan=plan.summary,
        ref=plan.request.ref or None, error=refusal.error,
    )  # fmt: skip
