"""What an expectation asks, as a sentence: `country must be one of DE, FR`. As Great Expectations names them."""

from collections.abc import Mapping
from typing import Any

_COLUMN, _LEFT_OUT, _SHOWN = "column_values_to_", ("column", "batch_id", "mostly"), 8
_VALUES = {"be_in_set": "one of", "not_be_in_set": "none of"}
_PATTERNS = ("like_pattern", "regex", "strftime_format", "type_", "json_schema")


def expectation_words(kind: str, given: Mapping[str, Any]) -> str:
    """The sentence of an expectation of a type and its arguments; of one that is not known here its type and these."""
    name = kind.removeprefix("expect_")
    arguments = {key: value for key, value in given.items() if value not in (None, False) and key not in _LEFT_OUT}
    mostly = given.get("mostly")
    share = f" in {mostly * 100:g} % of rows" if isinstance(mostly, int | float) and mostly < 1 else ""
    column = given.get("column")
    if isinstance(column, str) and name.startswith(_COLUMN):
        return f"{column} must {_asked(name.removeprefix(_COLUMN), arguments)}{share}"
    if name == "table_row_count_to_be_between":
        return f"row count must be {_between(arguments)}"
    arguments = {"column": column, **arguments} if column is not None else arguments
    listed = ", ".join(f"{key}={_value(value)}" for key, value in sorted(arguments.items(), key=_column_first))
    return f"{name}({listed}){share}" if listed else f"{name}{share}"


def _column_first(pair: tuple[str, Any]) -> tuple[bool, str]:
    return pair[0] != "column", pair[0]


def _asked(what: str, arguments: dict[str, Any]) -> str:
    match what:
        case "be_in_set" | "not_be_in_set" if isinstance(arguments.get("value_set"), list):
            return f"be {_VALUES[what]} {_listed(arguments.pop('value_set'))}{_rest(arguments)}"
        case "be_between" if {"min_value", "max_value"} & arguments.keys():
            bounds = {key: arguments.pop(key, None) for key in ("min_value", "max_value")}
            return f"be {_between(bounds)}{_rest(arguments)}"
        case _:
            pattern = next((arguments.pop(key) for key in _PATTERNS if key in arguments), None)
            words = what.replace("_", " ") + ("" if pattern is None else f" {_value(pattern)}")
            return f"{words}{_rest(arguments)}"


def _between(bounds: Mapping[str, Any]) -> str:
    low, high = (bounds.get(key) for key in ("min_value", "max_value"))
    if low is None:
        return f"at most {_value(high)}"
    return f"at least {_value(low)}" if high is None else f"between {_value(low)} and {_value(high)}"


def _rest(arguments: Mapping[str, Any]) -> str:
    listed = ", ".join(f"{key}={_value(value)}" for key, value in sorted(arguments.items()))
    return f" ({listed})" if listed else ""


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{_listed(value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(values: list[Any]) -> str:
    return ", ".join(map(_value, values[:_SHOWN])) + (", …" if len(values) > _SHOWN else "")
