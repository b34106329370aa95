"""A Rollout of Argo Rollouts, blueGreen or canary, which moves the traffic itself: it is ordered and watched.

```toml
[[contexts.production.deployments]]
name = "model"
type = "argo-rollouts"
kubeconfig = "~/.kube/config"
kube_context = "prod"
namespace = "models"
rollout = "model"
probe = { url = "https://model.example.com/health", version_header = "X-Version" }
preview = "https://preview.model.example.com/health"
```
Its Services and routes are never written: the controller owns them. Rights and limits: docs/kubernetes.md.
API: https://argo-rollouts.readthedocs.io/en/stable/features/specification/
"""

import asyncio
import shlex
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from backends.deployments.argo_cd.owner import self_heal_findings
from backends.deployments.argo_rollouts.findings import rollback_findings, strategy_findings
from backends.deployments.argo_rollouts.reading import RolloutReader
from backends.deployments.argo_rollouts.state import Seen
from backends.deployments.argo_rollouts.surroundings import RolloutSurroundings
from backends.deployments.argo_rollouts.truth import endpoints_layer, preview_problem, sides_of
from backends.deployments.argo_rollouts.wire import without_hash
from backends.deployments.argo_rollouts.words import ABORTED
from backends.deployments.argo_rollouts.writing import RolloutWriter
from backends.deployments.controlled import (
    acted_on,
    deployment_of,
    refuse_untaken,
    unheeded,
    version_layer,
)
from backends.deployments.kubernetes.config import InCluster
from backends.deployments.kubernetes.owners import owners_by_mark
from backends.deployments.kubernetes.preflight import check_rights, ending, identity_findings
from backends.errors import BackendError
from backends.images import TAG_FIX, version_problem
from backends.kubernetes.api import WRITE_BOUND_S
from backends.models import Deployment, Finding, RunCondition, TimelineEvent
from backends.ports import ControllerState, Operation, Order
from backends.redaction import quoted
from backends.registry import AdapterContext
from backends.together import together

_READ = (("get", "argoproj.io", "rollouts"), ("list", "apps", "replicasets"))
_SPEC, _STATUS = ("patch", "argoproj.io", "rollouts"), ("patch", "argoproj.io", "rollouts/status")
_WRITES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "abort": (_STATUS,), "rollback": (_SPEC,), "pause": (_SPEC,), "restart": (_SPEC,),
}  # fmt: skip
"""What an order writes, where it is not both: what goes forward is not begun by who may not stop it (the status) and
put the spec back."""


