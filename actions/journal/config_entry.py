"""The config entry of what an action drives: what the journal keeps of it, and how it is found again.

The journal keeps no more than which entry it was, what it moves and a digest. Addresses, commands and references of
secrets come from the config of whoever runs the action: a row of the journal may be another's to write (a
`smoke` command that was put into one ran as root, by whoever resumed the action).
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from actions.ids import canonical
from backends.errors import BackendError

FindEntry = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""What one's own config says of the entry that a row names: a description as `actions.targets.describe` makes it.
Raises BackendError where it has none of that port and name, or a broken one."""

EDITED = "only the way back is gone, with the entry as it is now and without its commands"
_KEPT = ("port", "type", "name", "moves")


def kept(target: Mapping[str, Any]) -> dict[str, Any]:
    """What the journal keeps of a description."""
    if not target:
        return {}
    return {key: target[key] for key in _KEPT if key in target} | {"digest": digest_of(target)}


def digest_of(target: Mapping[str, Any]) -> str:
    """Of an entry and of what it is judged by: wherever its file lies, and whoever is told. A row of 0.1.0 holds the
    entries themselves."""
    if "digest" in target:
        return str(target["digest"])
    entries = [target, *sorted(target.get("sources", ()), key=lambda told: (told["port"], told["name"]))]
    plain = [{key: entry.get(key) for key in ("port", "type", "name", "config")} for entry in entries]
    return hashlib.sha256(canonical(plain).encode()).hexdigest()


def same_entry(row: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    """Whether the entry is as it was when the action was agreed to."""
    return digest_of(row) == digest_of(own)


def must_be_same_object(row: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raises BackendError(conflict) where one's own entry of that name moves something else."""
    name = f"{own['port']}.{own['name']}"
    was, is_ = (tuple(str(told.get(key, "")) for key in ("type", "moves")) for told in (row, own))
    if was[0] != is_[0] or (was[1] and was[1] != is_[1]):
        words = f"{name} is {' '.join(is_).strip()} in this config, and the action is of {' '.join(was).strip()}"
        raise BackendError("conflict", words, fix="act from a host whose config has the same service")
