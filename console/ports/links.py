"""What belongs together: a pipeline, its datasets, the services that they feed, and who is asked."""

from msgspec import Struct, field


class LinkRow(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that flows: a pipeline and what follows from it.

    pipeline: its name, as its system calls it.
    datasets: what it writes.
    services: the deployments that these datasets feed.
    owner: who is asked about it.
    channel: where they are asked.
    """

    pipeline: str = ""
    datasets: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    owner: str = ""
    channel: str = ""


class Links(Struct, frozen=True, forbid_unknown_fields=True):
    """What belongs together.

    labels: the alert labels that hold the name of a `pipeline`, a `dataset` or a `service`, a list for each, as
        `{ service = ["service", "app"] }`; one that is left out keeps its default: `["pipeline", "dag_id"]`,
        `["dataset"]`, `["service"]`.
    rows: one row for each pipeline.
    """

    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: tuple[LinkRow, ...] = ()

    @property
    def alert_labels(self) -> dict[str, tuple[str, ...]]:
        """`labels` with the defaults of those that it leaves out."""
        return {"pipeline": ("pipeline", "dag_id"), "dataset": ("dataset",), "service": ("service",), **self.labels}
