"""Reads one Rollout, its ReplicaSets and what judges them."""

from backends.deployments.argo_rollouts.analysis import ARGO, analysis_words
from backends.deployments.argo_rollouts.state import Seen
from backends.deployments.argo_rollouts.wire import ReplicaSet, Rollout
from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.custom import serves
from backends.kubernetes.wire import Items
from backends.redaction import quoted

NOT_INSTALLED_FIX = "install Argo Rollouts there, or correct `kube_context` of this entry"


class RolloutReader:
    """`name`: of the Rollout. `container`: whose image is the version; empty: the first."""

    def __init__(self, api: KubernetesApi, name: str, container: str) -> None:
        self._api = api
        self._name = name
        self._container = container
        self.numbers: dict[str, int] = {}
        """The revision of each hash that was seen, for commands that name it so."""

    async def path(self, *more: str) -> str:
        """Of the Rollout in the API."""
        return await self._api.path(ARGO, "rollouts", self._name, *more)

    async def look(self, *, judged: bool = True) -> Seen:
        """Now. `judged`: with its analysis runs, where a change is open or was aborted. Raises BackendError: `config`
        where the cluster does not know Rollouts."""
        rollout = await self._rollout()
        labels = rollout.spec.selector.match_labels or {}
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        params = {"labelSelector": selector} if selector else None
        listed = await self._api.get(await self._api.path("apps/v1", "replicasets"), Items[ReplicaSet], params=params)
        uid = rollout.metadata.uid
        sets = [each for each in listed.items if any(o.uid == uid for o in each.metadata.owner_references or ())]
        self.numbers |= {each.hash: each.revision for each in sets}
        status = rollout.status
        words = ""
        if judged and status.current_pod_hash != status.stable_rs:
            words = await analysis_words(self._api, status.current_pod_hash, uid, status.canary.current_experiment)
        return Seen(rollout, sets, self._container, words)

    async def _rollout(self) -> Rollout:
        try:
            return await self._api.get(await self.path(), Rollout)
        except BackendError as error:
            if error.kind == "not_found" and not await serves(self._api, ARGO, "rollouts"):
                where = (await self._api.access()).where
                words = f"{where} knows no Rollouts (argoproj.io/v1alpha1): the CRD of Argo Rollouts is not installed"
                raise BackendError("config", words, fix=NOT_INSTALLED_FIX, status=404) from None
            if error.kind == "not_found":
                namespace = quoted(await self._api.namespace(), 64)
                words = f'no Rollout "{quoted(self._name, 128)}" in namespace {namespace}'
                fix = f"`kubectl get rollouts -n {namespace}` names them: correct the entry"
                raise BackendError("not_found", words, fix=fix, status=404) from None
            raise
