"""The config entry of what an action drives: how it is found again.

The journal keeps no more than which entry it was, what it moves and a digest. Addresses, commands and references of
secrets come from the config of whoever runs the action: a row of the journal may be another's to write (a
`smoke` command that was put into one ran as root, by whoever resumed the action).
"""

from collections.abc import Awaitable, Callable

from actions.described import Described, KeptEntry
from backends.errors import BackendError

FindEntry = Callable[[KeptEntry], Awaitable[Described]]
"""What one's own config says of the entry that a row names. Raises BackendError where it has none of that port and
name, or a broken one."""

EDITED = "only the way back is gone, with the entry as it is now and without its commands"


def same_entry(row: KeptEntry, own: Described) -> bool:
    """Whether the entry is as it was when the action was agreed to."""
    return row.digest == own.digest


def must_be_same_object(row: KeptEntry, own: Described) -> None:
    """Raises BackendError(conflict) where one's own entry of that name moves something else."""
    was, is_ = (row.type, row.moves or ""), (own.type, own.moves or "")
    if was[0] != is_[0] or (was[1] and was[1] != is_[1]):
        words = (
            f"{own.port}.{own.name} is {' '.join(is_).strip()} in this config, "
            f"and the action is of {' '.join(was).strip()}"
        )
        raise BackendError("conflict", words, fix="act from a host whose config has the same service")
