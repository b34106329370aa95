"""`helm` over a loopback API server, with a stand-in for the program that checks its arguments and really writes the
revisions: the contract of a controller, where a rollback goes, and what is refused before anything is done."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from backends.deployments.helm.controller import HelmController
from backends.errors import BackendError
from backends.ports import Order
from backends.testing.controllers import ControllerContract, ended, released
from tests.backends.helm_fixtures import Lab, Make, make_helm, waits
from tests.backends.stand_in_helm import release_of

__all__ = ["make_helm"]


class TestHelmController(ControllerContract):
    @pytest.fixture
    async def lab(self, make_helm: Make) -> Lab:
        lab = await make_helm()
        (lab.directory / "hold").touch()
        return lab

    @pytest.fixture
    async def adapter(self, lab: Lab) -> HelmController:
        return lab.adapter

    @pytest.fixture
    def versions(self) -> tuple[str, str]:
        return "2.4.0", "2.5.0"

    @pytest.fixture
    def meddle(self, lab: Lab) -> Callable[[], Awaitable[None]]:
        async def begin() -> None:
            lab.keep(release_of(2, "2.5.0", "pending-upgrade"))

        return begin

    @pytest.fixture(autouse=True)
    async def goes_back(self, lab: Lab, request: pytest.FixtureRequest) -> None:
        """The rollback of an abort comes to its end; only the release waits."""
        if "abort" in request.node.name:

            async def let_go() -> None:
                while not lab.calls("rollback"):
                    await asyncio.sleep(0.02)
                (lab.directory / "hold").unlink()

            self._task = asyncio.create_task(let_go())


async def test_a_rollback_names_its_revision_and_is_followed_to_its_end(make_helm: Make) -> None:
    lab = await make_helm(
        release_of(1, "2.3.0", "superseded"), release_of(2, "2.4.0", "superseded"), release_of(3, "2.4.9", "failed"),
        release_of(4, "2.5.0"),
    )  # fmt: skip
    state = await lab.adapter.observe()
    assert state.before is not None
    assert (state.before.id, state.before.version) == ("2", "2.4.0")  # never one that failed
    after = await lab.adapter.order(state, Order(order="rollback", revision="2"), stamp="A:rollback")
    assert after.newest is not None
    assert after.newest.stamp == "A:rollback"
    assert (await ended(lab.adapter, after.newest.id)).state == "succeeded"
    (call,) = lab.calls()
    where = ["--namespace", "models", "--kubeconfig", lab.entry["kubeconfig"], "--kube-context", "fake"]
    assert call == ["rollback", "model", "2", *where, "--wait", "--timeout", "30s"]
    last = await waits(lab, lambda found: found.view.phase == "healthy")
    assert last.view.stable.version == "2.4.0"
    assert last.returned
    assert "was a way back" in last.view.offer("rollback").why
    assert set(last.past) == {"1"}  # of what was there before 2.4.0 came for the first time


async def test_a_release_is_the_command_of_its_entry(make_helm: Make) -> None:
    lab = await make_helm()
    there = await released(lab.adapter, "2.5.0")
    assert there.newest is not None
    assert (await ended(lab.adapter, there.newest.id)).state == "succeeded"
    state = await waits(lab, lambda found: found.view.phase == "healthy")
    assert (state.view.stable.version, state.before.version, state.returned) == ("2.5.0", "2.4.0", False)


async def test_without_the_program_it_reads_and_names_the_command(make_helm: Make) -> None:
    lab = await make_helm(
        release_of(1, "2.4.0", "superseded"), release_of(2, "2.5.0"), binary="/nowhere/helm", deploy=False
    )
    state = await lab.adapter.observe()
    why = state.view.offer("rollback").why
    assert "/nowhere/helm: no such file or directory; by hand" in why
    assert "`/nowhere/helm rollback model" in why
    assert "--wait --timeout 30s`" in why
    with pytest.raises(BackendError) as caught:
        await lab.adapter.order(state, Order(order="rollback", revision="1"), stamp="A:rollback")
    assert caught.value.kind == "config"
    assert "`deploy` is the command for it" in state.view.offer("release").why


async def test_a_pending_release_says_since_when_and_is_refused_before_any_effect(make_helm: Make) -> None:
    lab = await make_helm(release_of(1, "2.4.0"), release_of(2, "2.5.0", "pending-upgrade"))
    state = await lab.adapter.observe()
    assert state.open is not None
    for order in ("release", "rollback", "abort"):
        why = state.view.offer(order).why
        assert "pending-upgrade since 29 Nov 10:00 UTC" in why or "pending-upgrade since 10:00 UTC" in why
        assert "whoever made it is probably gone" in why
        assert "`helm rollback model 1 -n models --wait` clears it" in why
        with pytest.raises(BackendError):
            await lab.adapter.order(state, Order(order=order, version="2.6.0", revision="1"), stamp="A:x")
    assert lab.calls() == lab.calls("upgrade") == []
    way = (await lab.adapter.deployment()).rollback
    assert way is not None
    assert (way.ready, "clears it" in way.reason) == (False, True)
    assert state.view.phase == "unknown"


async def test_a_rollback_to_what_came_later_goes_forward_and_can_be_taken_back(make_helm: Make) -> None:
    def back(to: int) -> dict[str, str]:
        return {"description": f"Rollback to {to}"}

    one, two = release_of(1, "2.4.0", "superseded"), release_of(2, "2.5.0", "superseded")
    lab = await make_helm(one, two, release_of(3, "2.4.0", info=back(1)))
    assert (await lab.adapter.observe()).returned
    lab.keep(release_of(3, "2.4.0", "superseded", info=back(1)), release_of(4, "2.5.0", info=back(2)))
    state = await lab.adapter.observe()
    assert state.before is not None
    assert (state.returned, state.before.version) == (False, "2.4.0")
    assert state.view.offer("rollback").allowed
