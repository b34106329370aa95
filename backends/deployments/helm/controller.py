"""A release of Helm, which replaces what runs: it is read from the cluster, and rolled back by the `helm` program.

```toml
[[contexts.production.deployments]]
name = "model"
type = "helm"
kube_context = "prod"
namespace = "models"
release = "model"
timeout = "5m"
hooks = true                           # false: --no-hooks
deploy = ["./upgrade-model", "{version}"]   # helm upgrade model ./chart --reuse-values --set image.tag="$1" --wait …
probe = { url = "https://model.example.com/health", version_header = "X-Version" }
```
Nothing but reading works without the program; the plan then has the command. Rights and limits: docs/kubernetes.md.
Source: https://helm.sh/docs/topics/advanced/#storage-backends
"""

import asyncio
import contextlib
import shlex
import time
from pathlib import Path

from msgspec.structs import replace

from backends.commands import CommandEnd, filled
from backends.deployments.controlled import deployment_of, refuse_untaken, unheeded, version_layer
from backends.deployments.helm.binary import Binary
from backends.deployments.helm.findings import history_finding, release_findings, rollback_findings
from backends.deployments.helm.pods import behind
from backends.deployments.helm.running import Runs, fate_of
from backends.deployments.helm.state import Means, Seen
from backends.deployments.helm.store import DRIVERS, Mark, Marked, Revised, Store
from backends.deployments.kubernetes.config import InCluster
from backends.deployments.kubernetes.preflight import check_rights, ending, identity_findings
from backends.errors import BackendError
from backends.images import TAG_FIX, version_problem
from backends.kubernetes.api import WRITE_BOUND_S
from backends.literals import shown_command
from backends.models import Deployment, Finding
from backends.ownership import command_problem
from backends.ports import ControllerState, Operation, Order
from backends.processes import Running
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.together import together

LOOK_S = 0.2
_NOT_KEPT = {
    "sql": "a database keeps its releases, which is not read from here",
    "memory": "its releases are kept nowhere",
}
_SOMEBODY_ELSE = ("another operation", "already exists")
"""How Helm says that the newest revision is not the one that it makes."""
_WELL = "its command ended well"


