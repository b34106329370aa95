"""What live tests share: servers that are slow to start, started once."""

from collections.abc import Iterator

import pytest

from tests.live.ecs import EcsLab, ecs_lab
from tests.live.moto import KEYS


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EcsLab]:
    """ECS and CodeDeploy on loopback, for all who say `xdist_group("ecs")`: names in it are new each time."""
    with ecs_lab(tmp_path_factory.mktemp("ecs")) as found:
        yield found


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a user who has keys of AWS."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
