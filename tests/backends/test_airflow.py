"""`airflow` against a server in this process, v1 and v2 of its API: the contract, faults, traps of the field."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.identifiers import identifier
from backends.pipelines.airflow.logs import Source, entries_of, error_line
from backends.pipelines.airflow.models import params_of
from backends.pipelines.airflow.pipelines import AirflowPipelines
from backends.pipelines.params import problem
from backends.registry import AdapterContext, build
from backends.testing.pipelines import Names, PipelinesContract, ended, refused
from backends.text import clean
from tests.backends.fake_airflow import DAGS, TOKEN, FakeAirflow, Refusal, Run, Task
from tests.backends.faulty_server import FAULTS

NOW = datetime.now(UTC)
OPEN = {"auth": {"token": {"env": "AIRFLOW_TOKEN"}}, "timeout": "5s"}
VERSIONS = pytest.mark.parametrize("v2", [True, False], ids=["v2", "v1"])
Connect = Callable[..., AirflowPipelines]


def ago(**parts: float) -> datetime:
    return NOW - timedelta(**parts)


def airflow(http: Http, server: FakeAirflow, **config: Any) -> AirflowPipelines:
    context = AdapterContext("af", Path(), Path(), http)
    adapter: AirflowPipelines = build("pipelines", "airflow", {"url": server.base, **OPEN, **config}, context)
    return adapter


@pytest.fixture(params=[True, False], ids=["v2", "v1"])
async def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeAirflow]:
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    monkeypatch.setenv("AIRFLOW_PASSWORD", "secret")
    async with FakeAirflow(v2=request.param, auth="bearer") as server:
        yield server


@pytest.fixture
async def connect(server: FakeAirflow) -> AsyncIterator[Connect]:
    http = Http()
    yield partial(airflow, http, server)
    await http.aclose()


@pytest.fixture
def adapter(connect: Connect) -> AirflowPipelines:
    return connect()


class TestContract(PipelinesContract):
    @pytest.fixture
    def names(self) -> Names:
        return Names()


def asked(server: FakeAirflow, path: str) -> list[dict[str, str]]:
    """The queries of the GETs whose path ends so."""
    found = [urlsplit(each.target) for each in server.requests if each.method == "GET"]
    return [{k: v[-1] for k, v in parse_qs(each.query).items()} for each in found if each.path.endswith(path)]


ODD = [
    "a\nb",
    "nul\x00",
    "\u202egreen",
    "mark\u200f",
    "a/b",
    "..",
    "50%",
    "a%0Ab",
    "größe 日本",
    "q?x=1#y",
    "\x1b[31mred",
]


@pytest.mark.parametrize("odd", ODD)
async def test_a_name_goes_back_as_it_came(connect: Connect, server: FakeAirflow, odd: str) -> None:
    server.dags = {odd: {odd: (), "after": (odd,)}, clean(odd) + "!": {"other": ()}}
    server.add(odd, odd, "failed", ago(minutes=5), 10)
    server.add(odd, clean(odd) + "!", "failed", ago(minutes=9), 10)
    adapter = connect()
    shown = next(run for run in await adapter.runs() if server.runs[odd, odd].start == run.started_at)
    assert shown.ref == f"af/{shown.pipeline}/{shown.run_id}"
    assert shown.ref.isprintable()
    # As another process has it that read nothing before.
    other = connect()
    assert (await other.run(shown.pipeline, shown.run_id)).ref == shown.ref
    tasks = await other.tasks(shown.pipeline, shown.run_id)
    assert [task.depends_on for task in tasks] == [(), (tasks[0].task,)]
    await other.task_log(shown.pipeline, shown.run_id, tasks[0].task)
    assert tasks[0].task in await other.retry_preview(shown.pipeline, shown.run_id)
    await other.retry(shown.pipeline, shown.run_id)
    assert {run.run_id for run in server.runs.values() if run.state != "failed"} == {odd}
    await other.set_paused(shown.pipeline, True)
    assert server.paused == {odd}
    await other.trigger(shown.pipeline, "new", {identifier(odd): 1})
    assert server.runs[odd, "new"].conf == {odd: 1}
    assert [info.pipeline for info in await other.pipelines() if info.paused] == [shown.pipeline]


# ---- who asks


async def test_a_base_path_and_the_version_are_found_out(connect: Connect, server: FakeAirflow) -> None:
    server.prefix = "/prod"
    assert await connect(url=server.base + "/").runs() == []
    versions = [each.target for each in server.requests if each.target.endswith("/version")]
    assert versions == [f"/prod/api/{each}/version" for each in (["v2"] if server.v2 else ["v2", "v1"])]


async def test_a_password_goes_as_basic_to_v1_and_for_a_token_to_v2(connect: Connect, server: FakeAirflow) -> None:
    server.auth = "jwt" if server.v2 else "basic"
    adapter = connect(auth={"username": "oncall", "password": {"env": "AIRFLOW_PASSWORD"}})
    await asyncio.gather(*(adapter.runs() for _ in range(4)))
    assert server.issued == (1 if server.v2 else 0), "one login for all of them"
    given = {each.headers.get("authorization", "") for each in server.requests if "/dagRuns" in each.target}
    assert len(given) == 1
    assert next(iter(given)).startswith("Bearer" if server.v2 else "Basic")


@pytest.mark.parametrize("server", [True], ids=["v2"], indirect=True)  # v1 hands out no tokens
async def test_a_token_that_ran_out_is_renewed_once(connect: Connect, server: FakeAirflow) -> None:
    server.auth = "jwt"
    adapter = connect(auth={"username": "oncall", "password": {"env": "AIRFLOW_PASSWORD"}})
    await adapter.runs()
    server.tokens.clear()
    await adapter.runs()
    assert server.issued == 2
    server.auth = "bearer"
    server.tokens.clear()
    with pytest.raises(BackendError) as caught:
        await adapter.runs()
    assert (caught.value.kind, server.issued) == ("auth", 2)


async def test_a_server_that_hands_tokens_to_all_is_asked_for_one(connect: Connect, server: FakeAirflow) -> None:
    server.auth = "open" if server.v2 else "bearer"
    adapter = connect(auth=None)
    if server.v2:
        assert await adapter.runs() == []
    else:
        with pytest.raises(BackendError, match="401") as caught:
            await adapter.runs()
        assert caught.value.kind == "auth"


async def test_a_command_is_asked_anew_after_a_401(connect: Connect, server: FakeAirflow, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("stale")
    script = f"cat {token}; printf %s {TOKEN} > {token}"
    adapter = connect(auth={"token": {"command": ["sh", "-c", script]}})
    assert await adapter.runs() == []


async def test_a_server_that_was_upgraded_is_found_out(connect: Connect, server: FakeAirflow) -> None:
    adapter = connect()
    await adapter.runs()
    server.v2 = not server.v2
    with pytest.raises(BackendError):
        await adapter.runs()
    assert await adapter.runs() == []


async def test_what_is_no_airflow_says_so(connect: Connect, server: FakeAirflow) -> None:
    adapter = connect(url=server.url + "/elsewhere")
    with pytest.raises(BackendError, match="no REST API of Airflow"):
        await adapter.runs()


# ---- runs


async def test_one_window_newest_first(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    for n in range(350):
        server.add("succeeds", f"manual__{n:03d}", "success", ago(minutes=n), 30.0)
    runs = await adapter.runs(limit=200)
    assert [run.run_id for run in runs] == [f"manual__{n:03d}" for n in range(200)]
    queries = asked(server, "/dags/~/dagRuns")
    date = "run_after" if server.v2 else "execution_date"
    dated = [each for each in queries if each["order_by"] == f"-{date}"]
    assert [(each["limit"], each["offset"]) for each in dated] == [("100", "0"), ("100", "100")]
    assert all(each[f"{date}_gte"] for each in dated)
    assert len(queries) == 5
    assert runs[0].history == ("success",) * 12
    assert runs[0].usual_s == 30.0


async def test_a_failure_is_not_hidden_by_many_others(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    server.add("fails", "scheduled__bad", "failed", ago(minutes=50), 9.0)
    server.add("lasts", "scheduled__open", "running", ago(minutes=55), None)
    for n in range(250):
        server.add("succeeds", f"manual__{n:03d}", "success", ago(seconds=n), 5.0)
    runs = await adapter.runs(since=ago(hours=1), limit=200)
    assert {run.run_id for run in runs if run.pipeline != "succeeds"} == {"scheduled__bad", "scheduled__open"}
    assert len(asked(server, "/dags/~/dagRuns")) == 5


async def test_what_runs_or_failed_now_is_there_whatever_its_date(
    adapter: AirflowPipelines, server: FakeAirflow
) -> None:
    """A monthly DAG that failed today is dated a month ago; a backfill, or a run that was cleared, is of any time."""
    server.scheduler = False
    server.add("fails", "monthly", "failed", ago(minutes=30), 600.0, logical=ago(days=31))
    server.add("lasts", "cleared", "running", ago(minutes=4), None, logical=ago(days=9))
    server.add("lasts", "queued", "queued", ago(minutes=1), None, logical=ago(days=40))
    server.add("fails", "long", "failed", ago(days=9), 9 * 86400.0 - 300, logical=ago(days=9))
    server.add("fails", "of last month", "failed", ago(days=30), 60.0)
    server.add("succeeds", "hourly", "success", ago(hours=2), 5.0)
    for since in (None, ago(hours=1)):
        runs = {run.run_id: run.state for run in await adapter.runs(since=since)}
        assert runs == {
            "monthly": "failed", "cleared": "running", "queued": "queued", "long": "failed", "hourly": "success",
        }  # fmt: skip
    assert [run.history for run in await adapter.runs() if run.run_id == "monthly"] == [("failed", "failed")]


def mapped(run: Run, count: int, failed: int) -> None:
    run.tasks = {
        f"load[{n}]": Task("load", "failed" if n == failed else "success", 1, n, run.start, run.end)
        for n in range(count)
    }


@pytest.mark.parametrize("refuses", [True, False])
async def test_pages_of_tasks_that_overlap_are_read_again(
    adapter: AirflowPipelines, server: FakeAirflow, refuses: bool
) -> None:
    run = server.add("fails", "fan", "failed", ago(minutes=9), 60.0)
    mapped(run, 150, 130)
    server.refuses_order, server.mixes = refuses, [0, 50, 0, 0, 0]
    tasks = await adapter.tasks("fails", "fan")
    assert [task.task for task in tasks] == [f"load[{n}]" for n in range(150)]
    assert [task.task for task in tasks if task.state == "failed"] == ["load[130]"]


async def test_a_server_that_allows_smaller_pages_hides_nothing(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    """`maximum_page_limit` of fewer than is asked for; it cuts without a word."""
    server.max_page = 40
    run = server.add("fails", "fan", "failed", ago(minutes=9), 60.0)
    mapped(run, 150, 130)
    tasks = await adapter.tasks("fails", "fan")
    assert [task.task for task in tasks if task.state == "failed"] == ["load[130]"]
    assert len(tasks) == 150
    for n in range(90):
        server.add("succeeds", f"s{n}", "success", ago(hours=1, minutes=n), 60.0)
    assert len({run.run_id for run in await adapter.runs()}) == 91
    assert len(await adapter.pipelines()) == len(DAGS)


@pytest.mark.parametrize("task", ["load", None])
async def test_the_log_of_many_tasks_has_those_that_failed(
    adapter: AirflowPipelines, server: FakeAirflow, task: str | None
) -> None:
    run = server.add("fails", "fan", "failed", ago(minutes=9), 60.0)
    mapped(run, 150, 75)
    said, *_ = await adapter.task_log("fails", "fan", task)
    assert "90 of its 150 tasks are not read" in said.message
    read = [query["map_index"] for query in asked(server, "/logs/1")]
    assert (len(read), read.count("75")) == (60, 1)


async def test_of_very_many_tasks_the_failed_ones_are_read_first(
    adapter: AirflowPipelines, server: FakeAirflow
) -> None:
    run = server.add("fails", "fan", "failed", ago(minutes=9), 60.0)
    mapped(run, 2500, 2300)
    [found] = await adapter.runs()
    assert (found.tasks_done, found.tasks_total) == (2499, 2500)
    assert found.error is not None
    assert found.error.startswith("load[2300]: ")
    assert found.note == "499 of its 2500 tasks were not read"
    tasks = await adapter.tasks("fails", "fan")
    assert [task.task for task in tasks if task.state == "failed"] == ["load[2300]"]
    assert (tasks[-1].task, tasks[-1].state) == ("and 499 more", "unknown")


async def test_late_without_an_sla(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    for n in range(1, 12):
        server.add("lasts", f"scheduled__{n:02d}", "success", ago(hours=n), 60.0)
    server.add("lasts", "scheduled__now", "running", ago(minutes=20), None)
    run = (await adapter.runs())[0]
    assert (run.run_id, run.usual_s, run.late, run.health) == ("scheduled__now", 60.0, True, "warning")
    assert (run.tasks_done, run.tasks_total) == (0, 2)


async def test_a_state_that_a_later_version_adds_is_unknown(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    run = server.add("succeeds", "r1", "levitating", ago(minutes=1), None)
    run.tasks["a"].state = "levitating"
    (found,) = await adapter.runs()
    assert (found.state, found.raw_state, found.health) == ("unknown", "levitating", "unknown")
    task = (await adapter.tasks("succeeds", "r1"))[0]
    assert (task.state, task.error) == ("unknown", 'state "levitating" is not known here')


async def test_the_error_of_a_failed_run_is_that_of_its_log(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    await adapter.trigger("fails", "r1", {})
    run = await ended(adapter, "fails", "r1")
    assert (run.error, run.tasks_done, run.tasks_total) == ("breaks: 37 unexpected values", 1, 3)
    states = {task.task: (task.state, task.error) for task in await adapter.tasks("fails", "r1")}
    assert states["after"] == ("skipped", "upstream failed")
    before = len(server.requests)
    await adapter.runs()
    assert len(server.requests) == before + 3, "what has ended is looked into once"


async def test_why_nothing_starts(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    server.scheduler = False
    await adapter.trigger("succeeds", "r1", {})
    assert "at most 16 at once" in (await adapter.run("succeeds", "r1")).note
    await adapter.set_paused("succeeds", True)
    assert "paused" in (await adapter.run("succeeds", "r1")).note
    run = server.runs["succeeds", "r1"]
    run.state, run.start = "running", ago(seconds=5)
    run.tasks["a"].state = "scheduled"
    server.pools[0] |= {"slots": 4, "open_slots": 0}
    assert (await adapter.run("succeeds", "r1")).note == "pool default_pool has no open slot of 4"


@pytest.mark.parametrize("server", [True], ids=["v2"], indirect=True)  # v1 knows no versions
async def test_new_code_since_the_last_good_run(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    server.add("fails", "r1", "success", ago(hours=2), 5.0, version=3)
    server.add("fails", "r2", "failed", ago(hours=1), 5.0, version=4)
    run = await adapter.run("fails", "r2")
    assert run.note == ""  # of one run alone nobody knows
    run = (await adapter.runs())[0]
    assert run.note == "its code changed since the last good run: version 3 → 4"
    events = await adapter.events(ago(hours=3), NOW)
    assert "version 4" in " ".join(event.text for event in events)


async def test_hostile_words_stay_words(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    hostile = "x\x1b]52;c;QQ==\x07\u202eEULB\n"
    server.dags = {**DAGS, hostile: {"a\x1b[2J": ()}}
    server.add(hostile, "manual__2024-01-01T00:00:00+00:00/..", "failed", ago(minutes=1), 5.0, note=hostile)
    runs = await adapter.runs()
    tasks = await adapter.tasks(hostile, "manual__2024-01-01T00:00:00+00:00/..")
    shown = json.dumps([[run.ref, run.pipeline, run.error] for run in runs] + [task.task for task in tasks])
    assert not any(mark in shown for mark in ("\\u001b", "\\u202e", "\\n"))


# ---- orders


async def test_a_lost_answer_to_a_trigger_is_looked_for(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    await adapter.runs()
    server.lose = True
    await adapter.trigger("succeeds", "r1", {"n": 3})
    assert len(server.orders) == 1
    assert (await adapter.run("succeeds", "r1")).run_id == "r1"


async def test_params_that_the_dag_refuses_are_said(adapter: AirflowPipelines) -> None:
    with pytest.raises(BackendError, match="n: 'x' is not of type 'integer'") as caught:
        await adapter.trigger("succeeds", "r1", {"n": "x"})
    assert (caught.value.kind, "Failed validating" in caught.value.message) == ("config", False)


async def test_a_clear_is_tried_dry_and_then_said_plainly(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    await adapter.trigger("fails", "r1", {})
    await ended(adapter, "fails", "r1")
    assert await adapter.retry_preview("fails", "r1") == ["breaks", "after"]
    await adapter.retry("fails", "r1")
    bodies = [json.loads(each.body) for each in server.requests if each.target.endswith("clearTaskInstances")]
    assert [body["dry_run"] for body in bodies] == [True, True, False]
    assert all(not body["include_past"] and not body["include_future"] for body in bodies)


async def test_a_clear_that_reaches_another_run_is_not_sent(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    await adapter.trigger("fails", "r1", {})
    await ended(adapter, "fails", "r1")
    server.clear_reaches = "scheduled__yesterday"
    assert await refused(adapter.retry("fails", "r1")) == "conflict"
    assert server.runs["fails", "r1"].state == "failed"


async def test_a_cancelled_run_is_retried_whole_and_may_fail_by_itself(
    adapter: AirflowPipelines, server: FakeAirflow
) -> None:
    server.scheduler = False
    run = server.add("fails", "r1", "running", ago(seconds=1), None)
    for task in run.tasks.values():
        task.state = None
    await adapter.cancel("fails", "r1")
    assert (await adapter.run("fails", "r1")).state == "cancelled"
    assert await adapter.retry_preview("fails", "r1") == ["works", "breaks", "after"]
    run.end = datetime.now(UTC) + timedelta(minutes=5)
    assert (await adapter.run("fails", "r1")).state == "failed"


async def test_approvals(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    if not server.v2:
        assert await adapter.approvals("succeeds", server.add("succeeds", "r1", "running", NOW, None).run_id) == []
        return
    server.scheduler = False
    run = server.add("lasts", "r1", "running", ago(seconds=1), None)
    run.tasks["sleeps"].state = "awaiting_input"
    for task, options in (("sleeps", ["Approve", "Reject"]), ("then", ["blue", "green"])):
        instance = server._instance(run, run.tasks[task])
        told = {"options": options, "subject": "Load it?", "created_at": "2026-01-01T00:00:00Z"}
        server.approvals.append(
            {**told, "response_received": False, "params": {}, "task_instance": instance, "run": "r1"}
        )
    assert (await adapter.run("lasts", "r1")).state == "waiting"
    assert [(each.name, each.mine) for each in await adapter.approvals("lasts", "r1")] == [
        ("sleeps", True),
        ("then", False),
    ]
    await adapter.approve("lasts", "r1", "looks good")
    assert server.approvals[0]["chosen_options"] == ["Approve"]
    assert "chosen_options" not in server.approvals[1]
    assert await refused(adapter.approve("lasts", "r1", "")) == "auth"


async def test_who_did_what(adapter: AirflowPipelines) -> None:
    began = datetime.now(UTC)
    await adapter.trigger("succeeds", "r1", {})
    await adapter.set_paused("succeeds", True)
    events = await adapter.events(began, datetime.now(UTC))
    assert [event.text for event in events] == ["oncall triggered succeeds #r1", "oncall paused succeeds"]
    assert [event.ref for event in events] == ["af/succeeds/r1", "af/succeeds"]


async def test_params_are_typed(adapter: AirflowPipelines) -> None:
    info = await adapter.pipeline("succeeds")
    params = {param.name: param for param in info.params}
    assert (info.schedule, params["n"].type, params["n"].schema, params["n"].required) == (
        "@hourly", "integer", {"minimum": 0}, False,
    )  # fmt: skip
    assert (params["mode"].choices, params["mode"].nullable) == (("full", "delta"), False)
    assert (params["note"].type, params["note"].nullable) == ("string", True)


def test_a_schema_of_alternatives_is_judged_whole() -> None:
    schema = {"anyOf": [{"type": "string", "format": "date"}, {"type": "integer", "minimum": 1}], "title": "When"}
    (when,) = params_of({"when": {"value": None, "schema": schema}})
    assert (when.type, when.required, when.nullable, when.description) == ("any", True, False, "When")
    assert problem(when, 3) == problem(when, "2026-08-24") == ""
    assert problem(when, []) == "when: [] is not date or integer, from 1"
    (either,) = params_of({"either": {"value": "x", "schema": {"type": ["string", "integer", "null"]}}})
    assert (either.type, either.nullable) == ("any", True)
    assert problem(either, 1.5) == "either: 1.5 is not a string or an integer or null"
    (only,) = params_of({"only": {"value": "a", "schema": {"const": "a"}}})
    assert (only.nullable, problem(only, "b")) == (False, "only: only a")


async def test_a_broken_file_is_named(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    trace = "Traceback (most recent call last):\n  File x\nRuntimeError: no such table: customers\n"
    server.import_errors = [{"filename": "/dags/broken.py", "stack_trace": trace, "timestamp": "2026-01-01T00:00:00Z"}]
    assert await adapter.import_errors() == ["broken.py: RuntimeError: no such table: customers"]


# ---- logs


async def test_a_log_is_read_page_by_page(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    run = server.add("succeeds", "r1", "success", ago(minutes=1), 5.0)
    run.logs["a", 1] = [(ago(seconds=60 - n), "info", f"line {n}") for n in range(9)]
    entries = await adapter.task_log("succeeds", "r1", "a")
    assert [entry.message for entry in entries] == [f"line {n}" for n in range(9)]
    assert len(asked(server, "/logs/1")) == 6, "five pages, and the empty one that ends them"
    assert all(entry.labels == {"task": "a", "try": "1"} for entry in entries)


def test_both_shapes_of_a_log() -> None:
    source = Source("validate", 2)
    text = (
        "[2024-01-01T10:00:00.123+0000] {validate.py:12} ERROR - 37 unexpected values\n"
        "Traceback (most recent call last):\n"
        "ValueError: transactions_suite failed\n"
        "[2024-01-01T10:00:01.000+0100] {local.py:1} INFO - Task exited with return code 1\n"
    )
    for content in (text, str([("worker-1", text)]), [["worker-1", text]]):
        entries = entries_of(content, source)
        assert [entry.level for entry in entries] == ["error", "error", "error", "info"]
        assert [entry.message for entry in entries][0::3] == ["37 unexpected values", "Task exited with return code 1"]
        assert entries[3].at == datetime(2024, 1, 1, 9, 0, 1, tzinfo=UTC)
        assert error_line(entries) == "ValueError: transactions_suite failed"
    structured = [
        {"event": "::group::Log message source details"},
        {"event": "/logs/1.log"},
        {"event": "::endgroup::"},
        {"timestamp": "2026-01-01T00:00:00.5Z", "event": "37 unexpected values", "level": "error", "logger": "x"},
        {
            "timestamp": "2026-01-01T00:00:01Z",
            "event": "Task failed with exception",
            "level": "error",
            "error_detail": [{"exc_type": "ValueError", "exc_value": "suite failed", "frames": [{"filename": "a.py"}]}],
        },
    ]
    entries = entries_of(structured, source)
    assert entries[0].message == "37 unexpected values"
    assert entries[0].at_ns == "1767225600500000000"
    assert error_line(entries) == "ValueError: suite failed"
    for hostile in (None, 5, {}, [None, 1, {}], "[(", [[1, 2, 3]]):
        entries_of(hostile, source)


# ---- faults

EXPECTED = {"401": "auth", "403": "auth", "404": "not_found", "429": "rate_limited"}


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - {"slow"}))
async def test_a_fault_is_one_error_in_time(connect: Connect, server: FakeAirflow, fault: str) -> None:
    adapter = connect(timeout="30s" if fault in EXPECTED else "2s")
    await connect().trigger("succeeds", "r1", {})
    server.fault, server.extra_headers = fault, {"retry-after": "60"}  # or it would be asked again, a second later
    async with asyncio.timeout(30):
        for read in (adapter.runs(), adapter.tasks("succeeds", "r1"), adapter.pipelines(), adapter.events(NOW, NOW)):
            with pytest.raises(BackendError) as caught:
                await read
            assert caught.value.message
            assert caught.value.fix
            assert TOKEN not in caught.value.message
            assert caught.value.kind == EXPECTED.get(fault, caught.value.kind)
    server.fault = ""
    assert [run.run_id for run in await adapter.runs()] == ["r1"]


async def test_a_refused_connection(connect: Connect, server: FakeAirflow) -> None:
    adapter = connect()
    await adapter.runs()
    await server.stop()
    with pytest.raises(BackendError) as caught:
        await adapter.runs()
    assert caught.value.kind == "unreachable"


async def test_a_list_without_its_details_is_better_than_none(adapter: AirflowPipelines, server: FakeAirflow) -> None:
    server.add("fails", "r1", "failed", ago(minutes=1), 5.0)
    server._of_run = _refusing(server._of_run)
    (run,) = await adapter.runs()
    assert (run.state, run.error) == ("failed", None)


def _refusing(real: Callable[..., Any]) -> Callable[..., Any]:
    def refuse(method: str, run: Any, rest: list[str], *more: Any) -> Any:
        if rest == ["taskInstances"]:
            raise Refusal(403, "not yours")
        return real(method, run, rest, *more)

    return refuse


def test_what_a_config_may_not_say(tmp_path: Path) -> None:
    for bad in (
        {"url": "ftp://x"},
        {"url": "http://a:b@x"},
        {"url": "http://x", "window": "0s"},
        {"url": "http://x", "x": 1},
    ):
        with pytest.raises(BackendError):
            build("pipelines", "airflow", bad, AdapterContext("af", tmp_path, tmp_path, Http()))


async def test_what_a_run_was_made_with_and_the_good_ones_of_its_own_dag(
    adapter: AirflowPipelines, server: FakeAirflow
) -> None:
    server.add("succeeds", "old", "success", ago(hours=3), 60, conf={"rows": 500}, version=3)
    server.add("succeeds", "failed", "failed", ago(hours=2), 60)
    server.add("lasts", "other", "success", ago(hours=2), 60)
    server.add("succeeds", "bad", "failed", ago(hours=1), 60, conf={"rows": 5000}, version=4)
    server.add("succeeds", "later", "success", ago(minutes=5), 60)
    assert [run.run_id for run in await adapter.good_before("succeeds", "bad")] == ["old"]
    bad, old = await adapter.inputs("succeeds", "bad"), await adapter.inputs("succeeds", "old")
    assert (bad.params, old.params) == ({"rows": 5000}, {"rows": 500})
    if server.v2:
        assert bad.code.startswith("version 4")
        assert old.code.startswith("version 3")
    else:
        assert bad.code == old.code == "", "Airflow 2 keeps no versions"
