"""What keeps alerts quiet, over all sources of a context that can do so."""

import asyncio
import contextlib

from backends.errors import BackendError
from backends.missing import collected
from console import moment
from console.ports.alerts import silencer
from console.ports.store import Snapshot, SourceError, SourceKey
from console.session import Session


def silencers(session: Session) -> list[str]:
    """The sources of alerts that can silence."""
    names = []
    for entry in session.adapters.context.entries["alerts"]:
        with contextlib.suppress(BackendError):  # one that can not is left out
            silencer(session.adapters, entry.name)
            names.append(entry.name)
    return names


async def read_silences(session: Session) -> list[Snapshot]:
    """The silences of each of them, also expired ones; never raises: what cannot be read says why."""
    return list(await asyncio.gather(*(silences_of(session, name) for name in silencers(session))))


async def silences_of(session: Session, name: str, *, hiding: str | None = None) -> Snapshot:
    """Those of one source, or only those that hide the alert of that fingerprint now; never raises either."""
    entry = session.adapters.entry("alerts", name)
    key = SourceKey("alerts", name)
    try:
        async with session.due.kept():
            with collected() as lost:
                items = await silencer(session.adapters, name).silences(hiding=hiding)
    except BackendError as error:
        return Snapshot(key=key, type=entry.type, error=SourceError.of(error))
    parts = tuple(map(SourceError.of, lost))
    return Snapshot(key=key, type=entry.type, items=tuple(items), missing=parts, fetched_at=moment.utc_now())
