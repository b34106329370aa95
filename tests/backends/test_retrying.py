"""What is asked again, how often, after how long; and that what is written is sent once."""

import asyncio
from types import SimpleNamespace

import pytest

from backends import retrying
from backends.errors import BackendError
from backends.http import Http
from backends.retrying import backoff_s, retried
from tests.backends.faulty_server import FaultyServer


class Asked:
    """A read that fails with these errors, one after the other, and is answered then."""

    def __init__(self, *errors: BackendError) -> None:
        self.errors = list(errors)
        self.left_s: list[float] = []

    async def __call__(self, left_s: float) -> str:
        self.left_s.append(left_s)
        if self.errors:
            raise self.errors.pop(0)
        return "answered"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits, which take no time; each is as long as the jitter allows."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(retrying, "random", SimpleNamespace(uniform=lambda least, most: most))
    monkeypatch.setattr(retrying, "asyncio", SimpleNamespace(sleep=sleep))
    return waits


def lost(**more: float) -> BackendError:
    return BackendError("unreachable", "lost", passing=True, **more)


async def test_what_may_pass_is_asked_again_after_waits_that_double(waits: list[float]) -> None:
    asked = Asked(*[lost() for _ in range(5)])
    assert await retried(asked, timeout_s=60, attempts=6, max_wait_s=3) == "answered"
    assert waits == [0.4, 0.8, 1.6, 3, 3]
    assert asked.left_s == sorted(asked.left_s, reverse=True)
    assert asked.left_s[0] <= 60


async def test_the_last_error_is_raised_and_what_does_not_pass_at_once(waits: list[float]) -> None:
    last = lost()
    with pytest.raises(BackendError) as caught:
        await retried(Asked(lost(), lost(), last), timeout_s=60)
    assert caught.value is last
    refused = Asked(BackendError("auth", "no"))
    with pytest.raises(BackendError, match="no"):
        await retried(refused, timeout_s=60)
    assert (len(refused.left_s), len(waits)) == (1, 2)


@pytest.mark.parametrize(("said", "timeout_s"), [(6.0, 60.0), (2.0, 1.0), (0.99, 1.0)])
async def test_nobody_waits_longer_than_the_wait_or_the_deadline_allow(
    waits: list[float], said: float, timeout_s: float
) -> None:
    asked = Asked(lost(retry_after_s=said))
    with pytest.raises(BackendError):
        await retried(asked, timeout_s=timeout_s, max_wait_s=5)
    assert (len(asked.left_s), waits) == (1, [])


async def test_what_the_system_said_is_waited_for(waits: list[float]) -> None:
    assert await retried(Asked(lost(retry_after_s=2.5)), timeout_s=60) == "answered"
    assert waits == [2.5]


async def test_a_wait_that_took_all_of_the_time_ends_with_what_the_system_said(
    waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.0, 0.0, 61.0])  # the end, the first attempt, its error, after the wait
    monkeypatch.setattr(retrying, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    asked = Asked(said := lost(retry_after_s=1.0))
    with pytest.raises(BackendError) as caught:
        await retried(asked, timeout_s=60)
    assert (caught.value, len(asked.left_s), waits) == (said, 1, [1.0])


async def test_who_is_cancelled_asks_no_more() -> None:
    asked = Asked(lost(retry_after_s=4.0))
    task = asyncio.create_task(retried(asked, timeout_s=60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(asked.left_s) == 1


def test_a_backoff_grows_to_its_most_and_stays_a_number() -> None:
    assert [backoff_s(failures, 1.0, 30.0) for failures in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert backoff_s(10**6, 1.0, 30.0) == 30.0


async def test_an_accepted_error_is_asked_again_where_it_may_pass_and_a_write_never(
    http: Http, waits: list[float]
) -> None:
    async with FaultyServer() as server:
        server.status = 503
        answer = await http.get(server.url, accept_errors=True, passing={503})
        assert (answer.status, len(server.requests)) == (503, 3)
        answer = await http.get(server.url, accept_errors=True)
        assert (answer.status, len(server.requests)) == (503, 4), "a caller that takes any answer takes the first"
        with pytest.raises(BackendError) as caught:
            await http.request("POST", server.url)
        assert (caught.value.passing, len(server.requests)) == (True, 5), "what is written is sent once"
