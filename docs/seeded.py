"""A platform on a bad day at a fixed time: real adapters over files, databases and servers that are written for it.

Nothing here knows a panel: what is on a picture has come the way of all data. The clock of this process stands still.
"""

import contextlib
import itertools
import json
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import time_machine

from actions.models import Consent, Request
from backends.file_locks import locked_or_closed
from backends.pipelines.local.history import History, NewRun
from backends.stopwatch import Stopwatch, Took
from console.config.selection import select
from console.ports.table import readings
from console.session import Session
from tests.backends.fake_alertmanager import FakeAlertmanager, stamp
from tests.two_colors import TwoColors

Clock = time_machine.Traveller

PLACE = Path("/tmp/teal-shots")  # always the same: a plan names it
_OWN = {"XDG_CACHE_HOME": str(PLACE), "TEAL_STATE_DIR": str(PLACE / "state")}
NOW = datetime(2026, 8, 24, 13, 2, 40, tzinfo=UTC)
TOOK_S = 0.008
SAW = {"requests": 105, "errors": 0, "first_new_s": 0.4, "last_old_s": 1.1}
WAIT_S = 600.0
TASKS = {
    "wait_for_source_files": [], "ingest_customers": ["wait_for_source_files"],
    "ingest_transactions": ["wait_for_source_files"], "validate_transactions_data": ["ingest_transactions"],
    "dbt_run_marts": ["ingest_customers", "validate_transactions_data"], "update_metrics": ["dbt_run_marts"],
}  # fmt: skip
FAILED = "SuiteError: transactions_suite: 37 of 50120 rows of transaction_amount are not in 0.01..100000"
CONFIG = """
default_context = "production"
[contexts.production]
title = "analytics"
protected = true
journal = "journal.db"
lock = "local"
refresh = "1h"
timezone = "UTC"
[[contexts.production.links.rows]]
pipeline = "production_data_pipeline"
datasets = ["customers", "transactions"]
services = ["analytics"]
owner = "data-platform"
channel = "#data-oncall"
[[contexts.production.pipelines]]
name = "local"
type = "local"
history = "sqlite:///runs.db"
logs = "tasks"
[[contexts.production.pipelines.dags]]
name = "production_data_pipeline"
schedule = "1h"
params = {{ rows = 50000, mode = "full" }}
tasks = [{tasks}]
[[contexts.production.pipelines.dags]]
name = "monitoring_and_alerting"
schedule = "15m"
tasks = [{{ name = "look", command = ["true"] }}]
[[contexts.production.quality]]
name = "scores"
type = "sql"
url = "sqlite:///scores.db"
cadence = "2h"
[[contexts.production.alerts]]
name = "am"
type = "alertmanager"
urls = ["{alertmanager}"]
[[contexts.production.deployments]]
name = "analytics"
type = "file-switch"
path = "switch.json"
probe = {{ url = "{router}", header = "X-Environment" }}
health = {{ blue = "{blue}", green = "{green}" }}
deploy = ["./deploy.sh", "{{color}}", "{{version}}"]
stages = {{ gradual = [10, 50, 100] }}
stage_time = "10m"
bake = "100ms"
[[contexts.production.logs]]
name = "app"
type = "files"
paths = ["app.log"]
[[contexts.production.checks]]
name = "router"
type = "http"
url = "{router}"
[[contexts.production.checks]]
name = "warehouse"
type = "tcp"
host = "127.0.0.1"
port = 1
"""


def before(**amount: float) -> datetime:
    """So long before the moment of the pictures."""
    return NOW - timedelta(**amount)


class _Stopped:
    """In place of `time` where a fresh request is measured: each takes as long."""

    def __init__(self) -> None:
        self._readings = itertools.cycle((0.0, TOOK_S))

    def monotonic(self) -> float:
        """At its start, then at its end."""
        return next(self._readings)

    def time_ns(self) -> int:
        """As it is."""
        return time.time_ns()


