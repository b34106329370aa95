"""What an action means to a script: the exit codes of docs/contract.md."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from actions.models import Action, ActionError, ActionKind, ActionStatus, Consent, Refused
from actions.outcome import exit_code, preview, refused_action
from tests.actions.house import ANALYTICS_FLIP, House
from tests.two_colors import TwoColors


def action(status: ActionStatus, error: str = "", *, kind: ActionKind = "flip", changed: bool = False) -> Action:
    told = ActionError(kind=error, message="m") if error else None
    return Action(
        id="A", kind=kind, service="s", status=status, phase="", from_="blue", to="green", changed=changed, error=told
    )


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (action("succeeded", changed=True), 0),
        (action("succeeded"), 0),
        (action("rolled_back", "verify_failed", changed=True), 1),
        (action("aborted", "target_unhealthy"), 1),
        (action("aborted", "deadline"), 1),
        (action("aborted", "probe"), 1),
        (action("abandoned"), 1),
        (action("aborted", "failed"), 1),
        (action("aborted", "config"), 2),
        (action("aborted", "auth"), 4),
        (action("aborted", "not_found"), 5),
        (action("aborted", "conflict"), 6),
        (action("conflict", "conflict", changed=True), 6),
        (action("aborted", "unreachable"), 7),
        (action("aborted", "timeout"), 7),
        (action("aborted", "unreachable", changed=True), 1),
        (action("planned"), 8),
        (action("running"), 8),
        (action("paused"), 8),
        (action("rolling_back"), 8),
        (action("rollback_failed", "rollback_failed", changed=True), 9),
        (action("in_doubt", "in_doubt"), 9),
        (action("aborted", "target_unhealthy", kind="rollback"), 9),
    ],
)
def test_the_exit_code_of_an_end(ended: Action, code: int) -> None:
    assert exit_code(ended) == code


@pytest.mark.parametrize(
    ("ended", "code"),
    [(action("rolled_back", "ordered"), 0), (action("aborted", "ordered"), 0), (action("rollback_failed"), 9)],
)
def test_a_rollback_that_was_queued_to_a_flip_is_done_when_the_flip_is_back(ended: Action, code: int) -> None:
    assert exit_code(ended, ordered="rollback") == code


@pytest.mark.parametrize("what", ["validate", "reload"])
async def test_a_proxy_that_takes_no_reload_is_no_usage_error(tmp_path: Path, service: TwoColors, what: str) -> None:
    anyway = replace(ANALYTICS_FLIP, overrides=("switch-validate",))
    async with House(tmp_path / "state", service, **{what: ["false"]}) as house:
        ended = await house.order(anyway, Consent(confirmed=True, reason="the file is right"))
    # A command that failed may have done its work; a file that needs no reload is in force while it is validated.
    assert (ended.status, ended.changed, exit_code(ended)) == ("rolled_back", True, 1)


async def test_a_preview_and_a_refusal_are_actions_that_never_were(house: House) -> None:
    plan = await house.gate.plan(ANALYTICS_FLIP)
    shown = preview(plan)
    assert (shown.id, shown.status, shown.plan_hash) == (None, "planned", plan.hash)
    with pytest.raises(Refused) as caught:
        await house.gate.submit(plan, Consent())
    refused = refused_action(plan, caught.value)
    assert (refused.id, refused.status, refused.changed) == (None, "aborted", False)
    assert refused.error == caught.value.error
    assert exit_code(replace(refused, error=None)) == 1
