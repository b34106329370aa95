"""Several questions side by side, and nothing left behind when one of them fails."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar, overload

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


@overload
async def together(first: Awaitable[A], second: Awaitable[B], /) -> tuple[A, B]: ...
@overload
async def together(first: Awaitable[A], second: Awaitable[B], third: Awaitable[C], /) -> tuple[A, B, C]: ...
@overload
async def together(
    first: Awaitable[A], second: Awaitable[B], third: Awaitable[C], fourth: Awaitable[D], /
) -> tuple[A, B, C, D]: ...
@overload
async def together(*asked: Awaitable[A]) -> list[A]: ...
async def together(*asked: Awaitable[Any]) -> Any:
    """The answers, in order. Raises the first failure in that order once all have ended.

    `asyncio.gather` raises at once and lets the others go on: their requests then ran on connections that their owner
    was closing (seen as sockets to the API server that nobody closed).
    """
    tasks = [asyncio.ensure_future(each) for each in asked]
    await asyncio.gather(*tasks, return_exceptions=True)
    return [task.result() for task in tasks]


async def few_at_a_time(limit: int, makes: Iterable[Callable[[], Awaitable[A]]]) -> list[A]:
    """The answers, in order, of questions of which at most `limit` are asked at once. Raises as `together`."""
    room = asyncio.Semaphore(limit)

    async def one(make: Callable[[], Awaitable[A]]) -> A:
        async with room:
            return await make()

    return await together(*(one(make) for make in makes))
