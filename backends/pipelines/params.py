"""Whether a value fits a param of a pipeline, said before anything is sent. The system itself has the last word.

A param is judged as JSON Schema 2020-12, by the library that Airflow uses too. It interprets the schema, which comes
from outside: one that makes Python code of schemas is no choice here.
"""

import math
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from backends.imports import import_in_turn
from backends.ports import PipelineInfo, PipelineParam
from backends.text import clean, counted

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

    Words = Callable[[ValidationError], str]

PATTERN_TIMEOUT_S = 0.1
_ARTICLE = {"integer": "an integer", "array": "an array", "object": "an object", "null": "null"}
_FORMATS = {"date": "2026-08-24", "time": "12:30:00Z", "date-time": "2026-08-24T12:30:00Z"}
# What is matched without a limit of time, or would be judged by another draft.
_NOT_JUDGED = ("patternProperties", "$schema")
_MISSING = object()


def problem(param: PipelineParam, value: Any = _MISSING) -> str:
    """What is wrong with `value`, or with giving none, in one line that begins with the name; empty where it fits."""
    if value is _MISSING:
        return f"{param.name}: a value is required" if param.required and param.default is None else ""
    return _misfit(param, value)


def problems(info: PipelineInfo, params: dict[str, Any]) -> list[str]:
    """All that is wrong with the values in `params` for a run of that pipeline."""
    return [
        found
        for param in info.params
        if (found := problem(param, params[param.name]) if param.name in params else problem(param))
    ]


def unknown_names(info: PipelineInfo, params: dict[str, Any]) -> list[str]:
    """The names in `params` that the pipeline does not declare, each with what may have been meant: what nobody reads
    changes nothing, and the run looks as if it had. None for one that declares nothing, which may read anything."""
    known = [param.name for param in info.params]
    return [_not_declared(clean(name, 60), known) for name in params if known and name not in known]


def _not_declared(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    meant = f'did you mean "{near[0]}"?' if near else f"it declares {', '.join(sorted(known))}"
    return f'no param "{name}": {meant}'


def hint(param: PipelineParam) -> str:
    """What may be written, in few words: `integer, 1 to 100`, `full or delta`."""
    words = _allowed(_schema(param))
    return ", ".join([*([words] if words else []), *(["required"] if param.required and not param.choices else [])])


def _schema(param: PipelineParam) -> dict[str, Any]:
    schema = dict(param.schema)
    if param.choices:
        schema["enum"] = list(param.choices)
    elif param.type != "any":
        schema["type"] = [param.type, "null"] if param.nullable else param.type
    return schema


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Whether `value` fits a JSON Schema, as far as that can be judged here."""
    return _error(schema, value) is None


def _misfit(param: PipelineParam, value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{param.name}: not a finite number"
    error = _error(_schema(param), value)
    if error is None:
        return ""
    inside = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    words = _WORDS[error.validator](error) if error.validator in _WORDS else error.message
    return clean(f"{param.name}{inside}: {words}", 300)


def _error(schema: dict[str, Any], value: Any) -> "ValidationError | None":
    import_in_turn("jsonschema")
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    try:
        if any(word in str(schema) for word in _NOT_JUDGED):
            return None
        return best_match(_validator(schema).iter_errors(value))
    except (Unresolvable, RecursionError):
        return None


def _validator(schema: dict[str, Any]) -> "Validator":
    """It looks nothing up on the network, and a keyword that is no JSON Schema is not judged."""
    import jsonschema
    from referencing import Registry

    draft = jsonschema.Draft202012Validator
    known = draft(draft.META_SCHEMA, format_checker=draft.FORMAT_CHECKER)
    schema = dict(schema)
    while broken := [error for error in known.iter_errors(schema) if error.absolute_path]:
        del schema[broken[0].absolute_path[0]]
    bounded = jsonschema.validators.extend(draft, {"pattern": _pattern})
    registry: Registry[Any] = Registry()
    return bounded(schema, registry=registry, format_checker=draft.FORMAT_CHECKER)


def _pattern(_: "Validator", pattern: str, value: Any, __: Any) -> "Iterator[ValidationError]":
    import regex
    from jsonschema.exceptions import ValidationError

    try:
        fits = not isinstance(value, str) or regex.search(pattern, value, timeout=PATTERN_TIMEOUT_S)
    except (regex.error, TimeoutError):
        return
    if not fits:
        yield ValidationError(f"does not match {clean(pattern, 60)}")


def _is(words: str) -> "Words":
    return lambda error: f"{_found(error)} is {words} {error.validator_value:g}"


def _counts(bound: str, noun: str) -> "Words":
    return lambda error: f"{bound} {counted(error.validator_value, noun)}"


def _no_kind(error: "ValidationError") -> str:
    kinds = error.validator_value
    return f"{_found(error)} is not {' or '.join(map(_named, [kinds] if isinstance(kinds, str) else kinds))}"


def _no_branch(error: "ValidationError") -> str:
    allowed = _allowed({error.validator: error.validator_value})
    return f"{_found(error)} is not {allowed}" if allowed else error.message


def _no_format(error: "ValidationError") -> str:
    shown = _FORMATS.get(error.validator_value)
    return f"{_found(error)} is not {_named(error.validator_value)}{f', as {shown}' if shown else ''}"


_WORDS: dict[str, "Words"] = {
    "minimum": _is("less than"), "maximum": _is("more than"),
    "exclusiveMinimum": _is("not above"), "exclusiveMaximum": _is("not below"),
    "multipleOf": _is("not a multiple of"),
    "minLength": _counts("at least", "character"), "maxLength": _counts("at most", "character"),
    "minItems": _counts("at least", "element"), "maxItems": _counts("at most", "element"),
    "minProperties": _counts("at least", "key"), "maxProperties": _counts("at most", "key"),
    "enum": lambda error: f"one of {_either(error.validator_value)}",
    "const": lambda error: f"only {_written(error.validator_value)}",
    "type": _no_kind, "anyOf": _no_branch, "oneOf": _no_branch, "format": _no_format,
}  # fmt: skip


def _found(error: "ValidationError") -> str:
    return "null" if error.instance is None else clean(repr(error.instance), 60)


def _allowed(schema: Any) -> str:
    """What fits a schema, in few words; empty for anything."""
    if not isinstance(schema, dict):
        return ""
    if "const" in schema:
        return _written(schema["const"])
    if isinstance(schema.get("enum"), list):
        return _either(schema["enum"])
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list):
            return " or ".join(dict.fromkeys(filter(None, map(_allowed, schema[keyword]))))
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else [str(each) for each in kinds]
    if len(kinds) > 1:
        kinds = [kind for kind in kinds if kind != "null"]
    given = schema.get("format")
    words = [f"{given}" if isinstance(given, str) and given in _FORMATS else " or ".join(kinds), _range(schema)]
    return ", ".join(filter(None, words))


def _range(schema: dict[str, Any]) -> str:
    low, high = (schema.get(keyword) for keyword in ("minimum", "maximum"))
    if isinstance(low, int | float) and isinstance(high, int | float):
        return f"{low:g} to {high:g}"
    if isinstance(low, int | float):
        return f"from {low:g}"
    return f"to {high:g}" if isinstance(high, int | float) else ""


def _either(choices: Any) -> str:
    more = " or …" if len(choices) > 6 else ""
    return " or ".join(_written(choice) for choice in choices[:6]) + more


def _written(value: Any) -> str:
    return "null" if value is None else clean(str(value), 40)


def _named(kind: str) -> str:
    return _ARTICLE.get(kind, f"a {kind}")
