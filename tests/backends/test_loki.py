"""Loki: the contract, the faults, and what only Loki does: nanoseconds with many lines, pages, late lines."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.logs.lines import nanoseconds
from backends.logs.loki.logs import MOST_PER_PAGE, PAGE, LokiConfig, LokiLogs
from backends.logs.merging import is_gap
from backends.ports import LogQuery
from backends.registry import AdapterContext, build
from backends.testing.logs import PATIENCE_S, T0, LogsContract, Write, take
from tests.backends.fake_loki import FakeLoki
from tests.backends.faulty_server import FaultyServer
from tests.backends.log_faults import LogFaults, secret_file

T0_NS = nanoseconds(T0)


@pytest.fixture
async def loki() -> FakeLoki:
    return FakeLoki()


@pytest.fixture
async def server(loki: FakeLoki) -> AsyncIterator[FaultyServer]:
    async with FaultyServer(answer=loki.answer) as server:
        yield server


def logs_at(server: FaultyServer, directory: Path, http: Http, **config: Any) -> LokiLogs:
    adapter: LokiLogs = build(
        "logs",
        "loki",
        {"url": server.url, "query": '{app="analytics"}', "poll": "20ms", "lookback": "3650d", **config},
        AdapterContext("loki", directory, directory, http),
    )
    return adapter


@pytest.fixture
async def adapter(server: FaultyServer, tmp_path: Path, http: Http) -> LokiLogs:
    return logs_at(server, tmp_path, http)


class TestContract(LogsContract):
    @pytest.fixture
    def write(self, loki: FakeLoki) -> Write:
        def write(rows: list[Any]) -> None:
            for row in rows:
                loki.put(nanoseconds(row.at), f"{row.level} {row.message}")

        return write


class TestFaults(LogFaults):
    @pytest.fixture
    async def impatient(self, server: FaultyServer, tmp_path: Path, http: Http) -> LokiLogs:
        auth = {"username": "oncall", "password": secret_file(tmp_path)}
        return logs_at(server, tmp_path, http, timeout="2s", auth=auth, tenant="team-a")


@pytest.mark.parametrize("same", [PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
async def test_pages_lose_and_double_nothing_at_equal_nanoseconds(adapter: LokiLogs, loki: FakeLoki, same: int) -> None:
    for n in range(same):
        loki.put(T0_NS, f"same {n:05}", app="ab"[n % 2])
    for n in range(1500):
        loki.put(T0_NS + 1 + n // 2, f"later {n:05}")
    found = [entry.message for entry in await adapter.query(LogQuery(since=T0, limit=10_000))]
    assert len(found) == len(set(found)) == same + 1500
    assert found[-1].startswith("later 0149")


async def test_more_lines_in_a_nanosecond_than_a_page_may_hold_are_said_to_be_missing(
    adapter: LokiLogs, loki: FakeLoki
) -> None:
    for n in range(MOST_PER_PAGE + 10):
        loki.put(T0_NS + 1, f"same {n}")
    loki.put(T0_NS, "before")
    found = await adapter.query(LogQuery(since=T0, limit=10_000))
    assert sum(is_gap(entry) for entry in found) == 1
    assert found[0].message == "before"


async def test_follow_over_the_same_nanosecond_and_for_late_lines(adapter: LokiLogs, loki: FakeLoki) -> None:
    now = time.time_ns()
    loki.put(now, "first")
    stream = adapter.follow(LogQuery())
    (first,) = await take(stream, 1, PATIENCE_S)
    loki.put(now, "same nanosecond")
    loki.put(now + 5, "later")
    got = [entry.message for entry in await take(stream, 2, PATIENCE_S)]
    loki.put(now - 2_000_000_000, "written two seconds late")
    got += [entry.message for entry in await take(stream, 1, PATIENCE_S)]
    assert (first.message, got) == ("first", ["same nanosecond", "later", "written two seconds late"])
    asking = len(loki.queries)
    waiting = asyncio.ensure_future(take(stream, 1, PATIENCE_S))
    while len(loki.queries) < asking + 3:
        await asyncio.sleep(0.01)
    assert not waiting.done()  # nothing comes twice
    loki.put(now + 6, "last")
    assert [entry.message for entry in await waiting] == ["last"]


async def test_a_burst_between_two_questions_is_read_page_by_page(adapter: LokiLogs, loki: FakeLoki) -> None:
    loki.put(time.time_ns(), "first")
    stream = adapter.follow(LogQuery())
    await take(stream, 1, PATIENCE_S)
    now = time.time_ns()
    for n in range(4000):
        loki.put(now + n // 3000, f"burst {n:04}")
    got = {entry.message for entry in await take(stream, 4000, PATIENCE_S)}
    assert got == {f"burst {n:04}" for n in range(4000)}


async def test_loki_leaves_out_only_what_cannot_match(adapter: LokiLogs, loki: FakeLoki) -> None:
    for n, text in enumerate(('say "hi" 1.5', "say hi 1x5", "Über 1", "a|b")):
        loki.put(T0_NS + n, text)
    for grep, count in (('"hi" 1\\.5', 1), ("hi. 1.5", 1), ("1.5", 2), (r"\bÜber\b", 1), ("(?i)über", 1), (r"a\|b", 1)):
        found = await adapter.query(LogQuery(since=T0, grep=grep))
        assert len(found) == count, grep
    sent = [asked["query"] for asked in loki.queries]
    assert '{app="analytics"} |~ "(?:1.5)|\\\\x1b|\\\\\\\\u"' in sent
    assert not any("\\b" in query for query in sent)


async def test_level_and_source_come_from_labels_where_the_line_has_none(adapter: LokiLogs, loki: FakeLoki) -> None:
    loki.put(T0_NS, "plain", service="api", level="warn")
    loki.put(T0_NS + 1, "plain", more={"detected_level": "error"}, container="web")
    loki.put(T0_NS + 2, '{"level":"info","msg":"said","user":"u1"}', other="x", level="error")
    one, two, three = await adapter.query(LogQuery(since=T0))
    assert (one.source, one.level) == ("api", "warning")
    assert (two.source, two.level) == ("web", "error")
    assert (three.source, three.level, three.message) == ("loki", "info", "said")
    assert three.at_ns == str(T0_NS + 2)
    assert three.labels == {"other": "x", "level": "error", "user": "u1"}


@pytest.mark.parametrize(
    ("labels", "level"),
    [
        ({"level": "50"}, "error"),
        ({"severity_number": "17"}, "error"),
        ({"severity": "ERROR+1"}, "error"),
        ({"level": "W"}, "warning"),
    ],
)
async def test_a_label_may_have_its_level_as_a_number(
    adapter: LokiLogs, loki: FakeLoki, labels: dict[str, str], level: str
) -> None:
    loki.put(T0_NS, "plain", **labels)
    (entry,) = await adapter.query(LogQuery(since=T0))
    assert entry.level == level


async def test_what_was_sent_names_the_tenant(server: FaultyServer, tmp_path: Path, http: Http) -> None:
    await logs_at(server, tmp_path, http, tenant="team-a").query(LogQuery(since=T0))
    assert server.requests[-1].headers["x-scope-orgid"] == "team-a"


async def test_lokis_own_words_are_handed_on(server: FaultyServer, tmp_path: Path, http: Http) -> None:
    with pytest.raises(BackendError) as caught:
        await logs_at(server, tmp_path, http, query="{app=}x").query(LogQuery(since=T0))
    assert "parse error at line 1" in caught.value.message


async def test_a_metric_query_is_no_log(server: FaultyServer, tmp_path: Path, http: Http) -> None:
    server.answer = lambda _: (200, {"status": "success", "data": {"resultType": "matrix", "result": []}})
    with pytest.raises(BackendError) as caught:
        await logs_at(server, tmp_path, http).query(LogQuery(since=T0))
    assert caught.value.kind == "config"


async def test_a_search_that_was_cut_short_says_so(adapter: LokiLogs, loki: FakeLoki, monkeypatch: Any) -> None:
    monkeypatch.setattr("backends.logs.loki.logs.MAX_PAGES", 2)
    for n in range(3 * PAGE):
        loki.put(T0_NS + n, f"INFO line {n}")
    gap, *rest = await adapter.query(LogQuery(since=T0, grep=r"(?i)\bLINE 29.9"))
    assert is_gap(gap)
    assert "newest 2,000 lines" in gap.message
    assert len(rest) == 10


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"query": "rate(x)"}, "selector"),
        ({"url": "loki:3100"}, "http://"),
        ({"url": "http://u:p@loki"}, "password"),
        ({"headers": {"Authorization": "Bearer x"}}, "literal secret"),
    ],
)
def test_config_says_what_is_wrong(config: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        LokiConfig(**{"url": "http://loki:3100", "query": "{}", **config})


@pytest.mark.parametrize("query", [LogQuery(limit=800), LogQuery(limit=300, grep="line"), LogQuery(limit=2000)])
async def test_a_smaller_limit_of_the_server_is_learned(adapter: LokiLogs, loki: FakeLoki, query: LogQuery) -> None:
    loki.max_entries = 120
    now = time.time_ns()
    for n in range(1000):
        loki.put(now - n * 1_000_000, f"line {n}")
    found = [entry.message for entry in await adapter.query(query)]
    assert found == [f"line {n}" for n in reversed(range(min(1000, query.limit)))]
    asked = len(loki.queries)
    await adapter.query(query)
    assert {int(query["limit"]) for query in loki.queries[asked:]} == {120}


async def test_a_query_that_loki_refuses_is_a_matter_of_the_config(
    server: FaultyServer, tmp_path: Path, http: Http
) -> None:
    with pytest.raises(BackendError, match="parse error at line 1") as caught:
        await logs_at(server, tmp_path, http, query="{nonsense").query(LogQuery())
    assert (caught.value.kind, caught.value.status) == ("config", 400)
    assert caught.value.fix == "correct `query` of logs loki"


@pytest.mark.parametrize(
    "said",
    [
        "the query time range exceeds the limit (query length: 1440h0m0s, limit: 30d1h)",
        "the query would read too many bytes (query: 9TB, limit: 1TB); consider adding more specific stream selectors",
    ],
)
async def test_a_limit_of_loki_is_named_as_one(server: FaultyServer, tmp_path: Path, http: Http, said: str) -> None:
    server.answer, server.extra_headers = lambda request: (400, said), {"content-type": "text/plain"}
    with pytest.raises(BackendError, match="limit: ") as caught:
        await logs_at(server, tmp_path, http).query(LogQuery())
    assert (caught.value.kind, caught.value.fix.startswith("ask for less time")) == ("config", True)


async def test_a_refusal_of_something_else_is_no_matter_of_the_config(
    server: FaultyServer, tmp_path: Path, http: Http
) -> None:
    server.answer = lambda request: (400, {"detail": "no"})
    with pytest.raises(BackendError) as caught:
        await logs_at(server, tmp_path, http).query(LogQuery())
    assert caught.value.kind == "malformed"


async def test_a_stack_trace_stays_with_its_error(adapter: LokiLogs, loki: FakeLoki) -> None:
    """Also across pages, newest first."""
    trace = [
        "ERROR failed",
        "Traceback (most recent call last):",
        *(f"  frame {n}" for n in range(PAGE)),
        "KeyError: 'x'",
    ]
    for n, text in enumerate(["INFO fine", "  indeed", *trace, "INFO fine again", "  indeed"]):
        loki.put(T0_NS + n, text)
    found = await adapter.query(LogQuery(since=T0, level="error", limit=5000))
    assert [entry.message for entry in found] == ["failed", *trace[1:]]


async def test_a_colored_line_is_found_as_it_is_shown(adapter: LokiLogs, loki: FakeLoki) -> None:
    loki.put(T0_NS, "\x1b[31mERROR\x1b[0m plain")
    loki.put(T0_NS + 1, '{"level":"info","msg":"gr\\u00f6\\u00dfe"}')
    assert len(await adapter.query(LogQuery(since=T0, grep="ERROR plain", level="error"))) == 1
    assert len(await adapter.query(LogQuery(since=T0, grep="größe"))) == 1


async def test_warnings_and_one_odd_line_are_said_beside_the_lines(
    adapter: LokiLogs, server: FaultyServer, loki: FakeLoki
) -> None:
    def answer(request: Any) -> tuple[int, Any]:
        status, body = loki.answer(request)
        body["warnings"] = ["maximum of series reached: partial"]
        body["data"]["result"].append({"stream": {"app": "analytics"}, "values": [["later", 7], None]})
        body["data"]["result"].append({"stream": None, "values": None})
        return status, body

    loki.put(nanoseconds(T0), "fine")
    server.answer = answer
    found = await adapter.query(LogQuery())
    assert [entry.message for entry in found if not is_gap(entry)] == ["fine"]
    words = " ".join(entry.message for entry in found if is_gap(entry))
    assert "Loki warns: maximum of series reached: partial" in words
    assert "later" in words
