"""What runs on each side of a service: kept with the plan of a change.

A way back goes to the version that was left, and what failed is a version, not a color.
"""

import contextlib

from msgspec import Struct

from actions.targets import SwitchTarget
from backends.errors import BackendError
from backends.ports import Deployed
from backends.together import together


class OnSides(Struct, frozen=True, kw_only=True):
    """By color: `versions` as its health says it, `deployed` as its deployer does. A side that does not say it is in
    neither."""

    versions: dict[str, str] = {}
    deployed: dict[str, Deployed] = {}


async def on_sides(target: SwitchTarget, left: str, gains: str, version: str = "") -> OnSides:
    """What runs on `left`, whose deployer is asked too, and on `gains`: `version`, where it is about to be put there.
    Never raises BackendError."""
    asked = [left] if version else [left, gains]
    colors = [color for color in asked if color in target.settings.colors]
    deployed, said = await together(_deployed(target, left), together(*(_version(target, color) for color in colors)))
    versions = {color: found for color, found in zip(colors, said, strict=True) if found}
    if version:
        versions[gains] = version
    return OnSides(versions=versions, deployed={} if deployed is None else {left: deployed})


async def _version(target: SwitchTarget, color: str) -> str:
    with contextlib.suppress(BackendError):  # a version that nobody tells is empty
        return (await target.adapter.color_health(color)).version or ""
    return ""


async def _deployed(target: SwitchTarget, color: str) -> Deployed | None:
    deployer = target.adapter.deployer
    if deployer is None or color not in target.settings.colors:
        return None
    with contextlib.suppress(BackendError):  # a side that nobody can look at is not known
        return await deployer.deployed(color)
    return None
