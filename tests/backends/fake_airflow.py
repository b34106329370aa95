"""Airflow's REST API in this process, v1 or v2, with a scheduler that takes no time. Real: `tests/live/airflow.py`.

Answers have the shapes of 2.11.2 and 3.3.2, recorded from those, without the fields that nobody reads. What it does not
know is 404, what a real one refuses it refuses: a page is cut to 100 rows, an unknown key of a body is 422 in v2.
"""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.backends.faulty_server import FaultyServer, Received

MAX_PAGE = 100
TOKEN = "ey.fake.token"
DAGS: dict[str, dict[str, tuple[str, ...]]] = {
    "succeeds": {"a": (), "b": ("a",)},
    "fails": {"works": (), "breaks": ("works",), "after": ("breaks",)},
    "lasts": {"sleeps": (), "then": ("sleeps",)},
}
PARAMS = {
    "n": {"value": 1, "schema": {"type": "integer", "minimum": 0}, "description": "how many", "source": None},
    "mode": {"value": "full", "schema": {"enum": ["full", "delta"]}, "description": None, "source": None},
    "note": {"value": None, "schema": {"type": ["null", "string"]}, "description": None, "source": None},
}
V2_BODIES = {
    "dagRuns": {"dag_run_id", "logical_date", "conf", "note", "run_after", "data_interval_start", "data_interval_end"},
}


def stamp(at: datetime | None, is_v2: bool) -> str | None:
    """As either version writes times."""
    if at is None:
        return None
    return at.isoformat().replace("+00:00", "Z") if is_v2 else at.isoformat()


@dataclass
class Task:
    """One task instance."""

    name: str
    state: str | None = None
    tries: int = 0
    map_index: int = -1
    start: datetime | None = None
    end: datetime | None = None


@dataclass
class Run:
    """One run; its tasks end when `settle` is called after `ends`."""

    dag: str
    run_id: str
    conf: dict[str, Any]
    queued: datetime
    tasks: dict[str, Task]
    state: str = "queued"
    start: datetime | None = None
    end: datetime | None = None
    note: str | None = None
    version: int = 1
    logical: datetime | None = None
    logs: dict[tuple[str, int], list[tuple[datetime, str, str]]] = field(default_factory=dict)


