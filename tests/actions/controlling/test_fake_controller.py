"""The controller in memory does what every controller does: what its tests show holds for the others."""

from collections.abc import Awaitable, Callable

import pytest

from backends.testing.controllers import ControllerContract
from tests.actions.fake_controller import FakeController


class TestFakeController(ControllerContract):
    """As the port says."""


@pytest.fixture
def adapter() -> FakeController:
    return FakeController()


@pytest.fixture
def versions() -> tuple[str, str]:
    return "1.0", "2.0"


@pytest.fixture
def meddle(adapter: FakeController) -> Callable[[], Awaitable[None]]:
    async def begin() -> None:
        adapter.begin("2.0", by="mallory")

    return begin