class HelmConfig(InCluster, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A release.

    release: its name.
    binary: the `helm` program, of version 3 or 4.
    driver: where Helm keeps releases, as HELM_DRIVER says it: `secret` or `configmap`.
    hooks: whether a rollback runs the hooks of the revision that it goes back to.
    timeout: how long Helm waits for each thing that it waits for.
    container: whose image is the version; by default what all images have, else what the chart says of its application.
    """

    release: str
    binary: str = "helm"
    driver: str = "secret"
    hooks: bool = True
    timeout: Duration = Duration(300)
    container: str = ""

    def __post_init__(self) -> None:
        if not self.release or not self.binary:
            raise ValueError("release and binary: neither may be empty")
        if why := _NOT_KEPT.get(self.driver):
            raise ValueError(f"driver: {self.driver}: {why}; `helm history {self.release}` shows them")
        if self.driver not in DRIVERS:
            raise ValueError("driver: secret or configmap")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        if self.deploy and not any("{version}" in word for word in self.deploy):
            raise ValueError("deploy: {version} is nowhere in it")
        if forced := next((word for word in self.deploy if word.startswith("--force")), ""):
            raise ValueError(f"deploy: {forced} replaces objects that it can not change: leave it out")
        if problem := unheeded(self, "Helm", heeded=HelmController.heeds):
            raise ValueError(problem)

    def writes(self, base_dir: Path) -> frozenset[str]:
        """The release, as the entry names its cluster."""
        return frozenset({self.in_cluster("release", self.release, base_dir)})

    @property
    def takes_s(self) -> float:
        """After how long a command of it is ended: hooks before and after, and what it waits for in between."""
        return 3 * float(self.timeout) + 60


class HelmController:
    """The `Controller` of one release."""

    api = 1
    Config = HelmConfig
    heeds = frozenset({"deploy", "env"})

    def __init__(self, config: HelmConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._api = config.api(context.base_dir)
        self._store = Store(self._api, config.release, config.driver, config.container)
        self._binary = Binary(
            config.binary, context.base_dir, self._api, kubeconfig=config.kubeconfig, driver=config.driver,
            env=config.env,
        )  # fmt: skip
        self._directory = context.base_dir
        self._runs = Runs()
        self._ordering = asyncio.Lock()

    @property
    def object_id(self) -> str:
        """Namespace, name and cluster."""
        return self._config.object_id(self._config.release)

    @property
    def order_settles_s(self) -> float:
        """As long as the mark that comes first may be on its way: its command begins after it or never."""
        return WRITE_BOUND_S + 2.0

    async def deployment(self) -> Deployment:
        """The newest revision, the pods of what is deployed, and one fresh request. Raises BackendError where the
        release itself can not be read."""
        seen = await self._look()
        state = seen.state
        data, (endpoints, stable) = await together(
            version_layer(state, self._config),
            behind(self._api, seen.deployed, open_=state.open is not None),
        )
        return deployment_of(self._name, state, self._where, endpoints=endpoints, data=data, sides={"stable": stable})

    async def observe(self) -> ControllerState:
        """The release now. Raises BackendError."""
        return (await self._look()).state

    async def operation(self, operation: str) -> Operation:
        """A change by the revision that it made."""
        return (await self._look()).operation(operation)

    async def preflight(self, expected: ControllerState, order: Order) -> list[Finding]:
        """Who we are, our rights and those of Helm, its version; of a way back the hooks that it runs, what it deletes,
        leaves and can not change. Nothing is written."""
        identity, rights, ends, seen = await together(
            identity_findings(self._api), check_rights(self._api, self._rights), ending(self._api), self._look()
        )
        found = [*identity, rights, *ends, history_finding(seen.revisions)]
        if order.order == "release":
            return found + await self._release_findings(seen, order.version)
        if order.order not in ("rollback", "abort"):
            return found
        version = await self._binary.version()
        now, to = seen.last, self._back_to(seen, order)
        command = self._binary.shown(await self._command(to.number, version.major))
        found.append(Finding(level="ok", code="helm", text=f"{version.words}: {command}"))
        hooks = self._config.hooks
        return found + await asyncio.to_thread(rollback_findings, now, to, hooks=hooks, version=version)

    async def order(self, expected: ControllerState, order: Order, *, stamp: str) -> ControllerState:
        """A rollback by `helm`, a release by the command `deploy`, the end of such a command and a rollback. It returns
        as soon as the new revision is there; the command goes on. Raises as the port says."""
        async with self._ordering:
            seen, marked = await self._looked()
            refuse_untaken(order, expected, seen.state, self._where)
            if order.order == "release":
                command = filled(self._config.deploy, {"version": order.version, "service": self._name})
                return (await self._changed(seen, marked, command, Mark(stamp, seen.last.number + 1))).state
            if order.order == "abort":
                seen, marked = await self._ended(seen, marked)
            to = self._back_to(seen, order)
            version = await self._binary.version()
            command = await self._command(to.number, version.major)
            mark = Mark(stamp, seen.last.number + 1, to=to.number)
            found = await self._changed(seen, marked, command, mark)
            if order.order == "abort":
                return replace(found.state, newest=found.operation(order.operation))
            return found.state

    def describe_order(self, expected: ControllerState, order: Order) -> list[str]:
        """One line for the order, one for the command."""
        stable, where = expected.view.stable, self._where
        live = stable.words if stable else "nothing"
        if order.order == "release":
            command = filled(self._config.deploy, {"version": order.version, "service": self._name})
            runs = f"runs     {shown_command(command)}" if command else "by hand, it has no `deploy`"
            return [f"release  {live} → {order.version}: {where}", runs]
        if order.order == "rollback":
            to = order.version or f"revision {order.revision}"
            how = "--wait" if self._config.hooks else "--wait --no-hooks"
            helm = f"runs     {self._binary.program} rollback {self._config.release} {order.revision} … {how}"
            return [f"rollback {live} → {to}: {where}", helm]
        open_ = expected.open
        what = open_.name if open_ else where
        return [f"{order.order:<9}{what}: its command is ended, and rolled back to {live}"]

    def manual_commands(self, order: Order) -> list[str]:
        """The same by helm."""
        config = self._config
        revision = order.revision if order.revision.isdecimal() else "REVISION"
        names = ["-n", config.namespace] if config.namespace else []
        names += ["--kube-context", config.kube_context] if config.kube_context else []
        names += ["--kubeconfig", config.kubeconfig] if config.kubeconfig else []
        back = [config.binary, "rollback", config.release, revision, *names, "--wait", "--timeout", self._timeout]
        back += [] if config.hooks else ["--no-hooks"]
        return [shlex.join([config.binary, "history", config.release, *names]), self._binary.shown(back)]

    async def aclose(self) -> None:
        """End what runs still, and close the connections; safe to call twice."""
        await self._runs.aclose()
        await self._api.aclose()

    # ---- inside

    @property
    def _where(self) -> str:
        namespace = f" in {self._config.namespace}" if self._config.namespace else ""
        return f"release {self._config.release}{namespace}"

    @property
    def _timeout(self) -> str:
        return f"{float(self._config.timeout):.0f}s"

    @property
    def _rights(self) -> tuple[tuple[str, str, str], ...]:
        """Those of reading, of the mark, and of what Helm writes of itself."""
        kind = DRIVERS[self._config.driver]
        helm = {("get", "", kind), ("list", "", kind), ("create", "", kind), ("update", "", kind), ("delete", "", kind)}
        mine = {("get", "", "configmaps"), ("create", "", "configmaps"), ("patch", "", "configmaps")}
        return tuple(sorted(helm | mine))

    async def _look(self) -> Seen:
        return (await self._looked())[0]

    async def _looked(self) -> tuple[Seen, Marked]:
        # In this order: what is pending still, once its process was seen to be gone, stays so.
        marked = await self._store.mark()
        command = marked.mark.command if marked.mark is not None else None
        fate, means = await asyncio.to_thread(lambda: (fate_of(command), self._means()))
        revisions = await self._store.revisions()
        return Seen(self._config.release, revisions, marked.mark, fate, means), marked

    def _means(self) -> Means:
        """Blocks."""
        config = self._config
        scope = f" -n {config.namespace}" if config.namespace else ""
        no_helm = self._binary.problem()
        by_hand = self.manual_commands(Order(order="rollback"))[-1]
        return Means(
            scope=scope, takes_s=config.takes_s,
            no_release="" if config.deploy else
            "Helm makes a version of a chart and values, which this entry has not: `deploy` is the command for it, say "
            f"`helm upgrade {config.release} CHART{scope} --reuse-values --set image.tag={{version}} --wait`",
            no_helm=f"{no_helm[0]}; by hand, elsewhere: `{by_hand}`" if no_helm else "",
        )  # fmt: skip

    @staticmethod
    def _back_to(seen: Seen, order: Order) -> Revised:
        """Where a way back goes. Raises BackendError: not_found, and `config` for a revision that failed."""
        if order.order == "abort":
            found = seen.good_below(seen.last.number)
            if found is None:
                raise BackendError("config", f"release {seen.name}: nothing was deployed before it")
            return found
        found = seen.numbered(order.revision)
        if not found.good:
            words = f"release {seen.name}: revision {found.number} is {found.status}: nothing goes back to it"
            raise BackendError("config", words, fix="name one that was deployed to its end")
        return found

    async def _command(self, revision: int, major: int) -> list[str]:
        config = self._config
        return await self._binary.rollback(
            config.release, str(revision), major=major, timeout_s=float(config.timeout), hooks=config.hooks
        )

    async def _changed(self, before: Seen, marked: Marked, command: list[str], mark: Mark) -> Seen:
        """What is seen once the command has made its revision. Raises BackendError(failed) where it ended without."""
        running = mark

        async def note(process: Running) -> None:
            nonlocal running
            running = replace(mark, command=process)
            await self._store.set_mark(marked, running)

        async def after(ended: CommandEnd) -> None:
            await self._note_end(running, ended)

        task = self._runs.begin(
            command, self._directory, timeout_s=self._config.takes_s, env=self._binary.inherited,
            told=self._binary.environment, note=note, after=after,
        )  # fmt: skip
        while True:
            done, _ = await asyncio.wait({task}, timeout=LOOK_S)
            try:
                seen = await self._look()
            except BackendError:
                if done:
                    raise
                continue
            ended = task.result() if done else None
            if seen.last.number == mark.revision and seen.newest.stamp == mark.stamp:
                return seen
            if ended is None:
                continue
            if seen.last.number > before.last.number:
                words = f"{self._where}: somebody else made revision {seen.last.number} in the same moment"
                raise BackendError("conflict", words, fix="look again, then plan anew")
            why = ended.why or "it ended well, and made no new revision"
            raise BackendError("failed", f"{self._where}: {why}", fix="run the command by hand to see why")

    async def _note_end(self, mark: Mark, ended: CommandEnd) -> None:
        """How its command ended; where Helm says that somebody else was at work, the revision is not ours."""
        said = " ".join(ended.output)
        with contextlib.suppress(BackendError):  # its process is gone, which is seen as well
            made = any(each.number == mark.revision for each in await self._store.revisions())
            mine = made and not (ended.why and any(words in said for words in _SOMEBODY_ELSE))
            over = replace(mark, stamp=mark.stamp if mine else "", command=None, ended=ended.why or _WELL)
            marked = await self._store.mark()
            if marked.mark == mark:
                await self._store.set_mark(marked, over)

    async def _ended(self, seen: Seen, marked: Marked) -> tuple[Seen, Marked]:
        """The command of ours that is at work, ended. Raises BackendError(conflict) where it came to its end first."""
        command = marked.mark.command if marked.mark is not None else None
        if command is not None and not await self._runs.end(command):
            words = f"{self._where}: {command} can not be ended from here"
            raise BackendError("config", words, fix=f"end it on {command.host}")
        until = time.monotonic() + WRITE_BOUND_S
        while True:
            seen, marked = await self._looked()
            if not seen.newest.open or time.monotonic() >= until:
                break
            await asyncio.sleep(LOOK_S)
        if seen.newest.state == "succeeded":
            words = f"{self._where}: revision {seen.last.number} had come to its end before it was stopped"
            raise BackendError("conflict", words, fix="roll it back")
        return seen, marked

    async def _release_findings(self, seen: Seen, version: str) -> list[Finding]:
        if problem := version_problem(version):
            return [Finding.block("version", problem, TAG_FIX)]
        problem_of = await asyncio.to_thread(command_problem, self._config.deploy, self._directory)
        if problem_of is not None:
            return [Finding.block("deploy-command", f"deploy: {problem_of[0]}", problem_of[1])]
        text = "deploy makes the revision; its chart and values are whoever wrote the command's"
        found = [Finding(level="ok", code="deploy-command", text=text)]
        hooks = self._config.hooks
        return found + await asyncio.to_thread(release_findings, seen.deployed, hooks=hooks)
