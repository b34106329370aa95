"""What of an entry only a way forward needs: where it does not fit, that is forbidden, and no way back."""

import functools
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import Struct

from backends.settings import decode_hook
from backends.text import clean

_ONLY_FORWARD = frozenset({
    "smoke", "stages", "stage_time", "bake", "rollback_window", "presets", "metrics", "gates", "preset_labels",
    "requires", "deploy", "retire",
})  # fmt: skip
_EXPECTED = r"Expected `([^`]+)`(?:, got `(\w+)`)?"
_TYPES = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list",
    "object": "a table", "null": "nothing", "Duration": 'a duration like "10s"',
}  # fmt: skip
NAMING_SIDES = ("deployments", "servers", "target_groups", "subsets", "services")
"""The tables by which an adapter names its sides, one of them in each entry; without one those of `health` do."""
_PORTS = frozenset({"deployments"})  # those whose entries have a way back


def without_misfits(port: str, data: dict[str, Any], shape: type[Struct]) -> tuple[dict[str, Any], str]:
    """`data` of an entry of `port` without what only a way forward needs and that does not fit `shape`, or is misspelt,
    and what is wrong with it, in words; as it is, and nothing, where all fits."""
    fitting, wrong = dict(data), []
    fields = _fields(shape) if port in _PORTS else ()
    for key, meant in _misspelt(data, [found.encode_name for found in fields]):
        wrong.append(f"{key}: no such key, {meant} is meant")
        del fitting[key]
    for found in fields:
        if found.encode_name in _ONLY_FORWARD and found.encode_name in data:
            try:
                msgspec.convert(data[found.encode_name], found.type, dec_hook=decode_hook)
            except msgspec.ValidationError as error:
                wrong.append(f"{found.encode_name}: {in_words(str(error))}")
                del fitting[found.encode_name]
    for color, known in strange_colors(data) if port in _PORTS else ():
        wrong.append(f"exposition: {strange_words(color, known)}")
        fitting["exposition"] = {key: url for key, url in fitting["exposition"].items() if key != color}
    return fitting, "; ".join(wrong)


def strange_colors(data: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The keys of `exposition` that are no side of the entry, each with the sides that are. A side that is not counted
    shows nothing, and keeps nobody from the way back."""
    named = (data.get(key) for key in (*NAMING_SIDES, "health"))
    sides = next((list(table) for table in named if isinstance(table, dict) and table), [])
    counted = data.get("exposition")
    if not sides or not isinstance(counted, dict):
        return []
    return [(color, sides) for color in counted if color not in sides]


def strange_words(color: str, known: Sequence[str]) -> str:
    """Of one of them."""
    near = get_close_matches(color, known, 1, 0.6)
    return f'no side "{clean(color, 64)}" (known: {", ".join(known)})' + (f", {near[0]} is meant" if near else "")


# Asked for with each fresh request; msgspec evaluates all annotations anew each time.
_fields = functools.cache(msgspec.structs.fields)


def _misspelt(data: dict[str, Any], known: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The keys that are none, each with the one of a way forward that it is nearest to. One that is nearest to another
    may say where traffic goes, and is in every way."""
    for key in data:
        near = () if key in known else get_close_matches(key, known, 1, 0.8)
        if near and near[0] in _ONLY_FORWARD:
            yield key, near[0]


def in_words(said: str) -> str:
    """What the decoder says, without its names of types: `expected a number, got text`."""

    def told(match: re.Match[str]) -> str:
        kinds = [part.strip() for part in match[1].split("|") if part.strip() != "null"]
        wanted = " or ".join(_TYPES.get(kind, kind) for kind in kinds)
        return f"expected {wanted}" + (f", got {_TYPES.get(match[2], match[2])}" if match[2] else "")

    return re.sub(_EXPECTED, told, said)
