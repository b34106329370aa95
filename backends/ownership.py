"""Whether others could change a file that we act on: a config, a secret, a command. As ssh and sudo ask before they do.

The file, every directory above it and every link on the way must be owned by root or by us, and none may be writable by
others. A sticky directory may be, since there nobody replaces what is another's; so may a group be that is only its
owner's. Nothing here reads a file.
"""

import errno
import os
import shlex
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

MAX_LINKS = 40
_ACL = "system.posix_acl_access"


class Unsafe(PermissionError):
    """Others could change what is acted on: `words` name it, `fix` is the command to run, `strerror` says both."""

    def __init__(self, words: str, fix: str) -> None:
        super().__init__(errno.EPERM, f"{words} ({fix})")
        self.words = words
        self.fix = fix


def refuse_unsafe(path: Path) -> None:
    """Raises Unsafe; OSError where it is not there, or may not be looked at."""
    for place, found in _on_the_way(path.absolute()):
        _refuse(place, found)


def refuse_unsafe_command(command: Sequence[str], directory: Path) -> None:
    """The same for a command given by path, one that is started in `directory`. One that PATH finds is as safe as PATH
    is, this Python as this program is, and one that is not there is for whoever starts it to tell."""
    program = program_of(command, directory)
    if program is None or str(program) == sys.executable:
        return
    try:
        refuse_unsafe(program)
    except Unsafe:
        raise
    except OSError:
        return


def command_problem(command: Sequence[str], directory: Path) -> tuple[str, str] | None:
    """Why a command cannot or may not be started in `directory`, and what to do; None where it can."""
    from shutil import which  # 4 ms of compression libraries

    program = program_of(command, directory)
    if program is None:
        found = which(command[0]) if command else None
        return None if found else (f"no command {command[0] if command else ''}".rstrip(), "install it, or correct it")
    try:
        refuse_unsafe_command(command, directory)
        program.stat()
    except Unsafe as unsafe:
        return unsafe.words, unsafe.fix
    except OSError as error:
        return f"{program}: {(error.strerror or str(error)).lower()}", "correct the command"
    if not program.is_file():
        return f"{program}: not a file", "correct the command"
    if not os.access(program, os.X_OK):
        return f"{program}: not executable", f"chmod +x {shlex.quote(str(program))}"
    return None


def program_of(command: Sequence[str], directory: Path) -> Path | None:
    """The file of a command given by path; None for one that PATH finds."""
    return directory / command[0] if command and "/" in command[0] else None


def _on_the_way(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All that opening `path` passes through, from the root on: directories, links, the file."""
    here, left, links = Path("/"), list(reversed(path.parts[1:])), 0
    yield here, here.lstat()
    while left:
        part = left.pop()
        if part == "..":
            here = here.parent
            continue
        place = here / part
        found = place.lstat()
        yield place, found
        if not stat.S_ISLNK(found.st_mode):
            here = place
            continue
        links += 1
        if links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = Path(os.readlink(place))
        left += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        here = Path("/") if target.is_absolute() else here


def _refuse(place: Path, found: os.stat_result) -> None:
    is_link, is_dir = stat.S_ISLNK(found.st_mode), stat.S_ISDIR(found.st_mode)
    quoted = shlex.quote(str(place))
    it, change = ("this directory", "replace what is in it") if is_dir else ("it", "change it")
    if found.st_uid not in (0, os.geteuid()):
        fix = f"chown {'-h ' if is_link else ''}{_user(os.geteuid())} {quoted}"
        raise Unsafe(f"{place}: owned by {_user(found.st_uid)}, who could {change}", fix)
    if is_link or (is_dir and found.st_mode & stat.S_ISVTX):
        return
    if found.st_mode & stat.S_IWOTH:
        raise Unsafe(f"{place}: others can write {it}", f"chmod go-w {quoted}")
    if found.st_mode & stat.S_IWGRP and not _is_private(place, found):
        raise Unsafe(f"{place}: the group {_group(found.st_gid)} can write {it}", f"chmod g-w {quoted}")


def _is_private(place: Path, found: os.stat_result) -> bool:
    """Whether the group that may write is its owner's own, with nobody else in it, and no list names others."""
    import grp
    import pwd

    try:
        group, owner = grp.getgrgid(found.st_gid), pwd.getpwuid(found.st_uid)
    except KeyError:
        return False
    if group.gr_name != owner.pw_name or set(group.gr_mem) - {owner.pw_name}:
        return False
    if any(each.pw_gid == found.st_gid and each.pw_uid != found.st_uid for each in pwd.getpwall()):
        return False
    try:
        return not os.getxattr(place, _ACL)
    except OSError:  # none, or a file system without them
        return True


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
