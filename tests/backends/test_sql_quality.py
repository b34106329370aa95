"""`sql` quality on real SQLite files: the contract, and what only tables can do to one."""

import asyncio
import gc
import sqlite3
import stat
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.models import FailedExpectation
from backends.quality.sql import SqlQuality
from backends.registry import AdapterContext, build
from backends.testing.quality import Evaluate, Evaluation, Lose, QualityContract, now

TABLE = """create table data_quality_log (id integer primary key, dataset text, suite text, score, passed integer,
    total integer, failures text, evaluated_at, run_id text, run_ref text)"""


def quality_in(directory: Path, **config: Any) -> SqlQuality:
    config = {"url": "sqlite:///warehouse.db", **config}
    adapter: SqlQuality = build("quality", "sql", config, AdapterContext("scores", directory, directory, Http()))
    return adapter


def insert(directory: Path, **row: Any) -> None:
    row = {"dataset": "customers", "score": 0.9, "evaluated_at": now().isoformat(), **row}
    with sqlite3.connect(directory / "warehouse.db") as connection:
        names, places = ", ".join(row), ", ".join("?" * len(row))
        connection.execute(f"insert into data_quality_log ({names}) values ({places})", tuple(row.values()))
    connection.close()


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    connection = sqlite3.connect(tmp_path / "warehouse.db")
    connection.execute("pragma journal_mode = wal")
    connection.execute(TABLE)
    connection.close()
    return tmp_path


@pytest.fixture
async def adapter(warehouse: Path) -> AsyncIterator[SqlQuality]:
    adapter = quality_in(warehouse)
    yield adapter
    await adapter.aclose()


@pytest.fixture
def evaluate(warehouse: Path) -> Evaluate:
    def write(evaluation: Evaluation) -> None:
        failures = [{"check": check, "detail": "3 of 10 rows"} for check in evaluation.failed_checks]
        score: Any = evaluation.score
        if score is not None and score != score:
            score = "NaN"  # SQLite keeps a NaN as null
        insert(
            warehouse,
            dataset=evaluation.dataset,
            score=score,
            evaluated_at=evaluation.at.isoformat(),
            failures=msgspec.json.encode(failures).decode(),
        )

    return write


@pytest.fixture
def lose(warehouse: Path) -> Lose:
    return (warehouse / "warehouse.db").unlink


class TestSqlQuality(QualityContract):
    pass


async def refusal(adapter: SqlQuality) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await adapter.scores()
    await adapter.aclose()
    assert caught.value.fix
    assert caught.value.message.isprintable()
    return caught.value


async def only(adapter: SqlQuality) -> Any:
    (found,) = await adapter.scores()
    await adapter.aclose()
    return found


async def test_all_columns_of_a_row(warehouse: Path, adapter: SqlQuality) -> None:
    failures = '[{"check": "email not null", "detail": "3 of 10 rows"}]'
    insert(warehouse, passed=5, total=7, failures=failures, run_ref="local/etl/r1")
    found = await only(adapter)
    assert (found.passed, found.total, found.run_ref) == (5, 7, "local/etl/r1")
    assert found.failures == (FailedExpectation("email not null", "3 of 10 rows"),)


@pytest.mark.parametrize(
    ("failures", "read", "reason"),
    [
        ("{not json", 0, "failures is not JSON"),
        ('{"check": "a"}', 0, "failures is not a list"),
        ("null", 0, None),
        ("", 0, None),
        (None, 0, None),
        ('["a", {"check": "b"}, 5, {"detail": "c"}]', 2, "2 of its failures are not {check, detail}"),
        (msgspec.json.encode([{"check": "c", "detail": "d"}] * 130).decode(), 100, "30 more failures"),
        ("[" * 100_000, 0, "failures is not JSON"),
    ],
)
async def test_failures_that_cannot_be_read_are_not_made_up(
    warehouse: Path, adapter: SqlQuality, failures: str | None, read: int, reason: str | None
) -> None:
    insert(warehouse, failures=failures)
    found = await only(adapter)
    assert (len(found.failures), found.reason, found.state) == (read, reason, "warning")


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (None, "no data"),
        ("NaN", "score is NaN"),
        ("-inf", "score is infinite"),
        ("good", "score is not a number: good"),
        (b"\x00\x01", "score is not a number"),
        (97.5, "score 97.5 is outside 0..1"),
    ],
)
async def test_the_reason_for_no_score(warehouse: Path, adapter: SqlQuality, written: Any, reason: str) -> None:
    insert(warehouse, score=written)
    found = await only(adapter)
    assert (found.state, found.reason) == ("unknown", reason)


