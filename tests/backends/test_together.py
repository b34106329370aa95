"""Questions side by side: their answers in order, and nothing that goes on once it is over."""

import asyncio

import pytest

from backends.errors import BackendError
from backends.together import together


async def test_a_failure_is_raised_when_the_others_have_ended_too() -> None:
    ended = list[str]()

    async def fails(word: str, after_s: float) -> str:
        await asyncio.sleep(after_s)
        raise BackendError("auth", word)

    async def slow() -> str:
        await asyncio.sleep(0.05)
        ended.append("slow")
        return "slow"

    with pytest.raises(BackendError, match="first"):
        await together(slow(), fails("first", 0.02), fails("second", 0.0))
    assert ended == ["slow"]
    assert await together(slow(), asyncio.sleep(0, 7)) == ["slow", 7]


async def test_who_is_cancelled_takes_them_along() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def for_ever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    task = asyncio.create_task(together(for_ever(), for_ever()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()
