"""A real Airflow 3 and a real Airflow 2, with the two DAGs of the platform: what `teal` shows is what the server's own
API says; trigger, retry and cancel are carried out; logs are read.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.pipelines.airflow.pipelines import AirflowPipelines
from backends.registry import AdapterContext, build
from tests.live.airflow import PASSWORD, USER, AirflowServer, airflow

T = TypeVar("T")
PIPELINE = "production_data_pipeline"
OTHER = "monitoring_and_alerting"
VERSIONS = ("3.3.2", "2.11.2")
PATIENT = ("--timeout", "2m")  # an Airflow beside other servers answers late
ENDS_S = 300.0  # a task takes a process of 2 to 4 s on an idle machine, and much more on a busy one

pytestmark = [pytest.mark.live]


# Side by side: each takes minutes to install and to start.
@pytest.fixture(
    scope="module",
    params=[pytest.param(version, marks=pytest.mark.xdist_group(f"airflow-{version[0]}")) for version in VERSIONS],
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowServer]:
    with airflow(tmp_path_factory.mktemp("airflow"), request.param) as server:
        yield server


@pytest.fixture
async def adapter(server: AirflowServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AirflowPipelines]:
    monkeypatch.setenv("AIRFLOW_PASSWORD", PASSWORD)
    http = Http()
    config = {"url": server.url, "timeout": "60s", "auth": {"username": USER, "password": {"env": "AIRFLOW_PASSWORD"}}}
    yield build("pipelines", "airflow", config, AdapterContext("af", Path(), Path(), http))
    await http.aclose()


async def until(look: Callable[[], Awaitable[T | None]]) -> T:
    async with asyncio.timeout(ENDS_S):
        while (found := await look()) is None:
            await asyncio.sleep(0.5)
    return found


async def in_state(adapter: AirflowPipelines, run_id: str, *states: str) -> Any:
    async def look() -> Any:
        run = await adapter.run(PIPELINE, run_id)
        return run if run.state in states else None

    return await until(look)


def own_words(server: AirflowServer) -> dict[str, str]:
    """Run id to state, as the server's own API has them."""
    found = server.api(f"/dags/{PIPELINE}/dagRuns?limit=100")
    return {run["dag_run_id"]: run["state"] for run in found["dag_runs"]}


