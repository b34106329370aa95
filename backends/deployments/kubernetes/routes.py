"""Objects that divide requests by weight among destinations: a Gateway API route, an Istio VirtualService.

Only weights are written, each in its place, so that everything else stays as it is, byte for byte.
"""

from abc import ABC, abstractmethod
from typing import Any

from msgspec import Struct

from backends.deployments.kubernetes.control import Shares, Weights
from backends.deployments.kubernetes.sides import Chosen, Sides, pods_of
from backends.deployments.sides import shares_words
from backends.deployments.switch_format import percent
from backends.deployments.unclear import Unclear
from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.custom import CustomKind
from backends.kubernetes.patches import Operation, operation
from backends.kubernetes.wire import CustomObject
from backends.models import Finding, TruthLayer
from backends.ports import SwitchState
from backends.text import clean
from backends.together import together


class Destination(Struct, frozen=True, kw_only=True):
    """One of those among which requests are divided, at its place in `raw`. `color`: empty where it is none of ours;
    `words`: as it is called; `weight`: as the API reads it."""

    color: str
    words: str
    weight: int


class Portion(Struct, frozen=True, kw_only=True):
    """A rule that divides requests: its `name` in words, the destinations that it has at `path`, as they were read
    (`raw`) and as they mean (`destinations`). `found_by`: tests that it is this rule still."""

    name: str
    path: tuple[str, ...]
    raw: list[dict[str, Any]]
    destinations: list[Destination]
    found_by: list[Operation]

    def weights(self, colors: tuple[str, ...]) -> Weights:
        """Percent by color. Raises Unclear."""
        for each in self.destinations:
            if each.weight < 0:
                fix = f"give {each.words} a weight of 0 or more, by kubectl"
                raise Unclear(f"{self.name} gives {each.words} the weight {each.weight}", fix)
        strangers = [each.words for each in self.destinations if not each.color and each.weight]
        mine = [each.color for each in self.destinations if each.color]
        if not mine:
            sends = ", ".join(each.words for each in self.destinations) or "nowhere"
            raise Unclear(f"{self.name} sends to none of its colors, but to {sends}", "correct the entry")
        if strangers:
            raise Unclear(
                f"{self.name} also sends to {strangers[0]}, which is no color here", "take it out of the rule"
            )
        for color in mine:
            if mine.count(color) > 1:
                raise Unclear(f"{self.name} names {color.upper()} {mine.count(color)} times", "leave one of them")
        found = {color: sum(each.weight for each in self.destinations if each.color == color) for color in colors}
        if not sum(found.values()):
            fix = "give the color that shall have the traffic a weight, by kubectl"
            raise Unclear(f"the weights of {self.name} sum to 0: nobody is served", fix)
        return percent(found)

    def missing(self, colors: tuple[str, ...]) -> list[str]:
        """The colors that it does not name yet."""
        return [color for color in colors if all(each.color != color for each in self.destinations)]


