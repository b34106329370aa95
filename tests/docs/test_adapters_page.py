"""The check of docs/adapters.md is taken from the page and passes the suite of its port."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from backends.http import Http
from backends.registry import ADAPTERS, AdapterContext, build
from backends.testing.checks import BuildCheck, CheckContract
from console.config.keys import words_of
from tests.backends.faulty_server import FaultyServer

PAGE = Path(__file__).parents[2] / "docs" / "adapters.md"
NAME = "docs_adapters_page"


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    module = ModuleType(NAME)
    sys.modules[NAME] = module  # msgspec looks the types of a Struct up there
    exec(
        compile(PAGE.read_text(encoding="utf-8").split("```python\n")[1].partition("```")[0], PAGE, "exec"),
        vars(module),
    )
    yield module
    del sys.modules[NAME]


@pytest.fixture
async def server() -> AsyncIterator[FaultyServer]:
    async with FaultyServer() as server:
        server.healthy = {"depth": 7}
        yield server


@pytest.fixture
async def build_queue(
    example: ModuleType, server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[BuildCheck]:
    monkeypatch.setitem(ADAPTERS, "checks.queue", f"{NAME}:QueueCheck")
    http = Http()
    context = AdapterContext("mine", tmp_path, tmp_path, http)
    yield lambda **config: build("checks", "queue", {"url": server.url, **config}, context)
    await http.aclose()


class TestQueueCheck(CheckContract):
    @pytest.fixture
    def build_check(self, build_queue: BuildCheck) -> BuildCheck:
        return build_queue

    @pytest.fixture
    def system(self, server: FaultyServer) -> FaultyServer:
        return server


async def test_a_queue_that_is_too_deep_is_critical(build_queue: Any) -> None:
    assert (await build_queue(deepest=6).run()).state == "critical"
    assert (await build_queue(deepest=7).run()).message.startswith("7 jobs wait, answered in ")


def test_its_keys_have_sentences(example: ModuleType) -> None:
    assert len(words_of(example.QueueConfig)[1]) == 5
