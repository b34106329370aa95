"""Who acts: the person behind the process, as the operating system and SSH tell it."""

from __future__ import annotations

import os
import pwd
import socket
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from backends.text import clean

if TYPE_CHECKING:
    # The models cost 3 ms to import; the header's first paint only needs who acts.
    from actions.models import Actor, Owner


def acting_as(env: Mapping[str, str]) -> str:
    """The user behind sudo, or the login user, at this host."""
    return f"{_word(env.get('SUDO_USER', '')) or login_name()}@{host_name()}"


def current_actor(env: Mapping[str, str]) -> Actor:
    """The login user, the user behind sudo, where the SSH connection came from, this host, the terminal."""
    from actions.models import Actor

    ssh = env.get("SSH_CONNECTION", env.get("SSH_CLIENT", "")).split(" ")[0]
    return Actor(
        login=login_name(),
        sudo_user=_word(env.get("SUDO_USER", "")),
        ssh_source=_word(ssh),
        host=host_name(),
        tty=_tty(),
    )


def runner_owner(lock: str = "") -> Owner:
    """This process as the owner of a lease; `lock` is the file that it keeps locked meanwhile."""
    from actions.models import Owner
    from backends.processes import boot_id

    return Owner(user=login_name(), host=host_name(), pid=os.getpid(), lock=lock, boot=boot_id())


def login_name() -> str:
    """The name of the real user id; the environment is not asked, since anybody can set it."""
    try:
        return _word(pwd.getpwuid(os.getuid()).pw_name)
    except KeyError:
        return f"uid {os.getuid()}"


def host_name() -> str:
    """This host's own name."""
    return _word(socket.gethostname())


def _tty() -> str:
    for stream in (sys.stdin, sys.stderr):
        try:
            return _word(os.ttyname(stream.fileno()))
        except (OSError, ValueError, AttributeError):
            continue
    return ""


def _word(text: str) -> str:
    return clean(text, 128)
