"""Shares and weights of HAProxy's servers: whatever is planned is what is read back, or it is refused."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from backends.deployments.haproxy.weights import (
    CONFIG_MAINT,
    FORCED_DRAIN,
    MAX_WEIGHT,
    Server,
    shares_of,
    weights_for,
)
from backends.deployments.switch_format import percent

COLORS = ("blue", "green")


def side(color: str, *initial: int, admin: int = 0) -> tuple[Server, ...]:
    return tuple(
        Server(name=f"{color}-{n}", color=color, weight=size, initial=size, admin=admin, running=True)
        for n, size in enumerate(initial, 1)
    )


def written(servers: tuple[Server, ...], share: int, *, static: bool = False) -> tuple[Server, ...]:
    weights = weights_for(servers, {"blue": 100 - share, "green": share}, static=static)
    return tuple(replace(server, weight=weights[server.name]) for server in servers)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 100), st.integers(1, 12), st.integers(1, 12))
def test_a_share_that_is_written_is_read_back_whatever_the_counts(share: int, blue: int, green: int) -> None:
    servers = side("blue", *[100] * blue) + side("green", *[100] * green)
    few, many = sorted((share / green, (100 - share) / blue))
    if few and many / few > MAX_WEIGHT / 3:  # a weight is a whole number: 1 % over ten servers against one has none
        with contextlib.suppress(ValueError):
            assert shares_of(written(servers, share), COLORS) == {"blue": 100 - share, "green": share}
        return
    after = written(servers, share)
    assert shares_of(after, COLORS) == {"blue": 100 - share, "green": share}
    for color in COLORS:
        assert len({server.weight for server in after if server.color == color}) == 1
    assert all(0 <= server.weight <= MAX_WEIGHT for server in after)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 256), min_size=1, max_size=6), st.lists(st.integers(0, 256), min_size=1, max_size=6))
def test_all_traffic_leaves_the_other_side_nothing(blue: list[int], green: list[int]) -> None:
    servers = side("blue", *blue) + side("green", *green)
    try:
        after = written(servers, 100)
    except ValueError:
        assert max(green) > MAX_WEIGHT / 2 * min(size for size in green if size), "refused though it can be"
        return
    assert all(server.weight == 0 for server in after if server.color == "blue")
    assert all(server.weight > 0 for server in after if server.color == "green")


def test_the_usual_weights_are_those_that_a_person_would_write() -> None:
    one = side("blue", 100) + side("green", 0)
    assert [server.weight for server in written(one, 10)] == [90, 10]
    assert [server.weight for server in written(one, 100)] == [0, 100]
    two_against_one = side("blue", 1, 1) + side("green", 1)
    assert [server.weight for server in written(two_against_one, 50)] == [25, 25, 50]
    big_and_small = side("blue", 100, 50) + side("green", 1)
    large, small, _ = (server.weight for server in written(big_and_small, 50))
    assert abs(large / small - 2) < 0.1


def test_a_server_out_of_rotation_counts_for_nothing_and_is_not_alone() -> None:
    servers = side("blue", 1) + side("green", 1) + side("green", 1, 1, admin=FORCED_DRAIN)[1:]
    after = written(servers, 50)
    assert shares_of(after, COLORS) == {"blue": 50, "green": 50}
    drained = side("blue", 1) + side("green", 1, admin=CONFIG_MAINT)
    with pytest.raises(ValueError, match="no server of GREEN is in rotation: green-1 is in maintenance"):
        written(drained, 10)


def test_a_static_algorithm_knows_all_or_nothing_and_never_raises_a_zero() -> None:
    servers = side("blue", 100, 50) + side("green", 7)
    assert [server.weight for server in written(servers, 100, static=True)] == [0, 0, 7]
    assert [server.weight for server in written(servers, 0, static=True)] == [100, 50, 0]
    with pytest.raises(ValueError, match="can not split"):
        written(servers, 10, static=True)
    with pytest.raises(ValueError, match="green-1 has weight 0 in HAProxy's config"):
        written(side("blue", 100) + side("green", 0), 100, static=True)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(["blue", "green", "red"]), st.integers(0, 10**6), min_size=1))
def test_percents_sum_to_100_and_never_hide_a_side(amounts: dict[str, int]) -> None:
    found = percent(amounts)
    assert sum(found.values()) == (100 if any(amounts.values()) else 0)
    assert all((found[color] > 0) is (amounts[color] > 0) for color in found)
