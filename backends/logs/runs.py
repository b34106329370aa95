"""Logs of pipeline runs, as their system keeps them, beside those of services: the newest runs, merged by time.

```toml
[[contexts.production.logs]]
type = "runs"
pipelines = "airflow"                # a `pipelines` backend of this context
names = ["production_*"]             # of these pipelines; default: all
runs = 10                            # so many of the newest runs are read
poll = "5s"                          # how often those that are not over are read again
```
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial

from msgspec import Struct, structs

from backends.errors import BackendError
from backends.logs.lines import NANOSECONDS, Read, nanoseconds
from backends.logs.merging import gap
from backends.logs.reading import LineFilter, line_filter
from backends.models import LogEntry, PipelineRun
from backends.ports import LogQuery, Pipelines
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import counted
from backends.together import together

LISTED = 200
LONGEST_RUN = timedelta(days=1)  # so long before a time what wrote then may have begun
LISTED_OF_A_TIME = 1000  # a time that is past may lie behind many runs
SETTLED = timedelta(minutes=2)  # after this nothing is added to the log of a run that has ended
MAX_RUNS = 100


class RunLogsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose runs, and how many.

    pipelines: the pipelines entry of that name.
    names: globs of pipelines; by default all.
    runs: so many of the newest runs are read.
    poll: how often those that are not over are read again.
    """

    pipelines: str
    names: tuple[str, ...] = ()
    runs: int = 10
    poll: Duration = Duration(5.0)

    def __post_init__(self) -> None:
        if not 1 <= self.runs <= MAX_RUNS:
            raise ValueError(f"runs: from 1 to {MAX_RUNS}")


class _Line(Struct, frozen=True):
    """`key` tells it from every other line of its run, also from one that says the same at the same time."""

    ns: int
    run: str
    key: tuple[int, str, str, int]
    entry: LogEntry


