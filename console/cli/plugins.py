"""`teal plugins`: which adapters there are, and which package each came with."""

from typing import Any

import click
import msgspec

from backends.errors import BackendError
from backends.registry import Offer, offers, offers_of
from backends.text import clean
from console.cli.options import Common, common_options
from console.cli.showing import Answer, show
from console.cli.whole_help import WholeCommand
from console.ports.table import PORTS
from console.printing.output import document, table
from console.version import __version__

HOUSE = "tealdeck"


class Plugin(msgspec.Struct, frozen=True):
    """An adapter: what a config says to use it, the package that brought it, and why it can not be used.

    `api` is null where it can not be imported, or says none.
    """

    port: str
    type: str
    package: str
    version: str
    api: int | None
    problem: str | None


@click.command(cls=WholeCommand)
@common_options()
def plugins(common: Common) -> int:
    """List the adapters that this installation has, and the package that each came with."""
    found = sorted(map(_looked_at, offers()), key=lambda each: (each.problem is None, each.port, each.type))
    health: Any = "warning" if any(each.problem for each in found) else "ok"
    listed = document("plugins", found, context=None, limit=common.limit, health=health)
    show(common, Answer(listed, lambda: _table(listed.items)))
    return 0


def _looked_at(offer: Offer) -> Plugin:
    port, _, kind = offer.key.partition(".")
    api, problem = None, None
    try:
        said = getattr(offer.load(), "api", None)
        api = said if isinstance(said, int) else None
        offer.adapter()
    except BackendError as error:
        problem = error.message
    rivals = [each for each in offers_of(offer.key) if each != offer]
    if port not in PORTS or not kind:
        problem = f'no port "{clean(port, 60)}": it is never used'
    elif rivals and not all(each.package for each in rivals):
        problem = f"{HOUSE} has this type of its own: this one is never used"
    elif rivals:
        packages = ", ".join(f"{each.package} {each.version}" for each in rivals)
        problem = f"also offered by {packages}: neither is used"
    return Plugin(
        port=clean(port, 60),
        type=clean(kind, 60),
        package=clean(offer.package, 60) if offer.package else HOUSE,
        version=clean(offer.version, 60) if offer.package else __version__,
        api=api,
        problem=problem,
    )


def _table(found: Any) -> list[str]:
    rows = [
        [
            each.port,
            each.type,
            each.package,
            each.version,
            "" if each.api is None else str(each.api),
            each.problem or "",
        ]
        for each in found
    ]
    return table(rows, headers=["PORT", "TYPE", "PACKAGE", "VERSION", "API", ""])
