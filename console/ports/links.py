"""What belongs together: a pipeline, its datasets, the services that they feed, and who is asked."""

from typing import Literal

from msgspec import Struct, field

from backends.credentials import refuse_bad_url


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
    dashboards: the page of a `pipeline`, a `dataset` or a `service`, as
        `{ service = "https://grafana.internal/d/ab12/service?var-service={service}" }`: `o` shows it with the
        time of the row (`from`, `to`); for a row that names several things the first of these.
    """

    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: tuple[LinkRow, ...] = ()
    dashboards: dict[Literal["pipeline", "dataset", "service"], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, page in self.dashboards.items():
            refuse_bad_url(f"dashboards.{kind}", page)

    @property
    def alert_labels(self) -> dict[str, tuple[str, ...]]:
        """`labels` with the defaults of those that it leaves out."""
        return {"pipeline": ("pipeline", "dag_id"), "dataset": ("dataset",), "service": ("service",), **self.labels}
