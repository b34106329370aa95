"""The one door for JSON that others wrote, in an answer, a file, a row or a mark: one kind of error for all of it."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def decode_text(content: bytes | str, shape: type[T], *, hook: Callable[[type, Any], Any] | None = None) -> T:
    """`content` as `shape` (`object` for any); `hook` is msgspec's `dec_hook`. Raises msgspec.DecodeError, also for
    text that is not UTF-8 and what is nested deeper than can be read; its kind ValidationError for another shape."""
    try:
        return msgspec.json.decode(content, type=shape, dec_hook=hook)
    except RecursionError:
        raise msgspec.DecodeError("JSON that is nested too deep") from None
    except UnicodeError as error:
        raise msgspec.DecodeError(str(error)) from None
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError as error:
        if "truncated" in str(error) and _is_whole(content):
            raise msgspec.DecodeError("JSON with half of a character in it (a lone surrogate)") from None
        raise


def _is_whole(content: bytes | str) -> bool:
    """Whether Python, which takes a lone surrogate, reads it to its end."""
    try:
        decode_python(content)
    except msgspec.DecodeError:
        return False
    return True


def decode_python(content: bytes | str) -> Any:
    """`content` as Python's json module writes it, also NaN and Infinity, which JSON lacks. Raises DecodeError."""
    import json

    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None


def value_of(text: str) -> Any:
    """What a person typed as a value: JSON where it is some, else the text."""
    try:
        return decode_text(text, object)
    except msgspec.DecodeError:
        return text
