"""What was done while the journal could not be written: kept in a file of one's own, and added to the chain later.

The file is JSON lines: what was ordered; each record as it was hashed by the journal in memory; how it ended. It is
locked while it is written. Whoever can write the journal next adds it, once: the action has its id.
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actions.described import kept_entry
from actions.ids import canonical, time_text
from actions.journal.audit import AuditEntry, AuditRecord
from actions.journal.lease import is_held, owner_file
from actions.journal.location import JournalLocation, make_directory, state_of
from actions.journal.rows import Draft, Late, plan_from
from actions.models import Action
from backends.json_text import decode_text

LARGEST_BYTES = 16 * 1024 * 1024
BESIDE = "late"
UNJOURNALLED = "unjournalled"  # in the state of this user
_SUFFIX = ".late.jsonl"


class _Head(Struct, frozen=True, kw_only=True):
    journal: str
    draft: Draft


class _PlanOfHead(Struct):
    plan: dict[str, Any]


class _HeadAsKept(Struct):
    draft: _PlanOfHead


class _OfService(Struct):
    service: str


class _DraftOf(Struct):
    plan: _OfService


class _Told(Struct):
    """What a look at the head of a file needs."""

    journal: str
    draft: _DraftOf


class _Line(Struct, frozen=True):
    text: str


class _End(Struct, frozen=True):
    ended: Action


def places(location: JournalLocation, env: Mapping[str, str]) -> list[Path]:
    """Where such files may be: beside the journal, else in memory of this login, else where a reboot keeps them: in a
    directory of ours that another user may have made first, and then in our state; there first where the journal is
    gone, since what is mounted over its directory hides what was written there."""
    own = state_of(env) / UNJOURNALLED
    if location.gone():
        return [own, Path(f"/var/tmp/tealdeck-{os.getuid()}")]
    runtime = env.get("XDG_RUNTIME_DIR", "")
    found = [location.directory / BESIDE]
    found += [Path(runtime) / "tealdeck"] if os.path.isabs(runtime) else []
    return [*found, Path(f"/var/tmp/tealdeck-{os.getuid()}"), own]


class LateFile:
    """The file of one action, in the first of `directories` that has room; nothing here raises OSError."""

    def __init__(self, directories: list[Path], journal: str, draft: Draft) -> None:
        self._left = list(directories)
        self._lines = [canonical(_Head(journal=journal, draft=draft))]
        self._name = f"{draft.id}{_SUFFIX}"
        self._descriptor: int | None = None
        self.path: Path | None = None
        self._open()

    def add(self, line: str) -> None:
        """One record, on disk when this returns."""
        self._lines.append(line)
        try:
            if self._descriptor is not None:
                _write(self._descriptor, [line])
        except OSError:
            self._forsake()

    def end(self, action: Action) -> None:
        """How it ended; the file is free to be added then."""
        self.add(canonical(_End(action)))
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> None:
        while self._left:
            directory = self._left.pop(0)
            self.path = directory / self._name
            try:
                if not _is_own(directory, make=True):
                    continue
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
                self._descriptor = os.open(self.path, flags, 0o600)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
                _write(self._descriptor, self._lines)
                return
            except OSError:
                self._drop()
        self.path = None

    def _forsake(self) -> None:
        """No room here any more: everything once more, in the next place."""
        self._drop()
        self._open()

    def _drop(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            if self.path is not None:
                with contextlib.suppress(OSError):  # whoever adds it takes it away
                    self.path.unlink()


class Stray(Struct, frozen=True, kw_only=True):
    """A runner that lives, whose records are kept at `path` while the journal that it began with is not there."""

    action: str
    service: str
    path: Path


def strays(location: JournalLocation, env: Mapping[str, str]) -> list[Stray]:
    """Those of the journal at `location`, on this host."""
    found = []
    for path in [path for place in places(location, env) for path in _files(place)]:
        action = path.name.removesuffix(_SUFFIX)
        if not is_held(owner_file(location.directory, action)):
            continue
        head = _head_at(path)
        if head is not None and head.journal == location.name:
            found.append(Stray(action=action, service=head.draft.plan.service, path=path))
    return found


class TakesLate(Protocol):
    """The journal that they come into."""

    location: JournalLocation

    async def add_late(self, late: Late) -> bool:
        """Whether it was not there. Raises BackendError."""


def _head_at(path: Path) -> _Told | None:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            return decode_text(file.readline(LARGEST_BYTES), _Told)
    except (OSError, msgspec.MsgspecError):
        return None


def waiting(location: JournalLocation, env: Mapping[str, str]) -> bool:
    """Whether records of that journal are kept in a file, to be added to it."""
    heads = (_head_at(path) for place in places(location, env) for path in _files(place))
    return any(head is not None and head.journal == location.name for head in heads)


async def add_late(journal: TakesLate, context: str, env: Mapping[str, str]) -> list[str]:
    """Add what is waiting for this journal and context; the ids of the actions. Raises BackendError where the journal
    can not be written: the files stay then."""
    added = []
    for path in [path for place in places(journal.location, env) for path in _files(place)]:
        with _alone(path) as descriptor:
            late = None if descriptor is None else _read(descriptor, journal.location.name, context)
            if late is None:
                continue
            if await journal.add_late(late):
                added.append(late.draft.id)
            with contextlib.suppress(OSError):  # what is added already is not added twice
                path.unlink()
    return added


def _files(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if path.name.endswith(_SUFFIX)) if _is_own(place) else []
    except OSError:
        return []


def _is_own(directory: Path, *, make: bool = False) -> bool:
    """Whether it is our own, or of those who share the journal. Raises OSError."""
    if make:
        make_directory(directory)
    found = directory.lstat()
    shared = directory.name == BESIDE and not found.st_mode & stat.S_IWOTH
    return stat.S_ISDIR(found.st_mode) and (found.st_uid == os.getuid() or shared)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[int | None]:
    """A file of our own that nobody writes any more; None for any other."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        yield None
        return
    try:
        found = os.fstat(descriptor)
        own = stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            own = False
        yield descriptor if own and found.st_size <= LARGEST_BYTES else None
    finally:
        os.close(descriptor)


