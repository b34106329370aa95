"""Orders to a cluster: silences are gossiped, so each is written to one peer, and looked for on the others.

Posted to every peer it would be there once for each. An order whose answer was lost is never sent again: the peers
are looked at for what it would have made.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

from msgspec import Struct

from backends.alerts.alertmanager.merge import merge_silences
from backends.alerts.alertmanager.peers import Peer, answered, ask_all, said_no
from backends.alerts.alertmanager.wire import WireSilence, ack_comment, silence_body, silence_model
from backends.alerts.matchers import refuse_all_embracing
from backends.alerts.silences import SAME_TIME, ends_then, equal_silence, lasts
from backends.errors import BackendError
from backends.models import Matcher
from backends.ports import SilenceResult
from backends.times import away
from backends.together import together

LOOK_AGAIN_S = 0.1
# A start in the past is taken for now; what is now for us is the future of a peer whose clock is behind.
EARLIER = timedelta(minutes=10)
_KEPT_FIELDS = ("id", "matchers", "startsAt", "endsAt", "createdBy", "comment", "annotations")

Holds = Callable[[WireSilence | None], bool]


class Silences:
    """The silences of one cluster. `visible_within_s`: how long the others may take to show what one was told."""

    def __init__(self, peers: Sequence[Peer], visible_within_s: float) -> None:
        self._peers = peers
        self._visible_within_s = visible_within_s

    async def silence(
        self, matchers: tuple[Matcher, ...], *, until: datetime, by: str, comment: str, ack: bool
    ) -> SilenceResult:
        """As the port says."""
        refuse_all_embracing(matchers)
        known = answered(await ask_all(self._peers, Peer.silences))
        merged = merge_silences(known.values())
        same = [silence_model("", wire, 0) for wire in merged.values() if set(wire.asked) == set(matchers)]
        equal = equal_silence(same, by=by, ack=ack)
        if equal is not None:
            if lasts(equal, until):
                return await self._seen(equal.id, _in_force(merged[equal.id].ends_at), changed=False)
            return await self.extend(equal.id, until)
        starts_at = datetime.now(UTC) - EARLIER
        text = ack_comment(comment) if ack else comment
        body = silence_body(matchers, starts_at=starts_at, ends_at=until, by=by, comment=text)
        silence_id = await self._post(next(iter(known)), body)
        return await self._seen(silence_id, _in_force(until), changed=True)

    async def extend(self, silence_id: str, until: datetime, *, exactly: bool = False) -> SilenceResult:
        """As the port says."""
        peer, wire, raw = await self._newest(silence_id)
        if wire.state == "expired":
            words = f"silence {silence_id} expired {away(wire.ends_at)} ago"
            raise BackendError("conflict", words, fix="make a new one")
        lasting = _in_force if wire.state == "active" else _kept
        if ends_then(wire.ends_at, until, exactly=exactly):
            return await self._seen(silence_id, lasting(wire.ends_at), changed=False)
        if exactly:
            lasting = partial(lasting, exactly=True)
        # Other matchers or another start would make another silence; what is not known here must not be lost either.
        body = {name: raw[name] for name in _KEPT_FIELDS if name in raw} | {"endsAt": until}
        return await self._seen(await self._post(peer, body), lasting(until), changed=True)

    async def expire(self, silence_id: str) -> SilenceResult:
        """As the port says."""
        peer, wire, _ = await self._newest(silence_id)
        if wire.state == "expired":
            return await self._seen(silence_id, _gone, changed=False)
        try:
            await peer.delete(silence_id)
        except BackendError as error:
            if said_no(error):
                raise
            result = await self._seen(silence_id, _expired, changed=True)
            if not result.visible_on:
                raise
            return result
        return await self._seen(silence_id, _gone, changed=True)

    async def _newest(self, silence_id: str) -> tuple[Peer, WireSilence, dict[str, Any]]:
        """The silence as the peer says that heard of it last, and that peer. Raises BackendError(not_found)."""
        found = answered(await ask_all(self._peers, lambda peer: peer.silence(silence_id)))
        known = [(peer, *silence) for peer, silence in found.items() if silence is not None]
        if not known:
            raise BackendError("not_found", f"no silence {silence_id}", fix="`teal alert silences`")
        return max(known, key=lambda each: each[1].updated_at)

    async def _post(self, peer: Peer, body: dict[str, Any]) -> str:
        """Send once; the id of the silence that came of it."""
        try:
            return await peer.post(body)
        except BackendError as error:
            if said_no(error):
                raise
            found = await self._made_of(body)
            if found is None:
                words = f"{error.message}; no peer shows the silence {self._visible_within_s:g} s later"
                raise BackendError(error.kind, words, fix=error.fix) from None
            return found

    async def _made_of(self, body: dict[str, Any]) -> str | None:
        """The id of a silence that is what `body` asked for."""
        deadline = asyncio.get_running_loop().time() + self._visible_within_s
        while True:
            outcomes = await asyncio.gather(*(peer.silences() for peer in self._peers), return_exceptions=True)
            seen = merge_silences(outcome for outcome in outcomes if not isinstance(outcome, BaseException))
            found = next((silence.id for silence in seen.values() if _is_made_of(silence, body)), None)
            if found is not None or asyncio.get_running_loop().time() >= deadline:
                return found
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _seen(self, silence_id: str, holds: Holds, *, changed: bool) -> SilenceResult:
        """Look at every peer until it shows the silence as `holds` says, or time is up."""
        shown = await together(*(self._shown(peer, silence_id, holds) for peer in self._peers))
        outcomes = dict(zip((peer.name for peer in self._peers), shown, strict=True))
        return SilenceResult(
            id=silence_id,
            changed=changed,
            peers=tuple(outcomes),
            visible_on=tuple(name for name, outcome in outcomes.items() if outcome is True),
            behind=tuple(name for name, outcome in outcomes.items() if isinstance(outcome, _Not)),
            pending=tuple(name for name, outcome in outcomes.items() if isinstance(outcome, _Not) and outcome.pending),
            lost={name: outcome.message for name, outcome in outcomes.items() if isinstance(outcome, BackendError)},
        )

    async def _shown(self, peer: Peer, silence_id: str, holds: Holds) -> "Literal[True] | _Not | BackendError":
        deadline = asyncio.get_running_loop().time() + self._visible_within_s
        while True:
            try:
                found = await peer.silence(silence_id)
            except BackendError as error:
                return error
            if holds(found[0] if found else None):
                return True
            if asyncio.get_running_loop().time() >= deadline:
                return _Not(found is not None and found[0].state == "pending")
            await asyncio.sleep(LOOK_AGAIN_S)


class _Not(Struct, frozen=True):
    """A peer does not show what it should; `pending`: it has it, and by its clock it begins later."""

    pending: bool


def _in_force(until: datetime, *, exactly: bool = False) -> Holds:
    def holds(found: WireSilence | None) -> bool:
        return found is not None and found.state == "active" and ends_then(found.ends_at, until, exactly=exactly)

    return holds


def _kept(until: datetime, *, exactly: bool = False) -> Holds:
    def holds(found: WireSilence | None) -> bool:
        kept = found is not None and found.state in ("active", "pending")
        return kept and found is not None and ends_then(found.ends_at, until, exactly=exactly)

    return holds


def _expired(found: WireSilence | None) -> bool:
    return found is not None and found.state == "expired"


def _gone(found: WireSilence | None) -> bool:
    return found is None or _expired(found)


def _is_made_of(silence: WireSilence, body: dict[str, Any]) -> bool:
    asked = {(each["name"], each["value"], each["isRegex"], each.get("isEqual", True)) for each in body["matchers"]}
    found = {(each.name, each.value, each.is_regex, each.is_equal) for each in silence.matchers}
    told = (silence.created_by, silence.comment) == (body["createdBy"], body["comment"])
    return told and found == asked and silence.state != "expired" and abs(silence.ends_at - body["endsAt"]) <= SAME_TIME
