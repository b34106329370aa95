"""The pods of each color, and which of them a Service reaches."""

from collections import Counter
from datetime import UTC, datetime

from msgspec import Struct

from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.wire import (
    Container,
    Endpoints,
    EndpointSlice,
    Items,
    Pod,
    Service,
    Workload,
    image_version,
)
from backends.models import ColorState, Finding, TruthLayer
from backends.text import clean
from backends.together import together

_WAITING_IS_BAD = ("BackOff", "Err", "Error", "Invalid")


class Reached(Struct, frozen=True):
    """The names of the pods behind a Service. `leaving`: terminating, and still answering."""

    ready: tuple[str, ...]
    not_ready: tuple[str, ...]
    leaving: tuple[str, ...]
    seen_in: str


class Sides:
    """What runs of each color. Reads only."""

    def __init__(
        self, api: KubernetesApi, service: str, label: str, deployments: dict[str, str], container: str
    ) -> None:
        self._api = api
        self._service = service
        self._label = label
        self._deployments = deployments
        self._container = container

    async def pods(self, service: Service, color: str) -> list[Pod]:
        """Those that the Service would choose were its selector on `color`: the whole of it, not the color alone."""
        chosen = (service.spec.selector or {}) | {self._label: color}
        selector = ",".join(f"{key}={value}" for key, value in sorted(chosen.items()))
        path = await self._api.path("v1", "pods")
        return (await self._api.get(path, Items[Pod], params={"labelSelector": selector})).items

    async def workload(self, color: str) -> Workload | None:
        """The Deployment of `color`; None where the config names none, or nobody lets us look."""
        name = self._deployments.get(color)
        if name is None:
            return None
        try:
            return await self._api.get(await self._api.path("apps/v1", "deployments", name), Workload)
        except BackendError as error:
            if error.kind == "auth":
                return None
            raise

    async def state(self, service: Service, color: str) -> ColorState:
        """How many pods are ready, of how many, with which version. `healthy` is what readiness says: False where none
        is ready, None where they cannot be read. Never raises."""
        try:
            pods, workload = await together(self.pods(service, color), self.workload(color))
        except BackendError as error:
            return ColorState(healthy=None, detail=error.message)
        staying = [pod for pod in pods if not pod.is_leaving]
        ready = sum(pod.is_ready for pod in staying)
        desired = workload.spec.replicas if workload is not None else len(staying)
        versions = sorted({image_version(self.image(pod)) or "?" for pod in staying})
        if not versions and workload is not None:
            versions = [image_version(image_of(workload.spec.template.spec.containers, self._container)) or "?"]
        words = f"{ready} of {desired} ready"
        if ready < desired and (why := waiting_words(staying)):
            words += f", {why}"
        return ColorState(
            version="+".join(versions) or None, ready=ready, desired=desired, healthy=ready > 0, detail=words
        )

    async def reached(self) -> Reached | None:
        """What is behind the Service now: EndpointSlices, else Endpoints (the role `view` reads only those), else None.

        Raises BackendError where it was no refusal that kept us from both.
        """
        params = {"labelSelector": f"kubernetes.io/service-name={self._service}"}
        for version in ("v1", "v1beta1"):  # clusters before 1.21 have only the latter
            try:
                path = await self._api.path(f"discovery.k8s.io/{version}", "endpointslices")
                return _of_slices((await self._api.get(path, Items[EndpointSlice], params=params)).items)
            except BackendError as error:
                if error.kind not in ("auth", "not_found"):
                    raise
        try:
            return _of_endpoints(await self._api.get(await self._api.path("v1", "endpoints", self._service), Endpoints))
        except BackendError as error:
            if error.kind == "not_found":
                return Reached((), (), (), "no Endpoints")
            if error.kind != "auth":
                raise
        return None

    async def endpoints(self, service: Service, colors: tuple[str, ...]) -> TruthLayer:
        """A color where every endpoint that takes requests is a pod of it. Never raises."""
        try:
            reached, sides = await together(self.reached(), together(*(self.pods(service, color) for color in colors)))
        except BackendError as error:
            return TruthLayer(value="unknown", detail=error.message, at=datetime.now(UTC))
        now = datetime.now(UTC)
        if reached is None:
            words = "this user may read neither EndpointSlices nor Endpoints"
            return TruthLayer(value="unknown", detail=words, at=now)
        color_of = {
            pod.metadata.name: color for color, pods in zip(colors, sides, strict=True) for pod in pods
        }  # fmt: skip
        taking = Counter(color_of.get(name, "another") for name in reached.ready)
        words = "   ".join(f"{color.upper()} {count} ready" for color, count in sorted(taking.items())) or "none ready"
        for count, word in ((len(reached.not_ready), "not ready"), (len(reached.leaving), "terminating")):
            words += f", {count} {word}" if count else ""
        value = "unknown" if not taking or "another" in taking else next(iter(taking)) if len(taking) == 1 else "mixed"
        return TruthLayer(value=value, detail=f"{words} ({reached.seen_in})", at=now, ready=taking.total())

    async def strangers(self, service: Service, colors: tuple[str, ...]) -> list[Finding]:
        """What answers behind the Service and is a pod of no color: no flip takes it away. Raises BackendError."""
        reached, sides = await together(self.reached(), together(*(self.pods(service, color) for color in colors)))
        known = {pod.metadata.name for pods in sides for pod in pods}
        names = [clean(name, 64) for name in (reached.ready if reached else ()) if name not in known]
        if not names:
            return []
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        text = f"behind Service {self._service} also answers what is a pod of no color here: {shown}"
        fix = f"kubectl get endpointslices -l kubernetes.io/service-name={self._service} shows whose it is"
        return [Finding(level="warning", code="endpoints", text=text, fix=fix)]

    def image(self, pod: Pod) -> str:
        """The image of the container that carries the version."""
        return image_of(pod.spec.containers, self._container)


