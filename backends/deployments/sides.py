"""The sides of a switch that knows them only by their URLs: health, traffic, request counts."""

from collections.abc import Callable
from datetime import UTC, datetime

from msgspec.structs import replace

from backends.deployments.common import HEALTH_TIMEOUT_S, DeploymentConfig, color_health, data_layer, live_color
from backends.deployments.exposition import Exposition
from backends.http import Http
from backends.models import ColorState, Deployment, Truth, TruthLayer
from backends.ports import ProbeTarget, RequestCounts, SwitchState
from backends.together import together


class UrlSides:
    """Each color asked at its own `health` and `exposition` URL."""

    def __init__(self, config: DeploymentConfig, http: Http) -> None:
        self._colors = config.colors
        self._health = config.health
        self._probe = config.probe
        self._header = (config.probe or ProbeTarget(url="")).header
        self._probe_timeout_s = float(config.probe_timeout)
        self._http = http
        self._expositions = {color: Exposition(http, url, color) for color, url in config.exposition.items()}

    async def health(self, color: str) -> ColorState:
        """`color` at its own health URL. Never raises."""
        url = self._health.get(color)
        if url is None:
            return ColorState(healthy=None, detail=f'no health URL for "{color}" in the config')
        # Both sides are asked where one may have to be given up: a little longer than a fresh request.
        timeout_s = max(HEALTH_TIMEOUT_S, self._probe_timeout_s)
        return await color_health(self._http, color, url, header=self._header, timeout_s=timeout_s, others=self._colors)

    async def states(self, control: SwitchState) -> dict[str, ColorState]:
        """Health, traffic and share of every color. Never raises."""
        found = await together(*(self._state(control, color) for color in self._colors))
        return dict(zip(self._colors, found, strict=True))

    async def endpoints(self, control: SwitchState) -> TruthLayer:
        """What answers behind the shares of the control object."""
        sides = await together(*(self.health(color) for color in self._colors))
        return endpoints_of(control, dict(zip(self._colors, sides, strict=True)), datetime.now(UTC))

    async def request_counts(self) -> RequestCounts:
        """By color, of those that have an exposition which answers and counts. Never raises."""
        found = await together(*(exposition.counted() for exposition in self._expositions.values()))
        known = {color: count for color, count in zip(self._expositions, found, strict=True) if count is not None}
        return RequestCounts(
            requests={color: taken for color, (taken, _) in known.items()},
            failures={color: failed for color, (_, failed) in known.items()},
        )

    async def deployment(self, name: str, control: SwitchState) -> Deployment:
        """All layers side by side. Never raises."""
        observed_at = datetime.now(UTC)
        said = control.detail or "; ".join(filter(None, (shares_words(control.weights), control.edited)))
        data, states = await together(self.data(), self.states(control))
        now = datetime.now(UTC)
        truth = Truth(
            control=TruthLayer(value=control.serving, detail=said, at=observed_at),
            endpoints=endpoints_of(control, states, now),
            data=data,
        )
        return Deployment(
            ref=f"{name}/{name}",
            backend=name,
            service=name,
            live=live_color(truth),
            colors=states,
            truth=truth,
            mark=control.mark,
            armed=control.armed,
        )

    async def data(self) -> TruthLayer:
        """What one fresh request says is live. Never raises."""
        return await data_layer(self._probe, self._colors, self._probe_timeout_s)

    async def anew(
        self, found: SwitchState, verb: str, commands: Callable[[dict[str, int]], list[str]], runs: str = ""
    ) -> SwitchState:
        """`found`, that nobody can read, with how it is written so that no traffic moves: the commands for the side
        that a fresh request proves, else for the one that the proxy `runs`. Where neither is known, those for each
        side, also in `anew`: whoever knows more chooses. `verb`: `write it anew`. Never raises."""
        seen = await self.data()
        side = seen.value if seen.value in self._colors else runs
        how = {color: " && ".join(commands(self._full(color))) for color in self._colors}
        if side not in how:
            says = "no fresh request proves which side is live"
            lines = [f"{verb}, only where {color.upper()} serves: {how[color]}" for color in how]
            chosen = {color: f"{verb}, say with {color.upper()}: {how[color]}" for color in how}
            return replace(found, detail="\n".join([f"{found.detail}; {says}", *lines]), anew=chosen)
        by = "a fresh request" if side == seen.value else "what the proxy runs"
        says = f"{by} says {side.upper()}: written so, no traffic moves"
        return replace(found, detail=f"{found.detail}; {says}\n{verb}, say with {side.upper()}: {how[side]}")

    def _full(self, color: str) -> dict[str, int]:
        return {each: 100 if each == color else 0 for each in self._colors}

    async def _state(self, control: SwitchState, color: str) -> ColorState:
        exposition = self._expositions.get(color)
        if exposition is None:
            side = await self.health(color)
        else:
            side, seen = await together(self.health(color), exposition.traffic())
            side = exposition.of(side, seen)
        return replace(side, weight_pct=float(control.served[color])) if color in control.served else side


def endpoints_of(control: SwitchState, states: dict[str, ColorState], now: datetime) -> TruthLayer:
    """What answers behind the shares: their color where every side that takes traffic proved to be it."""
    taking = [color for color, weight in control.home.items() if weight > 0]
    proven = bool(taking) and all(states[color].healthy for color in taking)
    words = "   ".join(f"{color.upper()} {_word(state)}" for color, state in states.items())
    return TruthLayer(value=control.serving if proven else "unknown", detail=words, at=now)


def moves_words(before: SwitchState, weights: dict[str, int], colors: tuple[str, ...]) -> str:
    """`BLUE 100 % → 0 %   GREEN 0 % → 100 %`."""
    was = {c: f"{before.served.get(c, 0)} %" if before.served else "unknown" for c in colors}
    moves = (f"{c.upper()} {was[c]} → {weights.get(c, 0)} %" for c in colors)
    return "   ".join(moves)


def control_words(before: SwitchState) -> str:
    """What the control object says before a write: a color, `mixed`, `unknown` or ARMED."""
    return "ARMED" if before.armed else before.live


def shares_words(weights: dict[str, int]) -> str:
    """`BLUE 90 %   GREEN 10 %`."""
    return "   ".join(f"{color.upper()} {weight} %" for color, weight in weights.items())


def reload_words(weights: dict[str, int]) -> str:
    """What a file that says so does at the next reload of anybody."""
    return f"any reload goes to {shares_words({color: weight for color, weight in weights.items() if weight})}"


def _word(state: ColorState) -> str:
    return "healthy" if state.healthy else f"{'unknown' if state.healthy is None else 'unhealthy'}: {state.detail}"