class RolloutsConfig(InCluster, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Rollout.

    rollout: its name.
    container: whose image is the version; by default the first.
    image: the repository of the image; by default that of the image that runs.
    preview: where a fresh request reaches the candidate before it has traffic, and names its version as `probe` does.
    """

    rollout: str
    container: str = ""
    image: str = ""
    preview: str = ""

    def __post_init__(self) -> None:
        if not self.rollout:
            raise ValueError("rollout: it is empty")
        if self.preview and not self.preview.startswith(("http://", "https://")):
            raise ValueError("preview: it begins with http:// or https://")
        if problem := unheeded(self, "Argo Rollouts"):
            raise ValueError(problem)

    def writes(self, base_dir: Path) -> frozenset[str]:
        """The Rollout, as the entry names its cluster."""
        return frozenset({self.in_cluster("Rollout", self.rollout, base_dir)})


class RolloutsController:
    """The `Controller` of one Rollout."""

    api = 1
    Config = RolloutsConfig

    def __init__(self, config: RolloutsConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._api = config.api(context.base_dir)
        self._reader = RolloutReader(self._api, config.rollout, config.container)
        self._writer = RolloutWriter(self._api, self._reader, config.container, config.image)
        self._around = RolloutSurroundings(self._api, self._reader, config.rollout)
        self._ordering = asyncio.Lock()

    @property
    def object_id(self) -> str:
        """Namespace, name and cluster."""
        return self._config.object_id(self._config.rollout)

    @property
    def order_settles_s(self) -> float:
        """What the API server is told to give a write up after, and a little for its clock."""
        return WRITE_BOUND_S + 2.0

    async def deployment(self) -> Deployment:
        """The Rollout, the pods of both ReplicaSets, the Service of users, and one fresh request. Raises BackendError
        where the Rollout itself can not be read."""
        seen = await self._reader.look()
        state, probe = seen.state, self._config.probe
        timeout_s = float(self._config.probe_timeout)
        data, endpoints, sides = await together(
            version_layer(state, self._config),
            endpoints_layer(self._api, seen),
            sides_of(seen, probe, self._config.preview, timeout_s),
        )
        return deployment_of(self._name, state, self._where, endpoints=endpoints, data=data, sides=sides)

    async def conditions(self) -> tuple[RunCondition, ...]:
        """What else decides how its pods run. Never raises BackendError."""
        return await self._around.conditions()

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """What the cluster warns of, about the Rollout, its Services, ReplicaSets and pods. Raises BackendError."""
        return await self._around.events(self._name, since, until)

    async def observe(self) -> ControllerState:
        """The Rollout and its ReplicaSets now. Raises BackendError: `config` where the cluster knows no Rollouts."""
        return (await self._reader.look()).state

    async def operation(self, operation: str) -> Operation:
        """A change by its revision."""
        return (await self._reader.look()).operation(operation)

    async def preflight(self, expected: ControllerState, order: Order) -> list[Finding]:
        """Who we are, our rights, the version and its container, the write as a dry run, who else owns the Rollout,
        what pauses and judges a change; of a way back, whether its pods are up."""
        identity, rights, ends, seen = await together(
            identity_findings(self._api),
            check_rights(self._api, (*_READ, *_WRITES.get(order.order, (_SPEC, _STATUS)))),
            ending(self._api),
            self._reader.look(),
        )
        found = [*identity, rights, *ends, *self._not_back(seen, order)]
        if order.order == "release":
            return found + await self._release_findings(seen, order)
        if order.order == "rollback":
            owners = await self._owners(seen, "its template")
            return found + rollback_findings(seen, order.revision) + owners
        if order.order == "promote" and order.how:
            text = f"{order.how}: pauses and analyses that are left are skipped"
            found.append(Finding(level="warning", code="skips", text=text, fix="without it only the pause is ended"))
        elif order.order == "promote" and self._config.preview:
            problem = await preview_problem(
                seen, self._config.probe, self._config.preview, float(self._config.probe_timeout)
            )
            if problem:
                fix = "see what its preview Service reaches"
                found.append(Finding(level="block", code="preview", text=problem, fix=fix, overridable=True))
        return found

    async def order(self, expected: ControllerState, order: Order, *, stamp: str) -> ControllerState:
        """One JSON patch of its spec or its status, which tests what was seen. Raises as the port says. Where it shows
        no effect within 15 s, the state says so: nobody knows then, and nothing is sent again."""
        async with self._ordering:
            seen = await self._reader.look(judged=False)
            refuse_untaken(order, expected, seen.state, self._where)
            return await self._given(seen, order, stamp)

    def describe_order(self, expected: ControllerState, order: Order) -> list[str]:
        """One line for the order, one for what the controller does then."""
        stable, open_ = expected.view.stable, expected.newest
        live, where = stable.words if stable else "nothing", self._where
        what = open_.target.words if open_ else "what is under way"
        if order.order == "release":
            then = "its controller brings it up beside, and moves the traffic by its strategy"
            return [f"release  {live} → {order.version}: {where}", f"then     {then}"]
        if order.order == "rollback":
            to = order.version or order.revision
            if open_ is not None and open_.still_wanted:
                return [f"rollback the spec back from {what} to {to}: {where}", "then     no traffic moves: it has it"]
            then = expected.at_once or "as a release: pauses, steps and analyses run again"
            return [f"rollback {live} → {to}: {where}", f"then     {then}"]
        if order.order == "promote":
            how = {"full": "all steps, pauses and analyses skipped", "skip-step": "this step skipped"}.get(order.how)
            pause = open_.pause.why if open_ is not None and open_.pause is not None else "it"
            return [f"promote  {what}: {how or f'{pause} ended'}: {where}"]
        words = {
            "abort": f"{what} taken back, to {live}; the spec holds {what} until a rollback puts {live} back there",
            "retry": f"FORWARD again to {what}, from its first step",
            "restart": f"the pods that {live} has now are replaced, one after the other",
            "pause": "spec.paused: it stops where it is", "resume": "spec.paused taken away: it goes on",
        }  # fmt: skip
        return [f"{order.order:<9}{words.get(order.order, what)}: {where}"]

    def manual_commands(self, order: Order) -> list[str]:
        """The same by the kubectl plugin of Argo Rollouts."""
        config = self._config
        words = ["kubectl", "argo", "rollouts"]
        names = ["-n", config.namespace] if config.namespace else []
        names += ["--context", config.kube_context] if config.kube_context else []
        names += ["--kubeconfig", config.kubeconfig] if config.kubeconfig else []
        number = self._reader.numbers.get(order.revision)
        undo = [f"--to-revision={number}"] if number else []
        return [
            shlex.join([*words, "abort", config.rollout, *names]),
            shlex.join([*words, "undo", config.rollout, *undo, *names]),
        ]

    async def aclose(self) -> None:
        """Close the connections to the API server; safe to call twice."""
        await self._api.aclose()

    # ---- inside

    async def _given(self, seen: Seen, order: Order, stamp: str) -> ControllerState:
        writer = self._writer
        if order.order == "release":
            await writer.send(seen, writer.image_patch(seen, order.version, stamp))
            return await self._seen(lambda state: bool(state.newest and state.newest.stamp == stamp))
        if order.order == "rollback":
            await writer.send(seen, writer.template_patch(seen, self._template(seen, order.revision), stamp))
            return await self._seen(lambda state: bool(state.newest and state.newest.stamp == stamp))
        if order.order in ("pause", "resume"):
            await writer.send(seen, writer.pause_patch(seen, order.order == "pause"))
            return await self._seen(lambda state: True)
        if order.order == "restart":
            await writer.send(seen, writer.restart_patch(seen))
            return await self._seen(lambda state: True)
        if order.order == "abort" and seen.is_told_anew:  # the controller would forget an abort that comes before it
            back = self._template(seen, seen.rollout.status.stable_rs)
            await writer.send(seen, writer.template_patch(seen, back, ""))
            return await self._seen(lambda state: True)
        if order.order == "promote":
            await writer.send(seen, writer.promote_patch(seen, order.how), status=True)
        else:
            await writer.send(seen, writer.abort_patch(seen, order.order == "abort"), status=True)
        was = seen.state.revision
        return await self._seen(lambda state: state.revision != was)

    async def _seen(self, holds: Callable[[ControllerState], bool]) -> ControllerState:
        async def look() -> tuple[ControllerState, str]:
            seen = await self._reader.look(judged=False)
            left = seen.unanswered or ("" if holds(seen.state) else "no effect seen of what was ordered")
            return seen.state, left

        return await acted_on(look)

    def _template(self, seen: Seen, revision: str) -> dict[str, object]:
        """That of a ReplicaSet by its hash, or by the number of its revision. Raises BackendError(not_found)."""
        found = seen.by_hash.get(revision) or next((each for each in seen.sets if str(each.revision) == revision), None)
        if found is None:
            known = ", ".join(str(each.revision) for each in seen.sets) or "none"
            words = f"Rollout {seen.name} has no revision {quoted(revision, 64)}"
            raise BackendError("not_found", words, fix=f"known: {known}")
        return without_hash(found.spec.template)

    async def _release_findings(self, seen: Seen, order: Order) -> list[Finding]:
        if problem := version_problem(order.version):
            return [Finding.block("version", problem, TAG_FIX)]
        try:
            patch = self._writer.image_patch(seen, order.version, "preflight")
        except BackendError as error:
            return [Finding.block("container", error.message, error.fix)]
        found = await self._owners(seen, "its image") + await self._around.conditions_of.held("Rollout", seen.name)
        try:
            await self._writer.send(seen, patch, dry_run=True)
        except BackendError as error:
            if error.kind in ("auth", "conflict") or error.status is None or error.status >= 500:
                raise
            text = f"the API server refuses the change: {error.message}"
            return [*found, Finding.block("dry-run", text, "see what its admission wants")]
        return [*found, *strategy_findings(seen.rollout)]

    async def _owners(self, seen: Seen, field: str) -> list[Finding]:
        """Who else writes it, and what Argo CD does then, and when."""
        metadata = seen.rollout.metadata
        marked = owners_by_mark(metadata, f"Rollout {seen.name}", field)
        return marked + await self_heal_findings(self._api, "Rollout", metadata)

    @staticmethod
    def _not_back(seen: Seen, order: Order) -> list[Finding]:
        """That what was aborted is still in the spec, with both ways out."""
        newest = seen.state.newest
        if newest is None or not newest.still_wanted or order.order == "rollback":
            return []
        back = newest.source.words if newest.source else "the stable version"
        text = f"{newest.target.words} was aborted and is still in the spec, {back} has the traffic: {newest.detail}"
        fix = f"rollback puts {back} back into the spec; retry goes forward to {newest.target.words} again"
        return [Finding(level="warning", code=ABORTED, text=text, fix=fix)]

    @property
    def _where(self) -> str:
        return self._config.words("Rollout", self._config.rollout)
