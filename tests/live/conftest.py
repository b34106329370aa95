"""Servers that are too slow to start for one test module alone."""

from collections.abc import Iterator

import pytest

from tests.live.kubernetes import Cluster, cluster


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One control plane for all tests of the group `kubernetes`, which run in one process."""
    with cluster(tmp_path_factory.mktemp("kube")) as found:
        yield found
