"""The tasks of the two DAGs, each a small command: `python -P -m console.sandbox.tasks NAME`.

The environment says what for: `SANDBOX_DIR`, and from the pipelines adapter `TEAL_PIPELINE`, `TEAL_RUN_ID` and
`TEAL_PARAM_ROWS`. What a task prints is its log; what matters beyond it goes to `logs/pipelines.log` as well.
"""

import csv
import json
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backends.json_text import decode_text
from console.sandbox import files, monitoring, warehouse
from console.sandbox.job import Job, TaskFailed
from console.sandbox.sources import deliver
from console.sandbox.suites import SuiteError, evaluate, suite_path

SOURCES_KEPT = 5
SOURCE_FILES = {
    "customers": "customers.csv",
    "transactions": "transactions.csv",
    "products": "products.json",
    "events": "events.jsonl",
}
DEFAULT_ROWS = 500
MAX_ROWS = 20_000


def wait_for_source_files(job: Job) -> None:
    """There is no upstream system on this host but us: deliver, then check as if somebody else had."""
    text = os.environ.get("TEAL_PARAM_ROWS", str(DEFAULT_ROWS))
    if not text.isdecimal() or not 1 <= int(text) <= MAX_ROWS:
        raise TaskFailed(f"param rows: {text!r} is not a number from 1 to {MAX_ROWS}")
    folder = job.sources
    counts = deliver(folder, job.run_id, int(text), bad_data="bad-data" in job.faults())
    missing = [name for name in (*SOURCE_FILES.values(), "_SUCCESS") if not (folder / name).exists()]
    if missing:
        raise TaskFailed(f"{folder}: {', '.join(missing)} did not arrive")
    job.log("INFO", f"source files are there: {', '.join(f'{name} {count}' for name, count in counts.items())} rows")
    batches = sorted(folder.parent.iterdir(), key=lambda batch: batch.stat().st_mtime)
    for old in batches[:-SOURCES_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def ingest(job: Job, dataset: str) -> None:
    """Load one source file into its raw table; again for the same run replaces."""
    path = job.sources / SOURCE_FILES[dataset]
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [[value or None for value in row] for row in list(csv.reader(stream))[1:]]
    elif path.suffix == ".json":
        rows = [list(row.values()) for row in decode_text(path.read_bytes(), list[dict[str, Any]])]
    else:
        rows = [
            list(decode_text(line, dict[str, Any]).values()) for line in path.read_text(encoding="utf-8").splitlines()
        ]
    places = ", ".join("?" * (warehouse.RAW[dataset].count(",") + 2))
    table, connection = f"raw_{dataset}", job.connection()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"DELETE FROM {table} WHERE run_id = ?", (job.run_id,))
    connection.executemany(f"INSERT INTO {table} VALUES ({places})", ([*row, job.run_id] for row in rows))
    kept = f"SELECT run_id FROM {table} GROUP BY run_id ORDER BY max(rowid) DESC LIMIT {SOURCES_KEPT}"
    connection.execute(f"DELETE FROM {table} WHERE run_id NOT IN ({kept})")
    connection.execute(
        "INSERT OR REPLACE INTO dataset_freshness VALUES (?, ?, ?)", (dataset, files.now_text(), len(rows))
    )
    connection.execute("COMMIT")
    job.log("INFO", f"loaded {len(rows)} rows from {path.name} into {table}")


def validate(job: Job, *datasets: str) -> None:
    """Score the datasets by their suites. A bad score is a finding for the alert rules, not a failed task."""
    for dataset in datasets:
        path = suite_path(job.directory, dataset)
        found = evaluate(job.connection(), path, f"raw_{dataset}", job.run_id)
        job.connection().execute(
            "INSERT INTO data_quality_log (dataset, suite, score, passed, total, failures, evaluated_at, run_id,"
            " run_ref) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (dataset, path.stem, found.score, found.passed, found.total, json.dumps(found.failures), files.now_text(),
             job.run_id, f"local/{job.pipeline}/{job.run_id}"),
        )  # fmt: skip
        for failure in found.failures:
            job.log("INFO" if found.score >= 0.95 else "WARN", f"{path.stem}: {failure['check']}: {failure['detail']}")
        told = f"{path.stem}: score {found.score:.3f}, {found.passed} of {found.total} expectations met"
        job.log("ERROR" if found.score < 0.8 else "INFO", told, shared=True)


def dbt_run(job: Job, layer: str, statements: tuple[str, ...]) -> None:
    """Rebuild one layer of models."""
    started = time.perf_counter()
    rows = warehouse.apply(job.connection(), statements, job.run_id)
    job.log("INFO", f"{layer}: {rows} rows in {time.perf_counter() - started:.2f} s")


def dbt_test_all(job: Job) -> None:
    """Every test is a query for rows that should not be."""
    failed = []
    for test, query in warehouse.TESTS.items():
        failures = len(job.connection().execute(query).fetchall())
        job.connection().execute(
            "INSERT INTO dbt_test_results VALUES (?, ?, ?, ?)", (files.now_text(), job.run_id, test, failures)
        )
        job.log("ERROR" if failures else "INFO", f"{'FAIL' if failures else 'PASS'} {test} ({failures} rows)")
        if failures:
            failed.append(f"{test} ({failures} rows)")
    job.trim("dbt_test_results", 1000)
    if failed:
        raise TaskFailed(f"dbt tests failed: {', '.join(failed)}")


