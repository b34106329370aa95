"""Elasticsearch and OpenSearch: the contract and the faults in both dialects, pages, partial answers, fields."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.logs.elasticsearch.logs import PAGE, ElasticsearchLogs, SearchConfig
from backends.logs.merging import is_gap
from backends.ports import LogQuery, Logs
from backends.registry import AdapterContext, build
from backends.testing.logs import PATIENCE_S, T0, LogsContract, Write, take
from tests.backends.fake_elasticsearch import FakeSearch
from tests.backends.faulty_server import FaultyServer
from tests.backends.log_faults import LogFaults, secret_file

DIALECTS = ("elasticsearch", "opensearch")


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def cluster(dialect: str) -> FakeSearch:
    return FakeSearch(dialect)


@pytest.fixture
async def server(cluster: FakeSearch) -> AsyncIterator[FaultyServer]:
    async with FaultyServer(answer=cluster.answer) as server:
        yield server


def logs_at(dialect: str, server: FaultyServer, directory: Path, http: Http, **config: Any) -> ElasticsearchLogs:
    settings = {"url": server.url, "index": "logs-*", "poll": "20ms", **config}
    adapter: ElasticsearchLogs = build("logs", dialect, settings, AdapterContext("es", directory, directory, http))
    return adapter


@pytest.fixture
async def adapter(dialect: str, server: FaultyServer, tmp_path: Path, http: Http) -> Logs:
    return logs_at(dialect, server, tmp_path, http)


class TestContract(LogsContract):
    @pytest.fixture
    def write(self, cluster: FakeSearch) -> Write:
        def write(rows: list[Any]) -> None:
            for row in rows:
                cluster.put(row.at, row.message, log={"level": row.level.lower()})

        return write


class TestFaults(LogFaults):
    @pytest.fixture
    async def impatient(self, dialect: str, server: FaultyServer, tmp_path: Path, http: Http) -> Logs:
        auth = {"username": "oncall", "password": secret_file(tmp_path)}
        return logs_at(dialect, server, tmp_path, http, timeout="2s", auth=auth)


async def test_pages_lose_and_double_nothing_at_one_time(adapter: Logs, cluster: FakeSearch) -> None:
    for n in range(2 * PAGE + 5):
        cluster.put(T0, f"same {n}")
    found = [entry.message for entry in await adapter.query(LogQuery(limit=10_000))]
    assert found == [f"same {n}" for n in range(2 * PAGE + 5)]
    assert cluster.closed == 1
    assert cluster.points == {}


async def test_nanoseconds_are_kept(adapter: Logs, cluster: FakeSearch) -> None:
    cluster.put("2026-03-01T12:00:00.123456789Z", "exact")
    (entry,) = await adapter.query(LogQuery())
    assert entry.at_ns == "1772366400123456789"


async def test_follow_sees_late_documents_once(adapter: Logs, cluster: FakeSearch) -> None:
    now = datetime.now(UTC)
    cluster.put(now, "first")
    stream = adapter.follow(LogQuery())
    await take(stream, 1, PATIENCE_S)
    cluster.put(now, "same time")
    cluster.put(now - timedelta(seconds=2), "indexed two seconds late")
    got = {entry.message for entry in await take(stream, 2, PATIENCE_S)}
    assert got == {"same time", "indexed two seconds late"}
    waiting = asyncio.ensure_future(take(stream, 1, PATIENCE_S))
    asked = len(cluster.searches)
    while len(cluster.searches) < asked + 3:
        await asyncio.sleep(0.01)
    assert not waiting.done()
    cluster.put(now + timedelta(seconds=1), "last")
    assert [entry.message for entry in await waiting] == ["last"]


async def test_shards_that_fail_and_a_search_that_is_cut_are_said(adapter: Logs, cluster: FakeSearch) -> None:
    cluster.put(T0, "fine")
    cluster.failed_shards, cluster.timed_out = 2, True
    found = await adapter.query(LogQuery())
    assert [entry.message for entry in found if not is_gap(entry)] == ["fine"]
    words = " ".join(entry.message for entry in found if is_gap(entry))
    assert "2 of 5 shards did not answer" in words
    assert "ran out of time" in words


async def test_shards_that_do_not_answer_are_said_once_while_following(adapter: Logs, cluster: FakeSearch) -> None:
    cluster.put(datetime.now(UTC), "old")
    stream = adapter.follow(LogQuery(limit=0))
    waiting = asyncio.ensure_future(take(stream, 2, PATIENCE_S))
    asked = len(cluster.searches)
    while len(cluster.searches) < asked + 4:
        await asyncio.sleep(0.01)
    cluster.failed_shards = 1
    while len(cluster.searches) < asked + 8:
        await asyncio.sleep(0.01)
    cluster.put(datetime.now(UTC), "new")
    said, line = await waiting
    assert (is_gap(said), line.message) == (True, "new")


async def test_a_search_that_was_cut_short_says_so(adapter: Logs, cluster: FakeSearch, monkeypatch: Any) -> None:
    monkeypatch.setattr("backends.logs.elasticsearch.logs.MAX_PAGES", 2)
    for n in range(2 * PAGE + 10):
        cluster.put(T0 + timedelta(milliseconds=n), f"line {n}")
    gap, *rest = await adapter.query(LogQuery(grep="line 20.5"))
    assert is_gap(gap)
    assert "2,000 documents" in gap.message
    assert len(rest) == 1


async def test_fields_are_found_nested_dotted_and_as_lists(
    dialect: str, server: FaultyServer, cluster: FakeSearch, tmp_path: Path, http: Http
) -> None:
    fields = {"message": "event.original", "level": "severity", "source": "host.name", "labels": ["trace.id", "n"]}
    adapter = logs_at(dialect, server, tmp_path, http, fields=fields, filter={"term": {"team": "a"}})
    cluster.put(T0, "x", event={"original": "nested"}, severity="ERR", **{"host.name": ["web-1"]}, team="a", n=7)
    cluster.put(T0, "x", event={"original": "other team"}, team="b")
    (entry,) = await adapter.query(LogQuery())
    assert (entry.message, entry.level, entry.source, entry.labels) == ("nested", "error", "web-1", {"n": "7"})


async def test_a_missing_index_is_named(dialect: str, server: FaultyServer, tmp_path: Path, http: Http) -> None:
    with pytest.raises(BackendError) as caught:
        await logs_at(dialect, server, tmp_path, http, index="missing").query(LogQuery())
    assert caught.value.kind == "not_found"
    assert "no such index [missing]" in caught.value.message


async def test_the_other_dialect_is_an_error_that_says_so(
    dialect: str, server: FaultyServer, tmp_path: Path, http: Http
) -> None:
    other = next(name for name in DIALECTS if name != dialect)
    with pytest.raises(BackendError) as caught:
        await logs_at(other, server, tmp_path, http).query(LogQuery())
    assert caught.value.kind == "malformed"
    assert "no handler found" in caught.value.message


async def test_one_odd_document_does_not_take_the_others(adapter: Logs, cluster: FakeSearch) -> None:
    cluster.put(T0, "fine")
    cluster.put("03/01/2026 12:00", "custom format")
    cluster.indexed["03/01/2026 12:00"] = "2026-03-01T12:00:01.000Z"
    cluster.put("2026-03-01 12:00:02", "naive")
    cluster.indexed["2026-03-01 12:00:02"] = "2026-03-01T12:00:02.000Z"
    cluster.documents.append({"_index": "logs-1", "_id": "none", "_source": {"message": "no time"}, "number": 9})
    cluster.documents.append({"_index": "logs-1", "_id": "null", "_source": {"@timestamp": None}, "number": 10})
    found = await adapter.query(LogQuery())
    assert {entry.message: entry.at for entry in found} == {
        "fine": T0,
        "custom format": T0 + timedelta(seconds=1),
        "naive": T0 + timedelta(seconds=2),
        "no time": None,
        "": None,
    }
    assert [entry.message for entry in found][-3:] == ["fine", "custom format", "naive"]


@pytest.mark.parametrize(
    ("level", "field", "mapped"),
    [
        (50, "log.level", "error"), ("50", "level", "error"), (3, "severity", "error"), ("W", "level", "warning"),
        ("ERROR+2", "level", "error"), (17, "SeverityNumber", "error"), ({"name": "Error"}, "level", "error"),
        ("", "level", "unknown"), ([], "level", "unknown"),
    ],
)  # fmt: skip
async def test_a_level_is_whatever_a_line_may_have_for_one(
    dialect: str,
    server: FaultyServer,
    cluster: FakeSearch,
    tmp_path: Path,
    http: Http,
    level: Any,
    field: str,
    mapped: str,
) -> None:
    cluster.put(T0, "plain", **{field: level})
    (entry,) = await logs_at(dialect, server, tmp_path, http, fields={"level": field}).query(LogQuery())
    assert entry.level == mapped


async def test_a_document_without_a_message_shows_what_it_has(adapter: Logs, cluster: FakeSearch) -> None:
    source = {"@timestamp": T0.isoformat(), "log": {"level": "error"}, "event": {"original": "boom"}}
    cluster.documents.append({"_index": "logs-1", "_id": "x", "_source": source, "number": 1})
    (entry,) = await adapter.query(LogQuery(grep="boom"))
    assert ("boom" in entry.message, entry.level) == (True, "error")


async def test_clusters_that_did_not_answer_are_said(adapter: Logs, server: FaultyServer, cluster: FakeSearch) -> None:
    """Across clusters: one that is skipped has no shard that failed."""

    def answer(request: Any) -> tuple[int, Any]:
        status, body = cluster.answer(request)
        if "hits" in body:
            body["_clusters"] = {"total": 3, "successful": 1, "skipped": 1, "partial": 1}
            body["hits"]["hits"].append({"_index": "logs-2", "_id": "odd", "_source": "no object", "sort": [1, 2]})
        return status, body

    cluster.put(T0, "fine")
    server.answer = answer
    found = await adapter.query(LogQuery())
    assert "fine" in [entry.message for entry in found]
    assert any("2 of 3 clusters did not answer" in entry.message for entry in found if is_gap(entry))


async def test_a_null_source_is_an_empty_one(adapter: Logs, server: FaultyServer, cluster: FakeSearch) -> None:
    def answer(request: Any) -> tuple[int, Any]:
        status, body = cluster.answer(request)
        for hit in body.get("hits", {}).get("hits", []):
            hit["_source"] = hit["fields"] = None
        return status, body

    cluster.put(T0, "x")
    server.answer = answer
    (entry,) = await adapter.query(LogQuery())
    assert (entry.at, entry.message) == (T0, "")


@pytest.mark.parametrize("same", [3 * PAGE, 30])
async def test_an_older_version_without_a_tie_breaker_is_read(adapter: Logs, cluster: FakeSearch, same: int) -> None:
    cluster.has_ties = False
    for n in range(3 * PAGE + 7):
        cluster.put(T0 + timedelta(seconds=n // same), f"line {n}")
    expected = [f"line {n}" for n in range(3 * PAGE + 7)]
    found = await adapter.query(LogQuery(limit=10_000))
    assert sorted(entry.message for entry in found) == sorted(expected)
    assert [entry.at for entry in found] == sorted(entry.at for entry in found if entry.at)
    first = await adapter.query(LogQuery(since=T0, limit=PAGE + 1, first=True))
    assert len({entry.message for entry in first}) == PAGE + 1
    assert [len(search["sort"]) for search in cluster.searches].count(2) == 1


@pytest.mark.parametrize(("config", "word"), [({"index": " "}, "index"), ({"url": "es:9200"}, "http://")])
def test_config_says_what_is_wrong(config: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        SearchConfig(**{"url": "http://es:9200", "index": "x", **config})


async def test_a_search_that_is_refused_says_why_and_what_to_correct(
    dialect: str, server: FaultyServer, cluster: FakeSearch, tmp_path: Path, http: Http
) -> None:
    cause = {"type": "query_shard_exception", "reason": "No mapping found for [nonsense] in order to sort on"}
    whole = {"type": "search_phase_execution_exception", "reason": "all shards failed", "root_cause": [cause]}
    opens = cluster.answer

    def answer(request: Any) -> tuple[int, Any]:
        return (400, {"error": whole}) if request.target == "/_search" else opens(request)

    server.answer = answer
    with pytest.raises(BackendError, match=r"query_shard_exception: No mapping found for \[nonsense\]") as caught:
        await logs_at(dialect, server, tmp_path, http).query(LogQuery())
    assert (caught.value.kind, "`filter`" in caught.value.fix) == ("config", True)
