"""What is agreed to with a plan, as typed facts, and the hash of them: words may change, what they mean may not.

A hash is `sha256:2:` and 64 hexadecimal digits, or the first 16 of them; 2 is the version of the facts. A fact that is
added has a default, which is not encoded, so that the hashes of other plans stay.
"""

import hashlib

from msgspec import Struct, field

from actions.described import Described
from actions.ids import canonical

PREFIX = "sha256:2:"
SHORT_CHARS = 16


class Driven(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which entry of the config is driven, and what that writes to."""

    type: str
    name: str
    moves: str = ""


class Facts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every plan is agreed to with. Each kind adds its own; no time, count, resource version or pod is one."""

    kind: str
    context: str
    service: str
    from_: str = field(default="", name="from")
    to: str = ""
    target: Driven | None = None


def driven(entry: Described) -> Driven:
    """Of the entry that an order drives."""
    return Driven(type=entry.type, name=entry.name, moves=entry.moves or "")


def hash_of(facts: Facts) -> str:
    """The whole hash."""
    return PREFIX + hashlib.sha256(canonical(facts).encode()).hexdigest()


def shortened(whole: str) -> str:
    """The hash as it is shown and given to `--plan-hash`."""
    return whole[: len(PREFIX) + SHORT_CHARS]


def digits(given: str) -> str:
    """The hexadecimal digits of a hash that somebody typed, whole or its start, with `sha256:2:` or without."""
    return given.strip().lower().removeprefix(PREFIX).removeprefix("sha256:")
