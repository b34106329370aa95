"""Which processes belong to a command that was started, here or elsewhere, and how they are ended.

A pid is used again: boot id, pid namespace and start time say whether a process is the one that was recorded. What has
left its group is known by a mark in its environment. Without /proc nothing is known but whether the pid is free.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal

from msgspec import Struct

from backends.environment import MARK
from backends.text import clean
from backends.times import away

KILL_AFTER_S = 3.0
_POLL_S = 0.05
_PROC = Path("/proc")
_LOADED_AT = time.monotonic()

Fate = Literal["gone", "left", "here", "elsewhere"]
"""Of a command: over; over, but what it started lives; runs; can not be looked at from here."""


class Running(Struct, frozen=True, kw_only=True):
    """A command that was started: its program's name, where it runs, its group leader, and until when at most.

    `start_ticks` is field 22 of /proc/PID/stat; None, and empty ids, where the system has no /proc.
    """

    name: str
    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    start_ticks: int | None
    mark: str
    since: datetime
    until: datetime

    def __str__(self) -> str:
        runs = f"{self.name} on {self.host} (pid {self.pid}) for {away(self.since)}"
        return (
            f"{runs}, at most {away(self.until)} more" if self.until > datetime.now(UTC) else f"{runs}, past its time"
        )


class Member(Struct, frozen=True):
    """A living process of a command. `marked`: its own environment says so, and not only the record."""

    pid: int
    start_ticks: int
    leader: bool
    marked: bool = False


class _Stat(Struct, frozen=True):
    state: str
    parent: int
    group: int
    session: int
    start_ticks: int


def is_stopped(pid: int) -> bool:
    """Whether a process of this host is stopped (Ctrl-Z, SIGSTOP, a debugger); False where that can not be seen."""
    found = _stat(pid)
    return found is not None and found.state in ("T", "t")


def age_s() -> float:
    """Seconds since this process began; since this module was loaded where the system has no /proc."""
    found = _stat(os.getpid())
    if found is None or not hasattr(time, "CLOCK_BOOTTIME"):
        return time.monotonic() - _LOADED_AT
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - found.start_ticks / os.sysconf("SC_CLK_TCK"))


def running(pid: int, name: str, mark: str, since: datetime, until: datetime) -> Running:
    """The record of a child that this process has just started."""
    found = _stat(pid)
    return Running(
        name=clean(name, 128), host=clean(socket.gethostname(), 128), boot_id=boot_id(), pid_namespace=_namespace(),
        pid=pid, start_ticks=None if found is None else found.start_ticks, mark=mark, since=since, until=until,
    )  # fmt: skip


def fate(command: Running) -> Fate:
    """As `Fate`. Blocks for a look at all processes."""
    if not command.boot_id or command.start_ticks is None:
        return "elsewhere" if command.host != socket.gethostname() or _exists(command.pid) else "gone"
    if (command.boot_id, command.pid_namespace) == (boot_id(), _namespace()):
        found = members(command)
        return "here" if any(member.leader for member in found) else "left" if found else "gone"
    rebooted = command.host == socket.gethostname() and command.boot_id != boot_id() != ""
    return "gone" if rebooted else "elsewhere"


def members(command: Running) -> list[Member]:
    """Its living processes in this pid namespace: its group and session while that is its own, what carries its mark
    wherever it went, and what those have started and not left."""
    leader = _stat(command.pid)
    leads = leader is not None and leader.start_ticks == command.start_ticks
    living = {pid: seen for pid in _pids() if (seen := _stat(pid)) is not None and seen.state not in "ZX"}
    living.pop(os.getpid(), None)
    found = []
    for pid, seen in living.items():
        grouped = command.pid in (seen.group, seen.session)
        # Nobody gets the number of a group that has members: without a leader it may only be another's by now.
        marked = _is_marked(pid, command.mark)
        if marked or (grouped and (leads or (leader is None and marked is None))):
            found.append(Member(pid, seen.start_ticks, leads and pid == command.pid, marked is True))
    return found + _started_by(found, living)


def _started_by(found: list[Member], living: dict[int, _Stat]) -> list[Member]:
    """Those of `living` that descend from `found` and are not among them: in a session and an environment of their own,
    which show only as long as their parents live."""
    known, more = {member.pid for member in found}, list[Member]()
    while new := [pid for pid, seen in living.items() if pid not in known and seen.parent in known]:
        known.update(new)
        more += [Member(pid, living[pid].start_ticks, leader=False) for pid in new]
    return more


def is_vouched(command: Running) -> bool:
    """Whether what leads it says so itself, by the mark in its environment. Blocks as `fate`."""
    return any(member.leader and member.marked for member in members(command))


async def end(command: Running, *, grace_s: float = KILL_AFTER_S, child: bool = False) -> list[Member]:
    """Ask all of it to end, then make it; what is left in spite of that, because it is another user's or does not die.

    A record can be forged: nothing ends whose own environment does not carry the mark, unless the command is a `child`
    that this process has started itself. Only for one whose fate is `here` or `left`. Never raises OSError.
    """
    seen = dict[int, Member]()

    def look() -> list[Member]:
        """Also what was seen before: who descends from it is nobody's child once its parent is ended."""
        now = {member.pid: member for member in members(command)}
        alive = {pid: member for pid, member in seen.items() if _is_still(member)}
        seen.update(now)
        return list({**alive, **now}.values())

    left = await asyncio.to_thread(look)
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal_all(command, left, number, child)
        until = time.monotonic() + grace_s  # a look takes long where thousands of processes run
        while True:
            left = await asyncio.to_thread(look)
            if not left:
                return []
            if number == signal.SIGKILL:  # what was forked between the look and the signal
                _signal_all(command, left, number, child)
            elif not any(child or member.marked for member in left):
                return left
            if time.monotonic() >= until:
                break
            await asyncio.sleep(_POLL_S)
    return left


