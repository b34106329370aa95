"""What kind of trouble a run is in, and the lines that say so."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backends.models import CheckResult, FailedExpectation, LogEntry, PipelineRun, QualityScore, TaskRun
from console.ports.links import LinkRow, Links
from console.reading.triage import MEANING, triage

NOW = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
LINKS = Links(rows=(LinkRow(pipeline="load", datasets=("orders",)),))


def run(state: str = "failed", pipeline: str = "load", minutes_ago: float = 5, **more: Any) -> PipelineRun:
    ended = None if state in ("running", "queued") else NOW - timedelta(minutes=minutes_ago)
    return PipelineRun(
        ref=f"air/{pipeline}/1", backend="air", pipeline=pipeline, run_id="1", state=state,
        started_at=NOW - timedelta(minutes=minutes_ago + 5), ended_at=ended, **more,
    )  # fmt: skip


def line(text: str, level: str = "error") -> LogEntry:
    return LogEntry(at=NOW, source="t", level=level, message=text)


def score(state: str = "critical", minutes_ago: float = 4, **more: Any) -> QualityScore:
    told = {"score": 0.71, "failures": (FailedExpectation("amount 0..100", "37 of 500 rows"),), **more}
    return QualityScore(
        ref="dq/orders", backend="dq", dataset="orders", warn=0.95, crit=0.8, state=state,
        evaluated_at=NOW - timedelta(minutes=minutes_ago), **told,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("died", "validate: 37 unexpected values in column amount"),
        ("died", "load: exit status 1"),
        ("died", "ValueError: transactions_suite failed"),
        ("schema", 'load: psycopg.errors.UndefinedColumn: column "customer_ref" does not exist'),
        ("schema", "load: KeyError: 'customer_id'"),
        ("schema", 'validate: column "amount_eur" is not in raw_transactions'),
        ("schema", "load: table orders has no column named amount_eur"),
        ("code", "load: ModuleNotFoundError: No module named 'pandas'"),
        ("code", "load: sh: 1: dbt: command not found"),
        ("access", "load: permission denied for table orders"),
        ("access", 'load: FATAL: password authentication failed for user "etl"'),
        ("schema", "load: sqlite3.OperationalError: no such table: customers"),
        ("schema", "load: invalid input syntax for type numeric: 12,50"),
        ("platform", "load: Task exited with return code -9"),
        ("platform", "load: exit status 137"),
        ("platform", "load: OSError: [Errno 28] No space left on device"),
        ("platform", "load: connection to server failed: Connection refused"),
        ("platform", "load: FATAL: remaining connection slots are reserved"),
        ("access", "botocore.errorfactory.ClientError: An error occurred (AccessDenied) when calling GetObject"),
        ("access", "load: PermissionError: [Errno 13] Permission denied: '/data/in/orders.csv'"),
        ("access", "load: ExpiredToken: the security token included in the request is expired"),
        ("access", "load: Unable to locate credentials"),
        ("access", 'load: psycopg.errors.InsufficientPrivilege: must be owner of table "orders"'),
        ("access", "load: 403: Forbidden for https://api.example.com/v1/orders"),
        ("input", "load: FileNotFoundError: [Errno 2] No such file or directory: '/data/in/orders.csv'"),
        ("input", "load: NoSuchKey: The specified key does not exist."),
        ("input", "load: pyspark.errors: [PATH_NOT_FOUND] Path does not exist: s3://raw/orders/2026-11-28"),
        ("input", "load: no files found for 2026-11-28"),
        ("input", "load: the partition ds=2026-11-28 does not exist"),
        ("config", "load: KeyError: 'WAREHOUSE_URL'"),
        ("config", "load: environment variable WAREHOUSE_URL is not set"),
        ("config", "load: WAREHOUSE_URL must be set"),
        ("config", "load: airflow.exceptions.AirflowNotFoundException: The conn_id `warehouse` isn't defined"),
        ("config", "load: KeyError: 'Variable orders_path does not exist'"),
        ("config", "dbt: Runtime Error: Could not find profile named 'analytics'"),
        ("config", "load: yaml.scanner.ScannerError: mapping values are not allowed here"),
        ("config", "load.py: error: the following arguments are required: --day"),
        ("platform", 'load: could not translate host name "warehous" to address: Name or service not known'),
        ("code", "load: TypeError: unsupported operand type(s) for +: 'int' and 'str'"),
        ("code", "load: AttributeError: 'NoneType' object has no attribute 'groupby'"),
        ("code", 'load: sqlalchemy.exc.ProgrammingError: syntax error at or near "SELEC"'),
        ("quota", "load: Quota exceeded: Your project exceeded quota for free query bytes scanned"),
        ("quota", "load: ConcurrentRunsExceededException: Concurrent runs exceeded for etl"),
        ("quota", "load: Warehouse 'ETL' cannot be resumed because resource monitor 'MONTHLY' has exceeded its quota"),
        ("quota", "load: insufficient_quota: check your plan and billing details"),
        ("memory", "load: MemoryError: Unable to allocate 7.45 GiB for an array"),
        ("memory", "load: java.lang.OutOfMemoryError: Java heap space"),
        ("memory", "load: pod load-7xk2 was OOMKilled"),
        ("memory", "load: Container killed by YARN for exceeding memory limits. 5.5 GB of 5.5 GB used"),
        ("platform", "load: ThrottlingException: Rate exceeded"),
        ("schema", "load: [UNRESOLVED_COLUMN.WITH_SUGGESTION] A column with name `amount_eur` cannot be resolved"),
        ("schema", "load: SQL compilation error: invalid identifier 'AMOUNT_EUR'"),
        ("schema", "load: Unrecognized name: amount_eur at [3:5]"),
        ("schema", "load: Table 'shop.orders' doesn't exist"),
        ("schema", "load: Invalid object name 'dbo.orders'."),
        ("schema", 'load: null value in column "id" violates not-null constraint'),
        ("schema", "load: sqlite3.IntegrityError: UNIQUE constraint failed: orders.id"),
        ("schema", "load: Duplicate entry '7' for key 'PRIMARY'"),
        ("code", "load: Compilation Error in model x: 'ref' is undefined"),
        ("code", "load: jinja2.exceptions.UndefinedError: 'x' is undefined"),
        ("access", "load: SSL: CERTIFICATE_VERIFY_FAILED"),
        ("platform", "load: Lost connection to MySQL server during query"),
        ("died", "load: urllib3: Max retries exceeded"),
        ("schema", "load: file orders.csv: column amount is missing"),
        ("slow", "load: timed out after 10m"),
        ("slow", "load: AirflowTaskTimeout: Timeout, PID: 12"),
        ("slow", "load: canceling statement due to statement timeout"),
    ],
)
def test_the_words_of_a_failure_say_its_kind(kind: str, text: str) -> None:
    for found in (
        triage(run(error=text)),
        triage(run(), tasks=[TaskRun(task="t", state="failed", error=text)]),
        triage(run(), log=[line("begins", "info"), line(text)]),
    ):
        assert found is not None
        assert (found.kind, found.meaning) == (kind, MEANING[kind])
        assert text in found.evidence[0]


def test_what_the_run_says_is_not_said_again_by_its_task_and_its_log() -> None:
    fact = 'SuiteError: column "amount_eur" is not in raw_transactions'
    task = TaskRun(task="validate", state="failed", error=fact)
    found = triage(run(error=f"validate: {fact}"), tasks=[task], log=[line(fact), line("another line")])
    assert found is not None
    assert found.evidence == (f"validate: {fact}",)
    found = triage(run(error="validate: exit status 3"), tasks=[task], log=[line(fact)])
    assert found is not None
    assert found.evidence == (f"validate: {fact}",)


def test_many_that_fail_side_by_side_are_the_platform() -> None:
    others = [run(pipeline=name, minutes_ago=6) for name in ("a", "b")]
    found = triage(run(error="load: exit status 1"), runs=others)
    assert found is not None
    assert found.kind == "platform"
    assert found.evidence[0] == "3 pipelines failed within 15 min: a, b, load"
    long_ago = [run(pipeline=name, minutes_ago=60) for name in ("a", "b")]
    assert triage(run(error="load: exit status 1"), runs=long_ago).kind == "died"


def test_a_limit_that_all_run_into_at_once_is_of_what_they_run_on() -> None:
    others = [run(pipeline=name, minutes_ago=6) for name in ("a", "b")]
    killed = run(error="load: OOMKilled")
    assert triage(killed).kind == "memory"
    assert triage(killed, runs=others).kind == "platform"


def test_a_critical_check_makes_it_the_platform_but_not_a_changed_schema() -> None:
    sick = [CheckResult(ref="w", name="warehouse", state="critical", message="connection refused")]
    found = triage(run(error="load: exit status 1"), checks=sick)
    assert found is not None
    assert (found.kind, found.evidence[0]) == ("platform", "check warehouse: connection refused")
    assert triage(run(error="load: no such column: x"), checks=sick).kind == "schema"


def test_green_over_bad_data() -> None:
    found = triage(run("success"), scores=[score()], links=LINKS)
    assert found is not None
    assert found.kind == "stale-but-green"
    assert found.evidence[1] == "orders scored 0.71, at least 0.80 is wanted, amount 0..100: 37 of 500 rows"
    unknown = triage(run("success"), scores=[score("unknown", 60, reason="older than the last good run")], links=LINKS)
    assert unknown is not None
    assert unknown.evidence[1] == "orders: older than the last good run"
    assert triage(run("success"), scores=[score("ok")], links=LINKS) is None
    assert triage(run("success"), scores=[score(minutes_ago=60)], links=LINKS) is None, "the run before wrote that"
    assert triage(run("success", pipeline="other"), scores=[score()], links=LINKS) is None


def test_slow_and_what_waits() -> None:
    late = run("running", late=True, usual_s=60.0, duration_s=600.0)
    found = triage(late, tasks=[TaskRun(task="dbt_run", state="running")])
    assert found is not None
    assert (found.kind, found.evidence) == ("slow", ("running for 10m00s, usually 1m00s", "it is at dbt_run"))
    full = triage(run("running", note="pool default_pool has no open slot of 4"))
    assert full is not None
    assert full.kind == "platform"
    assert triage(run("queued", note="its DAG is paused")).kind == "platform"
    for quiet in (run("running"), run("queued"), run("cancelled"), run("success"), run("skipped"), run("unknown")):
        assert triage(quiet) is None


def test_code_that_changed_is_evidence() -> None:
    found = triage(run(error="load: exit status 1", note="its code changed since the last good run: version 3 → 4"))
    assert found is not None
    assert found.evidence[-1].endswith("version 3 → 4")


def test_a_failure_without_a_word_is_one() -> None:
    found = triage(run())
    assert found is not None
    assert (found.kind, found.evidence) == ("died", ("load failed, and nothing says why",))


@pytest.mark.parametrize("kind", ["schema", "code", "access", "input", "config", "quota", "memory"])
def test_a15_where_a_retry_can_not_help_it_says_so(kind: Any) -> None:
    assert "a retry can not help" in MEANING[kind]


def test_a15_a_cause_that_the_log_names_is_not_overruled_and_what_broke_later_is_not_blamed() -> None:
    sick = [CheckResult(ref="green", name="analytics-green", state="critical", message="connection refused")]
    named = run(error='column "amount_eur" is not in raw_transactions')
    assert triage(named, checks=sick).kind == "schema"
    told = triage(run(error="validate: 37 unexpected values in amount"), checks=sick)
    assert told is not None
    assert (told.kind, told.evidence) == ("died", ("validate: 37 unexpected values in amount",))
    silent = run(error="load: exit status 1")
    assert triage(silent, checks=sick).kind == "platform"
    assert triage(run(), checks=sick).kind == "platform", "nothing is said"
    seen_well = {"green": NOW - timedelta(minutes=1)}
    assert triage(silent, checks=sick, well_at=seen_well).kind == "died"
    before = {"green": NOW - timedelta(minutes=9)}
    assert triage(silent, checks=sick, well_at=before).kind == "platform"
