"""Whether a value fits a param of a pipeline, said before anything is sent. The system itself has the last word."""

import math
import operator
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from backends.ports import PipelineInfo, PipelineParam
from backends.text import clean

_OF_TYPE: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
    "array": (list,),    "object": (dict,),
}  # fmt: skip
_ARTICLE = {"integer": "an integer", "array": "an array", "object": "an object"}
_BOUNDS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "minimum": (operator.ge, "less than"),
    "maximum": (operator.le, "more than"),
    "exclusiveMinimum": (operator.gt, "not above"),
    "exclusiveMaximum": (operator.lt, "not below"),
}
_MISSING = object()


def problem(param: PipelineParam, value: Any = _MISSING) -> str:
    """What is wrong with `value`, or with giving none, in one line that begins with the name; empty where it fits."""
    if value is _MISSING:
        return f"{param.name}: a value is required" if param.required and param.default is None else ""
    why = _why(param, value)
    return f"{param.name}: {why}" if why else ""


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
    if param.choices:
        return " or ".join(clean(str(choice), 40) for choice in param.choices[:6])
    words: list[str] = [] if param.type == "any" else [param.type]
    low, high = param.schema.get("minimum"), param.schema.get("maximum")
    if low is not None and high is not None:
        words.append(f"{low:g} to {high:g}")
    elif low is not None:
        words.append(f"from {low:g}")
    elif high is not None:
        words.append(f"to {high:g}")
    if param.required:
        words.append("required")
    return ", ".join(words)


def _why(param: PipelineParam, value: Any) -> str:
    if value is None:
        return "" if param.nullable or param.type == "any" else f"null is not {_named(param.type)}"
    if param.choices:
        return "" if any(_same(value, choice) for choice in param.choices) else f"one of {hint(param)}"
    kinds = _OF_TYPE.get(param.type)
    if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and param.type != "boolean")):
        return f"{clean(repr(value), 60)} is not {_named(param.type)}"
    return _out_of_bounds(param.schema, value)


def _out_of_bounds(schema: dict[str, Any], value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, float) and not math.isfinite(value):
            return "not a finite number"
        for keyword, (within, words) in _BOUNDS.items():
            limit = schema.get(keyword)
            if isinstance(limit, int | float) and not isinstance(limit, bool) and not within(value, limit):
                return f"{value:g} is {words} {limit:g}"
    if isinstance(value, str):
        shortest, longest, pattern = schema.get("minLength"), schema.get("maxLength"), schema.get("pattern")
        if isinstance(shortest, int) and len(value) < shortest:
            return f"at least {shortest} characters"
        if isinstance(longest, int) and len(value) > longest:
            return f"at most {longest} characters"
        if isinstance(pattern, str) and _matches(pattern, value) is False:
            return f"does not match {clean(pattern, 60)}"
    return ""


def _matches(pattern: str, value: str) -> bool | None:
    """None for a pattern that Python does not know, or one so long that it could take forever."""
    if len(pattern) > 200 or len(value) > 1000:
        return None
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return None


def _same(value: Any, choice: Any) -> bool:
    return type(value) is type(choice) and bool(value == choice)


def _named(kind: str) -> str:
    return _ARTICLE.get(kind, f"a {kind}")
