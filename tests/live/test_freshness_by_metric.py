"""The `freshness` check by a metric, on a real Prometheus."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.checks.freshness import FreshnessCheck
from backends.errors import BackendError
from backends.http import Http
from backends.registry import AdapterContext, build
from backends.testing.checks import consistent
from tests.live.process import accepts, free_port, started
from tests.live.require import program

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("freshness")]

LATE = 'label_replace(vector(time() - 5400), "feed", "orders", "", "")'
FRESH = 'label_replace(vector(time() - 60), "feed", "clicks", "", "")'


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("prometheus")
    config = directory / "prometheus.yml"
    config.write_text("scrape_configs: []\n")
    port = free_port()
    command = [program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    with started(command, directory / "log", lambda: accepts(port)):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def build_freshness(prometheus: str, tmp_path: Path) -> AsyncIterator[Callable[..., FreshnessCheck]]:
    http = Http()
    sources: dict[str, Any] = {}

    def factory(query: str, url: str = prometheus) -> FreshnessCheck:
        sources["prom"] = build("metrics", "prometheus", {"url": url}, AdapterContext("prom", tmp_path, tmp_path, http))
        context = AdapterContext("mine", tmp_path, tmp_path, http, metrics=sources.__getitem__)
        check: FreshnessCheck = build("checks", "freshness", {"metrics": "prom", "query": query}, context)
        return check

    yield factory
    for source in sources.values():
        await source.aclose()
    await http.aclose()


@pytest.mark.parametrize(
    ("query", "state", "words", "series"),
    [
        (FRESH, "ok", "feed=clicks is 1m", 1),
        (f"{FRESH} or {LATE}", "warning", "feed=orders is 1h30m", 2),
        ("vector(time() - 86400)", "critical", "the newest is 1d", 1),
        ("vector(time() + 86400)", "unknown", "the newest is ", 1),
    ],
)
async def test_the_oldest_of_all_decides(
    build_freshness: Callable[..., FreshnessCheck], query: str, state: str, words: str, series: int
) -> None:
    result = await build_freshness(query).run()
    consistent(result)
    assert (result.state, result.message.startswith(words)) == (state, True), result.message
    assert [(datum.label, datum.value) for datum in result.perfdata][1:] == [("series", series)]


@pytest.mark.parametrize(
    ("query", "kind", "words"),
    [
        ("feed_that_nobody_exports", "not_found", "the query finds nothing"),
        ("vector(0/0)", "not_found", "a value that is no time"),
        ("max by (", "config", "parse error"),
    ],
)
async def test_what_says_nothing_of_the_data_is_an_error(
    build_freshness: Callable[..., FreshnessCheck], query: str, kind: str, words: str
) -> None:
    with pytest.raises(BackendError, match=words) as caught:
        await build_freshness(query).run()
    assert caught.value.kind == kind


async def test_a_source_that_is_gone_is_an_error(build_freshness: Callable[..., FreshnessCheck]) -> None:
    with pytest.raises(BackendError, match="connection refused"):
        await build_freshness(FRESH, url=f"http://127.0.0.1:{free_port()}").run()
