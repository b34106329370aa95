"""One object of the API that moves traffic: what it says, and the one patch that makes it say another thing.

All of a JSON patch is applied in one write of the object or not at all, so its `test` operations are the
compare-and-swap, and what moves the traffic, the fence and the stamp cannot come apart.
"""

import asyncio
import hashlib
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct

from backends.deployments.kubernetes.sides import Chosen, Sides
from backends.deployments.sides import shares_words
from backends.deployments.switch_format import fence_of, refuse_older_fence
from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.patches import Operation, operation
from backends.kubernetes.wire import Metadata
from backends.models import Finding, TruthLayer
from backends.ports import SwitchState
from backends.text import clean

OP = "tealdeck.io/op"
FENCE = "tealdeck.io/fence"
JOURNAL = "tealdeck.io/journal"
WROTE = "tealdeck.io/wrote"  # the OP, and the weights that it wrote: `A:shift blue=0,green=100`
ENDED = "tealdeck.io/ended"  # the OP of an action that is over
SENDS = 3
READ_AGAIN_S = 0.3
_REFUSED_BUT_MAY_PASS = frozenset({409, 422, 429})
Weights = dict[str, int]


class HasMetadata(Protocol):
    """Any object of the API."""

    metadata: Metadata


T = TypeVar("T", bound=HasMetadata)


class Shares(Struct, frozen=True, kw_only=True):
    """What an object says of traffic, by `SwitchState`'s rules: `weights` is empty where nobody can tell, and `detail`
    says why, what to do on a line of its own."""

    weights: Weights
    detail: str = ""
    parts: dict[str, Weights] = {}
    pending: str = ""


class ControlObject(Protocol[T]):
    """A kind of object that moves traffic, which one it is, and what carries each color behind it.

    words: `Service analytics`. kind: as kubectl takes it. can_split: whether it has shares between 0 and 100 percent.
    rights: (verb, group, resource) that a switch needs. chooses: the keys of the config that say which pods are whose.
    behind: what carries a color that gains and one that loses, in words. unread: the code of a finding that it can not
    be read.
    """

    words: str
    name: str
    kind: str
    can_split: bool
    chooses: str
    behind: tuple[str, str]
    unread: str

    @property
    def rights(self) -> tuple[tuple[str, str, str], ...]:
        """As above."""

    async def path(self) -> str:
        """Of the object in the API."""

    async def read(self) -> T:
        """The object now. Raises BackendError."""

    def shares(self, found: T) -> Shares:
        """What it says."""

    def revision(self, found: T) -> list[Any]:
        """What a write of it by anybody changes, besides the marks."""

    def tests(self, found: T) -> list[Operation]:
        """That what moves the traffic is as it was read."""

    def change(self, found: T, weights: Weights, back_to: dict[str, Weights]) -> list[Operation]:
        """To `weights`, or each part of it to its own."""

    def by_hand(self, found: T | None, weights: Weights) -> list[Operation]:
        """The same for a person to send; nothing where that can not be said without having read it."""

    def says(self, state: SwitchState) -> str:
        """What it says of traffic, in words."""

    def moves(self, before: SwitchState, to: str) -> str:
        """What of it changes, in words: `selector color: blue → green`."""

    async def chosen(self, found: T, color: str) -> Chosen:
        """What carries `color`. Raises BackendError where nothing can."""

    async def endpoints(self, found: T, sides: Sides, weights: Weights) -> TruthLayer:
        """What is behind it. Never raises."""

    async def ready(self, sides: Sides, chosen: Chosen) -> int:
        """How many would take the requests of a color at once. Raises BackendError."""

    async def before_write(self, found: T, gaining: tuple[str, ...]) -> None:
        """What has to be waited for. Raises BackendError."""

    async def findings(self, found: T, sides: Sides, behind: dict[str, Chosen]) -> list[Finding]:
        """What of it is to be known before it is written. Raises BackendError."""


