"""What a change of a service is judged by, as its config names it: the sources to ask, and what `links` say of it."""

from actions.described import RelatedSources
from actions.switching.requirements import requires_of
from backends.deployments.common import shared_settings
from console.config.load import Context
from console.ports.entry import Entry


def sources(context: Context, deployment: Entry) -> list[Entry]:
    """The entries that an action on this deployment may ask. Raises BackendError(config)."""
    settings = shared_settings(deployment.data)
    metrics = {settings.metrics, *(str(gate.get("metrics", "")) for gate in settings.gates)}
    found = [entry for entry in context.entries["metrics"] if entry.name in metrics]
    if not settings.requires:
        return found
    requires = requires_of(settings.requires)
    ports: tuple[tuple[str, bool], ...] = (
        ("quality", bool(requires.quality)), ("alerts", bool(requires.alerts)), ("pipelines", bool(requires.idle)),
    )  # fmt: skip
    found += [entry for port, asked in ports if asked for entry in context.entries[port] if not entry.problem]
    return found + [entry for entry in context.entries["checks"] if entry.name in requires.backup]


def around(context: Context, service: str) -> RelatedSources:
    """Who can be asked about a service, and what `links` say of it."""
    links = context.config.links
    rows = [row for row in links.rows if service in row.services]

    def names(port: str) -> tuple[str, ...]:
        return tuple(entry.name for entry in context.entries[port] if not entry.problem)

    return RelatedSources(
        quality=names("quality"), alerts=names("alerts"), pipelines=names("pipelines"),
        labels=links.alert_labels["service"],
        linked=tuple(dict.fromkeys(row.pipeline for row in rows if row.pipeline)),
    )  # fmt: skip
