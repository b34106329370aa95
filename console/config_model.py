"""The shape of a config file (DESIGN §4): one Struct a table, unknown keys forbidden, secrets by reference only."""

from typing import Any, Literal, get_args

from msgspec import Struct, field

from backends.models import Panel
from backends.settings import Duration, Secret

Port = Literal["metrics", "pipelines", "quality", "alerts", "deployments", "logs", "checks", "notify"]
PORTS: tuple[Port, ...] = get_args(Port)

ThemeName = Literal["", "dark", "light", "color-blind", "ansi", "mono"]

PANEL_INTERVAL_S: dict[Panel, float] = {
    "alerts": 10.0, "deployments": 10.0, "logs": 10.0, "pipelines": 15.0, "checks": 30.0, "timeline": 30.0,
    "quality": 60.0,
}  # fmt: skip
REFRESH_S = 10.0


class LinkRow(Struct, frozen=True, forbid_unknown_fields=True):
    """What belongs together: a pipeline, its datasets, the services they feed, its owner, their channel."""

    pipeline: str = ""
    datasets: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    owner: str = ""
    channel: str = ""


class Links(Struct, frozen=True, forbid_unknown_fields=True):
    """`labels` names the alert labels that hold a pipeline, dataset or service; `rows` what belongs together."""

    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: tuple[LinkRow, ...] = ()


class ContextConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One context. The entries of the ports stay plain data here: each is decoded by the adapter that it names.

    `refresh` is the interval of alerts, deployments and logs; the slower panels keep their proportion to it.
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
    """A whole file. `keymap` maps binding ids to keys, as Textual's `App.set_keymap` takes them; `theme` is how the
    console looks: empty is `dark`."""

    default_context: str = ""
    theme: ThemeName = ""
    keymap: dict[str, str] = field(default_factory=dict)
    contexts: dict[str, dict[str, Any]] = field(default_factory=dict)
