"""The two DAGs as commands: rows really move, scores are really measured."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from console.sandbox import files, settings, suites, warehouse
from console.sandbox.rules import RULES
from tests.console.sandbox_tools import prepare

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ORDER = list(TopologicalSorter(settings.DAGS[settings.PRODUCTION]).static_order())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    prepare(tmp_path)

    def task(name: str, run_id: str = "r1", rows: str = "300") -> "subprocess.CompletedProcess[str]":
        env = {**os.environ, **files.import_path(), "SANDBOX_DIR": str(tmp_path), "TEAL_RUN_ID": run_id,
               "TEAL_PIPELINE": settings.PRODUCTION, "TEAL_PARAM_ROWS": rows}  # fmt: skip
        command = [sys.executable, "-P", "-m", "console.sandbox.tasks", name]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)

    return task


def read(directory: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(directory / files.WAREHOUSE)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def alerts(directory: Path) -> set[str]:
    return {rule["name"] for rule in RULES if read(directory, rule["query"])}


def test_rows_move_from_sources_to_marts(tmp_path: Path, run: Run) -> None:
    for name in ORDER:
        done = run(name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert " INFO " in done.stdout
    assert read(tmp_path, "SELECT count(*) FROM raw_transactions") == [(300,)]
    (staged,) = read(tmp_path, "SELECT count(*) FROM stg_transactions")[0]
    assert 290 <= staged <= 300
    assert read(tmp_path, "SELECT sum(orders) FROM mart_transactions") == [(staged,)]
    assert read(tmp_path, "SELECT sum(units) FROM mart_products") == [(staged,)]
    assert read(tmp_path, "SELECT count(*) FROM mart_customers") == [(200,)]
    exported = (tmp_path / "exports" / "revenue_by_category.csv").read_text().splitlines()
    assert sum(int(line.split(",")[1]) for line in exported[1:]) == staged
    scores: dict[str, float] = dict(read(tmp_path, "SELECT dataset, score FROM latest_quality"))
    assert set(scores) == {"customers", "transactions", "products", "events"}
    assert min(scores.values()) >= 0.98
    assert alerts(tmp_path) == set()
    refs = {ref for (ref,) in read(tmp_path, "SELECT run_ref FROM data_quality_log")}
    assert refs == {f"local/{settings.PRODUCTION}/r1"}


def test_a_task_that_runs_again_replaces_its_rows(tmp_path: Path, run: Run) -> None:
    run("wait_for_source_files")
    for _ in range(2):
        assert run("ingest_transactions").returncode == 0
    assert read(tmp_path, "SELECT count(*), count(DISTINCT transaction_id) FROM raw_transactions") == [(300, 300)]


def test_bad_data_is_a_green_task_a_low_score_and_an_alert(tmp_path: Path, run: Run) -> None:
    files.write_json(tmp_path / files.FAULTS, {"generation": 1, "faults": {"bad-data": {}}})
    for name in ("wait_for_source_files", "ingest_transactions"):
        run(name)
    done = run("validate_transactions_data")
    assert done.returncode == 0
    assert "ERROR transactions_suite: score 0.700" in done.stdout
    query = "SELECT score, passed, total, failures FROM latest_quality WHERE dataset = 'transactions'"
    ((score, passed, total, failures),) = read(tmp_path, query)
    assert score == 0.7
    assert (passed, total) == (4, 7)
    found = {failure["check"]: failure["detail"] for failure in json.loads(str(failures))}
    assert set(found) == {
        "customer_id must not be null",
        "transaction_amount must be between 0.01 and 100000",
        "currency must be one of EUR, USD, GBP, JPY",
    }
    assert sum(int(detail.split()[0]) for detail in found.values()) == 90
    assert alerts(tmp_path) == {"DataQualityDegradation"}


def test_a_broken_suite_fails_the_task_with_the_reason(tmp_path: Path, run: Run) -> None:
    for name in ("wait_for_source_files", "ingest_transactions"):
        run(name)
    suites.break_suite(tmp_path)
    done = run("validate_transactions_data")
    assert done.returncode == 1
    assert 'transactions_suite: column "amount_eur" is not in raw_transactions' in done.stdout
    assert "task validate_transactions_data failed" in (tmp_path / files.PIPELINES_LOG).read_text()
    suites.write_suites(tmp_path)
    assert run("validate_transactions_data").returncode == 0


@pytest.mark.parametrize("text", ["", "{}", '{"expectations": [{}]}', "[1]", "\x00"])
def test_a_suite_that_is_none_is_a_failed_task_and_no_traceback(tmp_path: Path, run: Run, text: str) -> None:
    for name in ("wait_for_source_files", "ingest_customers"):
        run(name)
    suites.suite_path(tmp_path, "customers").write_text(text)
    done = run("validate_customers_data")
    assert (done.returncode, done.stderr) == (1, "")
    assert "not an expectation suite" in done.stdout


@pytest.mark.parametrize("rows", ["0", "-1", "x", "1e3", "9999999"])
def test_a_param_that_makes_no_sense_is_refused(run: Run, rows: str) -> None:
    done = run("wait_for_source_files", rows=rows)
    assert done.returncode == 1
    assert "is not a number from 1 to" in done.stdout


def test_a_warehouse_that_is_away_fails_the_task_in_one_line(tmp_path: Path, run: Run) -> None:
    run("wait_for_source_files")
    (tmp_path / "warehouse").rename(tmp_path / "elsewhere")
    done = run("ingest_events")
    assert (done.returncode, done.stderr) == (1, "")
    assert "unable to open database file" in done.stdout
    assert not (tmp_path / "warehouse").exists()


def test_old_batches_make_room(tmp_path: Path, run: Run) -> None:
    for number in range(7):
        for name in ("wait_for_source_files", "ingest_products"):
            assert run(name, run_id=f"r{number}", rows="10").returncode == 0
    kept = {run_id for (run_id,) in read(tmp_path, "SELECT DISTINCT run_id FROM raw_products")}
    assert kept == {f"r{number}" for number in range(2, 7)}
    assert len(list((tmp_path / "sources").iterdir())) == 5


def test_the_stream_is_consumed_once_and_half_lines_wait(tmp_path: Path, run: Run) -> None:
    line = "2026-11-21T14:00:21.870Z INFO GET /api/customers 200 12ms color=green\n"
    log = tmp_path / files.ACCESS_LOG
    log.write_text(line * 3 + line[:20])
    query = "SELECT color, status, sum(requests) FROM stream_requests GROUP BY 1, 2"
    for _ in range(2):
        assert run("process_kinesis_streams").returncode == 0
        assert read(tmp_path, query) == [("green", 200, 3)]
    with log.open("a") as stream:
        stream.write(line[20:])
    run("process_kinesis_streams")
    assert read(tmp_path, query) == [("green", 200, 4)]


def test_failure_rate_fires_while_the_newest_run_failed(tmp_path: Path, run: Run) -> None:
    connection = warehouse.connect(tmp_path)
    for number, state in enumerate(["success", "success", "success", "success", "failed"]):
        at = f"2026-11-21T14:0{number}:00+00:00"
        connection.execute("INSERT INTO pipeline_runs VALUES ('p', ?, ?, ?, ?, 1)", (f"r{number}", state, at, at))
    assert alerts(tmp_path) == {"PipelineFailureRate"}
    connection.execute("INSERT INTO pipeline_runs VALUES ('p', 'r9', 'success', 'x', '2026-11-21T14:09:00+00:00', 1)")
    assert alerts(tmp_path) == set()
    connection.close()
