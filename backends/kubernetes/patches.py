"""A JSON patch (RFC 6902): all of it or nothing."""

from typing import Any

Operation = dict[str, Any]


def operation(op: str, path: tuple[str, ...], value: Any) -> Operation:
    """One of a JSON patch, its path as a JSON pointer (RFC 6901)."""
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
    return {"op": op, "path": pointer, "value": value}
