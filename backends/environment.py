"""What a command inherits of this program's environment: what every program needs, and what its entry names.

Variables that the config references as secrets are withheld from every command that does not name them. Their names
are known from the config (`withhold`) and handed to runners in `TEAL_SECRET_VARIABLES`; no value is.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from msgspec import Meta

Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of an environment variable in a config."""

MARK = "TEAL_COMMAND_ID"
"""Tells a command, and all that it starts, from every other one."""
WITHHELD_NAMES = "TEAL_SECRET_VARIABLES"
_EVERY_PROGRAM = frozenset({"PATH", "HOME", "LANG", "LANGUAGE", "TZ"})
_PREFIXES = ("LC_", "TEAL_")
_OURS = frozenset({"TEAL_RUNNER_JOURNAL", "TEAL_HISTORY_URL", WITHHELD_NAMES, MARK})  # URLs may hold a password

_withheld: set[str] = set()


def withhold(names: Iterable[str]) -> None:
    """Variables of these names hold secrets, by the config's word."""
    _withheld.update(name for name in names if "\0" not in name)  # no variable is called so


def withheld() -> frozenset[str]:
    """The names that are known to hold secrets, here or in the program that started this one."""
    told = os.environ.get(WITHHELD_NAMES, "").split(",")
    return frozenset(_withheld).union(name for name in told if name)


def referenced(data: Any) -> set[str]:
    """The variables that plain config data references: each `{ env = "NAME" }` in it."""
    if isinstance(data, Mapping):
        name = data.get("env")
        if len(data) == 1 and isinstance(name, str):
            return {name}
        return set().union(*map(referenced, data.values()))
    if isinstance(data, (list, tuple)):
        return set().union(*map(referenced, data))
    return set()


def handed_on() -> dict[str, str]:
    """The whole environment, for a program of ours: it withholds what this one does."""
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    return {**environment, WITHHELD_NAMES: ",".join(sorted(withheld()))}


def command_environment(named: Iterable[str] = ()) -> dict[str, str]:
    """For commands of a config: PATH, HOME, LANG, LC_*, TZ, TEAL_* but secrets, and the variables that are `named`."""
    secret, asked = withheld() | _OURS, set(named) - _OURS
    return {
        name: value
        for name, value in os.environ.items()
        if name in asked or (name not in secret and (name in _EVERY_PROGRAM or name.startswith(_PREFIXES)))
    }


def without_secrets(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """For programs that need their user's environment, as a credential helper does: all of it but secrets of others."""
    secret = withheld() | _OURS
    return {name: value for name, value in environ.items() if name not in secret}
