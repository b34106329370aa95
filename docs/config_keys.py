"""`python -m docs.config_keys` writes docs/config.md: each key of a config, from the Structs that decode it.

What a key is for stands in the docstring of its Struct (`console/config/keys.py`); `teal config schema` says the same.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from backends.deployments.common import DeploymentConfig
from backends.registry import ADAPTERS, adapter_class
from backends.settings import Duration, Secret
from console.config.keys import type_of, words_of
from console.config.model import ConfigFile, context_shape
from console.ports.table import PORTS
from docs.pages import cell, write

PAGE = Path(__file__).parent / "config.md"
HEAD = """# Config keys

Written by `python -m docs.config_keys` from the code, as `teal config schema` is (JSON Schema, for editors). Where the
file is looked for, and who may own it: [reference.md](reference.md). A commented example: `teal config init`.

A *duration* is text like `"90s"`, `"10m"`, `"1h30m"`. A *reference* is a table that says where a secret is:
[Secret](#secret). `-` in the column default: the key has to be there. Every entry of a port has `type`, and may have
`name` (by default its type). `teal config validate` names the nearest key for one that is not known.
"""
TYPES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Any: "anything",
    Duration: "duration",
}
ELSEWHERE: dict[tuple[type, str], str] = {  # sections of the page
    (ConfigFile, "contexts"): "[contexts](#a-context) by name",
    **{(context_shape(), port): f"list of [entries](#{port})" for port in PORTS},
}
SHARED = {"deployments": DeploymentConfig}


def page() -> str:
    """The whole of docs/config.md."""
    tables: list[type[msgspec.Struct]] = []
    lines = [HEAD, *_section("The file", 2, ConfigFile, tables), *_section("A context", 2, context_shape(), tables)]
    for port in PORTS:
        lines += [f"## {port}", "", f"`[[contexts.NAME.{port}]]`: {PORTS[port].about}", ""]
        if shared := SHARED.get(port):
            lines += _section("every type", 3, shared, tables)
        for kind in sorted(key.partition(".")[2] for key in ADAPTERS if key.startswith(f"{port}.")):
            shape = adapter_class(port, kind).Config
            lines += _section(f"`{kind}`", 3, shape, tables, without=shared)
    lines += ["## Tables inside", ""]
    for table in tables:  # which grows while it is read: a table may hold others
        lines += _section(_name(table), 3, table, tables)
    return "\n".join(lines)


def _section(
    title: str, level: int, shape: type[msgspec.Struct], tables: list[type[msgspec.Struct]], without: Any = None
) -> Iterator[str]:
    about, words = words_of(shape)
    left_out = {field.encode_name for field in msgspec.structs.fields(without)} if without else frozenset[str]()
    yield f"{'#' * level} {title}\n\n{' '.join(about.split())}\n"
    yield "| key | is | default | |\n|---|---|---|---|"
    for field in msgspec.structs.fields(shape):
        if field.encode_name not in left_out:
            kind = cell(_kind(ELSEWHERE.get((shape, field.name)) or type_of(shape, field), tables))
            yield f"| `{field.encode_name}` | {kind} | {_default(field)} | {cell(words[field.encode_name])} |"
    yield ""


def _kind(kind: Any, tables: list[type[msgspec.Struct]]) -> str:
    if isinstance(kind, str):
        return kind
    if get_origin(kind) is Annotated:
        return _kind(get_args(kind)[0], tables)
    if kind in TYPES:
        return TYPES[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind not in tables:
            tables.append(kind)
        return f"[{'reference' if kind is Secret else _name(kind)}](#{_name(kind).lower()})"
    inner = [each for each in get_args(kind) if each not in (NoneType, ...)]
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_kind(each, tables) for each in inner)
    if get_origin(kind) is Literal:
        return ", ".join(f'`"{each}"`' for each in inner if each)
    if get_origin(kind) is dict:
        return f"table of {_kind(inner[1], tables)}"
    return f"list of {_kind(inner[0], tables)}"


def _name(table: type[msgspec.Struct]) -> str:
    return table.__name__.removesuffix("Config")


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "-"
    factory = field.default_factory
    value = factory() if factory is not msgspec.NODEFAULT else field.default
    told = "" if isinstance(value, msgspec.Struct) else _toml(value)
    return f"`{told}`" if told else ""


def _toml(value: Any) -> str:
    """Empty for what says nothing: `""`, `[]`, `{}` and null."""
    if isinstance(value, Duration):
        return f'"{value}"'
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else ""
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, str):
        return f'"{value}"' if value else ""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(inner)}' for key, inner in value.items())} }}" if value else ""
    return f"[{', '.join(map(_toml, value))}]" if value else ""


if __name__ == "__main__":
    sys.exit(write(PAGE, page()))
