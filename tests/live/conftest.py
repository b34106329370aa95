"""What live tests share: servers that are slow to start, started once."""

from collections.abc import Iterator

import pytest

from tests.live.ecs import EcsLab, ecs_lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EcsLab]:
    """ECS and CodeDeploy on loopback, for all who say `xdist_group("ecs")`: names in it are new each time."""
    with ecs_lab(tmp_path_factory.mktemp("ecs")) as found:
        yield found