class Ids:
    """In place of `os` where ids are made: they follow each other, from 1 on since `restart`."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """How many an action takes while it runs is another number each time: the next one begins anew."""
        self._numbers = itertools.count(1)

    def urandom(self, size: int) -> bytes:
        """The next one."""
        return next(self._numbers).to_bytes(size, "big")


_IDS = Ids()


@contextlib.contextmanager
def still() -> Iterator[Clock]:
    """The clock stands at NOW, everything takes as long as everything else, ids follow each other; one process at a
    time, since all use the same place."""
    with contextlib.ExitStack() as stack:
        lock = locked_or_closed(os.open(PLACE.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600), WAIT_S)
        assert lock is not None, f"somebody else takes pictures in {PLACE}"
        stack.callback(os.close, lock)
        clock = stack.enter_context(time_machine.travel(NOW, tick=False))
        stack.enter_context(mock.patch.object(Stopwatch, "took", return_value=Took(TOOK_S, 0.0)))
        stack.enter_context(mock.patch("actions.who.login_name", return_value="alice"))
        stack.enter_context(mock.patch("actions.who.host_name", return_value="bastion-1"))
        stack.enter_context(mock.patch.dict(os.environ, TEXTUAL_ANIMATIONS="none", **_OWN))
        for seconds in ("SAY_ON_FIRST_S", "SAY_ON_S"):  # who is on is said some time later
            stack.enter_context(mock.patch(f"console.app.{seconds}", 10 * WAIT_S))
        stack.enter_context(mock.patch("actions.ids.os", _IDS))
        # A plan is agreed to with the ports of its entry, which are those that were free.
        stack.enter_context(mock.patch("console.screens.plan_words.short", return_value="7f3a91c2"))
        yield clock


@contextlib.asynccontextmanager
async def platform(clock: Clock) -> AsyncIterator[Session]:
    """All of it, with a flip twelve minutes ago; a session on it that has read everything once."""
    _empty_place()
    alerts = FakeAlertmanager()
    alerts.start()
    try:
        async with TwoColors(PLACE) as service:
            _write_config(alerts.url, service)
            _write_runs(clock)
            _write_scores()
            _write_log()
            _fire(alerts)
            await _flip(clock)
            session = Session(
                select(str(PLACE / "config.toml"), None), panels=(*(n for n, _ in readings()), "timeline")
            )
            with mock.patch("backends.deployments.common.time", _Stopped()):
                await session.read(deadline_s=20.0)
                try:
                    yield session
                finally:
                    await session.aclose()
    finally:
        alerts.stop()
        shutil.rmtree(PLACE, ignore_errors=True)


def _empty_place() -> None:
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(mode=0o700)


def _write_config(alertmanager: str, service: TwoColors) -> None:
    tasks = ", ".join(
        f'{{ name = "{name}", command = ["true"], depends_on = {json.dumps(after)} }}' for name, after in TASKS.items()
    )
    urls = {name: service.url(name) for name in ("router", "blue", "green")}
    path = PLACE / "config.toml"
    path.write_text(CONFIG.format(tasks=tasks, alertmanager=alertmanager, **urls))
    path.chmod(0o600)


def _write_runs(clock: Clock) -> None:
    history = History(f"sqlite:///{PLACE / 'runs.db'}")
    for hours in range(12, -1, -1):
        _run(history, clock, "production_data_pipeline", 1842 - hours, before(hours=hours, minutes=6), TASKS,
             fails="validate_transactions_data" if hours == 0 else "")  # fmt: skip
    for quarter in range(8, -1, -1):
        at = before(minutes=15 * quarter + 1)
        _run(history, clock, "monitoring_and_alerting", 9107 - quarter, at, {"look": []})
    history.dispose()
    clock.move_to(NOW)
    log = PLACE / "tasks" / "production_data_pipeline" / "1842"
    log.mkdir(parents=True)
    at = before(minutes=4)
    lines = [f"{stamp(at + timedelta(seconds=n))} INFO batch {n} of 3 read" for n in range(1, 4)]
    lines.append(f"{stamp(at + timedelta(seconds=9))} ERROR {FAILED}")
    (log / "validate_transactions_data.1.log").write_text("\n".join(lines) + "\n")


def _run(
    history: History, clock: Clock, pipeline: str, number: int, at: datetime,
    tasks: dict[str, list[str]], fails: str = "",
) -> None:  # fmt: skip
    clock.move_to(at)
    given = tuple((name, tuple(after)) for name, after in tasks.items())
    spec = json.dumps({"tasks": [{"name": name, "command": ["true"], "depends_on": after} for name, after in given]})
    new = NewRun(
        pipeline=pipeline, run_id=str(number), trigger="schedule", logical_at=at.timestamp(), spec=spec,
        params='{"rows": 50000, "mode": "full"}', tasks=given, host="etl-1",
    )  # fmt: skip
    history.add(new)
    found = history.find(pipeline, str(number))
    assert found is not None
    run = int(found["id"])
    history.start_run(run)
    state = "success"
    for done, (name, _) in enumerate(given, 1):
        if state != "success":
            history.set_task(run, name, state="skipped")
            continue
        begun = at + timedelta(seconds=30 * (done - 1))
        state = "failed" if name == fails else "success"
        times = {"started_at": begun.timestamp(), "ended_at": begun.timestamp() + 20 + done}
        error = FAILED if state == "failed" else None
        history.set_task(run, name, tasks_done=done, state=state, try_number=1, error=error, **times)
    clock.move_to(at + timedelta(seconds=30 * len(given)))
    history.end_run(run, state, f"{fails}: {FAILED}" if fails else None)


def _write_scores() -> None:
    database = sqlite3.connect(PLACE / "scores.db")
    database.execute(
        "create table data_quality_log (dataset text, score real, evaluated_at text, passed int, total int, "
        "failures text)"
    )
    good = {"customers": 0.99, "events": 0.97, "products": 0.93, "transactions": 0.98}
    for dataset, score in good.items():
        for back in range(12, -1, -1):
            bad = dataset == "transactions" and back == 0
            now = 0.71 if bad else round(score - 0.005 * (back % 3), 3)
            failures = [{"check": "transaction_amount in 0.01..100000", "detail": "37 of 50120 rows"}] if bad else []
            values = (dataset, now, before(hours=2 * back, minutes=2).isoformat(), 11 if bad else 12, 12)
            database.execute("insert into data_quality_log values (?,?,?,?,?,?)", (*values, json.dumps(failures)))
    database.commit()
    database.close()


def _write_log() -> None:
    said = [
        (600, "INFO", "GET /api/customers 200 12ms color=blue"), (141, "ERROR", FAILED),
        (139, "ERROR", "task validate_transactions_data failed (try 1 of 1)"),
        (120, "WARNING", "cache miss ratio 0.41"), (90, "INFO", "alert DataQualityDegradation fires"),
        (30, "INFO", "GET /api/transactions 200 9ms color=blue"), (9, "INFO", "GET /api/customers 200 11ms color=blue"),
    ]  # fmt: skip
    lines = [f"{stamp(before(seconds=ago))} {level} {words}" for ago, level, words in said]
    (PLACE / "app.log").write_text("\n".join(lines) + "\n")


def _fire(am: FakeAlertmanager) -> None:
    am.up_s = 86400.0
    bad = am.fire(age_s=120, alertname="DataQualityDegradation", severity="critical", dataset="transactions")
    am.alerts[bad]["annotations"] = {
        "summary": "score 0.71 below 0.80", "runbook_url": "https://runbooks.example/data-quality",
    }  # fmt: skip
    for shard in range(3):
        late = am.fire(age_s=360 + shard, alertname="ProcessingLatency", severity="warning", service="analytics",
                       shard=str(shard))  # fmt: skip
        am.alerts[late]["annotations"] = {"summary": "p95 over 500 ms"}
    am.fire(age_s=2400, alertname="HighMemoryUsage", severity="warning", service="warehouse")
    am.fire(age_s=18000, alertname="NodeDiskFull", severity="warning", instance="etl-1")
    known = "ACK! a known leak, restarted at night"
    _silence(am, "s1", "HighMemoryUsage", "mia@bastion-1", known, minutes=19, ago=39)
    _silence(am, "s2", "NodeDiskFull", "alice@bastion-1", "the disk is replaced today", minutes=9)
    _silence(am, "s3", "OldAlert", "mia@bastion-1", "upstream is late", minutes=200)
    _silence(am, "s4", "SlowLoad", "alice@bastion-1", "a reload", minutes=-20)


def _silence(
    am: FakeAlertmanager, name: str, alert: str, by: str, comment: str, *, minutes: float, ago: float = 120
) -> None:
    matchers = [{"name": "alertname", "value": alert, "isRegex": False, "isEqual": True}]
    am.known[name] = {
        "id": name, "matchers": matchers, "startsAt": stamp(before(minutes=ago)), "createdBy": by, "comment": comment,
        "endsAt": stamp(NOW + timedelta(minutes=minutes)), "updatedAt": stamp(before(minutes=ago)),
    }  # fmt: skip


async def _flip(clock: Clock) -> None:
    """A flip to GREEN as alice gave it, and the way back: the journal has both."""
    session = Session(select(str(PLACE / "config.toml"), None), panels=())
    for minutes, kind, reason in ((12, "flip", "2.4.1 go"), (7, "rollback", "")):
        clock.move_to(before(minutes=minutes))
        _IDS.restart()
        color = "green" if kind == "flip" else "blue"
        plan = await session.plan(Request(kind=kind, service="analytics", to=color))
        consent = Consent(
            confirmed=True, armed=True, typed_context="production", reason=reason, plan_hash=plan.hash, interactive=True
        )
        action = await session.orders.submit(plan, consent, foreground=True)
        async for found in session.watch(str(action.id)):
            action = found
        assert action.status in ("succeeded", "rolled_back"), action
    await session.aclose()
    clock.move_to(NOW)
    # What fresh requests saw follows from the host that it ran on.
    database = sqlite3.connect(PLACE / "journal.db")
    database.execute("update actions set switch = ? where switch is not null", (json.dumps(SAW),))
    database.commit()
    database.close()