def waiting_words(pods: list[Pod]) -> str:
    """Why containers do not start, the most frequent reason first (`ImagePullBackOff: Back-off pulling image …`)."""
    reasons: Counter[str] = Counter()
    for pod in pods:
        for status in pod.status.container_statuses or ():
            waiting = status.state.waiting if status.state else None
            if waiting is not None and any(part in waiting.reason for part in _WAITING_IS_BAD):
                reasons[clean(f"{waiting.reason}: {waiting.message}".rstrip(": "), 200)] += 1
    return reasons.most_common(1)[0][0] if reasons else ""


def image_of(containers: list[Container], name: str) -> str:
    """That of the container of this name (empty: the first); empty where there is none."""
    chosen = [one for one in containers if not name or one.name == name]
    return chosen[0].image if chosen else ""


def _of_slices(slices: list[EndpointSlice]) -> Reached:
    """A pod may be in several slices (two families of addresses, one that moves), and counts once."""
    ready: dict[str, None] = {}
    not_ready: dict[str, None] = {}
    leaving: dict[str, None] = {}
    for endpoint in (one for piece in slices for one in piece.endpoints or ()):
        name = endpoint.target_ref.name if endpoint.target_ref else next(iter(endpoint.addresses or ()), "")
        conditions = endpoint.conditions
        if conditions is not None and conditions.terminating:
            leaving[name] = None
        elif conditions is not None and conditions.ready is False:
            not_ready[name] = None
        else:
            ready[name] = None
    waiting = tuple(name for name in not_ready if name not in ready)
    return Reached(
        tuple(ready), waiting, tuple(name for name in leaving if name not in ready | not_ready), "EndpointSlices"
    )


def _of_endpoints(endpoints: Endpoints) -> Reached:
    def names(which: str) -> tuple[str, ...]:
        addresses = [one for subset in endpoints.subsets or () for one in getattr(subset, which) or ()]
        return tuple(dict.fromkeys(one.target_ref.name if one.target_ref else one.ip for one in addresses))

    ready = names("addresses")
    return Reached(ready, tuple(name for name in names("not_ready_addresses") if name not in ready), (), "Endpoints")
