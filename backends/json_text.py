"""JSON that others wrote, outside of HTTP: files, marks, notes. One kind of error for all that is no JSON."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decode_text(content: bytes | str, shape: type[T]) -> T:
    """`content` as `shape` (`object` for any). Raises msgspec.DecodeError, also for text that is not UTF-8 and for
    what is nested deeper than can be read."""
    try:
        return msgspec.json.decode(content, type=shape)
    except RecursionError:
        raise msgspec.DecodeError("nested too deep") from None
    except UnicodeError as error:
        raise msgspec.DecodeError(str(error)) from None