def _read(descriptor: int, journal: str, context: str) -> Late | None:
    """None for what belongs to another journal or context, or has no head. A line cut short is left out."""
    lines = os.read(descriptor, LARGEST_BYTES).decode(errors="replace").splitlines()
    try:
        head, plan = decode_text(lines[0], _Head), _plan_text(lines[0])
        draft = replace(head.draft, plan=plan_from(plan))
    except (IndexError, msgspec.MsgspecError):
        return None
    if head.journal != journal or draft.plan.context != context:
        return None
    entries: list[AuditEntry] = []
    at, ended = "", None
    for line in lines[1:]:
        with contextlib.suppress(msgspec.MsgspecError):  # a line that was cut off in the middle
            told = decode_text(line, dict[str, Any])
            if "ended" in told:
                ended = msgspec.convert(told, _End).ended
                continue
            record = decode_text(msgspec.convert(told, _Line).text, AuditRecord)
            if record.done_at is None:
                continue
            happened_at = time_text(record.done_at)
            at = at or happened_at
            entry = msgspec.convert(record, AuditEntry, from_attributes=True)
            entries.append(replace(entry, late=True, happened_at=happened_at))
    return Late(draft=draft, plan=plan, at=at, entries=tuple(entries), ended=ended)


def _plan_text(head: str) -> str:
    """As the row of the action has it, key for key, whichever version wrote it: the audit holds a digest of that. A
    program before 0.2 wrote the entries of the config here, too."""
    plan = decode_text(head, _HeadAsKept).draft.plan
    return canonical({**plan, "target": kept_entry(canonical(plan.get("target", {})).encode())})


def _write(descriptor: int, lines: list[str]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def named(late: LateFile) -> str:
    """Where the records are, in words."""
    return f"its records are in {late.path}" if late.path else "no directory takes its records: they are only here"