async def test_text_that_is_no_utf8_costs_only_itself(warehouse: Path, adapter: SqlQuality) -> None:
    insert(warehouse, dataset="good")
    insert(warehouse, dataset="bad")
    with sqlite3.connect(warehouse / "warehouse.db") as connection:
        connection.execute("update data_quality_log set failures = cast(x'5bff5d' as text) where dataset = 'bad'")
    connection.close()
    bad, good = await adapter.scores()
    assert (good.state, good.reason) == ("warning", None)
    assert (bad.state, bad.reason) == ("warning", "failures is not JSON")


async def test_a_score_as_text_and_on_another_scale(warehouse: Path) -> None:
    insert(warehouse, score="97.5")
    found = await only(quality_in(warehouse, scale=100))
    assert (found.score, found.state) == (0.975, "ok")


@pytest.mark.parametrize(
    "form",
    [
        lambda at: at.isoformat(),
        lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        lambda at: at.strftime("%Y-%m-%d %H:%M:%S.%f"),
        lambda at: at.astimezone(tz=None).isoformat(),
        lambda at: (at + timedelta(hours=5, minutes=30)).strftime("%Y-%m-%d %H:%M:%S.%f+05:30"),
        lambda at: at.timestamp(),
        lambda at: int(at.timestamp() * 1000),
    ],
)
async def test_a_time_in_any_usual_form(warehouse: Path, adapter: SqlQuality, form: Any) -> None:
    at = datetime.now(UTC) - timedelta(seconds=90)
    insert(warehouse, evaluated_at=form(at))
    found = await only(adapter)
    assert abs(found.evaluated_at - at) < timedelta(milliseconds=2)
    assert found.state == "warning"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (None, "evaluated_at is empty"),
        ("yesterday", "evaluated_at is not a time: yesterday"),
        (1e300, "evaluated_at is not a time"),
        ("in two hours", "evaluated 2h in the future: is evaluated_at UTC?"),
    ],
)
async def test_a_time_that_is_none_makes_it_unknown(
    warehouse: Path, adapter: SqlQuality, written: Any, words: str
) -> None:
    if written == "in two hours":
        written = (now() + timedelta(hours=2, seconds=30)).isoformat()
    insert(warehouse, evaluated_at=written)
    found = await only(adapter)
    assert found.state == "unknown"
    assert found.reason.startswith(words)


async def test_rows_without_a_time_do_not_push_others_out(warehouse: Path) -> None:
    insert(warehouse, score=0.99)
    for _ in range(5):
        insert(warehouse, score=0.1, evaluated_at=None)
    assert (await only(quality_in(warehouse, history=3))).score == 0.99


@pytest.mark.parametrize(
    ("score", "fresh", "old"), [(0.99, "ok", "unknown"), (0.9, "warning", "warning"), (0.5, "critical", "critical")]
)
async def test_a_good_score_that_is_old_is_unknown_and_a_bad_one_stays_bad(
    warehouse: Path, score: float, fresh: str, old: str
) -> None:
    insert(warehouse, score=score, evaluated_at=(now() - timedelta(minutes=5)).isoformat())
    found = await only(quality_in(warehouse, cadence="10m"))
    assert (found.state, found.reason) == (fresh, None)
    found = await only(quality_in(warehouse, cadence="1m"))
    assert (found.state, found.reason) == (old, "older than twice its cadence of 1m")


async def test_runs_by_hand_in_a_row_are_no_schedule(warehouse: Path, adapter: SqlQuality) -> None:
    for age in (100, 101, 102, 103):
        insert(warehouse, evaluated_at=(now() - timedelta(seconds=age)).isoformat())
    assert (await only(adapter)).state == "warning"


async def test_a_query_instead_of_a_table(warehouse: Path) -> None:
    insert(warehouse, dataset="a%b:c")
    insert(warehouse, dataset="other")
    query = "select dataset as DATASET, score, evaluated_at from data_quality_log where dataset like 'a%:c'"
    assert (await only(quality_in(warehouse, query=query))).dataset == "a%b:c"


