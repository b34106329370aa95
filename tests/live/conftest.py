"""What live tests share: servers that are slow to start, started once."""

from collections.abc import Iterator

import pytest

from tests.live.ecs import EcsLab, ecs_lab
from tests.live.moto import KEYS


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
