"""What is around the sides of a switch in its cluster: what carries them, what else decides how they run, and what is
warned of."""

from datetime import datetime
from typing import Generic

from backends.deployments.kubernetes.control import Control, ControlObject, T
from backends.deployments.kubernetes.run_conditions import RunConditions, Runs
from backends.deployments.kubernetes.sides import Chosen, Sides
from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.events import Watched, told, warnings
from backends.kubernetes.wire import Pod
from backends.models import RunCondition, TimelineEvent
from backends.together import together


class Surroundings(Generic[T]):
    """Those of one control object. `deployments`: by color, of those that the config names. Reads only."""

    def __init__(
        self,
        api: KubernetesApi,
        control: Control[T],
        of: ControlObject[T],
        sides: Sides,
        conditions: RunConditions,
        colors: tuple[str, ...],
        deployments: dict[str, str],
    ) -> None:
        self._api = api
        self._control = control
        self._of = of
        self._sides = sides
        self._conditions = conditions
        self._colors = colors
        self._deployments = deployments

    async def conditions(self) -> tuple[RunCondition, ...]:
        """What else decides how both sides run. Never raises BackendError."""
        behind = await self._behind_now()
        return await self._conditions.of(await together(*(self._runs(each, behind) for each in self._colors)))

    async def events(self, service: str, since: datetime, until: datetime) -> list[TimelineEvent]:
        """What the cluster warns of, about the object, its Services, and the workloads and pods of both sides. Raises
        BackendError."""
        found = await warnings(self._api)
        return told(found, await self._watched(), service, since, until) if found else []

    async def behind(self, found: T) -> tuple[dict[str, Chosen], dict[str, BackendError]]:
        """What carries each color, and why nothing can. Raises BackendError where nobody could look."""
        behind: dict[str, Chosen] = {}
        missing: dict[str, BackendError] = {}
        for color in self._colors:
            try:
                behind[color] = await self._of.chosen(found, color)
            except BackendError as error:
                if error.kind not in ("conflict", "not_found"):
                    raise
                missing[color] = error
        return behind, missing

    # ---- inside

    async def _behind_now(self) -> dict[str, Chosen]:
        """As `behind`; nothing where nobody could look: the Deployments are named by the config."""
        try:
            return (await self.behind(await self._control.read()))[0]
        except BackendError:
            return {}

    async def _watched(self) -> Watched:
        behind = await self._behind_now()
        sides = await together(*(self._runs(each, behind) for each in self._colors))
        own = (self._of.words.split()[0], self._of.name)
        services = [("Service", chosen.service) for chosen in behind.values()]
        pods = [("Pod", pod.metadata.name) for side in sides for pod in side.pods]
        return Watched(objects=frozenset([own, *services, *pods, *(each for side in sides for each in side.carries)]))

    async def _runs(self, color: str, behind: dict[str, Chosen]) -> Runs:
        chosen, name = behind.get(color), self._deployments.get(color)
        pods: list[Pod] = []
        if chosen is not None:
            try:
                pods = [pod for pod in await self._sides.pods(chosen) if not pod.is_leaving]
            except BackendError:
                pods = []  # the look at the service says that they can not be read
        return Runs(
            color=color, workloads=(("Deployment", name),) if name else (), pods=pods,
            labels=chosen.labels if chosen else {}, namespace=chosen.namespace if chosen else "",
        )  # fmt: skip
