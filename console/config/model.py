"""The shape of a config file (docs/contract.md): one Struct a table, unknown keys forbidden, secrets by reference."""

from functools import cache
from typing import Any, Literal, cast

from msgspec import Struct, defstruct, field

from backends.settings import Duration, Secret
from console.ports.links import Links
from console.ports.table import PORTS

ThemeName = Literal["", "dark", "light", "color-blind", "ansi", "mono"]

REFRESH_S = 10.0
MIN_REFRESH_S = 1.0


class ContextConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One context. The entries of the ports stay plain data here: each is decoded by the adapter that it names.

    title: what headers and reports call the platform; by default the context's name.
    read_only: nothing is written from here, not even a rollback.
    protected: the console starts read-only, and what goes forward needs the context's name typed and a reason.
    journal: where actions and audit are kept: a path (from the config's directory on), `postgresql://…` without a
        password, or a reference; by default SQLite in the state directory.
    lock: `local` says: it is known that only this host (or user) is locked out; `shared` is the default.
    refresh: interval of alerts, deployments and logs, at least 1s; the slower panels keep their proportion to it.
    timezone: zone of the times that are shown, and of `freeze`; by default that of the host.
    freeze: windows in which nothing goes forward, as `Fri 16:00 - Mon 08:00`.
    watchdog: the alert that always fires; where it is missing, nobody would be told of any other.
    notify_terminal: whether an action of this context that needs a person rings the terminal (bell, OSC 9 and 777).
    links: what belongs together: pipeline, datasets, services, owner, channel.
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
    notify_terminal: bool = True
    links: Links = Links()

    def paced(self, interval_s: float) -> float:
        """Seconds between two reads of a source that is usually read each `interval_s`."""
        return interval_s * float(self.refresh) / REFRESH_S


def context_shape() -> type[ContextConfig]:
    """`ContextConfig` as it is written: with a list of entries for each port."""
    return _with_ports(tuple((name, port.about) for name, port in PORTS.items()))


@cache
def _with_ports(ports: tuple[tuple[str, str], ...]) -> type[ContextConfig]:
    about = (ContextConfig.__doc__ or "").partition("\n\n")[0]
    words = "\n".join([about, "", *(f"{name}: {meant}" for name, meant in ports)])
    fields: list[Any] = [(name, tuple[dict[str, Any], ...], ()) for name, _ in ports]
    shape = defstruct(
        ContextConfig.__name__, fields, bases=(ContextConfig,), namespace={"__doc__": words}, frozen=True,
        forbid_unknown_fields=True,
    )  # fmt: skip
    return cast(type[ContextConfig], shape)


class ConfigFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file.

    default_context: the context that is meant where neither `-C` nor TEAL_CONTEXT names one.
    theme: how the console looks; empty is `dark`.
    notify_terminal: whether an action that needs a person rings the terminal (bell, OSC 9 and 777), in all contexts.
    keymap: keys by the id of a binding, as Textual's `App.set_keymap` takes them; `?` in the console shows the ids.
    contexts: the contexts by name; one may have a file of its own, `contexts/NAME.toml`.
    """

    default_context: str = ""
    theme: ThemeName = ""
    notify_terminal: bool = True
    keymap: dict[str, str] = field(default_factory=dict)
    contexts: dict[str, dict[str, Any]] = field(default_factory=dict)
