"""What else decides how a Rollout runs, and what the cluster warns of about it."""

from datetime import datetime

from backends.deployments.argo_rollouts.reading import RolloutReader
from backends.deployments.argo_rollouts.state import Seen
from backends.deployments.argo_rollouts.wire import HASH
from backends.deployments.kubernetes.run_conditions import RunConditions, Runs
from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.events import Watched, told, warnings
from backends.kubernetes.wire import Items, Pod
from backends.models import RunCondition, TimelineEvent


class RolloutSurroundings:
    """Those of one Rollout. Reads only."""

    def __init__(self, api: KubernetesApi, reader: RolloutReader, name: str) -> None:
        self._api = api
        self._reader = reader
        self._name = name
        self.conditions_of = RunConditions(api)

    async def conditions(self) -> tuple[RunCondition, ...]:
        """Of its sides; one autoscaler scales both. Never raises BackendError."""
        try:
            seen = await self._reader.look(judged=False)
        except BackendError:
            return await self.conditions_of.of([Runs(color="", workloads=(("Rollout", self._name),))])
        pods = await self._pods(seen)
        sides = {"stable": seen.stable, "candidate": seen.current if seen.current is not seen.stable else None}
        labels, own = seen.rollout.spec.selector.match_labels or {}, (("Rollout", self._name),)
        runs = [
            Runs(
                color=side, workloads=own, labels=labels,
                pods=[pod for pod in pods if pod.metadata.label(HASH) == found.hash],
            )
            for side, found in sides.items() if found is not None
        ]  # fmt: skip
        return await self.conditions_of.of(runs)

    async def events(self, service: str, since: datetime, until: datetime) -> list[TimelineEvent]:
        """What the cluster warns of, about the Rollout, its Services, what it makes. Raises BackendError."""
        found = await warnings(self._api)
        if not found:
            return []
        strategy = (await self._reader.look(judged=False)).rollout.spec.strategy
        blue_green, canary = strategy.blue_green, strategy.canary
        services = [blue_green.active_service, blue_green.preview_service] if blue_green else []
        services += [canary.stable_service, canary.canary_service] if canary else []
        objects = [("Rollout", self._name), *(("Service", name) for name in services if name)]
        return told(found, Watched(objects=frozenset(objects)), service, since, until)

    async def _pods(self, seen: Seen) -> list[Pod]:
        labels = seen.rollout.spec.selector.match_labels or {}
        if not labels:
            return []
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        try:
            path = await self._api.path("v1", "pods")
            listed = (await self._api.get(path, Items[Pod], params={"labelSelector": selector})).items
        except BackendError:
            return []  # the budgets go by the labels of the Rollout then
        return [pod for pod in listed if not pod.is_leaving]
