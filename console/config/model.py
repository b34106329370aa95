"""The shape of a config file (docs/contract.md): one Struct a table, unknown keys forbidden, secrets by reference."""

from typing import Any, Literal

from msgspec import Struct, field

from backends.models import Panel
from backends.settings import Duration, Secret

Port = str
PORTS: tuple[Port, ...] = ("metrics", "pipelines", "quality", "alerts", "deployments", "logs", "checks", "notify")

ThemeName = Literal["", "dark", "light", "color-blind", "ansi", "mono"]

PANEL_INTERVAL_S: dict[Panel, float] = {
    "alerts": 10.0, "deployments": 10.0, "logs": 10.0, "pipelines": 15.0, "checks": 30.0, "timeline": 30.0,
    "quality": 60.0,
}  # fmt: skip
REFRESH_S = 10.0


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


class ContextConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One context. The entries of the ports stay plain data here: each is decoded by the adapter that it names.

    title: what headers and reports call the platform; by default the context's name.
    read_only: nothing is written from here, not even a rollback.
    protected: the console starts read-only, and what goes forward needs the context's name typed and a reason.
    journal: where actions and audit are kept: a path, `postgresql://…` or a reference; by default SQLite in the state
        directory.
    lock: `local` says: it is known that only this host (or user) is locked out; `shared` is the default.
    refresh: interval of alerts, deployments and logs; the slower panels keep their proportion to it.
    timezone: zone of the times that are shown, and of `freeze`; by default that of the host.
    freeze: windows in which nothing goes forward, as `Fri 16:00 - Mon 08:00`.
    watchdog: the alert that always fires; where it is missing, nobody would be told of any other.
    links: what belongs together: pipeline, datasets, services, owner, channel.
    metrics: sources of numbers, for gates, quality, alerts and checks.
    pipelines: where runs come from.
    quality: where scores of datasets come from.
    alerts: where alerts come from.
    deployments: the services whose traffic can be moved; the name of an entry is the SERVICE of the command line.
    logs: where log lines come from.
    checks: what is looked at once in a while, and by `teal check`.
    notify: who is told what became of an action.
    """

    title: str = ""
    read_only: bool = False
    protected: bool = False
    journal: str | Secret | None = None
    lock: Literal["", "shared", "local"] = ""
    refresh: Duration = Duration(REFRESH_S)
    timezone: str = ""
    freeze: tuple[str, ...] = ()
    watchdog: str = ""
    links: Links = Links()
    metrics: tuple[dict[str, Any], ...] = ()
    pipelines: tuple[dict[str, Any], ...] = ()
    quality: tuple[dict[str, Any], ...] = ()
    alerts: tuple[dict[str, Any], ...] = ()
    deployments: tuple[dict[str, Any], ...] = ()
    logs: tuple[dict[str, Any], ...] = ()
    checks: tuple[dict[str, Any], ...] = ()
    notify: tuple[dict[str, Any], ...] = ()

    def interval_s(self, panel: Panel) -> float:
        """Seconds between two reads of a source of `panel`."""
        return PANEL_INTERVAL_S[panel] * float(self.refresh) / REFRESH_S


class ConfigFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file.

    default_context: the context that is meant where neither `-C` nor TEAL_CONTEXT names one.
    theme: how the console looks; empty is `dark`.
    keymap: keys by the id of a binding, as Textual's `App.set_keymap` takes them; `?` in the console shows the ids.
    contexts: the contexts by name; one may have a file of its own, `contexts/NAME.toml`.
    """

    default_context: str = ""
    theme: ThemeName = ""
    keymap: dict[str, str] = field(default_factory=dict)
    contexts: dict[str, dict[str, Any]] = field(default_factory=dict)
