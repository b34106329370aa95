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
        with contextlib.suppress(BackendError):
            silencer(session.adapters, entry.name)
            names.append(entry.name)
    return names


async def read_silences(session: Session) -> list[Snapshot]:
    """The silences of each of them, also expired ones; never raises: what cannot be read says why."""

    async def one(name: str) -> Snapshot:
        entry = session.adapters.entry("alerts", name)
        key = SourceKey("alerts", name)
        try:
            with collected() as lost:
                items = await silencer(session.adapters, name).silences()
        except BackendError as error:
            return Snapshot(key=key, type=entry.type, error=SourceError.of(error))
        parts = tuple(map(SourceError.of, lost))
        return Snapshot(key=key, type=entry.type, items=tuple(items), missing=parts, fetched_at=moment.utc_now())

    return list(await asyncio.gather(*map(one, silencers(session))))
