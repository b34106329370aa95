"""Which backend each source of a context reads, by what the config says of where that is.

What is kept of a source stays its own through every edit of the config but one that sends it elsewhere.
"""

from collections.abc import Mapping, Sequence
from importlib.util import source_hash
from pathlib import Path
from typing import Any

import msgspec

from console.ports.entry import Entry

_PLACES = frozenset({
    "account", "application", "aws", "backend", "cluster", "consumer", "deployment_group", "endpoint_url", "function",
    "history", "host", "include", "kube_context", "kubeconfig", "mwaa", "namespace", "nodes", "path", "port", "profile",
    "project", "queue", "region", "release", "repo", "repository", "role_arn", "rollout", "route", "service",
    "services", "stream", "target", "target_groups", "tenant", "upstream", "url", "urls", "virtual_service",
})  # fmt: skip
"""Keys that say where something is; every other one says how it is asked, judged or shown."""


def kept_as(context: str, config: Path) -> str:
    """The name of what is kept of a context of that config file, however it is edited; two files that call a context
    the same have nothing in common."""
    return f"{context}-{_digest(str(config.absolute()))}"


def origins(entries: Mapping[str, Sequence[Entry]], base_dir: Path) -> dict[str, str]:
    """By source (`alerts.am`), 16 hex digits of its type and of where it reads; `base_dir`: where its paths begin."""
    return {
        f"{port}.{entry.name}": _digest([entry.type, str(base_dir), _place_of(entry, entries)])
        for port, of_port in entries.items()
        for entry in of_port
    }


def _place_of(entry: Entry, entries: Mapping[str, Sequence[Entry]]) -> list[Any]:
    """Where it is; of what asks through a metrics entry, where that one is."""
    own = _places(entry.data)
    through = entry.data.get("metrics")
    if entry.port in ("metrics", "deployments") or (own and not through):
        return [own]
    return [own, [_places(each.data) for each in entries.get("metrics", ()) if through in (None, each.name)]]


def _places(data: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in data.items() if key in _PLACES}
    if isinstance(aws := found.get("aws"), Mapping):
        found["aws"] = _places(aws)
    return found


def _digest(told: Any) -> str:
    # Against chance, not against malice, and without OpenSSL, which takes 3 ms to load.
    return source_hash(msgspec.json.encode(told, order="sorted", enc_hook=str)).hex()
