"""What a load balancer counts of a side that answers nobody."""

import pytest

from actions.switching.counted import Failing
from backends.ports import RequestCounts


def counts(taken: int, failed: int) -> RequestCounts:
    return RequestCounts(requests={"blue": 900, "green": taken}, failures={"blue": 9, "green": failed})


@pytest.mark.parametrize(
    ("looks", "failing"),
    [
        ([counts(100, 3), counts(104, 7)], True),
        ([counts(100, 3), counts(104, 6)], False),  # one was served
        ([counts(100, 3), counts(101, 4)], False),  # one request is chance
        ([counts(100, 3), counts(101, 4), counts(102, 5)], True),
        ([counts(100, 3), counts(4, 4)], False),  # a process that was started anew counts from 0
        ([RequestCounts(), RequestCounts()], False),
        ([RequestCounts(requests={"green": 1}), RequestCounts(requests={"green": 9})], False),  # nobody counts failures
        ([counts(100, 3), None, counts(104, 7)], False),  # a fresh request was answered in between
    ],
)
def test_only_where_all_that_a_side_took_failed_it_fails(looks: list[RequestCounts | None], failing: bool) -> None:
    seen, said = Failing(), ""
    for look in looks:
        if look is None:
            seen.forget()
        else:
            said = seen.words("green", look)
    assert bool(said) == failing
