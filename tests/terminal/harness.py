"""A program in a real pseudo-terminal: keys go in, a screen and the raw bytes come out, and what it leaves behind.

The screen is pyte's, with the alternate screen that pyte lacks. Nothing sleeps for a fixed time: everything waits for a
condition, with a deadline.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyte
from pyte.screens import Char

from tests.own_time import Watch

PATIENCE_S = 30.0
ESCAPE = b"\x1b[27u"  # Esc as terminals send it that speak the kitty protocol: there is nothing to wait for after it
_SEQUENCE = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]|[\x00-\x09\x0b-\x1f\x7f]", re.DOTALL
)
_KITTY_OFF = b"\x1b[<u"  # pyte would draw the u
_ALTERNATE = 1049 << 5  # as pyte numbers private modes


class _Screen(pyte.Screen):
    """A screen that knows the alternate buffer: entering it clears, leaving it brings back what was there."""

    def __init__(self, columns: int, rows: int) -> None:
        self.main: dict[int, Any] | None = None
        super().__init__(columns, rows)

    def set_mode(self, *modes: int, **kwargs: Any) -> None:
        super().set_mode(*modes, **kwargs)
        if 1049 in modes and kwargs.get("private") and self.main is None:
            self.main = {number: dict(line) for number, line in self.buffer.items()}
            self.erase_in_display(2)

    def reset_mode(self, *modes: int, **kwargs: Any) -> None:
        super().reset_mode(*modes, **kwargs)
        if 1049 in modes and kwargs.get("private") and self.main is not None:
            self.erase_in_display(2)
            for number, line in self.main.items():
                self.buffer[number].update(line)
            self.main = None
            self.cursor_position(self.lines, 1)


class Terminal:
    """A running program and its terminal. Use it as a context manager: it leaves no process."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        columns: int = 120,
        rows: int = 40,
        controlling: bool = True,
    ) -> None:
        """`controlling=False`: the terminal is no controlling one, so that losing it sends no SIGHUP."""
        self.master, slave = pty.openpty()
        self.raw = bytearray()
        self.closed = False
        self._screen = _Screen(columns, rows)
        self._lines: list[str] | None = None
        self._stream = pyte.ByteStream(self._screen)
        self._set_size(columns, rows)
        self.modes_before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(env),
            start_new_session=True,
            preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if controlling else None,
        )
        os.close(slave)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.send_signal(signal.SIGCONT)
        self.close_master()
        self.process.wait(PATIENCE_S)

    # ---- what goes in

    def send(self, keys: str | bytes) -> None:
        """Type; also while the program does not read."""
        data = keys.encode() if isinstance(keys, str) else keys
        while data:
            readable, writable, _ = select.select([self.master], [self.master], [], PATIENCE_S)
            assert readable or writable, "the terminal takes no input"
            if writable:
                data = data[os.write(self.master, data) :]
            elif not self.pump(0.0):
                raise AssertionError("the terminal is gone")

    def resize(self, columns: int, rows: int) -> None:
        """Another size, and the signal that says so."""
        self._screen.resize(rows, columns)
        self._lines = None
        self._set_size(columns, rows)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number: int) -> None:
        """Send a signal to the program alone."""
        self.process.send_signal(number)

    def close_master(self) -> None:
        """Take the terminal away."""
        if not self.closed:
            self.closed = True
            os.close(self.master)

    # ---- what comes out

    def pump(self, timeout_s: float, most: int = 65536) -> bool:
        """Read what is there, waiting for it up to `timeout_s`; False where nothing came or the other end is gone."""
        if not select.select([self.master], [], [], timeout_s)[0]:
            return False
        try:
            data = os.read(self.master, most)
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        self.raw += data
        self._lines = None
        self._stream.feed(data.replace(_KITTY_OFF, b""))
        return bool(data)

    def settle(self, quiet_s: float = 0.05, timeout_s: float = 5.0) -> None:
        """Read until nothing came for `quiet_s`."""
        deadline = time.monotonic() + timeout_s
        while self.pump(quiet_s) and time.monotonic() < deadline:
            pass

    def rest(self, seconds: float) -> None:
        """Read what comes for so long, and type nothing."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.pump(left)

    def until(self, condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> float:
        """Read until `condition` is true; the seconds that it took. AssertionError with the screen when too late."""
        began = time.monotonic()
        while not condition():
            if not self.pump(0.05) and self.process.poll() is not None and not self.pump(0.05) and not condition():
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.text}")
            assert time.monotonic() - began < timeout_s, f"not within {timeout_s} s:\n{self.text}"
        return time.monotonic() - began

    def shows(self, *words: str, timeout_s: float = PATIENCE_S) -> float:
        """Read until all of `words` are on the screen; the seconds that it took."""
        return self.until(lambda: all(word in self.text for word in words), timeout_s)

    def hides(self, *words: str, timeout_s: float = PATIENCE_S) -> float:
        """Read until none of `words` is on the screen."""
        return self.until(lambda: not any(word in self.text for word in words), timeout_s)

    @property
    def lines(self) -> list[str]:
        """The screen, a string a row, without trailing blanks."""
        if self._lines is None:  # kept until more comes: pyte takes 10 ms to draw it, and it is asked for in loops
            self._lines = [line.rstrip() for line in self._screen.display]
        return self._lines

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(self.lines)

    def row_of(self, word: str) -> int:
        """The number of the first row with `word`."""
        return next(number for number, line in enumerate(self.lines) if word in line)

    def cell(self, row: int, column: int) -> Char:
        """One character with its colors."""
        return self._screen.buffer[row][column]

    @property
    def sequences(self) -> set[bytes]:
        """Every escape sequence and every control character but newline that was ever written."""
        return set(_SEQUENCE.findall(bytes(self.raw)))

    # ---- how it ended

    def ends(self, timeout_s: float = PATIENCE_S) -> int:
        """Read until the program has ended, which takes it `timeout_s` of its own time at most; its exit code, negative
        for a signal."""
        watch = Watch(self.process.pid)
        while self.process.poll() is None:
            assert watch.seconds() < timeout_s, f"runs on after {timeout_s} s:\n{self.text}"
            if self.closed:
                time.sleep(0.01)
            else:
                self.pump(0.02)
        while not self.closed and self.pump(0.0):
            pass
        return self.process.returncode

    @property
    def alternate(self) -> bool:
        """Whether the alternate screen is shown."""
        return self._screen.main is not None

    def not_restored(self) -> list[str]:
        """What is left of the program in the terminal after its end, in words; empty when all is as before."""
        left = []
        if self.alternate:
            left.append("alternate screen")
        if self._screen.cursor.hidden:
            left.append("hidden cursor")
        for mode, name in ((1000, "mouse"), (1003, "mouse motion"), (1004, "focus reports"), (2004, "pasting")):
            on, off = self.raw.rfind(b"\x1b[?%dh" % mode), self.raw.rfind(b"\x1b[?%dl" % mode)
            if on > off:
                left.append(name)
        if self.raw.rfind(b"\x1b[?7l") > self.raw.rfind(b"\x1b[?7h"):
            left.append("no line wrap")
        if self.raw.count(b"\x1b[>") > self.raw.count(_KITTY_OFF):
            left.append("kitty keys")
        modes = termios.tcgetattr(self.master)
        if modes[:4] != self.modes_before[:4]:
            left.append(f"termios {modes[:4]} instead of {self.modes_before[:4]}")
        return left

    def cpu_s(self) -> float:
        """Processor seconds that the program has used so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