@pytest.mark.parametrize(
    ("config", "kind", "words"),
    [
        ({"table": "nope"}, "not_found", "no such table: nope"),
        ({"query": "select 1 as dataset"}, "not_found", "no column score, evaluated_at among dataset"),
        ({"query": "select nope from data_quality_log"}, "not_found", "no such column: nope"),
        ({"query": "selec 1"}, "config", "syntax error"),
        ({"query": "delete from data_quality_log"}, "config", "readonly"),
        ({"query": "attach '{directory}/other.db' as other"}, "config", "too many attached"),
        ({"query": "vacuum into '{directory}/other.db'"}, "config", "too many attached"),
        ({"url": "sqlite:///nope.db"}, "unreachable", "nope.db: no such file"),
        ({"url": "sqlite:///text.db"}, "malformed", "not a database"),
        ({"url": "sqlite:///."}, "unreachable", "a directory, not a file"),
        ({"url": "sqlite:////dev/null"}, "unreachable", "not a regular file"),
        ({"url": "sqlite://"}, "config", "without a file"),
        ({"url": "no url"}, "config", "not a database URL"),
        ({"url": "nosuchdb://host/db"}, "config", "nosuchdb"),
        ({"url": {"env": "TEAL_TEST_UNSET"}}, "config", "TEAL_TEST_UNSET is not set"),
    ],
)
async def test_what_cannot_be_read_says_why(warehouse: Path, config: dict[str, Any], kind: str, words: str) -> None:
    insert(warehouse)
    (warehouse / "text.db").write_text("this is no database\n" * 100)
    if "query" in config:
        config = {"query": config["query"].replace("{directory}", str(warehouse))}
    error = await refusal(quality_in(warehouse, **config))
    assert error.kind == kind
    assert words in error.message
    assert not (warehouse / "other.db").exists()
    assert (await only(quality_in(warehouse))).score == 0.9, "and nothing was written"


@pytest.mark.parametrize(
    ("url", "words", "fix"),
    [
        ("warehouse.db", "not a database URL", "write it like postgresql://USER@HOST/DATABASE or sqlite:///FILE"),
        ("redis://127.0.0.1/0", "no database is known by redis://", "write it like postgresql://USER@HOST/DATABASE"),
        ("postgres://m@127.0.0.1/x", "not a database URL", "write postgresql:// instead of postgres://"),
    ],
)
async def test_a_url_that_is_none_says_how_one_is_written_also_behind_a_reference(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch, url: str, words: str, fix: str
) -> None:
    """All of what a reference leads to is a secret: the hint was `write it like sqlite:///***`."""
    monkeypatch.setenv("WAREHOUSE_URL", url)
    error = await refusal(quality_in(warehouse, url={"env": "WAREHOUSE_URL"}))
    assert error.kind == "config"
    assert words in error.message
    assert error.fix.startswith(fix)


async def test_a_locked_database_is_waited_for_and_then_an_error(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "warehouse.db", isolation_level=None)
    connection.execute(TABLE)
    connection.execute("begin exclusive")
    began = time.monotonic()
    error = await refusal(quality_in(tmp_path, timeout="1s"))
    assert (error.kind, time.monotonic() - began < 3) == ("timeout", True)
    assert "locked" in error.message
    connection.close()


async def test_a_query_without_end_is_ended(warehouse: Path) -> None:
    query = "with recursive t(n) as (select 1 union all select n + 1 from t) select n from t where n < 0"
    others = set(threading.enumerate())  # of adapters that another test has left open
    adapter = quality_in(warehouse, query=query, timeout="200ms")
    for _ in range(6):  # more often than there are threads
        with pytest.raises(BackendError) as caught:
            await adapter.scores()
        assert caught.value.kind == "timeout"
    await adapter.aclose()
    for thread in set(threading.enumerate()) - others:
        if thread.name == "sql":
            thread.join(60)
            assert not thread.is_alive(), "a thread still runs the query"


async def test_who_is_gone_without_closing_leaves_no_thread(warehouse: Path) -> None:
    others = set(threading.enumerate())
    adapter = quality_in(warehouse)
    await asyncio.gather(*(adapter.scores() for _ in range(4)))
    threads = [thread for thread in set(threading.enumerate()) - others if thread.name == "sql"]
    assert threads
    del adapter
    deadline = time.monotonic() + 10
    while any(thread.is_alive() for thread in threads):
        assert time.monotonic() < deadline
        gc.collect()
        await asyncio.sleep(0.01)


async def test_too_many_rows_are_an_error_and_not_a_part_of_the_truth(warehouse: Path) -> None:
    query = (
        "with recursive t(n) as (select 1 union all select n + 1 from t where n < 30000)"
        " select n as dataset, 1 as score, 0 as evaluated_at from t"
    )
    assert (await refusal(quality_in(warehouse, query=query))).message.endswith("more than 20000 rows")


