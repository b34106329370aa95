"""Replacing a file so that a reader sees the old or the new one, whole, and two writers come one after the other.

Everything here but `locked_beside` blocks, and is run in a thread.
"""

import asyncio
import contextlib
import errno
import io
import os
import selectors
import shlex
import signal
import stat
import subprocess
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path

from backends.environment import command_environment
from backends.errors import BackendError, ErrorKind
from backends.file_locks import lock_within
from backends.files import NotRegular, Planted, open_plain, read_regular
from backends.literals import shown_command
from backends.ownership import refuse_unsafe_command
from backends.ports import SwitchState
from backends.redaction import redacted
from backends.text import clean

LOCK_WAIT_S = 5.0
COMMAND_TIMEOUT_S = 30.0
POLL_S = 0.02
PIPE_BYTES = 64 * 1024


def read_bounded(path: Path, limit: int) -> bytes | None:
    """The content, or None where there is no such file. Raises BackendError."""
    try:
        content = read_regular(path, limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise file_error(path, error) from None
    if len(content) > limit:
        raise BackendError("malformed", f"{path}: more than {limit} bytes", fix="is this the switch file?")
    return content


_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds `<path>.lock`. Raises BackendError where another holds it for 5 s, or it can not be made."""
    beside = path.with_name(path.name + ".lock")
    try:
        descriptor = open_plain(beside, os.O_RDWR, 0o660)
    except OSError as error:
        raise file_error(beside, error) from None
    try:
        try:
            is_ours = lock_within(descriptor, LOCK_WAIT_S)
        except OSError as error:  # a file system without locks
            raise file_error(beside, error) from None
        if not is_ours:
            words = f"{beside}: held by another writer for {LOCK_WAIT_S:g} s"
            raise BackendError("timeout", words, fix="see who writes it", unsent=True)
        yield
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def locked_beside(path: Path) -> AsyncIterator[None]:
    """As `locked`, without blocking the event loop."""
    guard = locked(path)
    await asyncio.to_thread(guard.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(guard.__exit__, None, None, None)


class NoRoom(BackendError):
    """The disk, or this user's share of it, is full; nothing was changed."""

    def __init__(self, path: Path, error: OSError) -> None:
        fix = "make room on this disk; nothing was changed"
        super().__init__("unreachable", f"{path}: {error.strerror or error}", fix=fix)


def replace_file(
    path: Path, content: bytes, *, of: bytes | None = None, mode: int | None = None, like: Path | None = None,
    back: bool = False,
) -> None:  # fmt: skip
    """Put `content` in place of the file at `path`, durably, with its mode and owner. Raises BackendError, NoRoom on a
    full disk; the file is untouched then. `of`: what it must still hold right before it goes (`conflict`), since a hand
    takes no lock. `mode`: of one of our own that need not be there yet; what is no file in its place, as a link, just
    goes; so with `like`: whose mode and owner it gets. `back`: a way back, which needs no room: where there is none it
    is written over what is there, if that is as large on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        before = (like or path).stat() if mode is None else _plain(path)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                made = os.fstat(stream.fileno())
                if before is not None and (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
                    os.fchown(stream.fileno(), before.st_uid, before.st_gid)
                os.fchmod(stream.fileno(), mode or 0o600 if before is None else before.st_mode & 0o7777)
                os.fsync(stream.fileno())
            if of is not None and read_regular(path, len(of) + 1) != of:
                message = f"{path}: somebody wrote it in the same moment, without the lock"
                raise BackendError("conflict", message)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_directory(path.parent)
    except OSError as error:
        if not (back and error.errno in _FULL and _written_over(path, content, of)):
            raise file_error(path, error) from None


def keep_beside(path: Path, content: bytes, *, back: bool, mode: int | None = None, like: Path | None = None) -> None:
    """As `replace_file`, of what stands beside the file that moves traffic: a way `back` goes on without it on a full
    disk."""
    try:
        replace_file(path, content, mode=mode, like=like)
    except NoRoom:
        if not back:
            raise


def _written_over(path: Path, content: bytes, of: bytes | None) -> bool:
    """Whether `content` stands in the very blocks of the file, where it fits. A reader may see half of it."""
    try:
        if of is None or read_regular(path, len(of) + 1) != of:
            return False
        with open(path, "r+b", buffering=0) as stream:
            if len(content) > os.fstat(stream.fileno()).st_blocks * 512:
                return False
            stream.write(content)
            stream.truncate()
            os.fsync(stream.fileno())
    except OSError:
        return False
    return True


def by_hand_at(path: Path, known: SwitchState) -> Path:
    """Where a command for a person writes, `known` being what the file says: behind a link; in place of one that leads
    to what is no switch, which is nobody's to overwrite."""
    return path.absolute() if _leads_astray(path, known) else path.resolve()


def link_words(path: Path, known: SwitchState) -> str:
    """`; PATH is a link to TARGET, which is no switch file`; empty where it is none."""
    return f"; {path} is a link to {path.resolve()}, which is no switch file" if _leads_astray(path, known) else ""


def _leads_astray(path: Path, known: SwitchState) -> bool:
    is_switch = bool(known.weights or known.stamp or known.edited)
    return path.is_symlink() and path.exists() and not is_switch


def write_command(path: Path, content: str) -> str:
    """One line of shell that puts `content` there: written beside with the mode of what is there, then moved into
    place."""
    escaped = content.replace("\\", "\\\\").replace("\n", "\\n")
    first = "" if path.parent.is_dir() else f"mkdir -p {shlex.quote(str(path.parent))} && "
    return first + _put_command(f"printf %b {shlex.quote(escaped)}", path)


def copy_command(source: Path, path: Path) -> str:
    """As `write_command`, with what is in `source`."""
    return _put_command(f"cat {shlex.quote(str(source))}", path)


def _put_command(says: str, path: Path) -> str:
    beside, there = shlex.quote(f"{path}.new"), shlex.quote(str(path))
    like = f"cp -p {there} {beside} && " if path.is_file() and not path.is_symlink() else ""
    if path.is_dir() or path.is_symlink():  # `mv` would put it in there; what a link leads to is left alone
        like = f"mv {there} {shlex.quote(f'{path}.aside')} && "
    return f"{like}{says} > {beside} && mv {beside} {there}"


def from_anywhere(directory: Path, *commands: Sequence[str]) -> str:
    """One line of shell that runs them one after the other where the config's commands run; empty for none. People type
    it where something went wrong: what a reload is for may be dead, and is started then."""
    found = [_or_started(command) for command in commands if command]
    return " && ".join([f"cd {shlex.quote(str(directory.absolute()))}", *found]) if found else ""


def _or_started(command: Sequence[str]) -> str:
    start = start_of(command)
    return f"{{ {shown_command(command)} || {shown_command(start)}; }}" if start else shown_command(command)


def start_of(reload: Sequence[str]) -> tuple[str, ...]:
    """The command that starts what `reload` makes read its files, as far as its words tell: of nginx itself, systemd
    and init scripts; empty for all else."""
    words = tuple(reload)
    first = 1 if words[:1] == ("sudo",) else 0
    program = Path(words[first]).name if first < len(words) else ""
    at = words.index("reload") if words.count("reload") == 1 else 0
    if program in ("nginx", "openresty", "angie") and words[at - 1] == "-s":
        return words[: at - 1] + words[at + 1 :]
    if program in ("systemctl", "service", "rc-service") and at > first:
        return (*words[:at], "start", *words[at + 1 :])
    return ()


class Problem(str):
    """What went wrong with a command, in words; empty for nothing. `has_begun`: it was started, and may have done its
    work before it failed. `may_have_worked`: it did not even end by itself."""

    has_begun = False
    may_have_worked = False

    @classmethod
    def in_doubt(cls, words: str) -> "Problem":
        """One that may have worked."""
        found = cls.failed(words)
        found.may_have_worked = True
        return found

    @classmethod
    def failed(cls, words: str) -> "Problem":
        """One that said so itself at its end."""
        found = cls(words)
        found.has_begun = True
        return found


def run_command(command: Sequence[str], directory: Path, env: Iterable[str] = ()) -> Problem:
    """Runs it without stdin, its process group ended where it takes too long; `env` as for `command_environment`.

    Its exit status decides, whatever it has left running and whoever holds its output open.
    """
    reads, writes = os.pipe()
    with open(reads, "rb", buffering=0) as output:
        try:
            refuse_unsafe_command(command, directory)
            done = subprocess.Popen(
                command, cwd=directory, stdin=subprocess.DEVNULL, stdout=writes, stderr=subprocess.STDOUT,
                env=command_environment(env), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return Problem(f"{command[0]}: {error.strerror}")
        finally:
            os.close(writes)
        try:
            said = _until_its_end(done, output)
        finally:
            if done.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(done.pid, signal.SIGKILL)
                done.wait()
    if said is None:
        return Problem.in_doubt(f"{command[0]}: no end in {COMMAND_TIMEOUT_S:g} s")
    if done.returncode == 0:
        return Problem()
    last = clean(redacted(said.decode("utf-8", "replace"))[-500:], 300).strip()
    why = f": {last}" if last else ""
    if done.returncode < 0:
        return Problem.in_doubt(f"{' '.join(command)}: signal {-done.returncode}{why}")
    return Problem.failed(f"{' '.join(command)}: exit status {done.returncode}{why}")


def _until_its_end(done: "subprocess.Popen[bytes]", output: io.FileIO) -> bytes | None:
    """The last that it wrote until it ended; None where it takes too long."""
    said, until, is_open = b"", time.monotonic() + COMMAND_TIMEOUT_S, True
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while done.poll() is None:
            if (left_s := until - time.monotonic()) <= 0:
                return None
            if not is_open:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    done.wait(left_s)
            elif selector.select(min(left_s, POLL_S)):
                chunk = output.read(PIPE_BYTES)
                said, is_open = (said + chunk)[-PIPE_BYTES:], bool(chunk)
        return (said + output.read(PIPE_BYTES))[-PIPE_BYTES:] if is_open and selector.select(0) else said


def file_error(path: Path, error: OSError) -> BackendError:
    """An OSError in the words of a backend."""
    kind: ErrorKind = "unreachable"
    fix = "check the disk and the path"
    if isinstance(error, NotRegular | IsADirectoryError):  # a file stood there, or never did: nobody can tell
        fix = "put a file in its place, or name one in the config"
    elif isinstance(error, Planted):
        kind, fix = "auth", "see who put it there: who may write this directory can stop any change"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        kind, fix = "auth", "this user needs to read the file and to write it and its directory, keeping its owner"
    elif error.errno in _FULL:
        return NoRoom(path, error)
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        kind, fix = "not_found", "check `path` in the config"
    return BackendError(kind, f"{path}: {error.strerror or error}", fix=fix)


def _plain(path: Path) -> os.stat_result | None:
    """None where there is no file of that very name."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