def trigger_glue_etl(job: Job) -> None:
    """Export an aggregate of the marts to a file, as an ETL job into a lake would."""
    query = "SELECT category, sum(units), round(sum(revenue), 2) FROM mart_products GROUP BY category ORDER BY 3 DESC"
    rows = job.connection().execute(query).fetchall()
    folder = job.directory / "exports"
    folder.mkdir(exist_ok=True)
    lines = ["category,units,revenue", *(",".join(str(value) for value in row) for row in rows)]
    files.write_text(folder / "revenue_by_category.csv", "\n".join(lines) + "\n")
    job.log("INFO", f"exported {len(rows)} categories to exports/revenue_by_category.csv")


def process_kinesis_streams(job: Job) -> None:
    """Consume the router's access log as an append-only stream: from where the last run stopped to its last line."""
    path, connection = job.directory / files.ACCESS_LOG, job.connection()
    inode = path.stat().st_ino
    seen = connection.execute("SELECT inode, offset FROM stream_position WHERE stream = 'access'").fetchone()
    offset = seen["offset"] if seen is not None and seen["inode"] == inode else 0
    counts: dict[tuple[str, str, int], int] = {}
    with path.open("rb") as stream:
        stream.seek(offset)
        for line in stream:
            if not line.endswith(b"\n"):
                break
            offset += len(line)
            words = line.decode("utf-8", "replace").split()
            if len(words) == 7 and words[4].isdecimal():
                key = (words[0][:16], words[6].removeprefix("color="), int(words[4]))
                counts[key] = counts.get(key, 0) + 1
    connection.execute("BEGIN IMMEDIATE")
    for (minute, color, status), requests in counts.items():
        connection.execute(
            "INSERT INTO stream_requests VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET requests = requests + ?",
            (minute, color, status, requests, requests),
        )
    connection.execute("INSERT OR REPLACE INTO stream_position VALUES ('access', ?, ?)", (inode, offset))
    connection.execute("COMMIT")
    job.trim("stream_requests", 5000)
    job.log("INFO", f"consumed {sum(counts.values())} requests up to offset {offset}")


def update_monitoring_metrics(job: Job) -> None:
    """Say when the marts were built, and how large they are."""
    connection = job.connection()
    for mart in ("mart_customers", "mart_transactions", "mart_products"):
        rows = connection.execute(f"SELECT count(*) FROM {mart}").fetchone()[0]
        connection.execute("INSERT OR REPLACE INTO dataset_freshness VALUES (?, ?, ?)", (mart, files.now_text(), rows))
        job.log("INFO", f"{mart}: {rows} rows")
    job.trim("data_quality_log", 4000)
    job.log("INFO", "run complete: marts are fresh", shared=True)


TASKS: dict[str, Callable[[Job], None]] = {
    "wait_for_source_files": wait_for_source_files,
    "ingest_customers": lambda job: ingest(job, "customers"),
    "ingest_transactions": lambda job: ingest(job, "transactions"),
    "ingest_products": lambda job: ingest(job, "products"),
    "ingest_events": lambda job: ingest(job, "events"),
    "validate_customers_data": lambda job: validate(job, "customers"),
    "validate_transactions_data": lambda job: validate(job, "transactions"),
    "custom_quality_validation": lambda job: validate(job, "products", "events"),
    "dbt_run_staging": lambda job: dbt_run(job, "staging", warehouse.STAGING),
    "dbt_run_intermediate": lambda job: dbt_run(job, "intermediate", warehouse.INTERMEDIATE),
    "dbt_run_marts": lambda job: dbt_run(job, "marts", warehouse.MARTS),
    "dbt_test_all": dbt_test_all,
    "trigger_glue_etl": trigger_glue_etl,
    "process_kinesis_streams": process_kinesis_streams,
    "update_monitoring_metrics": update_monitoring_metrics,
    "check_system_health": monitoring.check_system_health,
    "monitor_data_freshness": monitoring.monitor_data_freshness,
    "collect_quality_metrics": monitoring.collect_quality_metrics,
    "monitor_performance": monitoring.monitor_performance,
    "generate_alerts": monitoring.generate_alerts,
}


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in TASKS:
        sys.stderr.write(f"usage: python -m console.sandbox.tasks {'|'.join(TASKS)}\n")
        return 2
    name = sys.argv[1]
    job = Job(name, Path(os.environ.get("SANDBOX_DIR", ".")).resolve())
    try:
        TASKS[name](job)
    except (TaskFailed, SuiteError, OSError, sqlite3.Error) as error:
        job.log("ERROR", f"{type(error).__name__}: {error}")
        files.append_log(job.directory / files.PIPELINES_LOG, "ERROR", f"{job.pipeline}: task {name} failed: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
