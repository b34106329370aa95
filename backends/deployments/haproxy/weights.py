"""Shares of traffic as weights of HAProxy's servers, and back.

A weight is a whole number up to 256. The servers of a color keep the proportions that their configured weights have.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from backends.deployments.switch_format import percent

MAX_WEIGHT = 256
FORCED_MAINT, INHERITED_MAINT, CONFIG_MAINT, FORCED_DRAIN, INHERITED_DRAIN, NO_ADDRESS = (
    0x01,
    0x02,
    0x04,
    0x08,
    0x10,
    0x20,
)
OUT_OF_ROTATION = FORCED_MAINT | INHERITED_MAINT | CONFIG_MAINT | FORCED_DRAIN | INHERITED_DRAIN | NO_ADDRESS
WITHOUT_SHARES = frozenset({"static-rr", "first"})
"""Algorithms that know only all or nothing: the first can not be given another weight, the second ignores it."""


class Server(Struct, frozen=True, kw_only=True):
    """One server of the backend on one node. `color` is empty for one that the config names in none; `weight` is what
    it has now, `initial` what HAProxy's config gave it; `status` in HAProxy's words (`UP`, `DOWN L4CON`); `agent`: an
    agent-check is asked for it, which may set its weight."""

    name: str
    color: str
    weight: int
    initial: int
    admin: int
    running: bool
    status: str = ""
    agent: bool = False

    @property
    def in_rotation(self) -> bool:
        """Whether nobody took it out: no maintenance, no drain."""
        return not self.admin & OUT_OF_ROTATION

    @property
    def out_words(self) -> str:
        """Why it is not in rotation."""
        if self.admin & (FORCED_DRAIN | INHERITED_DRAIN):
            return "drained"
        return "without an address" if self.admin & NO_ADDRESS else "in maintenance"


def shares_of(servers: Iterable[Server], colors: tuple[str, ...]) -> dict[str, int]:
    """Percent by color of the servers in rotation, summing to 100; a side that takes anything has at least 1. Empty
    where none of them takes traffic."""
    sums = dict.fromkeys(colors, 0)
    for server in servers:
        if server.in_rotation and server.color in sums:
            sums[server.color] += server.weight
    return percent(sums)


def weights_for(servers: tuple[Server, ...], shares: dict[str, int], *, static: bool) -> dict[str, int]:
    """The weight of each server by name so that the colors get `shares` percent. Raises ValueError, in words, where
    that can not be.

    Servers out of rotation get what they would have in it, and count for nothing.
    """
    ours = [server for server in servers if server.color]
    for color, share in shares.items():
        if share and not any(server.in_rotation for server in ours if server.color == color):
            raise ValueError(_nobody(color, ours))
    if static:
        return _all_or_nothing(ours, shares)
    unit = _units(ours, shares)
    wanted = max(unit.values())
    best: tuple[float, float, dict[str, int]] | None = None
    for top in range(1, MAX_WEIGHT + 1):
        weights = {name: round(top * value / wanted) for name, value in unit.items()}
        if any(value and not weights[name] for name, value in unit.items()):
            continue
        error = _error(ours, weights, shares)
        if best is None or (error, abs(top - wanted)) < best[:2]:
            best = (error, abs(top - wanted), weights)
    if best is None or shares_of([_with(server, best[2]) for server in ours], tuple(shares)) != shares:
        counts = ", ".join(f"{color.upper()} {sum(s.color == color for s in ours)}" for color in shares)
        raise ValueError(f"weights up to {MAX_WEIGHT} can not give these shares over so many servers ({counts})")
    return best[2]


def _nobody(color: str, servers: list[Server]) -> str:
    words = ", ".join(f"{server.name} is {server.out_words}" for server in servers if server.color == color)
    return f"no server of {color.upper()} is in rotation: {words or 'there is none'}"


def _all_or_nothing(servers: list[Server], shares: dict[str, int]) -> dict[str, int]:
    if sorted(shares.values())[:-1] != [0] * (len(shares) - 1):
        raise ValueError("its balance algorithm takes only 0 % and 100 %: it can not split traffic")
    for server in servers:
        if shares[server.color] and not server.initial:
            raise ValueError(
                f"{server.name} has weight 0 in HAProxy's config, and a static balance algorithm never gives it another"
            )
    return {server.name: server.initial if shares[server.color] else 0 for server in servers}


def _units(servers: list[Server], shares: dict[str, int]) -> dict[str, float]:
    """What each server would weigh if weights were no whole numbers and all weights together were 100."""
    found: dict[str, float] = {}
    for color, share in shares.items():
        side = [server for server in servers if server.color == color]
        capacity = {server.name: server.initial for server in side}
        if not all(capacity.values()):  # one that was configured to begin with nothing says nothing of its size
            capacity = dict.fromkeys(capacity, 1)
        total = sum(capacity[server.name] for server in side if server.in_rotation)
        found |= {name: share * size / total if total else 0.0 for name, size in capacity.items()}
    return found


def _error(servers: list[Server], weights: dict[str, int], shares: dict[str, int]) -> float:
    total = sum(weights[server.name] for server in servers if server.in_rotation)
    return max(
        abs(sum(weights[s.name] for s in servers if s.in_rotation and s.color == color) / total - share / 100)
        for color, share in shares.items()
    )


def _with(server: Server, weights: dict[str, int]) -> Server:
    return replace(server, weight=weights[server.name])
