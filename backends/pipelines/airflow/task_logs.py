"""The logs of the tasks of a run: all tries, page by page, with a bound on what is kept; and followed as they grow."""

from collections import deque
from collections.abc import AsyncIterator, Iterator

from backends.errors import BackendError
from backends.models import LogEntry
from backends.pipelines.airflow.details import Details
from backends.pipelines.airflow.http import AirflowApi, path_of
from backends.pipelines.airflow.logs import LogPage, Source, entries_of
from backends.pipelines.airflow.wire import ENDED, DagRun, TaskInstance
from backends.pipelines.following import follow_by_reading
from backends.pipelines.telling import most_telling, unread
from backends.text import clean

LOG_LINES = 5000
MAX_PAGES = 50
MAX_TASKS = 60
MAX_TRIES = 5


class TaskLogs:
    """Reads what the server has; a try whose log is gone is a line that says so."""

    def __init__(self, server: AirflowApi, details: Details) -> None:
        self._server = server
        self._details = details

    async def read(self, dag: str, run_id: str, task: str | None) -> list[LogEntry]:
        """In time order. Raises `not_found` for a run or a task that is not there."""
        found: list[LogEntry] = []
        chosen = await self._chosen(dag, run_id, task)
        read = most_telling(chosen, lambda each: each.mapped == "failed", MAX_TASKS)
        for instance in read:
            for number in _tries(instance):
                found += await self._one_try(dag, run_id, instance, number)
        return [*unread(dag, len(chosen), len(read), "tasks"), *_in_order(found)[-LOG_LINES:]]

    def follow(self, dag: str, run_id: str, task: str | None) -> AsyncIterator[LogEntry]:
        """As the port says. The tokens of Airflow's pages end with the log of a try, so it is read again."""

        async def ended() -> bool:
            if task is not None:
                return all(each.mapped in ENDED for each in await self._chosen(dag, run_id, task))
            run = await self._server.get(path_of("dags", dag, "dagRuns", run_id), DagRun)
            return run.mapped in ENDED

        return follow_by_reading(lambda: self.read(dag, run_id, task), ended)

    async def _chosen(self, dag: str, run_id: str, task: str | None) -> list[TaskInstance]:
        instances = (await self._details.instances(dag, run_id)).found
        if task is None:
            begun = [each for each in instances if each.start_date and each.try_number]
            return sorted(begun, key=lambda each: each.start_date or "")
        chosen = [each for each in instances if task in (each.name, each.task_id)]
        if not chosen:
            raise BackendError("not_found", clean(f"no task {task} in run {run_id} of {dag}"), fix="teal run show")
        return chosen

    async def _one_try(self, dag: str, run_id: str, instance: TaskInstance, number: int) -> list[LogEntry]:
        path = path_of("dags", dag, "dagRuns", run_id, "taskInstances", instance.task_id, "logs", str(number))
        source = Source(instance.name, number)
        kept: deque[LogEntry] = deque(maxlen=LOG_LINES)
        token: str | None = None
        for _ in range(MAX_PAGES):
            asked = {"map_index": instance.map_index, "full_content": "false"}
            if token is not None:
                asked["token"] = token
            try:
                page = await self._server.get(path, LogPage, asked)
            except BackendError as error:
                if error.kind != "not_found":
                    raise
                break
            lines = entries_of(page.content, source)
            kept.extend(lines)
            # The token is handed out at the end too, and with it an empty page, or the last one once more.
            if not lines or page.continuation_token in (None, token):
                break
            token = page.continuation_token
        return list(kept)


def _tries(instance: TaskInstance) -> Iterator[int]:
    last = instance.try_number or 0
    return iter(range(max(1, last - MAX_TRIES + 1), last + 1))


def _in_order(entries: list[LogEntry]) -> list[LogEntry]:
    """By time; a line without one stays behind the one that it follows."""
    keyed: list[tuple[int, int, LogEntry]] = []
    last = 0
    for number, entry in enumerate(entries):
        last = int(entry.at_ns) if entry.at_ns is not None else last
        keyed.append((last, number, entry))
    keyed.sort(key=lambda each: each[:2])
    return [entry for _, _, entry in keyed]