@dataclass
class FakeAirflow(FaultyServer):
    """`v2` chooses the version; `faults_on` limits a fault to paths that hold it; `lose` carries out the next order and
    loses its answer. `auth`: `basic`, `jwt`, `open` (a token for everybody), or `bearer`."""

    v2: bool = True
    prefix: str = ""
    auth: str = "open"
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    issued: int = 0
    lose: bool = False
    faults_on: str = ""
    dags: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=lambda: dict(DAGS))
    paused: set[str] = field(default_factory=set)
    runs: dict[tuple[str, str], Run] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    approvals: list[dict[str, Any]] = field(default_factory=list)
    import_errors: list[dict[str, Any]] = field(default_factory=list)
    pools: list[dict[str, Any]] = field(
        default_factory=lambda: [{"name": "default_pool", "slots": 128, "open_slots": 128}]
    )
    health: dict[str, Any] = field(default_factory=dict)
    scheduler: bool = True
    clear_reaches: str = ""
    refuses_order: bool = False
    mixes: list[int] = field(default_factory=list)
    max_page: int = MAX_PAGE

    @property
    def base(self) -> str:
        """What a config names."""
        return self.url + self.prefix

    @property
    def orders(self) -> list[str]:
        """What was asked to change, in order, but for logins."""
        return [
            f"{each.method} {urlsplit(each.target).path}"
            for each in self.requests
            if each.method != "GET" and "/auth/" not in each.target
        ]

    # ---- the world

    def add(self, dag: str, run_id: str, state: str, start: datetime, seconds: float | None, **more: Any) -> Run:
        """A run as it came to be long ago."""
        run = self._new(dag, run_id, more.pop("conf", {}), start)
        end = start + timedelta(seconds=seconds) if seconds is not None else None
        run.state, run.start, run.end = state, None if state == "queued" else start, end
        for name, value in more.items():
            setattr(run, name, value)
        for task in run.tasks.values():
            task.state = "success" if state == "success" else None if state == "queued" else state
            task.tries, task.start, task.end = 1, run.start, end
        return run

    def _new(self, dag: str, run_id: str, conf: dict[str, Any], at: datetime) -> Run:
        run = Run(dag, run_id, conf, at, {name: Task(name) for name in self.dags[dag]})
        self.runs[dag, run_id] = run
        return run

    def _settle(self) -> None:
        """What a scheduler would have done by now: begin what is queued, and end it, except what lasts."""
        now = datetime.now(UTC)
        for run in self.runs.values() if self.scheduler else ():
            if run.state == "queued" and run.dag not in self.paused:
                run.state, run.start = "running", now
            elif run.state == "running" and run.start is not None and now - run.start > timedelta(milliseconds=40):
                self._go_on(run, now)

    def _go_on(self, run: Run, now: datetime) -> None:
        for name, task in run.tasks.items():
            if task.state in ("success", "failed", "upstream_failed", "skipped"):
                continue
            above = [run.tasks[each].state for each in self.dags[run.dag][name]]
            if any(state in ("failed", "upstream_failed") for state in above):
                task.state, task.start, task.end = "upstream_failed", now, now
                continue
            task.tries += task.state != "running"
            task.start = task.start or now
            if name == "sleeps":
                task.state = "running"
                return
            task.state, task.end = ("failed" if name == "breaks" else "success"), now
            lines = run.logs.setdefault((name, task.tries), [])
            lines.append((now, "info", f"{name} begins"))
            if name == "breaks":
                lines.append((now, "error", "37 unexpected values"))
            lines.append((now, "info", f"{name} ends"))
        states = {task.state for task in run.tasks.values()}
        run.state, run.end = ("failed" if "failed" in states else "success"), now

    # ---- HTTP

    async def respond(self, writer: asyncio.StreamWriter, request: Received) -> None:
        parts = urlsplit(request.target)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        states = parse_qs(parts.query).get("state", [])
        self._settle()
        try:
            status, answer = self._answer(request, parts.path.removeprefix(self.prefix), query, states)
        except Refusal as no:
            status, answer = no.status, no.body(self.v2)
        if self.lose and request.method == "POST" and "/auth/" not in request.target:
            self.lose = False
            writer.close()
            return
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        kind = (
            "text/html"
            if isinstance(answer, bytes)
            else "application/json"
            if self.v2 or status < 300
            else "application/problem+json"
        )
        await self.send(writer, status, body, {"content-type": kind})

    def _answer(self, request: Received, path: str, query: dict[str, str], states: list[str]) -> tuple[int, Any]:
        if path == "/auth/token" and self.v2:
            return self._login(request)
        wanted = "/api/v2" if self.v2 else "/api/v1"
        if not path.startswith(wanted + "/"):
            body = (
                {"error": "/api/v1 has been removed in Airflow 3"} if self.v2 else b"<!DOCTYPE html><title>Lost</title>"
            )
            return 404, body
        path = path.removeprefix(wanted)
        if path == "/version":
            return 200, {"version": "3.3.2" if self.v2 else "2.11.2", "git_version": None}
        if path in ("/monitor/health", "/health"):
            return 200, self.health
        self._let_in(request.headers)
        body = json.loads(request.body) if request.body else None
        return 200, self._routed(request.method, [unquote(part) for part in path.split("/")[1:]], query, states, body)

    def _let_in(self, headers: dict[str, str]) -> None:
        given = headers.get("authorization", "")
        known = {"basic": given == "Basic b25jYWxsOnNlY3JldA=="}.get(
            self.auth, given.removeprefix("Bearer ") in self.tokens
        )
        if not known:
            raise Refusal(401, "Not authenticated")

    def _login(self, request: Received) -> tuple[int, Any]:
        if self.auth == "open" and request.method == "GET":
            pass
        elif self.auth == "jwt" and request.method == "POST":
            if json.loads(request.body) != {"username": "oncall", "password": "secret"}:
                raise Refusal(401, "Invalid credentials")
        else:
            raise Refusal(403, "This method is only allowed if all are admins")
        self.issued += 1
        token = f"{TOKEN}.{self.issued}"
        self.tokens.add(token)
        return 201, {"access_token": token}

    def _routed(
        self, method: str, parts: list[str], query: dict[str, str], states: list[str], body: Any
    ) -> dict[str, Any]:
        match method, parts:
            case "GET", ["dags"]:
                return self._page("dags", [self._dag(dag) for dag in sorted(self.dags)], query)
            case "GET", ["dags", dag]:
                return self._dag(self._known(dag))
            case "GET", ["dags", dag, "details"]:
                return {**self._dag(self._known(dag)), "params": PARAMS}
            case "PATCH", ["dags", dag]:
                self._known(dag)
                (self.paused.add if body["is_paused"] else self.paused.discard)(dag)
                self._log("patch_dag", dag, None, {**query, **body})
                return self._dag(dag)
            case "GET", ["dags", dag, "tasks"]:
                return {"tasks": self._dag_tasks(self._known(dag))}
            case "GET", ["dags", "~", "dagRuns"]:
                return self._page("dag_runs", self._window(query, states), query)
            case "GET", ["dags", dag, "dagRuns"]:
                of_dag = [run for run in self._window(query, states) if run["dag_id"] == self._known(dag)]
                before = query.get("start_date_lte", "9")
                begun = [run for run in of_dag if run["start_date"].replace("Z", "+00:00") <= before]
                return self._page("dag_runs", begun, query)
            case "POST", ["dags", dag, "dagRuns"]:
                return self._trigger(self._known(dag), body)
            case "POST", ["dags", dag, "clearTaskInstances"]:
                return self._clear(self._known(dag), body)
            case "GET", ["importErrors"]:
                return self._page("import_errors", self.import_errors, query)
            case "GET", ["pools"]:
                return self._page("pools", self.pools, query)
            case "GET", ["eventLogs"]:
                within = [
                    e for e in self.events if query["after"] <= e["when"].replace("Z", "+00:00") <= query["before"]
                ]
                return self._page("event_logs", within[::-1], query)
            case _, ["dags", dag, "dagRuns", run_id, *rest]:
                return self._of_run(method, self._run(dag, run_id), rest, query, body)
            case _:
                raise Refusal(404, "Not Found")

    def _of_run(self, method: str, run: Run, rest: list[str], query: dict[str, str], body: Any) -> dict[str, Any]:
        match method, rest:
            case "GET", []:
                return self._shown(run)
            case "PATCH", []:
                if not self.v2 and set(body) != {"state"}:
                    raise Refusal(400, "unknown field")
                self._mark(run, body["state"])
                run.note = body.get("note", run.note)
                self._log("patch_dag_run", run.dag, run.run_id, body)
                return self._shown(run)
            case "PATCH", ["setNote"] if not self.v2:
                run.note = body["note"]
                return self._shown(run)
            case "GET", ["taskInstances"]:
                return self._page("task_instances", self._instances(run, query), query)
            case "GET", ["taskInstances", task, "logs", number]:
                return self._content(run, task, int(number), query)
            case "GET", ["hitlDetails"] if self.v2:
                waiting = [each for each in self.approvals if each["run"] == run.run_id]
                shown = [{key: each[key] for key in each if key != "run"} for each in waiting]
                return {"hitl_details": shown, "total_entries": len(shown)}
            case "PATCH", ["taskInstances", task, _, "hitlDetails"] if self.v2:
                for each in self.approvals:
                    if each["run"] == run.run_id and each["task_instance"]["task_id"] == task:
                        each["response_received"] = True
                        each["chosen_options"] = body["chosen_options"]
                return {"chosen_options": body["chosen_options"]}
            case _:
                raise Refusal(404, "Not Found")

    # ---- answers

    def _page(self, key: str, rows: list[Any], query: dict[str, str]) -> dict[str, Any]:
        limit, offset = min(int(query.get("limit", 50)), self.max_page), int(query.get("offset", 0))
        return {key: rows[offset : offset + limit], "total_entries": len(rows)}

    def _known(self, dag: str) -> str:
        if dag not in self.dags:
            raise Refusal(404, f"Dag with dag_id: '{dag}' not found")
        return dag

    def _run(self, dag: str, run_id: str) -> Run:
        if (dag, run_id) not in self.runs:
            raise Refusal(404, f"The DagRun with dag_id: `{dag}` and run_id: `{run_id}` was not found")
        return self.runs[dag, run_id]

    def _dag(self, dag: str) -> dict[str, Any]:
        shown = {"dag_id": dag, "is_paused": dag in self.paused, "has_import_errors": False, "max_active_runs": 16}
        if self.v2:
            return {**shown, "timetable_summary": "@hourly", "is_stale": False}
        return {**shown, "schedule_interval": {"__type": "CronExpression", "value": "@hourly"}, "is_active": True}

    def _dag_tasks(self, dag: str) -> list[dict[str, Any]]:
        below: dict[str, list[str]] = {name: [] for name in self.dags[dag]}
        for name, above in self.dags[dag].items():
            for each in above:
                below[each].append(name)
        return [{"task_id": name, "downstream_task_ids": after} for name, after in sorted(below.items())]

    def _window(self, query: dict[str, str], states: list[str]) -> list[dict[str, Any]]:
        """Ordered as asked, and by primary key where nobody asks: the oldest first, as the real one."""
        date = "run_after" if self.v2 else "execution_date"
        known = {date: lambda run: run.logical or run.queued, "start_date": lambda run: run.start}
        known["end_date"] = lambda run: run.end
        rows = [run for run in self.runs.values() if not states or run.state in states]
        for name, of in known.items():
            if since := query.get(f"{name}_gte"):
                rows = [run for run in rows if (at := of(run)) is not None and at.isoformat() >= since]
        if (order := query.get("order_by", "").removeprefix("-")) in known:
            oldest = datetime.min.replace(tzinfo=UTC)
            rows.sort(key=lambda run: known[order](run) or oldest, reverse=True)
        return [self._shown(run) for run in rows]

    def _shown(self, run: Run) -> dict[str, Any]:
        start, end = stamp(run.start, self.v2), stamp(run.end, self.v2)
        queued = stamp(run.queued, self.v2)
        dated = stamp(run.logical or run.queued, self.v2)
        shown = {
            "dag_id": run.dag, "dag_run_id": run.run_id, "state": run.state, "run_type": "manual", "conf": run.conf,
            "start_date": start, "end_date": end, "note": run.note,
        }  # fmt: skip
        if not self.v2:
            return {**shown, "execution_date": dated, "logical_date": dated, "external_trigger": True}
        version = {"version_number": run.version, "created_at": queued, "bundle_version": None, "bundle_name": "dags"}
        by = {"triggered_by": "rest_api", "triggering_user_name": "oncall"}
        return {
            **shown,
            **by,
            "logical_date": None,
            "queued_at": queued,
            "run_after": dated,
            "dag_versions": [version],
        }

    def _instances(self, run: Run, query: dict[str, str]) -> list[dict[str, Any]]:
        """Each page is cut from another order where none is asked for and `mixes` is set."""
        if "order_by" in query and self.refuses_order:
            raise Refusal(400, "Extra query parameter(s) order_by not in spec")
        rows = [task for task in run.tasks.values() if query.get("state") in (None, task.state)]
        if "order_by" not in query and self.mixes:
            turned = self.mixes.pop(0) % len(rows)
            rows = [*rows[turned:], *rows[:turned]]
        return [self._instance(run, task) for task in rows]

    def _instance(self, run: Run, task: Task) -> dict[str, Any]:
        duration = (task.end - task.start).total_seconds() if task.start and task.end else None
        return {
            "task_id": task.name, "dag_id": run.dag, "dag_run_id": run.run_id, "map_index": task.map_index,
            "state": task.state, "try_number": task.tries, "start_date": stamp(task.start, self.v2),
            "end_date": stamp(task.end, self.v2),
            "duration": duration, "pool": "default_pool",
        }  # fmt: skip

    def _content(self, run: Run, task: str, number: int, query: dict[str, str]) -> dict[str, Any]:
        """A page of two lines, and a token that is handed out at the end too."""
        if task not in run.tasks:
            raise Refusal(404, "TaskInstance not found")
        lines = run.logs.get((task, number), [])
        offset = int(query.get("token", 0))
        page, token = lines[offset : offset + 2], str(min(offset + 2, len(lines)))
        if self.v2:
            header = [
                {"event": "::group::Log message source details"},
                {"event": "/logs/x.log"},
                {"event": "::endgroup::"},
            ]
            events = [{"timestamp": stamp(at, True), "event": text, "level": level} for at, level, text in page]
            return {"content": [*(header if not offset else []), *events], "continuation_token": token}
        written = "\n".join(
            f"[{at.strftime('%Y-%m-%dT%H:%M:%S.%f')}+0000] {{task.py:1}} {level.upper()} - {text}"
            for at, level, text in page
        )
        return {"content": str([("vm", written)]) if page else "[]", "continuation_token": token}

    # ---- orders

    def _trigger(self, dag: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.v2 and ("logical_date" not in body or set(body) - V2_BODIES["dagRuns"]):
            raise Refusal(422, [{"loc": ["body", "logical_date"], "msg": "Field required", "type": "missing"}])
        if not self.v2 and body.get("logical_date", "") is None:
            raise Refusal(400, "None is not of type 'string' - 'logical_date'")
        if not isinstance(body["conf"].get("n", 1), int):
            raise Refusal(400, "Invalid input for param n: 'x' is not of type 'integer'\n\nFailed validating 'type'")
        run_id = body["dag_run_id"]
        if (dag, run_id) in self.runs:
            raise Refusal(
                409, {"reason": "Unique constraint violation", "statement": "INSERT INTO dag_run", "orig_error": "x"}
            )
        self._log("trigger_dag_run" if self.v2 else "dag_run.create", dag, run_id, body)
        return self._shown(self._new(dag, run_id, body["conf"], datetime.now(UTC)))

    def _mark(self, run: Run, state: str) -> None:
        now = datetime.now(UTC)
        run.state, run.end = state, now
        for task in run.tasks.values():
            if task.state == "running":
                task.state, task.end = "failed", now
            elif task.state in (None, "queued", "scheduled"):
                task.state = "skipped"

    def _clear(self, dag: str, body: dict[str, Any]) -> dict[str, Any]:
        """`dry_run` is true where it is left out."""
        run = self._run(dag, body["dag_run_id"])
        tasks = [task for task in run.tasks.values() if task.name in body.get("task_ids", run.tasks)]
        if body.get("only_failed", True):
            tasks = [task for task in tasks if task.state in ("failed", "upstream_failed")]
        found = [self._instance(run, task) for task in tasks]
        if self.clear_reaches:
            found = [*found, {**found[0], "dag_run_id": self.clear_reaches}]
        if not body.get("dry_run", True):
            for task in tasks:
                task.state, task.start, task.end = None, None, None
            run.state, run.end, run.queued = "queued", None, run.queued
            self._log("post_clear_task_instances", dag, run.run_id, body)
        return {"task_instances": found, "total_entries": len(found)}

    def _log(self, event: str, dag: str, run_id: str | None, asked: dict[str, Any]) -> None:
        when = stamp(datetime.now(UTC), self.v2)
        self.events.append(
            {"event_log_id": len(self.events), "when": when, "dag_id": dag, "task_id": None, "run_id": run_id,
             "event": event, "owner": "oncall", "extra": json.dumps(asked)}
        )  # fmt: skip


class Refusal(Exception):
    """An answer that is no."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail

    def body(self, v2: bool) -> dict[str, Any]:
        """RFC 7807 of v1; FastAPI's of v2."""
        if v2:
            return {"detail": self.detail}
        return {"title": "Error", "status": self.status, "detail": self.detail, "type": "about:blank"}