class Control(Generic[T]):
    """Compare and swap of one control object, with the marks of who wrote it. `last`: as it was read last."""

    def __init__(self, api: KubernetesApi, of: ControlObject[T]) -> None:
        self._api = api
        self._of = of
        self.last: T | None = None

    async def read(self) -> T:
        """The object now. Raises BackendError."""
        self.last = await self._of.read()
        return self.last

    def state(self, found: T) -> SwitchState:
        """The weights; empty with the reason where nobody can tell them."""
        metadata, said = found.metadata, self._of.shares(found)
        stamp, fence = metadata.annotation(OP), metadata.annotation(FENCE)
        what = [metadata.uid, metadata.annotation(FENCE), stamp, *self._of.revision(found)]
        return SwitchState(
            weights=said.weights,
            revision=hashlib.sha256(msgspec.json.encode(what, order="sorted")).hexdigest()[:16],
            detail=f"{self._of.words}: {said.detail}" if said.detail else "",
            stamp=clean(stamp, 128),
            fence=fence_of(fence) or 0,
            journal=clean(metadata.annotation(JOURNAL), 64),
            wrote=_wrote(metadata.annotation(WROTE), stamp, said.weights),
            ended=metadata.annotation(ENDED) == stamp != "",
            odd_mark=f"{FENCE}={clean(fence, 40)}" if fence and fence_of(fence) is None else "",
            parts=said.parts,
            pending=f"{self._of.words}: {said.pending}" if said.pending else "",
        )

    def patch(
        self,
        found: T,
        weights: Weights,
        *,
        stamp: str,
        fence: int,
        journal: str = "",
        back_to: dict[str, Weights] | None = None,
    ) -> list[Operation]:
        """From `found` as it was read to `weights`; fails where uid, what moves the traffic, fence or stamp are others
        by then."""
        metadata = found.metadata
        annotations = metadata.annotations or {}
        operations = self._tests(found)
        if FENCE not in annotations or OP not in annotations:
            # Nothing can be tested that is not there (a `test` for null passes on some servers). The first write
            # takes the object over as a whole, and each one after it only what it changes.
            operations.append(operation("test", ("metadata", "resourceVersion"), metadata.resource_version))
        if not annotations:
            operations.append(operation("add", ("metadata", "annotations"), {}))
        operations += [
            *self._of.change(found, weights, back_to or {}),
            operation("add", ("metadata", "annotations", FENCE), str(fence)),
            operation("add", ("metadata", "annotations", OP), stamp),
            operation("add", ("metadata", "annotations", WROTE), _written(stamp, weights)),
        ]
        if journal or JOURNAL in annotations:
            operations.append(operation("add", ("metadata", "annotations", JOURNAL), journal))
        return operations

    async def mark_ended(self, expected: SwitchState) -> None:
        """The annotation that says so, while uid, what moves the traffic, fence and stamp are those of `expected`.
        Raises BackendError."""
        found = await self.read()
        state = self.state(found)
        self._must_be(state, expected)
        if not state.stamp or state.ended:
            return
        note = operation("add", ("metadata", "annotations", ENDED), found.metadata.annotation(OP))
        await self._api.patch(await self._of.path(), [*self._tests(found), note], msgspec.Raw)

    async def write(
        self, expected: SwitchState, weights: Weights, *, stamp: str, fence: int, journal: str = ""
    ) -> SwitchState:
        """Compare and swap. Returns what was read back.

        A write without an answer is looked for, and sent again, which its tests make harmless. Raises BackendError:
        `conflict`, `auth`, what the API server refused it for; `timeout` or `unreachable` where nobody knows what came
        of it, and it may still come for `WRITE_BOUND_S`.
        """
        doubt: BackendError | None = None
        refused: BackendError | None = None
        for sent in range(SENDS + 1):
            try:
                found = await self.read()
            except BackendError as error:
                raise doubt or error from None
            state = self.state(found)
            if doubt is not None and (state.weights, state.stamp) == (weights, stamp):
                return state
            self._must_be(state, expected)
            refuse_older_fence(self._of.words, state, stamp, fence, journal)
            if sent == SENDS:
                break
            operations = self.patch(found, weights, stamp=stamp, fence=fence, journal=journal, back_to=expected.back_to)
            try:
                await self._api.patch(await self._of.path(), operations, msgspec.Raw)
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

    async def rehearse(self, weights: Weights) -> None:
        """The patch as a dry run: permissions and admission, without effect. What somebody else changes meanwhile is
        read and tried again. Raises BackendError; `conflict` without a status where each try met such a change."""
        for _ in range(SENDS):
            found = await self.read()
            state = self.state(found)
            operations = self.patch(
                found, weights, stamp=state.stamp or "preflight", fence=state.fence, journal=state.journal
            )
            # Nothing is written, so an unrelated change of the object is no reason to refuse.
            operations = [one for one in operations if one["path"] != "/metadata/resourceVersion"]
            try:
                await self._api.patch(await self._of.path(), operations, msgspec.Raw, dry_run=True)
            except BackendError as error:
                if error.status not in (409, 422) or self.state(await self.read()).revision == state.revision:
                    raise
            else:
                return
        words = f"{self._of.words} was changed each time that the change was tried"
        raise BackendError("conflict", words, fix="see who writes it, then look again")

    def _tests(self, found: T) -> list[Operation]:
        annotations = found.metadata.annotations or {}
        return [
            operation("test", ("metadata", "uid"), found.metadata.uid),
            *self._of.tests(found),
            *(
                operation("test", ("metadata", "annotations", key), annotations[key])
                for key in (FENCE, OP)
                if key in annotations
            ),
        ]

    def _must_be(self, found: SwitchState, expected: SwitchState) -> None:
        if not found.weights:
            why, _, fix = found.detail.partition("\n")
            raise BackendError("conflict", f"{why}: not written over", fix=fix or "put it right by hand")
        if (found.weights, found.revision) != (expected.weights, expected.revision):
            said = shares_words(found.weights) if found.live == "mixed" else found.live.upper()
            by = f", stamp {found.stamp}" if found.stamp else ""
            raise BackendError("conflict", f"{self._of.words}: it says {said}{by}: changed")


def _written(stamp: str, weights: Weights) -> str:
    return f"{stamp} " + ",".join(f"{color}={weight}" for color, weight in weights.items())


def _wrote(told: str, stamp: str, now: Weights) -> Weights:
    """The inverse, by the colors of `now`; empty where it is of another write: an older program leaves it as it is."""
    of, _, text = told.rpartition(" ")
    pairs = dict(part.partition("=")[::2] for part in text.split(","))
    if not stamp or of != stamp or set(pairs) != set(now) or not all(each.isdecimal() for each in pairs.values()):
        return {}
    found = {color: int(pairs[color]) for color in now}
    return found if sum(found.values()) == 100 else {}