class RunLogs:
    """`Logs` over `Pipelines.task_log`. The log of one run that can not be read is a gap, not the end of the others."""

    api = 1
    Config = RunLogsConfig

    def __init__(self, config: RunLogsConfig, context: AdapterContext) -> None:
        self._config, self._context = config, context
        self._over: dict[str, list[_Line]] = {}

    async def query(self, query: LogQuery) -> list[LogEntry]:
        """As the port says. Raises BackendError: those of the pipelines, `config` for a `grep` that is none."""
        wanted = line_filter(query, self._context.name)
        if query.limit <= 0:
            return []
        lines, gaps = await self._read(query.since, query.until, first=query.first)
        found = _accepted(lines, wanted)
        if query.first:
            return [*gaps, *found[: query.limit]]
        return [*gaps, *found[-query.limit :]] if len(found) < query.limit else found[-query.limit :]

    async def follow(self, query: LogQuery) -> AsyncIterator[LogEntry]:
        """As the port says; what a run writes is there within `poll`. Raises as `query`."""
        wanted = line_filter(query, self._context.name)
        later = line_filter(structs.replace(query, since=None), self._context.name)
        lines, gaps = await self._read(query.since)
        handed = {(line.run, line.key) for line in lines}
        said = {one.message for one in gaps}
        for entry in [*gaps, *_accepted(lines, wanted)][-query.limit :] if query.limit > 0 else ():
            yield entry
        while True:
            await asyncio.sleep(float(self._config.poll))
            lines, gaps = await self._read(None)
            for one in gaps:
                if one.message not in said:
                    yield one
            said = {one.message for one in gaps}
            new = [line for line in lines if (line.run, line.key) not in handed]
            handed |= {(line.run, line.key) for line in new}
            for entry in _accepted(new, later):
                yield entry

    async def aclose(self) -> None:
        """The pipelines belong to their context; nothing of its own is open."""

    async def _read(
        self, since: datetime | None, until: datetime | None = None, *, first: bool = False
    ) -> tuple[list[_Line], list[LogEntry]]:
        """The lines of the newest runs that had begun by `until`, or of the `first` ones that ran since, in order of
        time, and what is missing of them."""
        pipelines = self._context.pipelines(self._config.pipelines)
        most = LISTED if until is None and not first else LISTED_OF_A_TIME
        listed = await pipelines.runs(since=since - LONGEST_RUN if since else None, limit=most)
        runs = [run for run in listed if self._is_meant(run) and _ran_since(run, since)]
        begun = [run for run in runs if run.started_at is not None and (until is None or run.started_at <= until)]
        begun.sort(key=partial(_closeness, since=since if first else None, until=until), reverse=not first)
        read, unread = begun[: self._config.runs], begun[self._config.runs :]
        answers = await together(*(self._of_run(pipelines, run) for run in read))
        failures = [answer for answer in answers if isinstance(answer, BackendError)]
        if failures and len(failures) == len(answers):
            raise failures[0]
        self._over = {ref: lines for ref, lines in self._over.items() if ref in {run.ref for run in read}}
        name = self._context.name
        gaps = [gap(name, None, failure.message) for failure in failures]
        if since is not None and unread:
            which = "later" if first else "older"
            are = "is" if len(unread) == 1 else "are"
            words = f"{counted(len(unread), f'{which} run')} of that time {are} not read: see `runs`"
            gaps.insert(0, gap(name, None, words))
        if most == LISTED_OF_A_TIME and len(listed) >= most:
            gaps.insert(0, gap(name, None, f"only the newest {most:,} runs are looked at"))
        lines = [line for answer in answers if not isinstance(answer, BackendError) for line in answer]
        return sorted(lines, key=lambda line: line.ns), gaps

    def _is_meant(self, run: PipelineRun) -> bool:
        return not self._config.names or any(fnmatchcase(run.pipeline, name) for name in self._config.names)

    async def _of_run(self, pipelines: Pipelines, run: PipelineRun) -> "list[_Line] | BackendError":
        if run.ref in self._over:
            return self._over[run.ref]
        try:
            entries = await pipelines.task_log(run.pipeline, run.run_id, None)
        except BackendError as error:
            return BackendError(error.kind, f"{run.ref}: {error.message}", fix=error.fix)
        lines = list(_lines(run, entries))
        if run.ended_at is not None and datetime.now(UTC) - run.ended_at > SETTLED:
            self._over[run.ref] = lines
        return lines


def _start(run: PipelineRun) -> datetime:
    assert run.started_at is not None
    return run.started_at


def _closeness(run: PipelineRun, since: datetime | None, until: datetime | None) -> tuple[datetime, float]:
    """What puts the runs nearest to `since` first, those nearest to `until` last: the ones that ran then."""
    begin, ended = _start(run), run.ended_at
    if since is not None:
        return max(begin, since), -(ended.timestamp() if ended else float("inf"))
    if until is not None:
        return min(ended or until, until), begin.timestamp()
    return begin, 0.0


def _ran_since(run: PipelineRun, since: datetime | None) -> bool:
    return since is None or run.ended_at is None or run.ended_at + SETTLED >= since


def _lines(run: PipelineRun, entries: Iterable[LogEntry]) -> Iterable[_Line]:
    """A line without a time stands behind the one before it."""
    ns, said = int(_start(run).timestamp()) * NANOSECONDS, Counter[tuple[int, str, str]]()
    for entry in entries:
        ns = int(entry.at_ns) if entry.at_ns else nanoseconds(entry.at) if entry.at else ns
        same = (ns, entry.source, entry.message)
        said[same] += 1
        yield _Line(ns, run.ref, (*same, said[same]), entry)


def _accepted(lines: Sequence[_Line], wanted: LineFilter) -> list[LogEntry]:
    return [line.entry for line in lines if _is_wanted(line, wanted)]


def _is_wanted(line: _Line, wanted: LineFilter) -> bool:
    """Of a line whose time and level are read already: a trace has none of its own."""
    entry = line.entry
    known = Read(None, entry.level, entry.message, leads=entry.level != "unknown", timed=False)
    return wanted.takes(entry.message, entry, (line.run, entry.source), known)
