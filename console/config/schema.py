"""The JSON Schema of the config, made from the Structs that decode it."""

from contextlib import suppress
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from backends.errors import BackendError
from backends.registry import adapter_class, adapter_types
from backends.settings import Duration
from console.config.keys import type_of, words_of
from console.config.model import ConfigFile, context_shape
from console.ports.table import PORTS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DurationText = Annotated[str, msgspec.Meta(pattern=r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$", examples=["10s", "1h30m"])]


def config_schema() -> dict[str, Any]:
    """The file with its contexts; an entry of a port is one of the adapters that this installation can use."""
    adapters = {}
    for port in PORTS:
        for kind in adapter_types(port):
            with suppress(BackendError):  # one that is broken is told by `teal plugins`, and hides no other
                adapters[f"{port}.{kind}"] = adapter_class(port, kind).Config
    shapes = [_written(shape) for shape in (ConfigFile, context_shape(), *adapters.values())]
    found, components = msgspec.json.schema_components(shapes, ref_template="#/$defs/{name}")
    file_schema, context_schema = (_resolved(reference, components) for reference in found[:2])
    for name, reference in zip(adapters, found[2:], strict=True):
        adapter = _resolved(reference, components)
        entry = {"type": {"const": name.partition(".")[2]}, "name": {"type": "string"}}
        adapter["properties"] = entry | adapter["properties"]
        adapter["required"] = ["type", *adapter.get("required", [])]
        components[name] = adapter
    for port in PORTS:
        choices = [{"$ref": f"#/$defs/{name}"} for name in adapters if name.partition(".")[0] == port]
        if choices:
            context_schema["properties"][port]["items"] = {"anyOf": choices}
    file_schema["properties"]["contexts"]["additionalProperties"] = context_schema
    return {"$schema": DIALECT, **file_schema, "title": "tealdeck config", "$defs": components}


def _resolved(reference: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    return dict(components[reference["$ref"].rpartition("/")[2]])


@cache
def _written(kind: Any) -> Any:
    """`kind` as it is written in TOML: durations are text. msgspec has no hook for their defaults."""
    if kind is Duration:
        return DurationText
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        about, words = words_of(kind)
        fields = [
            _written_field(field, type_of(kind, field), words.get(field.encode_name))
            for field in msgspec.structs.fields(kind)
        ]
        return msgspec.defstruct(
            kind.__name__,
            fields,
            module=kind.__module__,  # two of the same name are told apart by it
            namespace={"__doc__": about},
            kw_only=True,
            forbid_unknown_fields=True,
        )
    arguments = tuple(_written(argument) for argument in get_args(kind))
    if arguments == get_args(kind):
        return kind
    origin = get_origin(kind)
    return reduce(or_, arguments) if origin in (Union, UnionType) else origin[arguments]


def _written_field(
    field: msgspec.structs.FieldInfo, kind: Any, words: str | None
) -> tuple[str, Any] | tuple[str, Any, Any]:
    kind = Annotated[_written(kind), msgspec.Meta(description=words)]
    if field.default is not msgspec.NODEFAULT:
        default = msgspec.to_builtins(field.default, enc_hook=str)
        factory = msgspec.field(default_factory=lambda: default)
        return field.encode_name, kind, factory if isinstance(default, dict | list) else default
    if field.default_factory is not msgspec.NODEFAULT:
        return field.encode_name, kind, msgspec.field(default_factory=field.default_factory)
    return field.encode_name, kind
