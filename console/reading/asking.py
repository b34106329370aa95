"""Each entry of a context asked once, as much as can be asked while nothing is changed and nobody is told."""

from collections.abc import Sequence
from typing import Any

from backends.errors import BackendError
from backends.models import QualityScore
from backends.together import together
from console.ports.entry import Entry
from console.ports.pipelines import PIPELINES
from console.ports.store import Snapshot
from console.ports.table import PORTS
from console.reading.adapters import Adapters


async def ask(adapters: Adapters, entry: Entry) -> tuple[Any, ...]:
    """Raises BackendError where it does not do what the config wants of it. Returns the result of a check, the scores,
    and a Finding for each thing that is not as it was meant."""
    return tuple(await PORTS[entry.port].ask(adapters, entry))


async def unknown_names(adapters: Adapters, snapshots: Sequence[Snapshot]) -> list[tuple[str, str]]:
    """(`pipeline` or `dataset`, name) of the links that no source has; nothing where one of them did not answer."""
    context = adapters.context
    found: list[tuple[str, str]] = []
    quality = [snapshot for snapshot in snapshots if snapshot.key.panel == "quality"]
    if quality and not any(snapshot.error or snapshot.fetched_at is None for snapshot in quality):
        scored = {score.dataset for snapshot in quality for score in snapshot.items if isinstance(score, QualityScore)}
        linked = dict.fromkeys(name for row in context.config.links.rows for name in row.datasets)
        found += [("dataset", name) for name in linked if name not in scored]
    linked = dict.fromkeys(row.pipeline for row in context.config.links.rows if row.pipeline)
    entries = context.entries["pipelines"] if linked else ()
    try:
        listed = await together(*(adapters.of(PIPELINES, entry.name).pipelines() for entry in entries))
    except BackendError:
        return found  # said
    known = {info.pipeline for infos in listed for info in infos}
    return found + [("pipeline", name) for name in linked if known and name not in known]
