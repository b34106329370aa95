"""Runs of many pipelines as they were read, each pipeline's newest first: which of them are shown, and how long they
usually take. What is shown of a run that has ended is made once, not at each look at thousands."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from heapq import merge
from itertools import islice, takewhile
from typing import Generic, Protocol, TypeVar

from msgspec.structs import replace

from backends.models import PipelineRun, RunState
from backends.pipelines.baseline import Baseline
from backends.settings import Duration

OLD_S = 60.0
HISTORY_LENGTH = 12
PIECE = 100
"""So many models are made before whatever else waits for the event loop has its turn."""


class Told(Protocol):
    """A run as its system tells it."""

    @property
    def run_id(self) -> str:
        """What it is called."""

    @property
    def state(self) -> RunState:
        """What became of it."""

    @property
    def began(self) -> datetime:
        """In UTC."""

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""

    @property
    def lasted_s(self) -> float | None:
        """From its begin to its end; None while it is open."""


R = TypeVar("R", bound=Told)
K = TypeVar("K")


class Group(Generic[R]):
    """The newest `runs` of one pipeline. It is made where they are decoded, in a thread, and does not change."""

    def __init__(self, runs: Sequence[R]) -> None:
        self.runs = sorted(runs, key=lambda run: (run.began, run.run_id), reverse=True)
        self.is_open = any(run.is_open for run in self.runs)
        self.history = tuple(run.state for run in reversed(self.runs[:HISTORY_LENGTH]))
        self._good = [(run.run_id, run.lasted_s) for run in self.runs if run.state == "success"]
        self._shown: dict[tuple[str, str], PipelineRun] = {}

    def ended_after(self, since: datetime, start: int) -> list[R]:
        """Of those from number `start` on the ones that have ended since."""
        return [run for run in self.runs[start:] if run.lasted_s is not None and _ended(run) >= since]

    def usual(self, run: R) -> Baseline:
        """How long the others take that succeeded."""
        return Baseline.of(lasted_s for run_id, lasted_s in self._good if run_id != run.run_id)

    def shown(self, run: R, make: Callable[[R], PipelineRun], said: str = "") -> PipelineRun:
        """What `make` makes of one of them, once where it has ended, and once more where it goes by another `said`."""
        if run.is_open:
            return make(run)
        key = (run.run_id, said)
        if key not in self._shown:
            self._shown[key] = make(run)
        return self._shown[key]


def newest(known: Mapping[K, Group[R]], *, since: datetime | None, limit: int) -> list[tuple[K, R]]:
    """The newest `limit` of all, or those that began or ended after `since`; always what is open, and the last of each
    pipeline. Newest first."""
    every = merge(*(_named(name, group) for name, group in known.items()), key=_began, reverse=True)
    wanted = islice(every, limit) if since is None else takewhile(partial(_is_after, since), every)
    found = list(wanted)
    taken = Counter(name for name, _ in found)
    if since is not None:
        found += [(name, run) for name, group in known.items() for run in group.ended_after(since, taken[name] or 1)]
    for name, group in known.items():
        first = taken[name] or 1
        found += [(name, run) for run in group.runs[taken[name] : first]]
        found += [(name, run) for run in group.runs[first:] if group.is_open and run.is_open]
    return sorted(found, key=_began, reverse=True)


async def shown(pairs: Sequence[tuple[K, R]], make: Callable[[K, R], PipelineRun]) -> list[PipelineRun]:
    """What `make` makes of each, in their order."""
    found: list[PipelineRun] = []
    for number, pair in enumerate(pairs):
        if number % PIECE == PIECE - 1:
            await asyncio.sleep(0)
        found.append(make(*pair))
    return found


def aged(run: PipelineRun, age_s: float) -> PipelineRun:
    """With how long ago it was read, where that is long."""
    return run if age_s <= OLD_S else noted(run, f"as of {Duration(round(age_s))} ago")


def noted(run: PipelineRun, words: str) -> PipelineRun:
    """With these words behind its note."""
    return replace(run, note="; ".join(filter(None, (run.note, words))))


def _ended(run: Told) -> datetime:
    return run.began + timedelta(seconds=run.lasted_s or 0.0)


def _named(name: K, group: Group[R]) -> Iterator[tuple[K, R]]:
    return ((name, run) for run in group.runs)


def _is_after(since: datetime, pair: tuple[K, R]) -> bool:
    return pair[1].began >= since


def _began(pair: tuple[K, R]) -> datetime:
    return pair[1].began
