"""GitHub's REST API in this process, with runners that take no time. No GitHub can be had: so each request that comes
and each answer that goes is held against GitHub's own description (`complaints` has to stay empty).

Traps that are real: a filtered listing leaves runs out, logs lie on another host under a signed address, a job has none
before it ends, an unchanged answer is a 304, a dispatch may say nothing of the run that it made.
"""

import asyncio
import base64
import itertools
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.backends.faulty_server import FaultyServer, Received
from tests.backends.github_openapi import description

TOKEN = "ghp_CorrectHorseBattery"
REPO = "octo-org/octo-repo"
FILES = {
    "succeeds.yml": """
on:
  workflow_dispatch:
    inputs:
      n: {type: number, default: 1, description: how many, required: true}
      mode: {type: choice, options: [full, delta], default: full}
      dry: {type: boolean, default: false}
  schedule: [{cron: "0 4 * * *"}]
jobs:
  build: {runs-on: ubuntu-latest}
  test: {needs: build, runs-on: ubuntu-latest}
""",
    "fails.yml": """
on: [push, workflow_dispatch]
jobs:
  after: {needs: [breaks]}
  breaks: {needs: works}
  works: {runs-on: ubuntu-latest}
""",
    "lasts.yml": "on: workflow_dispatch\njobs: {sleeps: {runs-on: ubuntu-latest}}\n",
    "named.yml": """
run-name: ${{ inputs.teal_run_id }}
on: {workflow_dispatch: {inputs: {teal_run_id: {type: string}}}}
jobs: {build: {runs-on: ubuntu-latest}}
""",
}
JOBS: dict[str, list[str]] = {
    "succeeds.yml": ["build", "test"], "fails.yml": ["works", "breaks", "after"], "lasts.yml": ["sleeps"],
    "named.yml": ["build"],
}  # fmt: skip
FILTERS = {"actor", "branch", "event", "status", "created", "head_sha"}
TAKES = timedelta(milliseconds=60)
LAG = timedelta(minutes=3)


