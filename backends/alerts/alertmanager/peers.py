"""The peers of one Alertmanager cluster over HTTP: read all of them side by side, write to one."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from backends.alerts.alertmanager.merge import PeerRead
from backends.alerts.alertmanager.wire import WireAlert, WirePosted, WireSilence, WireStarted
from backends.alerts.matchers import as_filter
from backends.entered import EnteredHttp
from backends.errors import BackendError
from backends.http import Answer
from backends.missing import missing
from backends.models import Matcher
from backends.records import decode_records
from backends.redaction import redact_url
from backends.together import together

API = "/api/v2"
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")

T = TypeVar("T")


class Peer:
    """One Alertmanager. `name` is its URL as it may be shown."""

    def __init__(self, url: str, client: EnteredHttp) -> None:
        self._base = url.rstrip("/").removesuffix(API).rstrip("/") + API
        self.name = redact_url(self._base.removesuffix(API))
        self._client = client

    async def alerts(self, matchers: Sequence[Matcher] = ()) -> PeerRead:
        """All alerts that are not resolved, or those that `matchers` match."""
        try:
            answer = await self._get("/alerts", params={"filter": [as_filter(matcher) for matcher in matchers]})
        except BackendError as error:
            if matchers and error.status == HTTPStatus.BAD_REQUEST:
                raise BackendError("config", error.message, fix="correct the matchers", status=error.status) from None
            raise
        # Thousands of alerts take longer to decode than a frame may.
        alerts, odd = await asyncio.to_thread(decode_records, answer.body, WireAlert, where=answer.url)
        return PeerRead(self.name, _clock(answer), alerts, odd)

    async def started(self) -> datetime | None:
        """Since when it runs, where it says so."""
        try:
            return (await self._get("/status")).decode(WireStarted).uptime
        except BackendError:
            return None

    async def silences(self) -> list[WireSilence]:
        """All that it still keeps, also expired ones."""
        answer = await self._get("/silences")
        found, odd = await asyncio.to_thread(decode_records, answer.body, WireSilence, where=answer.url)
        for each in odd:
            missing(each.error)
        return found

    async def silence(self, silence_id: str) -> tuple[WireSilence, dict[str, Any]] | None:
        """One silence, decoded and as it came; None where this peer does not know it, or no such id can be."""
        if not _ID.fullmatch(silence_id):
            return None
        try:
            answer = await self._get(f"/silence/{silence_id}")
        except BackendError as error:
            if error.status in (404, 422):
                return None
            raise
        return answer.decode(WireSilence), answer.decode(dict[str, Any])

    async def post(self, body: dict[str, Any]) -> str:
        """Send a silence, once; returns its id. Raises BackendError; see `said_no`."""
        try:
            return (await self._client.request("POST", f"{self._base}/silences", json=body)).decode(WirePosted).id
        except BackendError as error:
            if error.status == HTTPStatus.BAD_REQUEST:
                fix = "correct the matchers or the time of the silence"
                raise BackendError("config", error.message, fix=fix, status=error.status) from None
            raise

    async def delete(self, silence_id: str) -> None:
        """Expire a silence that is there, once. Raises as `post`."""
        await self._client.request("DELETE", f"{self._base}/silence/{silence_id}")

    async def _get(self, path: str, **request: Any) -> Answer:
        return await self._client.request("GET", self._base + path, **request)


def said_no(error: BackendError) -> bool:
    """Whether nothing came of an order for certain; otherwise it may have been carried out, and its answer lost."""
    if error.status is None:
        return error.kind == "config"
    return 300 <= error.status < 500 and error.status != HTTPStatus.REQUEST_TIMEOUT


async def ask_all(peers: Sequence[Peer], ask: Callable[[Peer], Awaitable[T]]) -> dict[Peer, T | BackendError]:
    """What each peer answers, in their order. Raises BackendError where none does."""
    outcomes = dict(zip(peers, await together(*(_outcome(ask(peer)) for peer in peers)), strict=True))
    errors = [outcome for outcome in outcomes.values() if isinstance(outcome, BackendError)]
    if len(errors) < len(outcomes):
        return outcomes
    kinds = {error.kind for error in errors}
    if len(errors) == 1 or {error.status for error in errors} == {HTTPStatus.BAD_REQUEST}:
        raise errors[0]  # they do answer, and each says that what was asked is wrong
    words = "; ".join(error.message for error in errors)
    kind = kinds.pop() if len(kinds) == 1 else "unreachable"
    raise BackendError(
        kind, f"no Alertmanager peer answers: {words}", fix=errors[0].fix if kind == errors[0].kind else ""
    )


def answered(outcomes: Mapping[Peer, T | BackendError]) -> dict[Peer, T]:
    """Those that did."""
    return {peer: outcome for peer, outcome in outcomes.items() if not isinstance(outcome, BackendError)}


def tell_lost(outcomes: Mapping[Peer, T | BackendError]) -> None:
    """The answer lacks what only those have that did not answer."""
    for outcome in outcomes.values():
        if isinstance(outcome, BackendError):
            missing(outcome)


async def _outcome(asked: Awaitable[T]) -> T | BackendError:
    try:
        return await asked
    except BackendError as error:
        return error


def _clock(answer: Answer) -> datetime:
    """When the peer answered by its own clock, which is not ours."""
    from email.utils import parsedate_to_datetime  # 15 ms, unless httpx has imported it by now

    try:
        return parsedate_to_datetime(answer.headers.get("date", "")).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)
