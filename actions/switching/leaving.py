"""The command that leaves a side by hand: one that works now, or what must be mended before it does."""

from collections.abc import Awaitable, Callable

from actions.targets import SwitchTarget
from backends.command_line import command
from backends.ports import SwitchState
from backends.together import together

Past = Callable[[str, str], Awaitable[str]]


async def leaving(
    target: SwitchTarget, state: SwitchState, verb: str, service: str, flags: str = "", past: Past | None = None
) -> str:
    """`teal deploy flip web --to GREEN`, `verb` being `deploy flip`. Of several sides that could take the traffic the
    one that is healthy is named; where none is, it says which to make healthy first. `past` gives the flags of the one
    that is named, by its color and the version that it runs."""
    others = [color for color in target.settings.colors if color != state.live]
    looks = await together(*(target.adapter.color_health(color) for color in others))
    fit = [color for color, seen in zip(others, looks, strict=True) if seen.healthy]
    only = (fit if len(fit) == 1 else others)[0] if 1 in (len(fit), len(others)) else ""
    named = only.upper() or "COLOR"
    if past is not None and only:
        flags = await past(only, looks[others.index(only)].version or "")
    line = command(verb, service, to=named, flags=flags)
    if fit or not others:
        return line
    sick = ", ".join(f"{color.upper()}: {seen.detail}" for color, seen in zip(others, looks, strict=True))
    return f"make {named if named != 'COLOR' else 'one side'} healthy first ({sick}), then {line}"
