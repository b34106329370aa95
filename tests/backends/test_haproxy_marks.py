"""What several nodes come to where a reload has taken the mark of one away."""

import pytest
from msgspec.structs import replace

from backends.deployments.haproxy.state import Mark, NodeState, combine

MARK = Mark(
    phase="done", number=4, fence=2, shares={"blue": 100, "green": 0}, stamp="A:shift-back", journal="j", ended=True
)  # fmt: skip
NODE = NodeState(
    node="lb-1", servers=(), shares={"blue": 100, "green": 0}, detail="", algorithm="roundrobin", mark=MARK,
    process="7/1", started=1, counters={},
)  # fmt: skip


@pytest.mark.parametrize(
    ("marks", "ended"),
    [
        ([MARK, MARK], True), ([MARK, None], True), ([None, MARK], True), ([None, None], False),
        ([replace(MARK, ended=False), None], False), ([MARK, replace(MARK, ended=False)], False),
    ],
)  # fmt: skip
def test_a_node_without_a_mark_says_nothing_against_the_end_of_the_write(marks: list[Mark | None], ended: bool) -> None:
    nodes = [replace(NODE, node=f"lb-{number}", mark=mark) for number, mark in enumerate(marks)]
    found = combine(nodes, ("blue", "green"))
    assert (found.ended, found.weights) == (ended, {"blue": 100, "green": 0})