async def test_a_replaced_file_is_seen(warehouse: Path, adapter: SqlQuality) -> None:
    insert(warehouse, dataset="before")
    await adapter.scores()
    for file in warehouse.glob("warehouse.db*"):
        file.unlink()
    with sqlite3.connect(warehouse / "warehouse.db") as connection:
        connection.execute(TABLE)
    connection.close()
    insert(warehouse, dataset="after")
    assert (await only(adapter)).dataset == "after"


async def test_a_file_that_nobody_may_write_is_read(warehouse: Path) -> None:
    insert(warehouse)
    with sqlite3.connect(warehouse / "warehouse.db") as connection:
        connection.execute("pragma journal_mode = delete")
    connection.close()
    (warehouse / "warehouse.db").chmod(stat.S_IRUSR)
    assert (await only(quality_in(warehouse))).score == 0.9


async def test_a_path_with_signs_that_mean_something_in_a_url(tmp_path: Path) -> None:
    directory = tmp_path / "a b#c?d%20e"
    directory.mkdir()
    with sqlite3.connect(directory / "warehouse.db") as connection:
        connection.execute(TABLE)
    connection.close()
    insert(directory)
    assert (await only(quality_in(directory))).score == 0.9


async def test_the_url_may_be_a_reference(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(warehouse)
    monkeypatch.setenv("TEAL_TEST_URL", "sqlite:///warehouse.db")
    assert (await only(quality_in(warehouse, url={"env": "TEAL_TEST_URL"}))).score == 0.9


async def test_names_that_are_missing_or_the_same_when_clean(warehouse: Path, adapter: SqlQuality) -> None:
    for dataset, age in ((None, 0), ("", 1), ("a\x1b[1mb", 1), ("ab", 0)):
        insert(warehouse, dataset=dataset, evaluated_at=(now() - timedelta(minutes=age)).isoformat())
    found = await adapter.scores()
    assert [(score.dataset, len(score.trend)) for score in found] == [("(no name)", 2), ("ab", 2)]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"url": "postgresql://u:p@h/db"}, "a password inside a URL"),
        ({"table": "a", "query": "select 1"}, "one of them"),
        ({"table": 'x"; drop table y; --'}, "SCHEMA.NAME"),
        ({"table": ""}, "SCHEMA.NAME"),
        ({"query": " "}, "empty"),
        ({"crit": 0.96}, "crit is not above warn"),
        ({"warn": 95, "crit": 80, "scale": 100}, "also with a `scale`"),
        ({"scale": 0}, "scale"),
        ({"history": 0}, "history"),
        ({"timeout": "0s"}, "timeout"),
        ({"cadence": "0s"}, "cadence"),
        ({"tabel": "x"}, "unknown field `tabel`"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words) as caught:
        quality_in(tmp_path, **config)
    assert caught.value.kind == "config"


@pytest.mark.parametrize("column", ["suite", "check_type"])
async def test_evaluations_of_several_kinds_have_a_trend_each(warehouse: Path, column: str) -> None:
    if column == "check_type":
        with sqlite3.connect(warehouse / "warehouse.db") as connection:
            connection.execute("alter table data_quality_log add column check_type text")
            connection.execute("alter table data_quality_log drop column suite")
    for minutes in range(10):
        at = (now() - timedelta(minutes=minutes)).isoformat()
        insert(warehouse, **{column: "nulls", "score": 0.97, "evaluated_at": at})
        insert(warehouse, dataset="one", **{column: "nulls", "score": 0.99, "evaluated_at": at})
    insert(warehouse, **{column: "ranges", "score": 0.62, "evaluated_at": (now() - timedelta(hours=1)).isoformat()})
    for config in ({"history": 5}, {"query": "select * from data_quality_log"}):
        adapter = quality_in(warehouse, **config)
        nulls, ranges, one = await adapter.scores()
        await adapter.aclose()
        assert [score.ref for score in (nulls, ranges, one)] == [
            "scores/customers/nulls", "scores/customers/ranges", "scores/one",
        ]  # fmt: skip
        assert ({point.score for point in nulls.trend}, {point.score for point in ranges.trend}) == ({0.97}, {0.62})
        assert (nulls.suite, ranges.suite, one.suite) == ("nulls", "ranges", "")