def teal(config: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """A command, its exit code and the JSON that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "console.cli.main", *arguments, "-c", str(config), "-o", "json"], capture_output=True,
        text=True, timeout=2 * ENDS_S, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "AIRFLOW_PASSWORD": PASSWORD, "TEAL_STATE_DIR": str(config.parent / "state")},
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def config(server: AirflowServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teal") / "config.toml"
    auth = f'auth = {{ username = "{USER}", password = {{ env = "AIRFLOW_PASSWORD" }} }}'
    entry = f'type = "airflow"\nurl = "{server.url}"\n{auth}\ntimeout = "60s"'
    path.write_text(
        f'default_context = "t"\n[[contexts.t.pipelines]]\n{entry}\n[[contexts.t.checks]]\nname = "airflow"\n{entry}\n'
    )
    path.chmod(0o600)
    return path


class TestAirflow:
    """In this order: what a test triggers, a later one may look at, since a run takes its time."""

    async def test_what_runs_there(self, adapter: AirflowPipelines) -> None:
        paused = {info.pipeline: info.paused for info in await adapter.pipelines()}
        assert paused == {PIPELINE: False, OTHER: False}
        params = {param.name: param for param in (await adapter.pipeline(PIPELINE)).params}
        assert (params["rows"].type, params["rows"].default, params["rows"].schema["maximum"]) == (
            "integer",
            500,
            100000,
        )
        assert params["mode"].choices == ("full", "delta")
        assert params["note"].nullable
        (broken,) = await adapter.import_errors()
        assert "no such table: customers" in broken

    async def test_a_failure_is_seen_read_and_retried(self, adapter: AirflowPipelines, server: AirflowServer) -> None:
        began = datetime.now(UTC)
        for _ in range(2):
            await adapter.trigger(PIPELINE, "manual__bad+1", {"bad": True})
        with pytest.raises(BackendError) as caught:
            await adapter.trigger(PIPELINE, "manual__bad+1", {"bad": False})
        assert caught.value.kind == "conflict"
        with pytest.raises(BackendError, match="rows") as caught:
            await adapter.trigger(PIPELINE, "manual__never", {"rows": "x"})
        assert caught.value.kind == "config"
        failed = await in_state(adapter, "manual__bad+1", "failed", "success")
        assert (failed.state, failed.tasks_total) == ("failed", 15)
        assert failed.error == "validate_transactions_data: ValueError: transactions_suite failed"
        tasks = {task.task: task for task in await adapter.tasks(PIPELINE, "manual__bad+1")}
        assert next(iter(tasks)) == "wait_for_source_files"
        assert tasks["validate_transactions_data"].state == "failed"
        assert "ingest_customers" in tasks["validate_customers_data"].depends_on
        log = await adapter.task_log(PIPELINE, "manual__bad+1", "validate_transactions_data")
        assert ("error", "37 unexpected values in column amount") in {(entry.level, entry.message) for entry in log}
        assert all(entry.at is not None for entry in log if entry.message.startswith("validating"))
        preview = await adapter.retry_preview(PIPELINE, "manual__bad+1")
        assert preview[0] in tasks
        assert {"validate_transactions_data", "update_monitoring_metrics"} <= set(preview)
        assert not {"wait_for_source_files", "ingest_events"} & set(preview)
        assert own_words(server)["manual__bad+1"] == "failed", "a preview clears nothing"
        await adapter.retry(PIPELINE, "manual__bad+1")
        await in_state(adapter, "manual__bad+1", "queued", "running")
        again = await in_state(adapter, "manual__bad+1", "failed")
        assert again.ended_at > failed.ended_at
        tries = {task.task: task.try_number for task in await adapter.tasks(PIPELINE, "manual__bad+1")}
        assert (tries["wait_for_source_files"], tries["validate_transactions_data"]) == (1, 2)
        told = [event.text for event in await adapter.events(began, datetime.now(UTC)) if "manual__bad+1" in event.text]
        assert any(f"{USER} triggered" in text for text in told)
        assert any(f"{USER} cleared" in text for text in told)

    async def test_a_run_is_cancelled(self, adapter: AirflowPipelines, server: AirflowServer) -> None:
        await adapter.trigger(PIPELINE, "manual__slow", {"seconds": 600})

        async def works() -> bool | None:
            tasks = await adapter.tasks(PIPELINE, "manual__slow")
            return True if any(task.state == "running" for task in tasks) else None

        await until(works)
        await adapter.cancel(PIPELINE, "manual__slow")
        run = await in_state(adapter, "manual__slow", "cancelled")
        assert (run.raw_state, run.health, own_words(server)["manual__slow"]) == ("failed", "warning", "failed")
        assert "wait_for_source_files" in await adapter.retry_preview(PIPELINE, "manual__slow")

    async def test_a_paused_dag_says_why_nothing_starts(self, adapter: AirflowPipelines) -> None:
        await adapter.set_paused(OTHER, True)
        await adapter.trigger(OTHER, "manual__paused", {})
        run = await adapter.run(OTHER, "manual__paused")
        assert (run.state, run.note.partition(":")[0]) == ("queued", "its DAG is paused")
        await adapter.set_paused(OTHER, False)

        async def ended() -> bool | None:
            return True if (await adapter.run(OTHER, "manual__paused")).state == "success" else None

        await until(ended)

    def test_the_commands_say_what_the_server_says(self, server: AirflowServer, config: Path) -> None:
        code, action = teal(config, "run", "trigger", PIPELINE, "-p", "rows=7", "-y", "--wait")
        (item,) = action["items"]
        assert (code, item["status"]) == (0, "succeeded"), action
        run_id = item["ref"].rpartition("/")[2]
        assert own_words(server)[run_id] == "success"
        code, listed = teal(config, "run", "list", "--since", "1h", *PATIENT)
        shown = {run["run_id"]: run["raw_state"] for run in listed["items"] if run["pipeline"] == PIPELINE}
        assert (code, shown) == (0, own_words(server))
        code, action = teal(config, "run", "retry", f"{PIPELINE}@failed", "-y", "--dry-run")
        assert code == 0
        assert "validate_transactions_data" in action["items"][0]["plan"]["effects"][0]
        code, log = teal(config, "run", "log", item["ref"], "wait_for_source_files", *PATIENT)
        assert "looking for 7 rows" in {entry["message"] for entry in log["items"]}
        code, checked = teal(config, "check", "airflow", *PATIENT)
        assert code == 1
        assert "broken.py" in checked["items"][0]["message"]
