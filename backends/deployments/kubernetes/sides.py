"""The pods of each color, and which of them a Service reaches."""

from collections import Counter
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

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


class Chosen(Struct, frozen=True, kw_only=True):
    """What carries a color: a Service, and the labels of those of its pods that get the color's requests. No labels:
    somebody else keeps its endpoints. `namespace`: by default that of the config."""

    service: str
    labels: dict[str, str]
    namespace: str = ""


async def pods_of(api: KubernetesApi, service: str, namespace: str = "") -> Chosen:
    """What a Service chooses. Raises BackendError: `conflict` for one that sends its requests out of the cluster."""
    found = await api.get(await api.path("v1", "services", service, namespace=namespace), Service)
    if found.spec.type == "ExternalName":
        words = f"Service {clean(service, 128)} is of type ExternalName: it has no pods"
        raise BackendError("conflict", words, fix="name a Service of the cluster")
    return Chosen(service=service, labels=found.spec.selector or {}, namespace=namespace)


class Sides:
    """What runs of each color. Reads only."""

    def __init__(self, api: KubernetesApi, deployments: dict[str, str], container: str) -> None:
        self._api = api
        self._deployments = deployments
        self._container = container

    async def pods(self, chosen: Chosen) -> list[Pod]:
        """Those that `chosen` chooses, by all of its labels, not by the color alone."""
        if not chosen.labels:
            return []
        selector = ",".join(f"{key}={value}" for key, value in sorted(chosen.labels.items()))
        path = await self._api.path("v1", "pods", namespace=chosen.namespace)
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

    async def state(self, chosen: Chosen, color: str) -> ColorState:
        """How many pods are ready, of how many, with which version. `healthy` is what readiness says: False where none
        is ready, None where they cannot be read. Never raises."""
        try:
            pods, workload = await together(self.pods(chosen), self.workload(color))
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

    async def carrying(self, chosen: Chosen) -> int:
        """How many take requests for `chosen` at this moment: endpoints that are its pods; ready pods where nobody lets
        us look at endpoints. Raises BackendError."""
        reached, pods = await together(self.reached(chosen.service, chosen.namespace), self.pods(chosen))
        if reached is None:
            return sum(pod.is_ready for pod in pods)
        names = {pod.metadata.name for pod in pods}
        return sum(name in names or not chosen.labels for name in reached.ready)

    async def reached(self, service: str, namespace: str = "") -> Reached | None:
        """What is behind a Service now: EndpointSlices, else Endpoints (the role `view` reads only those), else None.

        Raises BackendError where it was no refusal that kept us from both.
        """
        params = {"labelSelector": f"kubernetes.io/service-name={service}"}
        for version in ("v1", "v1beta1"):  # clusters before 1.21 have only the latter
            try:
                path = await self._api.path(f"discovery.k8s.io/{version}", "endpointslices", namespace=namespace)
                return _of_slices((await self._api.get(path, Items[EndpointSlice], params=params)).items)
            except BackendError as error:
                if error.kind not in ("auth", "not_found"):
                    raise
        try:
            path = await self._api.path("v1", "endpoints", service, namespace=namespace)
            return _of_endpoints(await self._api.get(path, Endpoints))
        except BackendError as error:
            if error.kind == "not_found":
                return Reached((), (), (), "no Endpoints")
            if error.kind != "auth":
                raise
        return None

    async def behind_one(self, service: str, sides: dict[str, Chosen]) -> TruthLayer:
        """Of one Service: a color where every endpoint that takes requests is a pod of it. Never raises."""
        try:
            reached, pods = await together(self.reached(service), together(*map(self.pods, sides.values())))
        except BackendError as error:
            return TruthLayer(value="unknown", detail=error.message, at=datetime.now(UTC))
        color_of = {pod.metadata.name: color for color, own in zip(sides, pods, strict=True) for pod in own}
        return _layer(reached, Counter(color_of.get(name, "another") for name in (reached.ready if reached else ())))

    async def behind_each(self, taking: dict[str, Chosen]) -> TruthLayer:
        """Of the Services of the colors that take traffic: a color where it alone has traffic, and endpoints that take
        it. Never raises."""
        try:
            found, pods = await together(
                together(*(self.reached(one.service, one.namespace) for one in taking.values())),
                together(*map(self.pods, taking.values())),
            )
        except BackendError as error:
            return TruthLayer(value="unknown", detail=error.message, at=datetime.now(UTC))
        ready: Counter[str] = Counter()
        waiting: set[str] = set()
        leaving: set[str] = set()
        for (color, chosen), reached, own in zip(taking.items(), found, pods, strict=True):
            if reached is None:
                return _layer(None, ready)
            names = {pod.metadata.name for pod in own}
            ready[color] = sum(name in names or not chosen.labels for name in reached.ready)
            waiting |= {name for name in reached.not_ready if name in names or not chosen.labels}
            leaving |= {name for name in reached.leaving if name in names or not chosen.labels}
        seen = Reached((), tuple(waiting), tuple(leaving), found[0].seen_in if found and found[0] else "no Service")
        layer = _layer(seen, +ready)
        return layer if all(ready.values()) else replace(layer, value="unknown")

    async def strangers(self, service: str, sides: dict[str, Chosen]) -> list[Finding]:
        """What answers behind a Service and is a pod of no color: no flip takes it away. Raises BackendError."""
        reached, pods = await together(self.reached(service), together(*map(self.pods, sides.values())))
        known = {pod.metadata.name for own in pods for pod in own}
        names = [clean(name, 64) for name in (reached.ready if reached else ()) if name not in known]
        if not names:
            return []
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        text = f"behind Service {service} also answers what is a pod of no color here: {shown}"
        fix = f"kubectl get endpointslices -l kubernetes.io/service-name={service} shows whose it is"
        return [Finding(level="warning", code="endpoints", text=text, fix=fix)]

    async def shared(self, sides: dict[str, Chosen]) -> list[Finding]:
        """Pods that get the requests of both colors: shares mean nothing there. Raises BackendError."""
        found = await together(*map(self.pods, sides.values()))
        counted = Counter((pod.metadata.uid or pod.metadata.name) for own in found for pod in own)
        names = sorted(
            {
                clean(pod.metadata.name, 64)
                for own in found
                for pod in own
                if counted[pod.metadata.uid or pod.metadata.name] > 1
            }
        )
        if not names:
            return []
        text = f"{len(names)} pods get the requests of both colors: {', '.join(names[:3])}"
        fix = "give each Service or subset a label that only its color has"
        return [Finding(level="block", code="endpoints", text=text, fix=fix, overridable=True)]

    def image(self, pod: Pod) -> str:
        """The image of the container that carries the version."""
        return image_of(pod.spec.containers, self._container)


def _layer(reached: Reached | None, taking: Counter[str]) -> TruthLayer:
    now = datetime.now(UTC)
    if reached is None:
        words = "this user may read neither EndpointSlices nor Endpoints"
        return TruthLayer(value="unknown", detail=words, at=now)
    words = "   ".join(f"{color.upper()} {count} ready" for color, count in sorted(taking.items())) or "none ready"
    for count, word in ((len(reached.not_ready), "not ready"), (len(reached.leaving), "terminating")):
        words += f", {count} {word}" if count else ""
    value = "unknown" if not taking or "another" in taking else next(iter(taking)) if len(taking) == 1 else "mixed"
    return TruthLayer(value=value, detail=f"{words} ({reached.seen_in})", at=now, ready=taking.total())


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
