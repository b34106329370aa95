"""Silences and acknowledgements of a source that has none of its own: a small file beside its state, for all who read
that. Nobody else is told of them."""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from backends.alerts.matchers import refuse_all_embracing
from backends.alerts.silences import ends_then, equal_silence, lasts
from backends.alerts.wildcards import matches, patterns_of
from backends.errors import BackendError
from backends.json_text import decode_text
from backends.models import Acknowledgement, Alert, Matcher, Silence, SilenceState
from backends.ports import SilenceResult
from backends.state_file import StateFile
from backends.text import clean
from backends.times import away

T = TypeVar("T")

KEPT_FOR = timedelta(days=5)
"""After its end: so long it is still shown as expired, as Alertmanager does."""
MOST = 1000


class KeptSilence(Struct, frozen=True, kw_only=True):
    """A silence as it is written."""

    id: str
    matchers: tuple[Matcher, ...]
    by: str
    comment: str
    is_ack: bool
    starts_at: datetime
    ends_at: datetime

    def state(self, now: datetime) -> SilenceState:
        """At that time."""
        return "expired" if self.ends_at <= now else "active" if self.starts_at <= now else "pending"


class KeptSilences:
    """Those of the source `name`. All raise BackendError."""

    def __init__(self, name: str, path: Path) -> None:
        self._name, self._file = name, StateFile(path)

    @property
    def place(self) -> Path:
        """The file."""
        return self._file.path

    async def known(self) -> list[KeptSilence]:
        """Also those that have expired."""
        return await self._work(self._read)

    async def silence(
        self, matchers: tuple[Matcher, ...], *, until: datetime, by: str, comment: str, ack: bool
    ) -> SilenceResult:
        """As the port says."""
        refuse_all_embracing(matchers)
        for matcher in matchers:
            if matcher.is_regex:
                patterns_of(matcher.value)
        now = datetime.now(UTC)

        def change(known: list[KeptSilence]) -> tuple[list[KeptSilence], str]:
            same = [silence_model(self._name, one, (), now) for one in known if set(one.matchers) == set(matchers)]
            equal = equal_silence(same, by=by, ack=ack)
            if equal is None:
                made = KeptSilence(
                    id=secrets.token_hex(8), matchers=matchers, by=by, comment=comment, is_ack=ack, starts_at=now,
                    ends_at=until,
                )  # fmt: skip
                return [*known, made], made.id
            if lasts(equal, until):
                return known, equal.id
            return [replace(one, ends_at=until) if one.id == equal.id else one for one in known], equal.id

        return await self._change(change)

    async def extend(self, silence_id: str, until: datetime, *, exactly: bool = False) -> SilenceResult:
        """As the port says."""

        def change(known: list[KeptSilence]) -> tuple[list[KeptSilence], str]:
            found, now = _named(known, silence_id), datetime.now(UTC)
            if found.state(now) == "expired":
                words = f"silence {silence_id} expired {away(found.ends_at)} ago"
                raise BackendError("conflict", words, fix="make a new one")
            if ends_then(found.ends_at, until, exactly=exactly):
                return known, found.id
            return [replace(one, ends_at=until) if one is found else one for one in known], found.id

        return await self._change(change)

    async def expire(self, silence_id: str) -> SilenceResult:
        """As the port says."""

        def change(known: list[KeptSilence]) -> tuple[list[KeptSilence], str]:
            found, now = _named(known, silence_id), datetime.now(UTC)
            if found.state(now) == "expired":
                return known, found.id
            return [replace(one, ends_at=now) if one is found else one for one in known], found.id

        return await self._change(change)

    # ---- inside

    async def _change(self, change: Callable[[list[KeptSilence]], tuple[list[KeptSilence], str]]) -> SilenceResult:
        def work() -> SilenceResult:
            with self._file.locked():
                before = self._read()
                after, silence_id = change(before)
                if after != before:
                    young = [one for one in after if one.ends_at > datetime.now(UTC) - KEPT_FOR]
                    if len(young) > MOST:
                        raise BackendError("conflict", f"{self._name} keeps {MOST:,} silences, and no more")
                    self._file.replace(msgspec.json.encode(young))
            return SilenceResult(id=silence_id, changed=after != before, peers=(self._name,), visible_on=(self._name,))

        return await self._work(work)

    def _read(self) -> list[KeptSilence]:
        try:
            return decode_text(self._file.read() or b"[]", list[KeptSilence])
        except msgspec.DecodeError as error:
            words = f"{self.place}: {clean(str(error), 200)}"
            raise BackendError("malformed", words, fix="mend it, or take it away: it holds acknowledgements") from None

    async def _work(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            words = f"{self.place}: {error.strerror or error}"
            raise BackendError("auth", words, fix="check the owner and mode of it and of its directory") from None


def hidden(alert: Alert, known: Iterable[KeptSilence], now: datetime) -> Alert:
    """`alert` as it is under the silences that hide it now."""
    hiding = hiding_of(alert, known, now)
    if not hiding or alert.state not in ("firing", "pending"):
        return alert
    until = max(one.ends_at for one in hiding)
    ack = max((one for one in hiding if one.is_ack), key=lambda one: one.ends_at, default=None)
    if ack is None:
        return replace(alert, state="silenced", hidden_since=min(one.starts_at for one in hiding), hidden_until=until)
    taken = Acknowledgement(
        by=clean(ack.by, 100), until=ack.ends_at, reason=clean(ack.comment, 500), silence_id=clean(ack.id, 64)
    )
    return replace(alert, state="acknowledged", ack=taken, hidden_since=ack.starts_at, hidden_until=until)


def hiding_of(alert: Alert, known: Iterable[KeptSilence], now: datetime) -> list[KeptSilence]:
    """The silences that hide it now; one that can not be read as matchers hides nothing."""
    return [one for one in known if one.state(now) == "active" and _hides(one, alert)]


def _hides(one: KeptSilence, alert: Alert) -> bool:
    try:
        return bool(one.matchers) and matches(one.matchers, alert.labels)
    except BackendError:
        return False


def silence_model(backend: str, one: KeptSilence, alerts: Sequence[Alert], now: datetime) -> Silence:
    """As everybody sees it; `alerts` are those that may be hidden."""
    silence_id = clean(one.id, 64)
    return Silence(
        ref=f"{backend}/{silence_id}", backend=backend, id=silence_id,
        matchers=tuple(
            replace(each, name=clean(each.name, 128), value=clean(each.value, 512)) for each in one.matchers
        ),
        state=one.state(now), created_by=clean(one.by, 100), comment=clean(one.comment, 500),
        starts_at=one.starts_at, ends_at=one.ends_at, is_ack=one.is_ack,
        matches=sum(bool(hiding_of(alert, [one], now)) for alert in alerts),
    )  # fmt: skip


def _named(known: Iterable[KeptSilence], silence_id: str) -> KeptSilence:
    for one in known:
        if one.id == silence_id:
            return one
    raise BackendError("not_found", f"no silence {clean(silence_id, 64)}", fix="`teal alert silences`")
