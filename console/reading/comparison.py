"""A run beside the last good one of its pipeline: what it was made with, how long its tasks took, the rows that they
told of. What a source does not tell is said, and is no "the same"."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from actions.journal.episodes import KEPT
from backends.errors import BackendError
from backends.models import LogEntry, PipelineRun, TaskRun
from backends.ports import Pipelines, RunInputs, comparable
from backends.redaction import SECRET_NAME, redacted
from backends.text import clean
from console import moment
from console.reading.remembering import Remembering

T = TypeVar("T")

MOST = 20
LOGS_OF = 20
"""Of a run with more tasks no logs are read."""
SLOWER_BY, SLOWER_S = 1.2, 1.0
VALUE_CHARS = 80
COMPARING_S = 8.0
_ROWS = re.compile(
    r"(?P<n>\d[\d,_']*)(?= (?:[a-z]+ )?(?:rows?|records?|documents?|events?|messages?|lines)\b)"
    r"|\b(?:SELECT|INSERT 0|INSERT|COPY|UPDATE|DELETE|MERGE) (?P<sql>\d+)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d[\d,_'.:]*")


class ParamDifference(Struct, frozen=True, kw_only=True):
    """A param that differs, as JSON texts; null where a run had none of that name."""

    name: str
    value: str | None
    good: str | None


class TaskTimes(Struct, frozen=True, kw_only=True):
    """How long a task took in both; null where it did not run or has not ended."""

    task: str
    duration_s: float | None
    good_s: float | None

    @property
    def slower_s(self) -> float:
        """By how many seconds it was notably slower; 0 where it was not, or that is not known."""
        if self.duration_s is None or self.good_s is None:
            return 0.0
        by = self.duration_s - self.good_s
        return by if by >= SLOWER_S and self.duration_s >= self.good_s * SLOWER_BY else 0.0


class RowsDifference(Struct, frozen=True, kw_only=True):
    """A number of rows that a task told of in the same words in both."""

    task: str
    words: str
    rows: int
    good: int


class Comparison(Struct, frozen=True, kw_only=True):
    """`good` is the ref of the last good run, null where there is none, and then `why` says so. `unknown`: which of
    `params`, `tasks`, `rows` and `code` nobody tells; where they are told and empty, there is no difference."""

    good: str | None = None
    good_run_id: str = ""
    good_ended_at: datetime | None = None
    why: str = ""
    duration_s: float | None = None
    good_s: float | None = None
    params: tuple[ParamDifference, ...] = ()
    tasks: tuple[TaskTimes, ...] = ()
    rows: tuple[RowsDifference, ...] = ()
    code: str = ""
    good_code: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def slower(self) -> list[TaskTimes]:
        """The tasks that got notably slower, the most first."""
        return sorted((task for task in self.tasks if task.slower_s), key=lambda task: -task.slower_s)

    @property
    def not_run(self) -> list[str]:
        """The tasks that ran in the good one and, now that this run has ended, did not in this."""
        ended = self.duration_s is not None
        return [task.task for task in self.tasks if ended and task.duration_s is None and task.good_s is not None]


async def compared(
    pipelines: Pipelines, run: PipelineRun, tasks: Sequence[TaskRun], bad: Collection[str] = ()
) -> Comparison:
    """`run`, with its `tasks`, beside the last good one. `bad`: refs of runs that ended well and are known to have
    written bad data. Raises BackendError where the good ones can not be asked for."""
    asked = comparable(pipelines)
    if asked is None:
        return Comparison(why=f"{run.backend} does not tell of earlier runs")
    found = await asked.good_before(run.pipeline, run.run_id)
    good = next((each for each in found if each.ref not in bad), None)
    if good is None:
        why = "every earlier run that ended well wrote bad data" if found else "no earlier run of it ended well"
        return Comparison(why=why)
    inputs, then, good_tasks, lines, good_lines = await asyncio.gather(
        _told(asked.inputs(run.pipeline, run.run_id)),
        _told(asked.inputs(good.pipeline, good.run_id)),
        _told(asked.tasks(good.pipeline, good.run_id)),
        _told(_log(asked, run, tasks)),
        _told(_log(asked, good, tasks)),
    )
    rows = _rows(lines, good_lines) if lines is not None and good_lines is not None else None
    return Comparison(
        good=good.ref, good_run_id=good.run_id, good_ended_at=good.ended_at,
        duration_s=run.duration_s, good_s=good.duration_s,
        params=_params(inputs, then), tasks=_times(tasks, good_tasks or ()), rows=tuple(rows or ()),
        code=inputs.code if inputs else "", good_code=then.code if then else "",
        unknown=tuple(_unknown(inputs, then, good_tasks, rows)),
    )  # fmt: skip


async def beside_good(
    pipelines: Callable[[], Pipelines], memory: Remembering, run: PipelineRun, tasks: Sequence[TaskRun],
    left_s: float | None = None,
) -> Comparison:  # fmt: skip
    """As `compared`; where nobody can say in time, why. `left_s`: its command has no more time than that."""
    try:
        async with asyncio.timeout(COMPARING_S if left_s is None else min(left_s, COMPARING_S)):
            now = moment.utc_now()
            wrong = (await memory.episodes(now - KEPT, now)).episodes
            bad = {episode.ref for episode in wrong if episode.kind == "run"}
            return await compared(pipelines(), run, tasks, bad)
    except BackendError as error:
        return Comparison(why=error.message)
    except TimeoutError:
        return Comparison(why="no answer in time")


async def _told(asked: Awaitable[T]) -> T | None:
    with contextlib.suppress(BackendError):  # the rest is worth its row all the same
        return await asked
    return None


async def _log(pipelines: Pipelines, run: PipelineRun, tasks: Sequence[TaskRun]) -> list[LogEntry] | None:
    return await pipelines.task_log(run.pipeline, run.run_id) if len(tasks) <= LOGS_OF else None


def _unknown(
    inputs: RunInputs | None, then: RunInputs | None, tasks: Sequence[TaskRun] | None, rows: Sequence[Any] | None
) -> Iterable[str]:
    if inputs is None or then is None or inputs.params is None or then.params is None:
        yield "params"
    if tasks is None:
        yield "tasks"
    if rows is None:
        yield "rows"
    if not (inputs and then and inputs.code and then.code):
        yield "code"


def _params(inputs: RunInputs | None, then: RunInputs | None) -> tuple[ParamDifference, ...]:
    if inputs is None or then is None or inputs.params is None or then.params is None:
        return ()
    now, before = inputs.params, then.params
    differ = [name for name in {**before, **now} if (name in now, now.get(name)) != (name in before, before.get(name))]
    found = (
        ParamDifference(name=clean(name, VALUE_CHARS), value=_shown(now, name), good=_shown(before, name))
        for name in sorted(differ)
    )
    return tuple(found)[:MOST]


def _shown(params: Mapping[str, Any], name: str) -> str | None:
    if name not in params:
        return None
    if re.search(SECRET_NAME, name):
        return "(not shown)"
    return clean(redacted(msgspec.json.encode(params[name]).decode()), VALUE_CHARS)


def _times(tasks: Sequence[TaskRun], good: Sequence[TaskRun]) -> tuple[TaskTimes, ...]:
    """Each task of either, in the order of this run, then those that it does not have."""
    before = {task.task: task for task in good}
    names = [*(task.task for task in tasks), *(name for name in before if name not in {each.task for each in tasks})]
    now = {task.task: task for task in tasks}
    return tuple(
        TaskTimes(task=name, duration_s=_took(now.get(name)), good_s=_took(before.get(name))) for name in names
    )


def _took(task: TaskRun | None) -> float | None:
    return task.duration_s if task is not None and task.state not in ("skipped", "queued") else None


def _rows(lines: Sequence[LogEntry], good: Sequence[LogEntry]) -> tuple[RowsDifference, ...] | None:
    """The numbers of rows that differ, of lines that are the same but for their numbers; None where both tell of
    none."""
    now, before = _counts(lines), _counts(good)
    if not now.keys() & before.keys():
        return None
    return tuple(
        RowsDifference(task=task, words=words, rows=now[task, words], good=before[task, words])
        for task, words in now
        if (task, words) in before and now[task, words] != before[task, words]
    )[:MOST]


def _counts(lines: Iterable[LogEntry]) -> dict[tuple[str, str], int]:
    """By task and words the last number of rows."""
    found = {}
    for line in lines:
        if (match := _ROWS.search(line.message, 0, 500)) is not None:
            number = re.sub(r"[,_']", "", match["n"] or match["sql"])
            words = clean(_NUMBER.sub("#", line.message), VALUE_CHARS)
            found[line.labels.get("task") or line.source, words] = int(number)
    return found
