"""The entry of a config that an action drives: as it is handed to whoever builds its adapter, and what the journal
keeps of it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from actions.ids import canonical
from backends.json_text import decode_text


class RelatedSources(Struct, frozen=True, kw_only=True):
    """Who can be asked about a service, by name, and what `links` say of it: the labels that hold its name on an alert,
    and the pipelines that belong to it."""

    quality: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    pipelines: tuple[str, ...] = ()
    labels: tuple[str, ...] = ("service",)
    linked: tuple[str, ...] = ()


class KeptEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the journal keeps of an entry: which it was, what its switch writes to (`Switch.object_id`; UNSET where it
    is no switch) and a digest. Empty where an order drives none."""

    port: str = ""
    type: str = ""
    name: str = ""
    moves: str | UnsetType = UNSET
    digest: str = ""


class _Written(Struct, frozen=True, kw_only=True):
    """An entry as it stands in the file, secrets as references; `config` is free: each adapter has its own keys."""

    port: str
    type: str
    name: str
    config: dict[str, Any]


class Described(_Written, frozen=True, kw_only=True):
    """All that is needed to build the adapter of an entry (`backends.registry.build`). That of what an action drives
    also says what its switch `moves`, who is told of the action (`notify`), what it is judged by (`sources`), and what
    is `around` it."""

    base_dir: Path
    state_dir: Path
    moves: str | UnsetType = UNSET
    notify: "tuple[Described, ...]" = ()
    sources: "tuple[Described, ...]" = ()
    around: RelatedSources = RelatedSources()

    @property
    def digest(self) -> str:
        """A hash of the entry and of what it is judged by; neither where its file lies nor who is told counts."""
        return _digest(self, self.sources)

    def kept(self) -> KeptEntry:
        """What the journal keeps of it."""
        return KeptEntry(port=self.port, type=self.type, name=self.name, moves=self.moves, digest=self.digest)


class _Whole(_Written, frozen=True, kw_only=True):
    """An entry as a row of 0.1.0 holds it, with all that it was judged by."""

    moves: str | UnsetType = UNSET
    sources: tuple[_Written, ...] = ()


def kept_entry(text: bytes) -> KeptEntry:
    """What a row keeps, also one of 0.1.0, which holds the entries themselves. Raises msgspec.DecodeError."""
    kept = decode_text(text, KeptEntry)
    if kept.digest or not kept.port:
        return kept
    whole = decode_text(text, _Whole)
    return KeptEntry(
        port=whole.port, type=whole.type, name=whole.name, moves=whole.moves, digest=_digest(whole, whole.sources)
    )


def _digest(entry: _Written, sources: Sequence[_Written]) -> str:
    entries = [entry, *sorted(sources, key=lambda told: (told.port, told.name))]
    plain = [{"port": each.port, "type": each.type, "name": each.name, "config": each.config} for each in entries]
    return hashlib.sha256(canonical(plain).encode()).hexdigest()
