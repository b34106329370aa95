"""Threads for blocking work that may never come back: a driver in a system call, a file system that hangs."""

import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeAlias, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_Jobs: TypeAlias = "queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]"


class DaemonThreads:
    """A few threads that do not keep the program from ending while a driver hangs in a system call. They end with the
    owner of this, whether he closes it or is just gone."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._begin()

    def _begin(self) -> None:
        self._jobs: _Jobs = queue.SimpleQueue()
        self._count = 0
        self._end = weakref.finalize(self, self._jobs.put, None)
        self._end.atexit = False

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Queue `work`, in the context of here; a future that is cancelled before its turn is never run."""
        future: Future[T] = Future()
        self._jobs.put((future, partial(copy_context().run, work)))
        if self._count < self._size:
            self._count += 1
            threading.Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True).start()
        return future

    def close(self) -> None:
        """Each thread ends after what was queued; nobody waits for it."""
        self._end()
        self._begin()


class DaemonExecutor(ThreadPoolExecutor):
    """`DaemonThreads` where asyncio wants a ThreadPoolExecutor (its default executor must be one since Python 3.11).
    It never waits for a thread: not when it is shut down, and not when the interpreter ends."""

    def __init__(self, size: int, name: str) -> None:
        super().__init__(max_workers=1)  # starts none: each job goes to ours
        self._daemons = DaemonThreads(size, name)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """As `DaemonThreads.submit`."""
        return self._daemons.submit(partial(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Each thread ends after what was queued, cancelled or not; nobody waits."""
        self._daemons.close()


def _work(jobs: _Jobs) -> None:
    while (job := jobs.get()) is not None:
        _do(*job)
        del job  # an idle thread must not keep the last rows alive, nor the owner of its work
    jobs.put(None)  # for the next of them


def _do(future: "Future[Any]", work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