class WeightedRoute(ABC):
    """The `ControlObject` of one custom object whose rules divide requests among `services` by weight."""

    can_split = True
    behind = ("what gains traffic", "what has it")
    unread = "route"
    chooses = "services"
    kind = ""
    noun = ""

    def __init__(
        self, api: KubernetesApi, custom: CustomKind, name: str, colors: tuple[str, ...], services: dict[str, str]
    ) -> None:
        """`services`: of each color, as `NAME` or `NAMESPACE/NAME`."""
        self._api = api
        self._custom = custom
        self.name = name
        self.words = f"{custom.kind} {name}"
        self._colors = colors
        self._services = services

    @property
    @abstractmethod
    def rights(self) -> tuple[tuple[str, str, str], ...]:
        """As `ControlObject`."""

    @abstractmethod
    def portions(self, found: CustomObject) -> list[Portion]:
        """The rules that are moved. Raises Unclear."""

    @abstractmethod
    def also(self, portion: Portion, color: str, weight: int) -> dict[str, Any]:
        """The destination of a color that the rule does not name yet, like the one that it has."""

    def pending(self, found: CustomObject) -> str:
        """What has not taken it over yet, in words; empty for nothing, and where nobody says."""
        return ""

    async def path(self) -> str:
        """Of the object."""
        return await self._custom.path(self.name)

    async def read(self) -> CustomObject:
        """The object now. Raises BackendError."""
        return await self._custom.get(self.name)

    def shares(self, found: CustomObject) -> Shares:
        """Those of its rules where they agree, else the mean with who says what."""
        try:
            rules = {each.name: each.weights(self._colors) for each in self.portions(found)}
        except Unclear as unclear:
            return Shares(weights={}, detail=f"{unclear}\n{unclear.fix}")
        first, *others = rules.values()
        if all(each == first for each in others):
            return Shares(weights=first, pending=self.pending(found))
        mean = percent({color: sum(each[color] for each in rules.values()) for color in self._colors})
        words = ", ".join(f"{name} {shares_words(each)}" for name, each in rules.items())
        return Shares(weights=mean, detail=f"its rules differ: {words}", parts=rules, pending=self.pending(found))

    def revision(self, found: CustomObject) -> list[Any]:
        """The number that each change of its spec raises."""
        return [found.metadata.generation]

    def tests(self, found: CustomObject) -> list[Operation]:
        """That each rule is the one that was read, and divides as it did."""
        try:
            portions = self.portions(found)
        except Unclear:
            return []
        return [one for each in portions for one in (*each.found_by, operation("test", each.path, each.raw))]

    def change(self, found: CustomObject, weights: Weights, back_to: dict[str, Weights]) -> list[Operation]:
        """All weights of all rules, and a destination where a rule lacks one. Raises BackendError where it can not be
        read."""
        try:
            portions = self.portions(found)
        except Unclear as unclear:
            raise BackendError("conflict", f"{self.words}: {unclear}", fix=unclear.fix) from None
        return [one for each in portions for one in self._weighed(each, back_to.get(each.name, weights))]

    def by_hand(self, found: CustomObject | None, weights: Weights) -> list[Operation]:
        """As `change`, once it has been read and can be moved."""
        if found is None or not self.shares(found).weights:
            return []
        portions = self.portions(found)
        return [one for each in portions for one in (*each.found_by, *self._weighed(each, weights))]

    def says(self, state: SwitchState) -> str:
        """The shares."""
        return shares_words(state.weights)

    def moves(self, before: SwitchState, to: str) -> str:
        """Which color is live."""
        return f"{before.live} → {to}"

    async def chosen(self, found: CustomObject, color: str) -> Chosen:
        """The color's Service and its selector. Raises BackendError."""
        namespace, _, name = self._services[color].rpartition("/")
        return await pods_of(self._api, name, namespace)

    async def endpoints(self, found: CustomObject, sides: Sides, weights: Weights) -> TruthLayer:
        """Those of the colors that have a weight. Never raises."""
        taking = [color for color, weight in weights.items() if weight]
        try:
            chosen = await together(*(self.chosen(found, color) for color in taking))
        except BackendError as error:
            return TruthLayer(value="unknown", detail=error.message)
        return await sides.behind_each(dict(zip(taking, chosen, strict=True)))

    async def ready(self, sides: Sides, chosen: Chosen) -> int:
        """Endpoints of its Service that take requests."""
        return await sides.carrying(chosen)

    async def before_write(self, found: CustomObject, gaining: tuple[str, ...]) -> None:  # noqa: B027 - most have nothing
        """Nothing, where nothing else has to be there first."""

    async def findings(self, found: CustomObject, sides: Sides, behind: dict[str, Chosen]) -> list[Finding]:
        """What of a route is to be known before it is written. Raises BackendError."""
        said = [
            Finding(
                level="ok", code="destination",
                text=f"{each.name} does not name {color.upper()} yet: the first write adds it, in the same patch",
            )
            for each in self.portions(found)
            for color in each.missing(self._colors)
        ]  # fmt: skip
        return [*said, *await sides.shared(behind)]

    def _weighed(self, portion: Portion, weights: Weights) -> list[Operation]:
        made = []
        for place, (each, raw) in enumerate(zip(portion.destinations, portion.raw, strict=True)):
            if each.color:
                verb = "replace" if "weight" in raw else "add"
                made.append(operation(verb, (*portion.path, str(place), "weight"), weights.get(each.color, 0)))
        for color in portion.missing(self._colors):
            made.append(operation("add", (*portion.path, "-"), self.also(portion, color, weights.get(color, 0))))
        return made


def only_one(of: str, found: list[int], names: list[str], fix: str) -> int:
    """The place of the one that was found. Raises Unclear for none and for several."""
    if len(found) == 1:
        return found[0]
    said = clean(", ".join(filter(None, names)), 200)
    there = f" (there are: {said})" if said else ""
    raise Unclear(f"{'no' if not found else len(found)} {of}{there}", fix)
