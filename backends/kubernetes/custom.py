"""A kind of a group of the API, of Kubernetes or added to it (a CustomResourceDefinition), in the newest version that
both sides know."""

from typing import TypeVar

from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.wire import CustomObject, Items, ServedGroup, ServedResources
from backends.text import clean

T = TypeVar("T")


async def serves(api: KubernetesApi, version: str, plural: str) -> bool:
    """Whether the cluster knows that kind in `version` (`argoproj.io/v1alpha1`); True where nobody can tell."""
    try:
        found = await api.get(f"/apis/{version}", ServedResources)
    except BackendError as error:
        return error.kind != "not_found"
    return any(each.name == plural for each in found.resources or ())


class CustomKind:
    """`kind` (`HTTPRoute`) and its `plural` of `group`, in one of `versions`, the best first. `product` installs it;
    empty where Kubernetes itself has it."""

    def __init__(
        self, api: KubernetesApi, group: str, versions: tuple[str, ...], kind: str, plural: str, product: str = ""
    ) -> None:
        self._api = api
        self._group = group
        self._versions = versions
        self._version = versions[0]
        self.kind = kind
        self._plural = plural
        self._product = product

    async def path(self, *name: str, namespace: str = "") -> str:
        """Of one object, or of all."""
        return await self._api.path(f"{self._group}/{self._version}", self._plural, *name, namespace=namespace)

    async def get(self, name: str) -> CustomObject:
        """One. Raises BackendError: `not_found` that says what is not there, the object or its kind; `config` where no
        served version of the kind is known."""
        try:
            return await self._ask(name, shape=CustomObject)
        except BackendError as error:
            if error.kind != "not_found" or error.status is None:
                raise
            namespace = clean(await self._api.namespace(), 64)
            words = f"no {self.kind} {clean(name, 128)} in namespace {namespace}"
            fix = f"kubectl get {self._plural}.{self._group} -n {namespace}, and correct the entry"
            raise BackendError("not_found", words, fix=fix, status=error.status) from None

    async def all(self, namespace: str = "") -> list[CustomObject]:
        """Those of a namespace, by default that of the config. Raises as `get`."""
        return await self.all_as(CustomObject, namespace)

    async def all_as(self, shape: type[T], namespace: str = "") -> list[T]:
        """The same, each as a `shape` that fits all of the versions."""
        return (await self._ask(shape=Items[shape], namespace=namespace)).items  # type: ignore[valid-type]  # made at run time

    async def _ask(self, *name: str, shape: type[T], namespace: str = "") -> T:
        try:
            return await self._api.get(await self.path(*name, namespace=namespace), shape)
        except BackendError as error:
            # Who may not look is refused before anybody asks whether there is such a kind.
            if error.kind not in ("not_found", "auth") or error.status == 401 or not await self._other_version():
                raise
        return await self._api.get(await self.path(*name, namespace=namespace), shape)

    async def _other_version(self) -> bool:
        """Whether another version was found than the one that was asked for. Raises BackendError where there is no such
        kind, or none in a version that is known."""
        try:
            group = await self._api.get(f"/apis/{self._group}", ServedGroup)
            served = [each.version for each in group.versions or ()]
            known = [version for version in self._versions if version in served]
            has = [version for version in known if await self._has(version)]
        except BackendError as error:
            if error.kind == "auth":
                return False
            if error.kind != "not_found":
                raise
            served, known, has = [], [], []
        if served and not known:
            versions = clean(", ".join(served), 120)
            words = (
                f"{self.kind}: the cluster serves {self._group} as {versions}, known here: {', '.join(self._versions)}"
            )
            raise BackendError("config", words, fix=self._fix(f" with {self._versions[0]}"))
        if not has:
            words = f"{self.kind} is not known to the cluster"
            words += f": the CRD {self._plural}.{self._group} is not installed" if self._product else ""
            raise BackendError("not_found", words, fix=self._fix(", or correct `kube_context`"))
        before, self._version = self._version, has[0]
        return self._version != before

    def _fix(self, how: str) -> str:
        return f"install {self._product}{how}" if self._product else "see which versions its API server serves"

    async def _has(self, version: str) -> bool:
        found = await self._api.get(f"/apis/{self._group}/{version}", ServedResources)
        return any(each.name == self._plural for each in found.resources or ())
