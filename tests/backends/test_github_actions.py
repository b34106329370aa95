"""`github-actions` against a server in this process, each request and answer held against GitHub's own description."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.pipelines.github import dispatch as github_dispatch
from backends.pipelines.github import pipelines as github_actions
from backends.pipelines.github.models import ordered
from backends.pipelines.github.pipelines import GitHubActionsPipelines
from backends.pipelines.github.wire import Job, state_of
from backends.pipelines.github.workflow import read_workflow
from backends.registry import AdapterContext, build
from backends.testing.pipelines import Names, PipelinesContract, ended, refused
from tests.backends.fake_github import FILTERS, REPO, TOKEN, FakeGitHub, stamp
from tests.backends.faulty_server import FAULTS, FaultyServer
from tests.backends.github_openapi import description

Connect = Callable[..., GitHubActionsPipelines]
MINUTE = timedelta(minutes=1)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeGitHub]:
    description()
    monkeypatch.setenv("GH_TOKEN", TOKEN)
    monkeypatch.setattr(github_actions, "FOLLOW_S", 0.05)
    monkeypatch.setattr(github_dispatch, "LOOK_EVERY_S", 0.02)
    async with FakeGitHub() as server, FaultyServer(answer=server.blob) as blobs:
        server.blobs = blobs
        yield server
        assert server.complaints == []
        assert not any("authorization" in each.headers for each in blobs.requests), "the token went to another host"
        others = FILTERS - {"status"}  # lists by a filter lag behind: only what is of long ago is looked for so
        assert not any(others & set(parse_qs(urlsplit(each.target).query)) for each in server.requests)


@pytest.fixture
async def connect(server: FakeGitHub, tmp_path: Path) -> AsyncIterator[Connect]:
    http = Http()

    def connected(state: str = "state", **config: Any) -> GitHubActionsPipelines:
        context = AdapterContext("github", tmp_path, tmp_path / state, http)
        place = {"url": server.url + server.prefix, "repo": REPO, "auth": {"token": {"env": "GH_TOKEN"}}}
        adapter: GitHubActionsPipelines = build("pipelines", "github-actions", {**place, **config}, context)
        return adapter

    yield connected
    await http.aclose()


@pytest.fixture
def adapter(connect: Connect) -> GitHubActionsPipelines:
    return connect()


class TestContract(PipelinesContract):
    @pytest.fixture
    def names(self) -> Names:
        return Names("succeeds.yml", "fails.yml", "lasts.yml")


class TestDispatch:
    async def test_the_number_of_the_run_is_known_at_once(self, connect: Connect, server: FakeGitHub) -> None:
        await connect().trigger("succeeds.yml", "mine", {"n": 2, "dry": True, "mode": "delta"})
        assert server.runs[0].inputs == {"n": "2", "dry": "true", "mode": "delta"}
        assert (await connect().run("succeeds.yml", "mine")).note == f"GitHub run {server.runs[0].id}"
        elsewhere = await connect(state="another host").run("succeeds.yml", str(server.runs[0].id))
        assert (elsewhere.run_id, elsewhere.url) == (
            str(server.runs[0].id), f"https://github.com/{REPO}/actions/runs/{server.runs[0].id}",
        )  # fmt: skip

    @pytest.mark.parametrize("lost", [{"lose": True}, {"no_details": True}, {"refuses_details": True}])
    async def test_a_run_is_looked_for(self, connect: Connect, server: FakeGitHub, lost: dict[str, bool]) -> None:
        server.add("succeeds.yml", "success", now() - MINUTE)
        for name, value in lost.items():
            setattr(server, name, value)
        adapter = connect()
        await adapter.trigger("succeeds.yml", "mine", {})
        assert len(server.runs) == 2, "one, and one only"
        assert (await adapter.run("succeeds.yml", "mine")).note.endswith(str(server.runs[1].id))
        await adapter.trigger("succeeds.yml", "mine", {})
        assert len(server.runs) == 2

    async def test_one_of_somebody_else_is_not_taken_for_ours(self, connect: Connect, server: FakeGitHub) -> None:
        server.no_details = server.hides = True
        await connect().trigger("succeeds.yml", "mine", {})
        server.add("succeeds.yml", None, now() + MINUTE, actor="hubot", is_hidden=False)
        assert (await connect().run("succeeds.yml", "mine")).raw_state == "dispatched"
        server.runs[0].is_hidden = False
        assert (await connect().run("succeeds.yml", "mine")).note.endswith(str(server.runs[0].id))

    async def test_two_that_could_be_it_are_neither(self, connect: Connect, server: FakeGitHub) -> None:
        server.no_details = True
        server.add("succeeds.yml", None, now() + MINUTE)
        adapter = connect()
        await adapter.trigger("succeeds.yml", "mine", {})
        with pytest.raises(BackendError, match="nobody knows which") as caught:
            await adapter.run("succeeds.yml", "mine")
        assert (caught.value.kind, len(server.orders)) == ("conflict", 1)
        assert await refused(adapter.trigger("succeeds.yml", "mine", {})) == "conflict"
        assert len(server.orders) == 1, "nothing is sent again while nobody knows"

    async def test_a_run_name_tells_them_apart(self, connect: Connect, server: FakeGitHub) -> None:
        server.no_details = True
        server.add("named.yml", None, now() + MINUTE)
        adapter = connect()
        await adapter.trigger("named.yml", "mine", {})
        assert server.runs[1].inputs == {"teal_run_id": "mine"}
        assert (await adapter.run("named.yml", "mine")).note.endswith(str(server.runs[1].id))
        await adapter.trigger("named.yml", "mine", {})
        assert len(server.orders) == 1
        assert (await adapter.pipeline("named.yml")).params == (), "that one is ours to give"

    async def test_what_did_not_arrive_is_not_sent_again_too_soon(
        self, connect: Connect, server: FakeGitHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        adapter = connect()
        await adapter.runs()
        server.fails_next = 503
        with pytest.raises(BackendError, match="503"):
            await adapter.trigger("lasts.yml", "mine", {})
        assert [run.workflow for run in server.runs] == []
        assert await refused(adapter.trigger("lasts.yml", "mine", {})) == "conflict"
        monkeypatch.setattr(github_dispatch, "SETTLES_S", 0)
        await adapter.trigger("lasts.yml", "mine", {})
        assert len(server.runs) == 1

    async def test_a_refusal_leaves_the_id_free(self, connect: Connect, server: FakeGitHub) -> None:
        adapter = connect()
        with pytest.raises(BackendError, match='Unexpected inputs provided: \\["bad"\\]') as caught:
            await adapter.trigger("succeeds.yml", "mine", {"bad": 1})
        assert caught.value.kind == "config"
        await adapter.trigger("succeeds.yml", "mine", {})
        assert len(server.runs) == 1

    async def test_a_new_run_that_is_not_shown_yet_is_queued(self, connect: Connect, server: FakeGitHub) -> None:
        server.hides = True
        adapter = connect()
        await adapter.trigger("succeeds.yml", "mine", {})
        found = await adapter.run("succeeds.yml", "mine")
        assert (found.state, found.note) == ("queued", "GitHub shows no run of it yet")
        assert await refused(adapter.retry("succeeds.yml", "mine")) == "not_found"

    async def test_nothing_is_started_where_it_cannot_be_remembered(
        self, connect: Connect, server: FakeGitHub, tmp_path: Path
    ) -> None:
        (tmp_path / "state").write_text("a file where a directory should be")
        assert await refused(connect().trigger("succeeds.yml", "mine", {})) == "config"
        assert server.orders == []


class TestOrders:
    async def test_a_rerun_whose_answer_is_lost(self, adapter: GitHubActionsPipelines, server: FakeGitHub) -> None:
        run = server.add("fails.yml", "failure", now() - MINUTE)
        assert await adapter.retry_preview("fails.yml", str(run.id)) == ["works", "breaks", "after"]
        server.lose = True
        await adapter.retry("fails.yml", str(run.id))
        assert (run.attempt, len(server.orders)) == (2, 1)

    async def test_a_run_that_is_too_old_to_run_again(
        self, adapter: GitHubActionsPipelines, server: FakeGitHub
    ) -> None:
        run = server.add("fails.yml", "failure", now() - timedelta(days=31))
        with pytest.raises(BackendError, match="over a month ago") as caught:
            await adapter.retry("fails.yml", str(run.id))
        assert caught.value.kind == "conflict"

    async def test_a_cancel_whose_answer_is_lost(self, adapter: GitHubActionsPipelines, server: FakeGitHub) -> None:
        run = server.add("lasts.yml", None, now())
        server.lose = True
        await adapter.cancel("lasts.yml", str(run.id))
        assert (await adapter.run("lasts.yml", str(run.id))).state == "cancelled"

    async def test_approvals(self, adapter: GitHubActionsPipelines, server: FakeGitHub) -> None:
        run = server.add("fails.yml", None, now(), status="waiting")
        server.pending[run.id] = [("staging", True), ("production", False)]
        mine, theirs = await adapter.approvals("fails.yml", str(run.id))
        assert (mine.name, mine.mine, theirs.name, theirs.mine) == ("staging", True, "production", False)
        assert mine.detail.startswith("by octocat")
        assert (await adapter.run("fails.yml", str(run.id))).state == "waiting"
        server.lose = True
        await adapter.approve("fails.yml", str(run.id), "looks good")
        assert server.approved == [{"environment_ids": [107], "state": "approved", "comment": "looks good"}]
        assert await refused(adapter.approve("fails.yml", str(run.id), "")) == "auth"

    async def test_a_disabled_workflow_says_so(self, adapter: GitHubActionsPipelines, server: FakeGitHub) -> None:
        await adapter.set_paused("lasts.yml", True)
        with pytest.raises(BackendError, match="disabled workflow"):
            await adapter.trigger("lasts.yml", "mine", {})


class TestReading:
    async def test_inputs_and_schedule_of_a_workflow(self, adapter: GitHubActionsPipelines) -> None:
        found = await adapter.pipeline("succeeds.yml")
        assert found.schedule == "0 4 * * *"
        assert [(p.name, p.type, p.default, p.required, p.choices) for p in found.params] == [
            ("n", "number", 1, True, ()), ("mode", "string", "full", False, ("full", "delta")),
            ("dry", "boolean", False, False, ()),
        ]  # fmt: skip

    async def test_an_unchanged_answer_is_not_sent_again(
        self, adapter: GitHubActionsPipelines, server: FakeGitHub
    ) -> None:
        server.add("fails.yml", "failure", now() - MINUTE)
        first = await adapter.runs()
        sent = server.bytes_sent
        server.requests.clear()
        assert [run.ref for run in await adapter.runs()] == [run.ref for run in first]
        assert all("if-none-match" in each.headers for each in server.requests)
        assert server.bytes_sent - sent < sent / 5

    async def test_the_last_of_a_workflow_that_no_page_has(
        self, adapter: GitHubActionsPipelines, server: FakeGitHub
    ) -> None:
        old = server.add("fails.yml", "failure", now() - timedelta(days=40))
        for age in range(120):
            server.add("succeeds.yml", "success", now() - age * MINUTE)
        found = await adapter.runs(since=now() - 5.5 * MINUTE)
        assert [run.pipeline for run in found] == ["succeeds.yml"] * 7 + ["fails.yml"]
        assert (found[-1].run_id, found[-1].error) == (str(old.id), "works: Run works.sh")
        assert found[0].usual_s == 60

    async def test_what_was_run_again_is_there_whenever_it_was_made(
        self, adapter: GitHubActionsPipelines, server: FakeGitHub
    ) -> None:
        """A list is in the order in which runs were made, and a run of three weeks ago may be run again."""
        for n in range(1, 121):
            server.add("succeeds.yml", "success", now() - timedelta(days=8) - n * MINUTE)
        old = {"attempt": 2, "start": now() - 9 * MINUTE}
        failed = server.add("fails.yml", "failure", now() - timedelta(days=20), **old, updated=now() - MINUTE)
        server.add("fails.yml", "failure", now() - timedelta(days=21))
        runs = server.add("lasts.yml", None, now() - timedelta(days=25), **old)
        for workflow in ("fails.yml", "lasts.yml"):  # the last of each is another
            server.add(workflow, "success", now() - timedelta(days=7.5))
        for job in runs.jobs:
            job.name = "sleeps"
        found = {run.run_id: run.state for run in await adapter.runs(since=now() - 5 * MINUTE)}
        assert (found.get(str(failed.id)), found.get(str(runs.id))) == ("failed", "running")

    async def test_steps_come_with_their_job(self, adapter: GitHubActionsPipelines, server: FakeGitHub) -> None:
        run = server.add("fails.yml", "failure", now() - MINUTE)
        tasks = await adapter.tasks("fails.yml", str(run.id))
        assert [task.task for task in tasks] == [
            "works", "works / Run works.sh", "breaks", "breaks / Run breaks.sh", "after", "after / Run after.sh",
        ]  # fmt: skip
        assert tasks[4].depends_on == ("breaks",)

    async def test_a_job_that_runs_has_no_log(self, adapter: GitHubActionsPipelines, server: FakeGitHub) -> None:
        run = server.add("lasts.yml", None, now())
        with pytest.raises(BackendError, match="has not ended") as caught:
            await adapter.task_log("lasts.yml", str(run.id), "sleeps")
        assert (caught.value.kind, "actions/runs" in caught.value.fix) == ("not_found", True)

    async def test_a_lost_log_host_does_not_tell_its_signature(
        self, adapter: GitHubActionsPipelines, server: FakeGitHub
    ) -> None:
        run = server.add("succeeds.yml", "success", now())
        assert server.blobs is not None
        server.blobs.fault = "403"
        with pytest.raises(BackendError) as caught:
            await adapter.task_log("succeeds.yml", str(run.id), "build")
        assert "ASecretSignature" not in caught.value.message + caught.value.fix

    async def test_log_lines(self, adapter: GitHubActionsPipelines) -> None:
        await adapter.trigger("fails.yml", "r1", {})
        await ended(adapter, "fails.yml", "r1")
        lines = await adapter.task_log("fails.yml", "r1", "breaks / Run breaks.sh")
        assert [(line.level, line.message) for line in lines][-1] == ("error", "Process completed with exit code 1.")
        assert all(line.at is not None for line in lines)

    async def test_events(self, adapter: GitHubActionsPipelines, server: FakeGitHub) -> None:
        run = server.add("fails.yml", "failure", now() - 5 * MINUTE, attempt=2)
        made = description().example("deployment-items")[0]
        at = now() - 3 * MINUTE
        server.deployments = [
            {**made, "id": 7, "sha": "a84d88e7", "environment": "production", "created_at": stamp(at)}
        ]
        await adapter.runs()
        found = await adapter.events(now() - 10 * MINUTE, now())
        assert [event.kind for event in found] == ["workflow_dispatch", "rerun", "deployment"]
        assert found[0].ref == f"github/fails.yml/{run.id}"
        assert found[2].text == "octocat deployed a84d88e (topic-branch) to production: failure"
        assert (found[2].health, found[2].ref) == ("critical", "github/production")
        assert await adapter.events(now(), now()) == []

    @pytest.mark.parametrize(
        ("status", "conclusion", "state"),
        [
            ("completed", "startup_failure", "failed"), ("completed", "stale", "cancelled"),
            ("requested", None, "queued"), ("completed", "action_required", "waiting"),
            ("completed", "invented", "unknown"), ("INVENTED", None, "unknown"), ("completed", None, "unknown"),
            (None, None, "unknown"), ("Completed", "Success", "success"),
        ],
    )  # fmt: skip
    def test_words(self, status: str | None, conclusion: str | None, state: str) -> None:
        assert state_of(status, conclusion) == state

    def test_jobs_that_need_each_other(self) -> None:
        jobs = [Job(id=1, name="a"), Job(id=2, name="b (3.11)"), Job(id=3, name="c / inner")]
        assert len(ordered(jobs, {"a": ("b",), "b": ("a",)})) == 3
        assert [job.name for job in ordered(jobs, {"a": ("c",), "c": ("b",)})] == ["b (3.11)", "c / inner", "a"]

    @pytest.mark.parametrize("content", ["", "%%%", "Og==", "LSBhCi0gYg==", "b246IFsgYTogJmEgWyphXSBd", "ISFweXRob24="])
    def test_a_file_that_is_no_workflow(self, content: str) -> None:
        assert read_workflow(content).inputs == ()


class TestLimits:
    async def test_a_secondary_limit_is_obeyed(self, adapter: GitHubActionsPipelines, server: FakeGitHub) -> None:
        await adapter.runs()
        words = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
        server.answer, real = None, server._answer
        server._answer = lambda request, path, query, headers: headers.update({"retry-after": "90"}) or (403, words)
        with pytest.raises(BackendError, match="secondary rate limit") as caught:
            await adapter.runs()
        assert (caught.value.kind, round(caught.value.retry_after_s or 0)) == ("rate_limited", 90)
        server._answer = real
        asked = len(server.requests)
        assert await refused(adapter.runs()) == "rate_limited"
        assert await refused(adapter.trigger("succeeds.yml", "mine", {})) == "rate_limited"
        assert len(server.requests) == asked, "going on while limited ends in a ban"

    async def test_the_hour_is_used_up(self, adapter: GitHubActionsPipelines, server: FakeGitHub) -> None:
        server.remaining = 0
        server._answer = lambda *_: (403, {"message": "API rate limit exceeded for user ID 1."})
        with pytest.raises(BackendError, match="API rate limit exceeded") as caught:
            await adapter.runs()
        assert caught.value.kind == "rate_limited"
        assert (caught.value.retry_after_s or 0) > 3600

    async def test_a_403_that_is_none_of_a_limit(self, adapter: GitHubActionsPipelines, server: FakeGitHub) -> None:
        server._answer = lambda *_: (403, {"message": "Resource not accessible by personal access token"})
        with pytest.raises(BackendError, match="not accessible") as caught:
            await adapter.runs()
        assert (caught.value.kind, "token" in caught.value.fix) == ("auth", True)

    async def test_few_that_are_left_are_kept_for_what_matters(
        self, adapter: GitHubActionsPipelines, server: FakeGitHub
    ) -> None:
        server.add("fails.yml", "failure", now())
        server.remaining = 100
        await adapter.runs()
        assert server.asked("/jobs") == []
        assert (await adapter.pipelines())[0].note.startswith("100 of 5000 requests left for the next ")


async def test_a_token_that_was_renewed(connect: Connect, server: FakeGitHub, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("stale")
    adapter = connect(auth={"token": {"file": "token"}})
    assert await refused(adapter.runs()) == "auth"
    (tmp_path / "token").write_text(TOKEN)
    assert await adapter.runs() == []


async def test_github_enterprise_has_a_path(connect: Connect, server: FakeGitHub) -> None:
    server.prefix = "/api/v3"
    assert await connect(url=f"{server.url}/api/v3/").runs() == []


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - {"slow"}))
async def test_a_fault_is_one_error_in_time(connect: Connect, server: FakeGitHub, fault: str) -> None:
    adapter = connect(timeout="2s")
    run = server.add("succeeds.yml", "success", now())
    server.fault = fault
    async with asyncio.timeout(60):
        for read in (adapter.runs(), adapter.tasks("succeeds.yml", str(run.id)), adapter.pipelines()):
            with pytest.raises(BackendError) as caught:
                await read
            assert caught.value.message
            assert caught.value.fix
            assert TOKEN not in caught.value.message
    server.fault = ""
    if fault not in ("429",):  # which is obeyed
        assert [found.run_id for found in await adapter.runs()] == [str(run.id)]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"repo": "analytics"}, "OWNER/NAME"),
        ({"repo": "a/b/../c"}, "OWNER/NAME"),
        ({"url": "ftp://x"}, "http"),
        ({"headers": {"Authorization": "Bearer x"}}, "literal secret"),
        ({"window": "0s"}, "more than 0s"),
        ({"failed_jobs": -1}, "failed_jobs"),
    ],
)
def test_a_config_that_cannot_be_meant(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words):
        build("pipelines", "github-actions", {"repo": "a/b", **config}, AdapterContext("g", tmp_path, tmp_path, Http()))


async def test_the_log_of_a_job_is_its_own(adapter: GitHubActionsPipelines, server: FakeGitHub) -> None:
    run = server.add("succeeds.yml", "failure", now() - MINUTE)
    example = run.jobs[0]
    run.jobs = [
        replace(example, id=900 + number, name=name, lines=[f"log of {number}"])
        for number, name in enumerate(("deploy", "deploy / prod", "dup", "dup"))
    ]
    tasks = [task.task for task in await adapter.tasks("succeeds.yml", str(run.id)) if ".sh" not in task.task]
    assert tasks == ["deploy", "deploy / prod", "dup #902", "dup #903"]

    async def log(task: str) -> str:
        entries = await adapter.task_log("succeeds.yml", str(run.id), task)
        return " ".join(entry.message for entry in entries)

    assert "log of 1" in await log("deploy / prod")
    assert "log of 0" in await log("deploy / Run deploy.sh")
    assert "log of 3" in await log("dup #903")
    for several in ("dup", "dup / Run dup.sh"):
        with pytest.raises(BackendError, match="one of several jobs") as caught:
            await log(several)
        assert (caught.value.kind, caught.value.fix) == ("not_found", "name one of dup #902, dup #903")
    with pytest.raises(BackendError, match="has no job"):
        await log("deploy / nothing")


async def test_the_log_of_many_jobs_has_those_that_failed(adapter: GitHubActionsPipelines, server: FakeGitHub) -> None:
    run = server.add("succeeds.yml", "failure", now() - MINUTE)
    example = replace(run.jobs[0], conclusion="success")
    run.jobs = [
        replace(example, id=900 + number, name=f"m ({number})", lines=[f"log of {number}"]) for number in range(30)
    ]
    run.jobs[3].conclusion = "failure"
    said, *entries = [entry.message for entry in await adapter.task_log("succeeds.yml", str(run.id))]
    assert "10 of its 30 jobs are not read" in said
    assert sum("log of" in words for words in entries) == 20
    assert any("log of 3" in words for words in entries)


async def test_a_run_of_a_workflow_that_is_not_listed(
    adapter: GitHubActionsPipelines, server: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = server.add("succeeds.yml", "success", now() - MINUTE)

    async def none(*_: Any) -> list[Any]:
        return []

    monkeypatch.setattr(adapter._reading, "workflows", none)
    [listed] = [each for each in await adapter.runs() if each.run_id == str(run.id)]
    found = await adapter.run(listed.pipeline, listed.run_id)
    assert (found.ref, found.state) == (listed.ref, "success")
    assert await adapter.tasks(listed.pipeline, listed.run_id)
    with pytest.raises(BackendError, match="no workflow other"):
        await adapter.run("other.yml", listed.run_id)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[1]", b'{"mine": {"run_id": 1}}'])
async def test_a_damaged_memory_of_dispatches_is_said_and_starts_nothing(
    connect: Connect, server: FakeGitHub, tmp_path: Path, content: bytes
) -> None:
    await connect().trigger("succeeds.yml", "mine", {})
    [path] = (tmp_path / "state").glob("*.dispatches.json")
    path.write_bytes(content)
    adapter = connect()
    for work in (adapter.trigger("succeeds.yml", "mine", {}), adapter.run("succeeds.yml", "mine")):
        with pytest.raises(BackendError, match="damaged") as caught:
            await work
        assert (caught.value.kind, "mv " in caught.value.fix) == ("config", True)
    assert len(server.runs) == 1
    assert path.read_bytes() == content
    [run] = [each for each in await adapter.runs() if each.pipeline == "succeeds.yml"]
    assert "damaged" in run.note
    assert (await adapter.run("succeeds.yml", run.run_id)).ref == run.ref


async def test_null_is_empty(
    adapter: GitHubActionsPipelines, server: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = server.add("succeeds.yml", "failure", now() - MINUTE)
    real = server._jobs

    def jobs(*asked: Any) -> tuple[int, Any]:
        status, body = real(*asked)
        return status, {**body, "jobs": [{**job, "steps": None} for job in body["jobs"]]}

    monkeypatch.setattr(server, "_jobs", jobs)
    tasks = await adapter.tasks("succeeds.yml", str(run.id))
    assert [task.state for task in tasks] == ["failed"] * len(run.jobs)
    server.complaints.clear()  # GitHub's description has no null there; servers do


async def test_the_inputs_of_a_dispatch_are_known_where_it_was_sent_from_here(
    connect: Connect, server: FakeGitHub
) -> None:
    mine = connect()
    await mine.trigger("succeeds.yml", "mine", {"n": 2})
    found = await mine.inputs("succeeds.yml", "mine")
    assert found.params == {"n": "2"}
    assert found.code.startswith("main ")
    elsewhere = await connect(state="another host").inputs("succeeds.yml", str(server.runs[0].id))
    assert elsewhere.params is None
    pushed = server.add("succeeds.yml", "success", now() - MINUTE, event="push")
    assert (await mine.inputs("succeeds.yml", str(pushed.id))).params == {}
