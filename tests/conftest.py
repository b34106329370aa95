"""What holds for every test: an example of hypothesis may take as long as a busy machine makes it. And what many
test modules share: the HTTP client of adapters, a service of two colors, servers that are too slow to start for one of
them alone.
"""

import gc
import os
import signal
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from backends.http import Http
    from tests.live.kubernetes import Cluster
    from tests.live.moto import MotoServer
    from tests.two_colors import TwoColors

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# What a shell starts in the background ignores Ctrl-C, with `nohup` a hangup, too, and so would all that is started
# from here. What handles a signal is not inherited: these tests go on at it as before, and what they start ends.
for _number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Ten thousand tests and what they import live until the end: the garbage collector looks only through what comes
    after them. With them it took a quarter of the time of collecting, and a tenth of that of the tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another test let this process know is none of this one's."""
    from backends import redaction

    monkeypatch.setattr(redaction, "_known", ())
    monkeypatch.setattr(redaction, "_addresses", ())


@pytest.fixture(autouse=True)
def _at_the_default_place() -> None:
    """A test that has chosen a context leaves its name in no command that another one prints."""
    from backends.command_line import set_place

    set_place("")


@pytest.fixture
async def http() -> "AsyncIterator[Http]":
    """The shared client of adapters, for one test."""
    from backends.http import Http

    client = Http()
    yield client
    await client.aclose()


@pytest.fixture
async def service(tmp_path: Path) -> "AsyncIterator[TwoColors]":
    """A service of two colors and what routes to them, on loopback."""
    from tests.two_colors import TwoColors

    async with TwoColors(tmp_path) as service:
        yield service


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Cluster]":
    """One control plane for all tests of the group `kubernetes`, which run in one process."""
    from tests.live.kubernetes import cluster

    with cluster(tmp_path_factory.mktemp("kube")) as found:
        yield found


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[MotoServer]":
    """One for all tests of the group `moto`, which run in one process: each begins with `reset()`."""
    from tests.live.moto import moto

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "20")  # of a page: a thousand objects take long to write
        with moto(tmp_path_factory.mktemp("moto")) as found:
            yield found


@pytest.fixture
def bound_by_modes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing may be read or written past the modes of files, also where root, who may all, runs the tests."""
    from tests import rights

    if os.geteuid() != 0:
        yield
        return
    real = os.access

    def access(path: str, mode: int, **how: bool) -> bool:  # the system call asks what root could do if it wished
        return real(path, mode, **{**how, "effective_ids": True})

    monkeypatch.setattr(os, "access", access)
    with rights.bound_by_modes():
        yield
