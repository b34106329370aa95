"""What fits a param of a pipeline, said before anything is sent."""

from typing import Any

import pytest

from backends.pipelines.params import hint, problem, problems, unknown_names
from backends.ports import PipelineInfo, PipelineParam


def param(type: Any = "any", **more: Any) -> PipelineParam:  # noqa: A002
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
    ],
)
def test_a_value_fits_or_it_is_said_why(known: PipelineParam, value: Any, words: str) -> None:
    assert problem(known, value) == words


def test_what_is_required_must_be_given() -> None:
    info = PipelineInfo(pipeline="x", params=(param("string", required=True),))
    assert problems(info, {}) == ["p: a value is required"]
    assert problems(info, {"p": "x", "of a conf": 1}) == []
    assert hint(param("integer", schema={"minimum": 1, "maximum": 9}, required=True)) == "integer, 1 to 9, required"


def test_a_name_that_is_not_declared_is_said_with_what_was_meant() -> None:
    info = PipelineInfo(pipeline="x", params=(param(), PipelineParam(name="rows", type="integer")))
    assert unknown_names(info, {"p": 1, "rows": 2}) == []
    assert unknown_names(info, {"rwos": 9}) == ['no param "rwos": did you mean "rows"?']
    assert unknown_names(info, {"zzz": 9}) == ['no param "zzz": it declares p, rows']
    assert unknown_names(PipelineInfo(pipeline="x"), {"zzz": 9}) == []
