"""Loki's websocket, for who opts in to it: lines as they are taken in, without asking again. Loads websockets.

Source: https://grafana.com/docs/loki/latest/reference/loki-http-api/#stream-logs (3.x).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from msgspec import Struct

from backends.credentials import ServerAccess
from backends.errors import BackendError, ErrorKind
from backends.http import decode_json
from backends.logs.stamps import parse_time
from backends.proxies import proxy_for
from backends.redaction import basic, redact_url

MAX_FRAME_BYTES = 16 * 1024 * 1024
_KINDS: dict[int, ErrorKind] = {401: "auth", 403: "auth", 404: "not_found", 429: "rate_limited"}
_FIX = "leave out `tail`: it is followed by asking again then"


class Stream(Struct):
    """Lines with the same labels: [nanoseconds, text] or [nanoseconds, text, more]."""

    stream: dict[str, str] = {}
    values: list[Any] = []


class Frame(Struct):
    """What comes at once. `dropped_entries`: some of what Loki left out since this reader is too slow."""

    streams: list[Stream] | None = None
    dropped_entries: list[Any] | None = None


async def frames(url: str, known: ServerAccess, timeout_s: float) -> AsyncGenerator[Frame, None]:
    """What `url` (`ws://…/loki/api/v1/tail?…`) sends. Raises BackendError, `unreachable` also where it just ends."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

    where = redact_url(url.partition("?")[0])
    headers = known.headers
    if known.auth is not None:
        headers = {**headers, "authorization": f"Basic {basic(*known.auth)}"}
    try:
        async with connect(
            url, additional_headers=headers, open_timeout=timeout_s, max_size=MAX_FRAME_BYTES, compression=None,
            proxy=proxy_for(url),
        ) as socket:  # fmt: skip
            async for message in socket:
                yield decode_json(message.encode() if isinstance(message, str) else message, Frame, where=where)
    except InvalidStatus as error:
        status = error.response.status_code
        raise BackendError(_KINDS.get(status, "unreachable"), f"{where}: HTTP {status}", fix=_FIX) from None
    except InvalidHandshake:
        raise BackendError("malformed", f"{where}: this is no websocket", fix=_FIX) from None
    except ImportError:
        fix = "leave out `tail`, or install python-socks"
        raise BackendError("config", f"{where}: a websocket cannot go by a SOCKS proxy here", fix=fix) from None
    except (OSError, TimeoutError, WebSocketException) as error:
        raise BackendError("unreachable", f"{where}: {type(error).__name__}") from None
    raise BackendError("unreachable", f"{where}: Loki closed the tail")


async def with_pauses(frames: AsyncGenerator[Frame, None], pause_s: float) -> AsyncGenerator[Frame | None, None]:
    """The frames as they come, and None where none came for so long. Raises what they raise, and closes them."""
    coming: asyncio.Future[Frame] | None = None
    async with contextlib.aclosing(frames):
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(frames))
                done, _ = await asyncio.wait((coming,), timeout=pause_s)
                frame, coming = (coming.result(), None) if done else (None, coming)
                yield frame
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)


def dropped_at(entry: Any) -> int | None:
    """The nanosecond of a dropped entry, where it has one."""
    at = entry.get("timestamp") if isinstance(entry, dict) else None
    if isinstance(at, str) and at.isdecimal():
        return int(at)
    found = parse_time(at)
    return found[1] if found else None
