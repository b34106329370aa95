"""The selector of a Service as the switch: what it says, and the one patch that moves it.

All of a JSON patch is applied in one write of the object or not at all, so its `test` operations are the
compare-and-swap, and the selector, the fence and the stamp cannot come apart.
"""

import asyncio
import hashlib
from typing import Any

import msgspec

from backends.deployments.switch_format import fence_of, refuse_older_fence
from backends.errors import BackendError
from backends.kubernetes.api import FIELD_MANAGER, KubernetesApi
from backends.kubernetes.wire import Service
from backends.ports import SwitchState
from backends.text import clean

OP = "tealdeck.io/op"
FENCE = "tealdeck.io/fence"
JOURNAL = "tealdeck.io/journal"
ENDED = "tealdeck.io/ended"  # the OP of an action that is over
SENDS = 3
READ_AGAIN_S = 0.3
_REFUSED_BUT_MAY_PASS = frozenset({409, 422, 429})


class ServiceControl:
    """One Service whose selector has the color under `label`."""

    def __init__(self, api: KubernetesApi, name: str, label: str, colors: tuple[str, ...]) -> None:
        self._api = api
        self._name = name
        self._label = label
        self._colors = colors

    async def read(self) -> Service:
        """The object now. Raises BackendError."""
        return await self._api.get(await self._path(), Service)

    def state(self, service: Service) -> SwitchState:
        """The weights; empty with the reason where the selector names no single color."""
        revision = _revision(service)
        stamp, fence = service.metadata.annotation(OP), service.metadata.annotation(FENCE)
        selector = service.spec.selector or {}
        color = selector.get(self._label)
        detail = ""
        if service.spec.type == "ExternalName":
            detail = "it is of type ExternalName: its selector chooses nothing"
        elif not selector:
            detail = "its selector is empty: it chooses no pods"
        elif color is None:
            detail = f'its selector has no "{self._label}": pods of every color match'
        elif color not in self._colors:
            detail = f"its selector says {self._label}={clean(color, 64)}, which is no color here"
        return SwitchState(
            weights={} if detail else {one: 100 if one == color else 0 for one in self._colors},
            revision=revision,
            detail=f"Service {self._name}: {detail}" if detail else "",
            stamp=clean(stamp, 128),
            fence=fence_of(fence) or 0,
            journal=clean(service.metadata.annotation(JOURNAL), 64),
            ended=service.metadata.annotation(ENDED) == stamp != "",
            odd_mark=f"{FENCE}={clean(fence, 40)}" if fence and fence_of(fence) is None else "",
        )

    def patch(self, service: Service, color: str, *, stamp: str, fence: int, journal: str = "") -> list[dict[str, Any]]:
        """From `service` as it was read to `color`; fails where uid, selector, fence or stamp are others by then."""
        metadata = service.metadata
        annotations = metadata.annotations or {}
        operations = self._tests(service)
        if FENCE not in annotations or OP not in annotations:
            # Nothing can be tested that is not there (a `test` for null passes on some servers). The first write
            # takes the object over as a whole, and each one after it only what it changes.
            operations.append(operation("test", ("metadata", "resourceVersion"), metadata.resource_version))
        if not annotations:
            operations.append(operation("add", ("metadata", "annotations"), {}))
        operations += [
            operation("replace", ("spec", "selector", self._label), color),
            operation("add", ("metadata", "annotations", FENCE), str(fence)),
            operation("add", ("metadata", "annotations", OP), stamp),
        ]
        if journal or JOURNAL in annotations:
            operations.append(operation("add", ("metadata", "annotations", JOURNAL), journal))
        return operations

    async def mark_ended(self, expected: SwitchState) -> None:
        """The annotation that says so, while uid, selector, fence and stamp are those of `expected`. Raises
        BackendError."""
        service = await self.read()
        found = self.state(service)
        self._must_be(found, expected)
        if not found.stamp or found.ended:
            return
        note = operation("add", ("metadata", "annotations", ENDED), service.metadata.annotation(OP))
        await self._api.patch(await self._path(), [*self._tests(service), note], msgspec.Raw)

    async def write(
        self, expected: SwitchState, color: str, *, stamp: str, fence: int, journal: str = ""
    ) -> SwitchState:
        """Compare and swap. Returns what was read back.

        A write without an answer is looked for, and sent again, which its tests make harmless. Raises BackendError:
        `conflict`, `auth`, what the API server refused it for; `timeout` or `unreachable` where nobody knows what came
        of it, and it may still come for `WRITE_BOUND_S`.
        """
        weights = {one: 100 if one == color else 0 for one in self._colors}
        doubt: BackendError | None = None
        refused: BackendError | None = None
        for sent in range(SENDS + 1):
            try:
                service = await self.read()
            except BackendError as error:
                raise doubt or error from None
            found = self.state(service)
            if doubt is not None and (found.weights, found.stamp) == (weights, stamp):
                return found
            self._must_be(found, expected)
            refuse_older_fence(f"Service {self._name}", found, stamp, fence, journal)
            if sent == SENDS:
                break
            operations = self.patch(service, color, stamp=stamp, fence=fence, journal=journal)
            try:
                await self._api.patch(await self._path(), operations, msgspec.Raw)
            except BackendError as error:
                if error.status is None or error.status >= 500:
                    doubt = error
                elif doubt is None and error.status not in _REFUSED_BUT_MAY_PASS:
                    raise
                refused = error
                await asyncio.sleep(error.retry_after_s if error.retry_after_s is not None else READ_AGAIN_S)
            else:
                return self.state(await self.read())
        failure = doubt or refused
        assert failure is not None
        raise failure

    async def rehearse(self, color: str) -> None:
        """The patch as a dry run: permissions and admission, without effect. What somebody else changes meanwhile is
        read and tried again. Raises BackendError; `conflict` without a status where each try met such a change."""
        for _ in range(SENDS):
            service = await self.read()
            found = self.state(service)
            operations = self.patch(
                service, color, stamp=found.stamp or "preflight", fence=found.fence, journal=found.journal
            )
            # Nothing is written, so an unrelated change of the object is no reason to refuse.
            operations = [one for one in operations if one["path"] != "/metadata/resourceVersion"]
            try:
                await self._api.patch(await self._path(), operations, msgspec.Raw, dry_run=True)
            except BackendError as error:
                if error.status not in (409, 422) or self.state(await self.read()).revision == found.revision:
                    raise
            else:
                return
        words = f"Service {self._name} was changed each time that the change was tried"
        raise BackendError("conflict", words, fix="see who writes its selector, then look again")

    def _tests(self, service: Service) -> list[dict[str, Any]]:
        annotations = service.metadata.annotations or {}
        return [
            operation("test", ("metadata", "uid"), service.metadata.uid),
            operation("test", ("spec", "selector"), service.spec.selector),
            *(
                operation("test", ("metadata", "annotations", key), annotations[key])
                for key in (FENCE, OP)
                if key in annotations
            ),
        ]

    def _must_be(self, found: SwitchState, expected: SwitchState) -> None:
        if not found.weights:
            raise BackendError("conflict", f"{found.detail}: not written over", fix="put its selector right by hand")
        if (found.weights, found.revision) != (expected.weights, expected.revision):
            by = f", stamp {found.stamp}" if found.stamp else ""
            raise BackendError("conflict", f"Service {self._name}: it says {found.live.upper()}{by}: changed")

    async def _path(self) -> str:
        return await self._api.path("v1", "services", self._name)


