"""How a side did lately: a share is told with the number of requests that it is of, and few are joined."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.deployments.rates import WINDOW_S, Count, Rates, Traffic
from backends.models import ENOUGH_REQUESTS, ColorState


def looks(*counts: tuple[float, int, int]) -> list[Traffic]:
    """Of `(seconds since the look before, requests, failed)` that came in between."""
    rates, at, requests, failed = Rates(), 100.0, 1000, 7
    found = [rates.traffic(Count(at=at, requests=requests, failed=failed))]
    for seconds, more, wrong in counts:
        at, requests, failed = at + seconds, requests + more, failed + wrong
        found.append(rates.traffic(Count(at=at, requests=requests, failed=failed)))
    return found


def test_few_requests_are_joined_with_those_before_them() -> None:
    found = looks((1, 2, 2), (1, 6, 0), (1, 15, 1), (1, 30, 0))
    assert found[0] == Traffic(pending=True)
    assert [(seen.requests, seen.failed, seen.error_pct) for seen in found[1:]] == [
        (2, 2, 100.0), (8, 2, 25.0), (21, 1, 4.76), (30, 0, 0.0)
    ]  # fmt: skip
    assert [seen.rps for seen in found[1:]] == [2.0, 6.0, 15.0, 30.0], "that is of the newest look alone"


def test_what_is_older_than_a_minute_says_nothing_of_now() -> None:
    found = looks((10, 300, 300), *[(10, 0, 0)] * 7)
    assert [(seen.requests, seen.error_pct) for seen in found[1:7]] == [(300, 100.0)] * 6
    assert (found[-1].requests, found[-1].failed, found[-1].error_pct, found[-1].rps) == (0, 0, None, 0.0)
    assert looks((3 * WINDOW_S, 5, 1))[-1].requests == 5, "between two looks there is no other number"


def test_a_count_that_begins_anew_is_another_one() -> None:
    rates = Rates()
    for at, requests, failed in ((1.0, 50, 0), (2.0, 90, 0)):
        rates.traffic(Count(at=at, requests=requests, failed=failed))
    assert rates.traffic(Count(at=3.0, requests=10, failed=9)) == Traffic(pending=True)
    assert rates.traffic(Count(at=4.0, requests=40, failed=9)).requests == 30


def test_a_new_version_is_not_judged_by_the_requests_of_the_one_before() -> None:
    rates = Rates()

    def look(at: float, version: str | None, requests: int, failed: int) -> ColorState:
        seen = rates.traffic(Count(at=at, requests=requests, failed=failed))
        return rates.of(ColorState(version=version), seen)

    look(1.0, "2.5.0", 100, 0)
    assert look(2.0, "2.5.0", 140, 30).error_pct == 75.0
    assert look(3.0, None, 150, 35).error_pct is not None, "a version that nobody can say is no other one"
    fresh = look(4.0, "2.5.1", 160, 40)
    assert (fresh.error_pct, fresh.requests, fresh.rates_pending) == (None, None, True)
    assert look(5.0, "2.5.1", 185, 40).error_pct == 0.0


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 60), st.floats(0, 1)), min_size=1, max_size=60))
def test_no_share_is_of_fewer_than_came_nor_of_more_than_it_needs(steps: list[tuple[int, int, float]]) -> None:
    counts = [(float(seconds), asked, round(asked * share)) for seconds, asked, share in steps]
    for place, seen in enumerate(looks(*counts)[1:], 1):
        assert seen.requests is not None
        assert seen.failed is not None
        assert 0 <= seen.failed <= seen.requests
        assert (seen.error_pct is None) == (seen.requests == 0)
        ways = [[sum(column) for column in zip(*counts[begin:place], strict=True)] for begin in range(place)][::-1]
        fitting = [way for way in ways if way[0] <= WINDOW_S] or ways[:1]
        enough = [way for way in fitting if way[1] >= ENOUGH_REQUESTS]
        assert [seen.requests, seen.failed] == (enough[0] if enough else fitting[-1])[1:]


@pytest.mark.parametrize(("requests", "failed"), [(5, 10), (0, 3)])
def test_of_connections_one_may_fail_more_than_once(requests: int, failed: int) -> None:
    assert looks((1, requests, failed))[-1].error_pct == 100.0
