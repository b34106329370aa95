"""Each entry of a context asked once, as much as can be asked while nothing is changed and nobody is told."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from actions.switching.requirements import requires_of
from backends.deployments.common import shared_settings
from backends.errors import BackendError
from backends.models import QualityScore
from backends.together import together
from console.config.load import Context
from console.ports.entry import Entry
from console.ports.pipelines import PIPELINES
from console.ports.store import Snapshot
from console.ports.table import PORTS
from console.reading.adapters import Adapters


async def ask(adapters: Adapters, entry: Entry) -> tuple[Any, ...]:
    """Raises BackendError where it does not do what the config wants of it. Returns the result of a check, the scores,
    and a Finding for each thing that is not as it was meant."""
    return tuple(await PORTS[entry.port].ask(adapters, entry))


class Unknown(NamedTuple):
    """A name that no source has, of a `pipeline` or a `dataset`: in the links, or in what a deployment requires."""

    kind: str
    name: str
    deployment: Entry | None = None


async def unknown_names(adapters: Adapters, snapshots: Sequence[Snapshot]) -> list[Unknown]:
    """Those that are named in the config; nothing where one of the sources did not answer."""
    context = adapters.context
    named = [*_linked(context), *_required(context)]
    found: list[Unknown] = []
    quality = [snapshot for snapshot in snapshots if snapshot.key.panel == "quality"]
    if not any(snapshot.error or snapshot.fetched_at is None for snapshot in quality):
        scored = {score.dataset for snapshot in quality for score in snapshot.items if isinstance(score, QualityScore)}
        found += [
            each for each in named
            if each.kind == "dataset" and each.name not in scored and (quality or each.deployment is not None)
        ]  # fmt: skip
    pipelines = [each for each in named if each.kind == "pipeline"]
    entries = context.entries["pipelines"] if pipelines else ()
    try:
        listed = await together(*(adapters.of(PIPELINES, entry.name).pipelines() for entry in entries))
    except BackendError:
        return found  # said
    known = {info.pipeline for infos in listed for info in infos}
    return found + [each for each in pipelines if known and each.name not in known]


def _linked(context: Context) -> Iterable[Unknown]:
    rows = context.config.links.rows
    datasets = dict.fromkeys(name for row in rows for name in row.datasets)
    pipelines = dict.fromkeys(row.pipeline for row in rows if row.pipeline)
    return [*(Unknown("dataset", name) for name in datasets), *(Unknown("pipeline", name) for name in pipelines)]


def _required(context: Context) -> Iterator[Unknown]:
    for entry in context.entries["deployments"]:
        try:
            requires = requires_of(shared_settings(entry.data).requires)
        except BackendError:
            continue  # said
        yield from (Unknown("dataset", name, entry) for name in requires.quality)
        if not isinstance(requires.idle, str):
            yield from (Unknown("pipeline", name, entry) for name in requires.idle)
