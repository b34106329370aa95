"""The body of an HTTP answer: bounded, undone of the one coding that was asked for, in turns with everybody else."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from backends.errors import BackendError
from backends.inflating import Gunzip
from backends.text import clean

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES = 32 * 1024 * 1024
SMALL_BYTES = 2 * 1024 * 1024
LARGE_AT_ONCE = 2
"""So many bodies grow beyond `SMALL_BYTES` at a time: all sources are read side by side, and each may be endless."""
TURN_S = 2.0
"""So long one waits for its turn: another that trickles keeps nobody."""

_large: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def read_bounded(response: "httpx.Response", where: str) -> bytes:
    """The whole body, inflated. Raises BackendError(malformed) for more than `MAX_BODY_BYTES`, and DamagedError."""
    body, is_large = bytearray(), False
    async with contextlib.AsyncExitStack() as held:
        async for piece in pieces(response, where):
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise too_large(where)
            if len(body) > SMALL_BYTES and not is_large:
                is_large = True
                await _turn(held)
        return bytes(body)


async def _turn(held: contextlib.AsyncExitStack) -> None:
    few = _large.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(LARGE_AT_ONCE))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TURN_S):
            await few.acquire()
        held.callback(few.release)


async def pieces(response: "httpx.Response", where: str) -> AsyncGenerator[bytes, None]:
    """The body as it comes, inflated in steps; everybody else has their turn between them. Raises DamagedError."""
    gunzip = content_coding(response.headers.get("content-encoding", ""), where)
    async for chunk in response.aiter_raw():
        if gunzip is None:
            yield chunk
            continue
        for piece in gunzip.feed(chunk):
            yield piece
            await asyncio.sleep(0)
    if gunzip is not None and (rest := gunzip.rest()):
        yield rest


def content_coding(named: str, where: str) -> Gunzip | None:
    """What undoes the `Content-Encoding` of an answer; None for none. Raises BackendError for more than was asked."""
    coding = named.strip().casefold()
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip"):
        return Gunzip()
    words = f'{where}: Content-Encoding "{clean(named, 60)}", where gzip, once, was asked for'
    raise BackendError("malformed", words, fix="look at the server, or at the proxy before it")


def too_large(where: str) -> BackendError:
    """For a body of more than `MAX_BODY_BYTES`, inflated."""
    words = f"{where}: an answer of more than {MAX_BODY_BYTES // 2**20} MB"
    return BackendError("malformed", words, fix="narrow the query, or widen its step")
