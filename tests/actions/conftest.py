"""A service of two colors, and a house over it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.actions.house import House
from tests.two_colors import TwoColors


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TwoColors]:
    async with TwoColors(tmp_path) as service:
        yield service


@pytest.fixture
async def house(tmp_path: Path, service: TwoColors) -> AsyncIterator[House]:
    async with House(tmp_path / "state", service) as house:
        yield house