def selector_writers(service: Service, label: str) -> list[tuple[str, str]]:
    """(manager, operation) of all but us who own the color in the selector."""
    return [
        (clean(entry.manager, 64), entry.operation)
        for entry in service.metadata.managed_fields or ()
        if entry.owns("spec", "selector", label) and entry.manager != FIELD_MANAGER
    ]


def _revision(service: Service) -> str:
    """Changes with every write to the selector, and not with those to anything else. That of the whole object does,
    and would make a conflict of a label that a controller adds; it has to do where nobody notes who wrote what."""
    metadata = service.metadata
    # Our own writes are told by their stamps: the note that an action is over moves the time of our entry too.
    writers = [
        [entry.manager, entry.operation, "" if entry.manager == FIELD_MANAGER else str(entry.time)]
        for entry in metadata.managed_fields or ()
        if entry.owns("spec", "selector")
    ]
    what = [
        metadata.uid,
        service.spec.selector,
        metadata.annotation(FENCE),
        metadata.annotation(OP),
        sorted(writers) or metadata.resource_version,
    ]
    return hashlib.sha256(msgspec.json.encode(what, order="sorted")).hexdigest()[:16]


def operation(op: str, path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """One of a JSON patch (RFC 6902), its path as a JSON pointer (RFC 6901)."""
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
    return {"op": op, "path": pointer, "value": value}
