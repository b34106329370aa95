"""What a screen says of the context that it is in."""

from __future__ import annotations

from datetime import tzinfo

from msgspec import Struct

from backends.text import clean
from console.config.selection import Selection
from console.zones import zone_of

TITLE_CHARS = 60


class ContextInfo(Struct, frozen=True):
    """What a screen says of the context. `identity` is who acts, as `login@host`."""

    name: str
    title: str
    protected: bool
    read_only: bool
    sandbox: bool
    zone: tzinfo
    keymap: dict[str, str]
    identity: str
    theme: str = ""
    notify_terminal: bool = True


def info_of(selection: Selection, identity: str) -> ContextInfo:
    """That of the context that was chosen, for who acts in it."""
    context, config = selection.context, selection.context.config
    return ContextInfo(
        name=context.name,
        title=clean(config.title, TITLE_CHARS) or context.name,
        protected=config.protected,
        read_only=config.read_only,
        sandbox=context.sandbox,
        zone=zone_of(config.timezone),
        keymap=selection.keymap,
        identity=identity,
        theme=selection.theme,
        notify_terminal=selection.notify_terminal and config.notify_terminal,
    )
