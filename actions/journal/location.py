"""Where the journal is. Light on purpose: a command that finds no journal never loads a database library."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from actions.journal.remembered import memory_of, remembered
from actions.models import Finding
from backends.errors import BackendError
from backends.files import must_be_plain
from backends.paths import path_of, path_problem
from backends.redaction import forget, learn
from backends.room import Room, room_at
from backends.text import clean

SHARED_DIR = Path("/var/lib/tealdeck")
FILE_NAME, OWNERS = "journal.db", "owners"
_SQLITE = "sqlite:///"
_POSTGRESQL = re.compile(r"\Apostgres(ql)?://")
_SCHEME = re.compile(r"\A([A-Za-z][A-Za-z0-9+.-]*)://")
_CONNECTION_STRING = re.compile(r"\A\s*[a-z_]+\s*=")
_SERVERS = ("postgres", "postgresql", "postgresql+psycopg")
_PLACES = "a path, or postgresql://HOST/DATABASE"


class JournalLocation(Struct, frozen=True):
    """`url` is SQLAlchemy's; `path` its file for SQLite; `directory` keeps the owner locks and the runner's logs.

    `shared`: other operators of this host or beyond see it too; where not, `finding` says so. `memory` keeps its id for
    this user.
    """

    url: str
    path: Path | None
    directory: Path
    shared: bool
    finding: Finding | None = None
    memory: Path | None = None

    @property
    def name(self) -> str:
        """How messages call it: the path, or the server and database; never a user or a password."""
        if self.path is not None:
            return str(self.path)
        scheme, _, rest = self.url.partition("://")
        return f"{scheme.partition('+')[0]}://{rest.rpartition('@')[2].partition('?')[0]}"

    def room(self) -> Room | None:
        """What is left where it is written; None where that is a server, which looks after its own, or not known."""
        return None if self.path is None else room_at(self.path.parent)

    def exists(self) -> bool:
        """Whether there is something to read, or something that can not be looked at, as a link to what is not there;
        a database server is taken to be there."""
        if self.path is None or self.gone():
            return True
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return self.dangling() is not None
        except OSError:
            return True
        return not stat.S_ISREG(found.st_mode) or found.st_size > 0 or self.was_acted_by()

    def gone(self) -> str:
        """The id of the journal that this user has seen in its file, where none is now: its file system may not be
        mounted. Empty where one is, or none was; of a server, which has to be asked."""
        try:
            there = self.path is None or self.path.stat().st_size > 0
        except FileNotFoundError:
            there = False
        except OSError:
            there = True
        return "" if there else remembered(self.memory)

    def dangling(self) -> Path | None:
        """The link on the way to its file that leads to nothing: say to a file system that is not mounted."""
        if self.path is None:
            return None
        return next((each for each in (self.path, *self.path.parents) if each.is_symlink() and not each.exists()), None)

    def was_acted_by(self) -> bool:
        """Whether actions have run by a journal at this place: an empty file is then no new one."""
        return (self.directory / OWNERS).is_dir()


def place_problem(configured: str) -> tuple[str, str] | None:
    """Why no journal can be at `configured` (its secret resolved), and what to do. Says nothing of a password in it."""
    if configured.startswith(_SQLITE):
        configured = configured.removeprefix(_SQLITE)
    elif found := _SCHEME.match(configured):
        if found[1].lower() not in _SERVERS:
            return f"no journal can be kept at {clean(found[1], 40)}://", f"name {_PLACES}"
        try:
            _ = urlsplit(configured).port
        except ValueError:
            return "this is no URL of a database", f"name {_PLACES}"
        return None
    elif _CONNECTION_STRING.match(configured):
        return "a connection string is no place for a journal", "write it as postgresql://HOST/DATABASE"
    if not configured.strip() or "\0" in configured:
        return "this is no path", f"name {_PLACES}"
    return path_problem(configured)


def state_of(env: Mapping[str, str]) -> Path:
    """Where this user keeps state."""
    return Path(env.get("TEAL_STATE_DIR") or Path(env.get("XDG_STATE_HOME") or _home(env)) / "tealdeck")


def journal_location(configured: str | None, env: Mapping[str, str], base: Path = Path()) -> JournalLocation:
    """The journal of `configured` (a path from `base` on, or a URL; its secret resolved), else $TEAL_STATE_DIR,
    /var/lib/tealdeck if it is there, else the user's state directory.

    Raises BackendError(config) where `configured` is neither.
    """
    state = state_of(env)
    if configured:
        if problem := place_problem(configured):
            raise BackendError("config", f"journal: {problem[0]}", fix=problem[1])
        if _SCHEME.match(configured) and not configured.startswith(_SQLITE):
            learn(configured)
            found = JournalLocation(_POSTGRESQL.sub("postgresql+psycopg://", configured), None, state, True)
            return replace(found, memory=memory_of(found.name, None, state))
        forget(configured)  # a reference may lead to a path, and messages have to name it
        return _in_file(path_of(configured.removeprefix(_SQLITE), base), state)
    if not env.get("TEAL_STATE_DIR") and (SHARED_DIR.is_dir() or SHARED_DIR.is_symlink()):
        return _in_file(SHARED_DIR / FILE_NAME, state)
    return _in_file(state / FILE_NAME, state)


def make_directory(path: Path) -> None:
    """A directory inside the journal's: for the same people as that one, whatever the umask says. Raises OSError;
    Planted for a link in its place."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        must_be_plain(path)
        return
    if _is_shared(path.parent):
        path.chmod(0o2770)


def _in_file(path: Path, state: Path) -> JournalLocation:
    shared = _is_shared(path.parent)
    finding = None
    if not shared:
        finding = Finding(
            level="warning",
            code="private-journal",
            text=f"only this user sees the journal {path}: others do not see what is under way",
            fix=f"set `journal` to a shared one, or have {SHARED_DIR} made (setgid, group-writable)",
        )
    memory = memory_of(str(path), path.parent, state)
    return JournalLocation(f"{_SQLITE}{path}", path, path.parent, shared, finding, memory)


def _is_shared(directory: Path) -> bool:
    try:
        mode = directory.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_ISGID and mode & stat.S_IWGRP)


def _home(env: Mapping[str, str]) -> Path:
    home = env.get("HOME") or os.path.expanduser("~")
    return Path("/" if home == "~" else home) / ".local" / "state"  # a user id without a home
