"""What fits a param of a pipeline, said before anything is sent."""

from typing import Any

import pytest

from backends.pipelines.params import hint, problem, problems, unknown_names
from backends.ports import PipelineInfo, PipelineParam


def param(type: Any = "any", **more: Any) -> PipelineParam:  # noqa: A002 - as the model calls it
    return PipelineParam(name="p", type=type, **more)


@pytest.mark.parametrize(
    ("known", "value", "words"),
    [
        (param("integer"), 5, ""),
        (param("integer"), True, "p: True is not an integer"),
        (param("integer"), 5.5, "p: 5.5 is not an integer"),
        (param("integer"), "5", "p: '5' is not an integer"),
        (param("number"), 5, ""),
        (param("number"), float("inf"), "p: not a finite number"),
        (param("boolean"), False, ""),
        (param("boolean"), 0, "p: 0 is not a boolean"),
        (param("string"), None, "p: null is not a string"),
        (param("string", nullable=True), None, ""),
        (param("array"), {}, "p: {} is not an array"),
        (param("object"), {"a": 1}, ""),
        (param(), object, ""),
        (param("integer", schema={"minimum": 1}), 0, "p: 0 is less than 1"),
        (param("integer", schema={"maximum": 9}), 10, "p: 10 is more than 9"),
        (param("number", schema={"exclusiveMinimum": 0}), 0, "p: 0 is not above 0"),
        (param("string", schema={"pattern": "^[a-z]+$"}), "A1", "p: does not match ^[a-z]+$"),
        (param("string", schema={"pattern": "("}), "A1", ""),
        (param("string", schema={"minLength": 2}), "a", "p: at least 2 characters"),
        (param(choices=("full", "delta")), "half", "p: one of full or delta"),
        (param(choices=(1, 2)), True, "p: one of 1 or 2"),
        (param(choices=(1, 2)), 2, ""),
        (param("string", nullable=True), 5, "p: 5 is not a string or null"),
        (param(schema={"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}), None, ""),
        (param(schema={"anyOf": [{"type": "integer"}, {"const": "all"}]}), "al", "p: 'al' is not integer or all"),
        (param(schema={"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}), 0, "p: 0 is less than 1"),
        (param(schema={"const": "yes"}), "no", "p: only yes"),
        (param(schema={"type": ["integer", "string"]}), [], "p: [] is not an integer or a string"),
        (param("string", schema={"format": "date"}), "2026-02-30", "p: '2026-02-30' is not a date, as 2026-08-24"),
        (param("string", schema={"format": "date"}), "2026-02-28", ""),
        (
            param("string", schema={"format": "date-time"}),
            "now",
            "p: 'now' is not a date-time, as 2026-08-24T12:30:00Z",
        ),
        (param("string", schema={"format": "multiline"}), "a\nb", ""),
        (param("integer", schema={"multipleOf": 5}), 7, "p: 7 is not a multiple of 5"),
        (param("array", schema={"items": {"type": "integer"}}), [1, "x"], "p[1]: 'x' is not an integer"),
        (param("array", schema={"minItems": 1}), [], "p: at least 1 element"),
        (param("array", schema={"uniqueItems": True}), [1, 1], "p: [1, 1] has non-unique elements"),
        (
            param("object", schema={"properties": {"rows": {"type": "array", "items": {"maximum": 9}}}}),
            {"rows": [1, 10]},
            "p.rows[1]: 10 is more than 9",
        ),
        (param("object", schema={"required": ["a"]}), {}, "p: 'a' is a required property"),
        (param("string", schema={"maxLength": 1}), "a\x1b[2J\nb", "p: at most 1 character"),
        # What cannot be judged here is judged by the system.
        (param("integer", schema={"minimum": "none", "maximum": 5}), 9, "p: 9 is more than 5"),
        (param("integer", schema={"$ref": "https://127.0.0.1:1/schema"}), "x", ""),
        (param(schema={"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}), "x", ""),
        (param("object", schema={"patternProperties": {"(a+)+$": {}}}), {"a" * 60 + "b": 1}, ""),
        (param("string", schema={"pattern": "^(a|aa)+$"}), "a" * 60 + "b", ""),
    ],
)
def test_a_value_fits_or_it_is_said_why(known: PipelineParam, value: Any, words: str) -> None:
    assert problem(known, value) == words


def test_what_is_required_must_be_given() -> None:
    info = PipelineInfo(pipeline="x", params=(param("string", required=True),))
    assert problems(info, {}) == ["p: a value is required"]
    assert problems(info, {"p": "x", "of a conf": 1}) == []
    assert hint(param("integer", schema={"minimum": 1, "maximum": 9}, required=True)) == "integer, 1 to 9, required"


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (param("string", nullable=True), "string"),
        (param(schema={"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}), "date or null"),
        (param(schema={"oneOf": [{"type": "integer", "minimum": 1, "maximum": 5}, {"const": "all"}]}),
         "integer, 1 to 5 or all"),
        (param(schema={"const": 3}, required=True), "3, required"),
        (param(schema={"type": ["integer", "string", "null"]}), "integer or string"),
        (param(), ""),
    ],
)  # fmt: skip
def test_what_may_be_written_is_said_in_few_words(known: PipelineParam, words: str) -> None:
    assert hint(known) == words


def test_a_name_that_is_not_declared_is_said_with_what_was_meant() -> None:
    info = PipelineInfo(pipeline="x", params=(param(), PipelineParam(name="rows", type="integer")))
    assert unknown_names(info, {"p": 1, "rows": 2}) == []
    assert unknown_names(info, {"rwos": 9}) == ['no param "rwos": did you mean "rows"?']
    assert unknown_names(info, {"zzz": 9}) == ['no param "zzz": it declares p, rows']
    assert unknown_names(PipelineInfo(pipeline="x"), {"zzz": 9}) == []
