"""What live tests share: servers that are slow to start, started once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.live.ecs import EcsLab, ecs_lab
from tests.live.haproxy import Haproxy, all_up, haproxy, lines
from tests.live.moto import KEYS
from tests.two_colors import TwoColors


@pytest.fixture(scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EcsLab]:
    with ecs_lab(tmp_path_factory.mktemp("ecs")) as found:
        yield found


@pytest.fixture
def lab(_lab: EcsLab) -> Iterator[EcsLab]:
    """ECS and CodeDeploy on loopback, one for a module: names in it are new each time, and gone after each test. Each
    module is an `xdist_group` of its own, since the simulators are the slower the more they have to remember."""
    yield _lab
    _lab.clear()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a user who has keys of AWS."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def nodes(service: TwoColors, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[list[Haproxy]]:
    """As many as the test's parameter says, by default one; started beside the colors, which have to answer checks."""
    count = getattr(request, "param", 1)
    with contextlib.ExitStack() as stack:
        found = []
        for number in range(1, count + 1):
            found.append(
                await asyncio.to_thread(stack.enter_context, haproxy(tmp_path / f"lb{number}", lines(service)))
            )
        await all_up(found)
        yield found