async def end_group(pid: int, *, grace_s: float = KILL_AFTER_S) -> None:
    """End the group that a child of this process leads. For systems without /proc."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + grace_s
        while True:
            try:
                os.killpg(pid, number)
            except (ProcessLookupError, PermissionError):  # macOS says EPERM of a group of zombies
                return
            if time.monotonic() >= until:
                break
            await asyncio.sleep(_POLL_S)


def kill_marked(mark: str) -> None:
    """End all that carries `mark`, and the groups that it leads, without a grace. Blocks; for systems with /proc."""
    for _ in range(100):  # what was forked between the look and the signal
        found = [pid for pid in _pids() if pid != os.getpid() and _lives(pid) and _is_marked(pid, mark)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def _lives(pid: int) -> bool:
    found = _stat(pid)
    return found is not None and found.state not in "ZX"


def _is_still(member: Member) -> bool:
    found = _stat(member.pid)
    return found is not None and found.state not in "ZX" and found.start_ticks == member.start_ticks


def _signal_all(command: Running, found: list[Member], number: signal.Signals, child: bool) -> None:
    for member in found:
        # Read again, right before: a look at all processes takes its time.
        if child or (member.marked and _is_marked(member.pid, command.mark)):
            _signal(member, number)


def _signal(member: Member, number: signal.Signals) -> None:
    now = _stat(member.pid)
    if now is not None and now.start_ticks == member.start_ticks:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(member.pid, number)


def _pids() -> Iterator[int]:
    try:
        names = os.listdir(_PROC)
    except OSError:
        return
    yield from (int(name) for name in names if name.isdecimal())


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return _Stat(fields[0], int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None


def _is_marked(pid: int, mark: str) -> bool | None:
    """None where its environment can not be read: another user's."""
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except PermissionError:
        return None
    except OSError:
        return False
    return mark != "" and f"{MARK}={mark}".encode() in environment.split(b"\0")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@cache
def boot_id() -> str:
    """What this boot of the host is called; empty where the kernel does not say."""
    with contextlib.suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _namespace() -> str:
    with contextlib.suppress(OSError):
        return os.readlink(_PROC / "self/ns/pid")
    return ""