def stamp(at: datetime | None) -> str | None:
    """As GitHub writes times: whole seconds."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Job:
    """One job of the newest attempt."""

    id: int
    name: str
    attempt: int
    status: str = "queued"
    conclusion: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    lines: list[str] = field(default_factory=list)


@dataclass
class Artifact:
    """What a run has left, a zip; `is_gone`: it was there when it was listed."""

    id: int
    name: str
    created: datetime
    content: bytes
    expired: bool = False
    is_gone: bool = False


@dataclass
class Run:
    """One run."""

    id: int
    workflow: str
    created: datetime
    jobs: list[Job]
    event: str = "workflow_dispatch"
    inputs: dict[str, Any] = field(default_factory=dict)
    status: str = "queued"
    conclusion: str | None = None
    attempt: int = 1
    start: datetime | None = None
    updated: datetime | None = None
    actor: str = "octocat"
    title: str = ""
    is_hidden: bool = False
    branch: str = "main"
    artifacts: list[Artifact] = field(default_factory=list)


@dataclass
class FakeGitHub(FaultyServer):
    """`lose` carries out the next order and loses its answer; `fails_next`: the status that the next one gets
    instead of being carried out; `no_details`: as GitHub Enterprise Server, which knows no
    `return_run_details`; `refuses_details`: it even refuses it. `hides`: new runs are not shown."""

    prefix: str = ""
    lose: bool = False
    fails_next: int = 0
    no_details: bool = False
    refuses_details: bool = False
    hides: bool = False
    runs: list[Run] = field(default_factory=list)
    disabled: set[str] = field(default_factory=set)
    pending: dict[int, list[tuple[str, bool]]] = field(default_factory=dict)
    approved: list[Any] = field(default_factory=list)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    remaining: int = 4900
    is_bot: bool = False
    precise: bool = True
    blobs: "FaultyServer | None" = None
    _ids: Any = field(default_factory=lambda: itertools.count(30_433_642))

    # ---- the world

    @property
    def orders(self) -> list[str]:
        """What was asked to change, in order."""
        return [f"{each.method} {self._path(each)}" for each in self.requests if each.method != "GET"]

    def asked(self, end: str) -> list[Received]:
        """The GETs whose path ends so."""
        return [each for each in self.requests if each.method == "GET" and self._path(each).endswith(end)]

    def _path(self, request: Received) -> str:
        return urlsplit(request.target).path.removeprefix(self.prefix)

    def add(self, workflow: str, conclusion: str | None, created: datetime, seconds: float = 60, **more: Any) -> Run:
        """A run as it came to be long ago; open without a conclusion."""
        run = self._new(workflow, created)
        end = created + timedelta(seconds=seconds)
        run.start = run.updated = created
        run.status = "in_progress"
        for job in run.jobs:
            job.start = created
        if conclusion is not None:
            run.status, run.conclusion, run.updated = "completed", conclusion, end
            for job in run.jobs:
                job.status, job.conclusion, job.end = "completed", conclusion, end
        for name, value in more.items():
            setattr(run, name, value)
        return run

    def _new(self, workflow: str, at: datetime) -> Run:
        jobs = [Job(next(self._ids), name, 1) for name in JOBS[workflow]]
        run = Run(next(self._ids), workflow, at, jobs, title=f"run of {workflow}", is_hidden=self.hides)
        self.runs.append(run)
        return run

    def _settle(self) -> None:
        """What runners would have done by now."""
        now = datetime.now(UTC)
        for run in self.runs:
            if run.status == "queued":
                run.status, run.start, run.updated = "in_progress", now, now
            elif run.status == "in_progress" and run.start is not None and now - run.start > TAKES:
                self._go_on(run, now)

    def _go_on(self, run: Run, now: datetime) -> None:
        broken = False
        for job in run.jobs:
            if job.status == "completed":
                broken |= job.conclusion == "failure"
                continue
            job.start = job.start or now
            if job.name == "sleeps":
                job.status = "in_progress"
                return
            job.status, job.end = "completed", now
            job.conclusion = "skipped" if broken else "failure" if job.name == "breaks" else "success"
            broken |= job.conclusion == "failure"
            at = now.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
            job.lines = [f"{at} ##[group]Run {job.name}", f"{at} {job.name} of attempt {job.attempt}"]
            job.lines += [f"{at} ##[error]Process completed with exit code 1."] if job.name == "breaks" else []
        failed = any(job.conclusion == "failure" for job in run.jobs)
        run.status, run.conclusion, run.updated = "completed", "failure" if failed else "success", now

    # ---- HTTP

    async def respond(self, writer: asyncio.StreamWriter, request: Received) -> None:
        self._settle()
        path = self._path(request)
        headers = {
            "x-ratelimit-limit": "5000", "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": "4102444800", "date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
            **self.extra_headers,
        }  # fmt: skip
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            status, answer = 401, {"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest"}
        elif self.fails_next and request.method != "GET":
            status, answer, self.fails_next = self.fails_next, {"message": "Unicorn!"}, 0
        else:
            query = {name: values[-1] for name, values in parse_qs(urlsplit(request.target).query).items()}
            status, answer = self._answer(request, path, query, headers)
        body = b"" if answer is None else json.dumps(answer).encode()
        if status == 200 and request.method == "GET":
            etag = f'W/"{sha256(body).hexdigest()[:32]}"'
            headers["etag"] = etag
            if request.headers.get("if-none-match") == etag:
                status, body = 304, b""
        target = request.target.removeprefix(self.prefix)
        self.complaints += description().complaints(
            request.method, target, request.body, status, body, headers.get("content-type", "")
        )
        if self.lose and request.method != "GET":
            self.lose = False
            writer.close()
            return
        await self.send(writer, status, body, headers)

    def _answer(self, request: Received, path: str, query: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
        if path == "/user":
            if self.is_bot:
                return 403, {"message": "Resource not accessible by integration"}
            name = "private-user-response-with-public-and-private-profile-information"
            return 200, description().example(name, login="octocat")
        if not path.startswith(f"/repos/{REPO}"):
            return 404, {"message": "Not Found"}
        path = path.removeprefix(f"/repos/{REPO}")
        for method, pattern, handler in self._routes():
            if method == request.method and (match := re.fullmatch(pattern, path)):
                return handler(request, query, headers, *match.groups())
        return 404, {"message": "Not Found"}

    def _routes(self) -> list[tuple[str, str, Any]]:
        return [
            ("GET", "", self._repository),
            ("GET", "/actions/workflows", self._workflows),
            ("GET", "/actions/runs", self._runs),
            ("GET", r"/actions/workflows/(\d+)/runs", self._runs),
            ("GET", r"/actions/workflows/([\w-]+\.yml)/runs", self._runs_of_file),
            ("GET", r"/actions/runs/(\d+)/artifacts", self._artifacts),
            ("GET", r"/actions/artifacts/(\d+)/zip", self._archive),
            ("POST", r"/actions/workflows/(\d+)/dispatches", self._dispatch),
            ("PUT", r"/actions/workflows/(\d+)/(enable|disable)", self._switch),
            ("GET", r"/actions/runs/(\d+)", self._run),
            ("GET", r"/actions/runs/(\d+)/jobs", self._jobs),
            ("POST", r"/actions/runs/(\d+)/rerun-failed-jobs", self._rerun),
            ("POST", r"/actions/runs/(\d+)/cancel", self._cancel),
            ("GET", r"/actions/runs/(\d+)/pending_deployments", self._pending),
            ("POST", r"/actions/runs/(\d+)/pending_deployments", self._approve),
            ("GET", r"/actions/jobs/(\d+)/logs", self._log),
            ("GET", r"/contents/\.github/workflows/(.+)", self._contents),
            ("GET", "/deployments", lambda *_: (200, self.deployments)),
            ("GET", r"/deployments/(\d+)/statuses", self._statuses),
        ]

    def _repository(self, *_: Any) -> tuple[int, Any]:
        found = description().example("full-repository-default-response", default_branch="main", language=None)
        return 200, {
            key: value for key, value in found.items() if key not in ("source", "parent", "template_repository")
        }

    def _workflows(self, *_: Any) -> tuple[int, Any]:
        found = [
            description().example(
                "workflow", id=self._id_of(name), name=name, path=f".github/workflows/{name}",
                state="disabled_manually" if name in self.disabled else "active",
            )
            for name in FILES
        ]  # fmt: skip
        return 200, {"total_count": len(found), "workflows": found}

    def _id_of(self, name: str) -> int:
        return 1000 + list(FILES).index(name)

    def _runs(self, request: Received, query: dict[str, str], headers: Any, workflow: str = "") -> tuple[int, Any]:
        found = [run for run in self.runs if not workflow or self._id_of(run.workflow) == int(workflow)]
        found = [run for run in found if not run.is_hidden]
        if FILTERS & set(query):  # such lists lag behind for minutes after a run began
            settled = [run for run in found if (run.start or run.created) < datetime.now(UTC) - LAG]
            words = query.get("status") if FILTERS & set(query) == {"status"} else None
            found = [run for run in settled if words in (run.status, run.conclusion)]
        newest = sorted(found, key=lambda run: (run.created, run.id), reverse=True)
        size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
        shown = [self._wire(run) for run in newest[(page - 1) * size : page * size]]
        return 200, {"total_count": len(found), "workflow_runs": shown}

    def _runs_of_file(self, request: Received, query: dict[str, str], headers: Any, name: str) -> tuple[int, Any]:
        if name not in FILES:
            return 404, {"message": "Not Found"}
        return self._runs(request, query, headers, str(self._id_of(name)))

    def _artifacts(self, request: Any, query: dict[str, str], headers: Any, number: str) -> tuple[int, Any]:
        run = self._found(number)
        if run is None:
            return 404, {"message": "Not Found"}
        example = description().example("artifact-paginated")["artifacts"][0]
        found = [
            {**example, "id": each.id, "name": each.name, "expired": each.expired, "created_at": stamp(each.created)}
            for each in run.artifacts
            if query.get("name") in (None, each.name)
        ]
        return 200, {"total_count": len(found), "artifacts": found}

    def _archive(self, request: Any, query: Any, headers: dict[str, str], number: str) -> tuple[int, Any]:
        found = next((each for run in self.runs for each in run.artifacts if each.id == int(number)), None)
        if found is None:
            return 404, {"message": "Not Found"}
        if found.expired or found.is_gone:
            return 410, {"message": "Artifact has expired"}
        assert self.blobs is not None
        headers["location"] = f"{self.blobs.url}/artifacts/{found.id}?sig=ASecretSignature"
        return 302, None

    def _wire(self, run: Run) -> Any:
        example = description().example("workflow-run")
        user = {**example["actor"], "login": run.actor}
        times = {"created_at": run.created, "updated_at": run.updated or run.created, "run_started_at": run.start}
        return {
            **example, "id": run.id, "workflow_id": self._id_of(run.workflow), "name": run.workflow,
            "path": f".github/workflows/{run.workflow}", "status": run.status, "conclusion": run.conclusion,
            "event": run.event, "display_title": run.title, "head_branch": run.branch, "run_attempt": run.attempt,
            "html_url": f"https://github.com/{REPO}/actions/runs/{run.id}", "actor": user, "triggering_actor": user,
            **{name: self._stamp(at or run.created) for name, at in times.items()},
        }  # fmt: skip

    def _stamp(self, at: datetime) -> str | None:
        """With fractions, so that runs of one second are told apart; without them as GitHub does."""
        return at.isoformat().replace("+00:00", "Z") if self.precise else stamp(at)

    def _found(self, number: str) -> Run | None:
        return next((run for run in self.runs if run.id == int(number) and not run.is_hidden), None)

    def _run(self, request: Any, query: Any, headers: Any, number: str) -> tuple[int, Any]:
        run = self._found(number)
        return (200, self._wire(run)) if run is not None else (404, {"message": "Not Found"})

    def _jobs(self, request: Any, query: Any, headers: Any, number: str) -> tuple[int, Any]:
        run = self._found(number)
        if run is None:
            return 404, {"message": "Not Found"}
        example = description().example("job-paginated")["jobs"][0]
        found = []
        for job in run.jobs:
            times = {
                "started_at": self._stamp(job.start or run.created),
                "completed_at": job.end and self._stamp(job.end),
            }
            word = {"status": job.status, "conclusion": job.conclusion}
            step = {**example["steps"][0], **word, **times, "name": f"Run {job.name}.sh", "number": 2}
            found.append(
                {**example, **word, **times, "id": job.id, "run_id": run.id, "name": job.name,
                 "run_attempt": job.attempt, "created_at": self._stamp(run.created),
                 "steps": [step] if job.start else []}
            )  # fmt: skip
        return 200, {"total_count": len(found), "jobs": found}

    def _dispatch(self, request: Received, query: Any, headers: Any, workflow: str) -> tuple[int, Any]:
        sent = json.loads(request.body)
        if self.refuses_details and "return_run_details" in sent:
            return 422, {"message": 'Invalid request.\n\n"return_run_details" is not a permitted key.'}
        name = list(FILES)[int(workflow) - 1000]
        if name in self.disabled:
            return 422, {"message": "Cannot trigger a 'workflow_dispatch' on a disabled workflow"}
        if "bad" in sent.get("inputs", {}):
            return 422, {"message": 'Unexpected inputs provided: ["bad"]'}
        run = self._new(name, datetime.now(UTC))
        run.inputs = sent.get("inputs", {})
        run.title = run.inputs.get("teal_run_id", run.title)
        if self.no_details or not sent.get("return_run_details"):
            return 204, None
        return 200, description().example("workflow-dispatch-response", workflow_run_id=run.id)

    def _switch(self, request: Any, query: Any, headers: Any, workflow: str, verb: str) -> tuple[int, Any]:
        name = list(FILES)[int(workflow) - 1000]
        (self.disabled.add if verb == "disable" else self.disabled.discard)(name)
        return 204, None

    def _rerun(self, request: Any, query: Any, headers: Any, number: str) -> tuple[int, Any]:
        run = self._found(number)
        if run is None:
            return 404, {"message": "Not Found"}
        if run.status != "completed":
            return 403, {"message": "This workflow is already running"}
        if datetime.now(UTC) - run.created > timedelta(days=30):
            return 403, {"message": "Unable to retry this workflow run because it was created over a month ago"}
        run.attempt += 1
        run.status, run.conclusion, run.start, run.updated = "in_progress", None, datetime.now(UTC), datetime.now(UTC)
        run.jobs = [
            job if job.conclusion == "success" else Job(next(self._ids), job.name, run.attempt) for job in run.jobs
        ]
        return 201, {}

    def _cancel(self, request: Any, query: Any, headers: Any, number: str) -> tuple[int, Any]:
        run = self._found(number)
        if run is None:
            return 404, {"message": "Not Found"}
        if run.status == "completed":
            return 409, {"message": "Cannot cancel a workflow run that is completed."}
        now = datetime.now(UTC)
        for job in run.jobs:
            if job.status != "completed":
                job.status, job.conclusion, job.end = "completed", "cancelled", now
        run.status, run.conclusion, run.updated = "completed", "cancelled", now
        return 202, {}

    def _pending(self, request: Any, query: Any, headers: Any, number: str) -> tuple[int, Any]:
        if self._found(number) is None:
            return 404, {"message": "Not Found"}
        example = description().example("pending-deployment-items")[0]
        return 200, [
            {
                **example, "reviewers": example["reviewers"][:1], "current_user_can_approve": mine,
                "wait_timer_started_at": stamp(datetime.now(UTC)),
                "environment": {**example["environment"], "id": 100 + len(name), "name": name},
            }
            for name, mine in self.pending.get(int(number), [])
        ]  # fmt: skip

    def _approve(self, request: Received, query: Any, headers: Any, number: str) -> tuple[int, Any]:
        sent = json.loads(request.body)
        self.approved.append(sent)
        waiting = self.pending[int(number)]
        self.pending[int(number)] = [each for each in waiting if 100 + len(each[0]) not in sent["environment_ids"]]
        return 200, description().example("deployment-items")

    def _log(self, request: Any, query: Any, headers: dict[str, str], number: str) -> tuple[int, Any]:
        job = next((job for run in self.runs for job in run.jobs if job.id == int(number)), None)
        if job is None or job.status != "completed":
            return 404, {"message": "Not Found"}
        assert self.blobs is not None
        headers["location"] = f"{self.blobs.url}/logs/{job.id}?sig=ASecretSignature"
        return 302, None

    def blob(self, request: Received) -> tuple[int, Any]:
        """The other host, where the logs are."""
        number = int(urlsplit(request.target).path.rpartition("/")[2])
        job = next(job for run in self.runs for job in run.jobs if job.id == number)
        return 200, "\ufeff" + "".join(f"{line}\r\n" for line in job.lines)

    def _contents(self, request: Any, query: Any, headers: Any, name: str) -> tuple[int, Any]:
        if unquote(name) not in FILES:
            return 404, {"message": "Not Found"}
        content = base64.encodebytes(FILES[unquote(name)].encode()).decode()
        return 200, description().example("content-file-response-if-content-is-a-file", name=name, content=content)

    def _statuses(self, request: Any, query: Any, headers: Any, number: str) -> tuple[int, Any]:
        example = description().example("deployment-status-items")[0]
        made = next(each for each in self.deployments if each["id"] == int(number))
        at = datetime.fromisoformat(made["created_at"]) + timedelta(seconds=90)
        return 200, [{**example, "state": "failure", "created_at": stamp(at), "target_url": "https://github.com/x"}]
