"""Where the journal is. Light on purpose: a command that finds no journal never loads a database library."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from actions.models import Finding
from backends.redaction import learn

SHARED_DIR = Path("/var/lib/tealdeck")
FILE_NAME = "journal.db"
_SQLITE = "sqlite:///"
_POSTGRESQL = re.compile(r"\Apostgres(ql)?://")


class JournalLocation(Struct, frozen=True):
    """`url` is SQLAlchemy's; `path` its file for SQLite; `directory` keeps the owner locks and the runner's logs.

    `shared`: other operators of this host or beyond see it too; where not, `finding` says so.
    """

    url: str
    path: Path | None
    directory: Path
    shared: bool
    finding: Finding | None = None

    @property
    def name(self) -> str:
        """How messages call it: the path, or the server and database; never a user or a password."""
        if self.path is not None:
            return str(self.path)
        scheme, _, rest = self.url.partition("://")
        return f"{scheme.partition('+')[0]}://{rest.rpartition('@')[2].partition('?')[0]}"

    def exists(self) -> bool:
        """Whether there is something to read, or something that can not be looked at; a database server is taken to be
        there."""
        if self.path is None:
            return True
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return not stat.S_ISREG(found.st_mode) or found.st_size > 0


def journal_location(configured: str | None, env: Mapping[str, str]) -> JournalLocation:
    """The journal of `configured` (a URL, its secret resolved), else $TEAL_STATE_DIR, /var/lib/tealdeck if it is
    there, else the user's state directory."""
    state = Path(env.get("TEAL_STATE_DIR") or Path(env.get("XDG_STATE_HOME") or _home(env)) / "tealdeck")
    if configured:
        learn(configured)
        if not configured.startswith(_SQLITE):
            return JournalLocation(_POSTGRESQL.sub("postgresql+psycopg://", configured), None, state, True)
        return _in_file(Path(configured.removeprefix(_SQLITE)).expanduser())
    if not env.get("TEAL_STATE_DIR") and SHARED_DIR.is_dir():
        return _in_file(SHARED_DIR / FILE_NAME)
    return _in_file(state / FILE_NAME)


def make_directory(path: Path) -> None:
    """A directory inside the journal's: for the same people as that one, whatever the umask says."""
    if path.is_dir():
        return
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if _is_shared(path.parent):
        path.chmod(0o2770)


def _in_file(path: Path) -> JournalLocation:
    shared = _is_shared(path.parent)
    finding = None
    if not shared:
        finding = Finding(
            level="warning",
            code="private-journal",
            text=f"the journal {path} is this user's own: others do not see what is under way",
            fix=f"an administrator makes {SHARED_DIR} (setgid, group-writable), or set `journal`",
        )
    return JournalLocation(f"{_SQLITE}{path}", path, path.parent, shared, finding)


def _is_shared(directory: Path) -> bool:
    try:
        mode = directory.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_ISGID and mode & stat.S_IWGRP)


def _home(env: Mapping[str, str]) -> Path:
    home = env.get("HOME") or os.path.expanduser("~")
    return Path("/" if home == "~" else home) / ".local" / "state"  # a user id without a home
