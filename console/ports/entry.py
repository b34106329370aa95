"""One backend of a context, as the config says it."""

from typing import Any

from msgspec import Struct


class Entry(Struct, frozen=True):
    """One backend of a context: what the adapter decodes (`data`), or why it cannot be used (`problem`)."""

    port: str
    name: str
    type: str
    data: dict[str, Any]
    problem: str = ""
