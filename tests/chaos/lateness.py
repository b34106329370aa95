"""How late the machine is. A promise in seconds is one of this program on a machine that gives it a processor: a round
that broke one while the machine was late is played once more, and told apart from one that broke it for no reason."""

import hashlib
import threading
import time
from typing import Self

TICK_S = 0.05
WORK_S = 0.02
EVERY = 40
LATE_S = 0.1
"""Late is a machine on which `WORK_S` of computing, asked for every other second, once took so much longer: six times
as long."""
_BLOCK = b"x" * 65536


class TooLate(Exception):
    """A promise in seconds was broken: on a machine that was late that may be the machine's."""


class Clock:
    """`with Clock() as clock:` a thread that ticks beside a round. `late_s`: the largest delay of a tick since `begin`,
    over what it slept and computed."""

    def __init__(self) -> None:
        self.late_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="lateness", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def begin(self) -> None:
        """A round begins."""
        self.late_s = 0.0

    @property
    def is_late(self) -> bool:
        """Whether it was, since the round began."""
        return self.late_s > LATE_S

    @property
    def words(self) -> str:
        """`late by 64 ms`."""
        return f"late by {self.late_s * 1000:.0f} ms"

    def _tick(self) -> None:
        ticks = 0
        while not self._over.is_set():
            began, computed = time.monotonic(), time.thread_time()
            time.sleep(TICK_S)
            ticks += 1
            while ticks % EVERY == 0 and time.thread_time() - computed < WORK_S:
                hashlib.sha256(_BLOCK).digest()  # without the interpreter's lock: the round goes on beside it
            took = time.monotonic() - began - TICK_S - (time.thread_time() - computed)
            self.late_s = max(self.late_s, took)


def within(took_s: float, promised_s: float, told: str) -> None:
    """Raises TooLate."""
    if took_s >= promised_s:
        raise TooLate(f"{told}: {took_s:.1f} s, promised {promised_s:g} s")
