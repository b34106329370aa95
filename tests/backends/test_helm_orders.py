"""Orders to Helm: the flags of each version, what failed or was killed half way, somebody else in the same moment."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from backends.deployments.helm.controller import HelmController
from backends.errors import BackendError
from backends.http import Http
from backends.ports import ControllerState, Order
from backends.registry import AdapterContext, build
from backends.testing.controllers import ended, released
from tests.backends.helm_fixtures import Lab, Make, make_helm, waits
from tests.backends.stand_in_helm import object_of, release_of

__all__ = ["make_helm"]
TWO = (release_of(1, "2.4.0", "superseded"), release_of(2, "2.5.0"))
BACK = Order(order="rollback", revision="1")


async def rolled_back(lab: Lab, revision: str = "1") -> ControllerState:
    """As soon as that has come to its end, whichever."""
    order = Order(order="rollback", revision=revision)
    found = await lab.adapter.order(await lab.adapter.observe(), order, stamp="A:rollback")
    assert found.newest is not None
    await ended(lab.adapter, found.newest.id)
    return await lab.adapter.observe()


@pytest.mark.parametrize(
    ("version", "hooks", "flags"),
    [
        ("v3.17.2+gcc0bbbd", True, ["--wait", "--timeout", "30s"]),
        ("v3.2.0", False, ["--wait", "--timeout", "30s", "--no-hooks"]),
        ("v4.3.1+gc0d08d0", True, ["--wait=watcher", "--timeout", "30s"]),
    ],
)
async def test_flags_follow_the_version(make_helm: Make, version: str, hooks: bool, flags: list[str]) -> None:
    lab = await make_helm(*TWO, hooks=hooks)
    (lab.directory / "version").write_text(version)
    assert f"{version}: " in (await lab.preflight(BACK))["helm"].text
    assert (await rolled_back(lab)).view.phase == "healthy"
    (call,) = lab.calls()
    assert call[:3] == ["rollback", "model", "1"]
    assert call[-len(flags) :] == flags
    assert not any(word.startswith("--force") for word in call)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("v2.17.0+ga690bad", "is Helm v2.17.0+ga690bad: how it rolls back is not known here"),
        ("v5.0.0", "is Helm v5.0.0"),
        ("hello", "says no version: hello"),
    ],
)
async def test_a_version_that_is_not_known_is_refused_before_any_effect(make_helm: Make, said: str, words: str) -> None:
    lab = await make_helm(*TWO)
    (lab.directory / "version").write_text(said)
    state = await lab.adapter.observe()
    with pytest.raises(BackendError) as planned:
        await lab.preflight(BACK)
    with pytest.raises(BackendError) as ordered:
        await lab.adapter.order(state, BACK, stamp="A:rollback")
    assert words in planned.value.message == ordered.value.message
    assert planned.value.kind == "config"
    assert lab.calls() == []
    assert ("configmaps", "tealdeck.helm.model") not in lab.server.objects


async def test_a_revision_that_failed_is_gone_back_from_and_never_to(make_helm: Make) -> None:
    lab = await make_helm(*TWO)
    (lab.directory / "fail").write_text("timed out waiting for the condition")
    there = await released(lab.adapter, "2.6.0")
    assert there.newest is not None
    found = await ended(lab.adapter, there.newest.id)
    assert (found.state, found.moved) == ("failed", True)
    assert "timed out waiting for the condition" in found.detail
    state = await lab.adapter.observe()
    assert state.before is not None
    assert (state.view.phase, state.before.id) == ("degraded", "2")
    with pytest.raises(BackendError, match="revision 3 is failed: nothing goes back to it"):
        await lab.adapter.order(state, Order(order="rollback", revision="3"), stamp="A:rollback")
    (lab.directory / "fail").unlink()
    after = await rolled_back(lab, "2")
    assert after.view.stable is not None
    assert (after.view.stable.version, after.returned) == ("2.5.0", True)
    assert (await lab.adapter.operation("model/revision-3")).state == "rolled_back"


async def test_a_way_back_that_failed_goes_there_again_and_not_to_what_was_left(make_helm: Make) -> None:
    lab = await make_helm(*TWO)
    (lab.directory / "fail").write_text("cannot patch")
    state = await rolled_back(lab)
    assert state.newest is not None
    assert (state.newest.state, state.returned) == ("failed", False)
    assert state.before is not None
    assert state.before.version == "2.4.0"
    # The same, made by somebody by hand, and told by Helm in other words.
    words = {"description": 'Rollback "model" failed: cannot patch'}
    other = await make_helm(
        release_of(1, "2.4.0", "superseded"), release_of(2, "2.5.0", "superseded"),
        release_of(3, "2.4.0", "failed", info=words),
    )  # fmt: skip
    found = (await other.adapter.observe()).before
    assert found is not None
    assert found.version == "2.4.0"


async def killed(lab: Lab) -> ControllerState:
    """A release whose command is killed half way, with all that it started."""
    (lab.directory / "hold").touch()
    there = await released(lab.adapter, "2.6.0")
    assert there.open is not None
    mark = (await lab.adapter._store.mark()).mark
    assert mark is not None
    assert mark.command is not None
    os.killpg(mark.command.pid, signal.SIGKILL)
    (lab.directory / "hold").unlink()
    found: ControllerState = await waits(lab, lambda found: found.open is None)
    return found


async def test_one_of_ours_whose_command_was_killed_is_over_and_is_gone_back_from(make_helm: Make) -> None:
    lab = await make_helm(*TWO)
    state = await killed(lab)
    assert state.newest is not None
    assert (state.newest.state, state.newest.moved, state.view.phase) == ("failed", True, "degraded")
    assert "pending-upgrade since" in state.newest.detail
    assert "roll back first" in state.view.offer("release").why
    assert state.before is not None
    after = await rolled_back(lab, state.before.id)
    assert after.view.stable is not None
    assert (after.view.phase, after.view.stable.version) == ("healthy", "2.5.0")


async def test_another_console_sees_who_is_at_work_and_ends_it_on_the_same_host(
    make_helm: Make, http: Http, tmp_path: Path
) -> None:
    lab = await make_helm(*TWO)
    (lab.directory / "hold").touch()
    there = await released(lab.adapter, "2.6.0")
    assert there.open is not None
    other: HelmController = build("deployments", "helm", lab.entry, AdapterContext("b", tmp_path, tmp_path, http))
    try:
        state = await other.observe()
        assert state.open is not None
        assert (state.open.stamp, state.open.by, state.view.offer("abort").allowed) == ("A:release", "", True)
        assert f"helm on {os.uname().nodename} (pid " in state.open.detail

        async def let_go() -> None:
            while not lab.calls():
                await asyncio.sleep(0.02)
            (lab.directory / "hold").unlink()

        letting = asyncio.create_task(let_go())
        await other.order(state, Order(order="abort", operation=state.open.id), stamp="B:abort")
        await letting
        assert (await ended(other, state.open.id)).state == "rolled_back"
        assert [call[2] for call in lab.calls()] == ["2"]
    finally:
        await other.aclose()


async def test_of_two_consoles_one_begins(make_helm: Make, http: Http, tmp_path: Path) -> None:
    lab = await make_helm(*TWO)
    other: HelmController = build("deployments", "helm", lab.entry, AdapterContext("b", tmp_path, tmp_path, http))
    try:
        expected = await other.observe()
        both = (lab.adapter, "A"), (other, "B")
        outcomes = await asyncio.gather(
            *(each.order(expected, BACK, stamp=f"{name}:rollback") for each, name in both), return_exceptions=True
        )
        lost = [each for each in outcomes if isinstance(each, BackendError)]
        assert [each.kind for each in lost] == ["conflict"], outcomes
        assert len(lab.calls()) == 1
        await waits(lab, lambda found: found.view.phase == "healthy")
    finally:
        await other.aclose()


async def test_a_revision_that_somebody_made_first_is_his(make_helm: Make) -> None:
    lab = await make_helm(*TWO)
    (lab.directory / "race").touch()
    with pytest.raises(BackendError, match="somebody else made revision 3 in the same moment") as caught:
        await lab.adapter.order(await lab.adapter.observe(), BACK, stamp="A:rollback")
    assert caught.value.kind == "conflict"
    state = await lab.adapter.observe()
    assert state.open is not None
    assert (state.open.stamp, "somebody" in state.open.by) == ("", True)


async def test_a_command_that_made_nothing_is_no_release(make_helm: Make) -> None:
    lab = await make_helm(*TWO)
    (lab.directory / "idle").touch()
    with pytest.raises(BackendError, match="it ended well, and made no new revision") as caught:
        await released(lab.adapter, "2.6.0")
    assert caught.value.kind == "failed"
    # What somebody else makes later is not taken for it.
    lab.keep(release_of(3, "2.6.0"))
    newest = (await lab.adapter.observe()).newest
    assert newest is not None
    assert newest.stamp == ""


async def test_a_mark_that_a_hand_edited_vouches_for_nobody(make_helm: Make) -> None:
    lab = await make_helm(release_of(1, "2.4.0"), release_of(2, "2.5.0", "pending-upgrade"))
    edited = {"metadata": {"name": "tealdeck.helm.model", "annotations": {"tealdeck.io/helm": "{nonsense"}}}
    lab.server.keep(edited, "configmaps")
    state = await lab.adapter.observe()
    assert state.open is not None
    assert state.open.stamp == ""
    assert not state.view.offer("abort").allowed


async def test_an_uninstalled_release_takes_no_order(make_helm: Make) -> None:
    lab = await make_helm(release_of(1, "2.4.0", "superseded"), release_of(2, "2.5.0", "uninstalled"))
    view = (await lab.adapter.observe()).view
    assert view.phase == "unknown"
    assert view.stable is None
    assert all("it was uninstalled" in view.offer(order).why for order in ("release", "rollback"))


async def test_the_pods_of_its_workloads_are_counted(make_helm: Make) -> None:
    lab = await make_helm(*TWO)
    path = "/apis/apps/v1/namespaces/models/deployments"
    one = {"metadata": {"name": "model"}, "spec": {"replicas": 3}, "status": {"readyReplicas": 2}}
    lab.server.others[path] = 200, {"items": [one, {"metadata": {"name": "other"}}]}
    shown = await lab.adapter.deployment()
    assert (shown.live, shown.truth.endpoints.value, shown.truth.endpoints.detail) == (
        "stable",
        "stable",
        "2 of 3 pods ready",
    )
    assert (shown.colors["stable"].ready, shown.colors["stable"].desired, shown.colors["stable"].healthy) == (
        2,
        3,
        True,
    )
    lab.server.others[path] = 200, {"items": [{**one, "status": {}}]}
    shown = await lab.adapter.deployment()
    assert "none of Deployment model" in shown.truth.endpoints.detail
    assert shown.colors["stable"].healthy is False


def test_the_stand_in_writes_what_helm_writes() -> None:
    told = object_of(release_of(7, "2.4.0"))
    assert told["metadata"]["name"] == "sh.helm.release.v1.model.v7"
    assert told["metadata"]["labels"] == {"name": "model", "owner": "helm", "status": "deployed", "version": "7"}
    assert told["type"] == "helm.sh/release.v1"
