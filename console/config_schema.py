"""The JSON Schema of the config, made from the Structs that decode it."""

from typing import Any

import msgspec

from backends.registry import adapter_class, adapter_types
from backends.settings import Duration
from console.config_model import PORTS, ConfigFile, ContextConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def config_schema() -> dict[str, Any]:
    """The file with its contexts; an entry of a port is one of the adapters that this installation knows."""
    adapters = {f"{port}.{kind}": adapter_class(port, kind).Config for port in PORTS for kind in adapter_types(port)}
    shapes = [ConfigFile, ContextConfig, *adapters.values()]
    found, components = msgspec.json.schema_components(shapes, schema_hook=_schema_hook, ref_template="#/$defs/{name}")
    file_schema = _resolved(found[0], components)
    context_schema = _resolved(found[1], components)
    for (name, _), reference in zip(adapters.items(), found[2:], strict=True):
        port, _, kind = name.partition(".")
        adapter = dict(_resolved(reference, components))
        adapter["properties"] = {"type": {"const": kind}, "name": {"type": "string"}, **adapter["properties"]}
        adapter["required"] = ["type", *adapter.get("required", [])]
        components[name] = adapter
    for port in PORTS:
        choices = [{"$ref": f"#/$defs/{name}"} for name in adapters if name.partition(".")[0] == port]
        if choices:
            context_schema["properties"][port] = {"type": "array", "items": {"anyOf": choices}}
    file_schema["properties"]["contexts"] = {"type": "object", "additionalProperties": context_schema}
    return {"$schema": DIALECT, "title": "tealdeck config", **file_schema, "$defs": components}


def _resolved(reference: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    return dict(components[reference["$ref"].rpartition("/")[2]])


def _schema_hook(kind: type) -> dict[str, Any]:
    if kind is Duration:
        return {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$", "examples": ["10s", "1h30m"]}
    raise NotImplementedError(kind)
