"""A version put on a side of a load balancer by the commands of the entry, and taken down when no client is left."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from backends.errors import BackendError
from backends.models import Finding
from backends.ports import Deployed, Deployer, Rollout, retire_findings


class Patient:
    """`deployer`, which retires a side only after `may_go` has let it. `waits_for`: why the load balancer does not have
    the targets of a side yet that is up by itself; empty where it has."""

    def __init__(
        self,
        deployer: Deployer,
        may_go: Callable[[str], Awaitable[None]],
        waits_for: Callable[[str], Awaitable[str]] | None = None,
    ) -> None:
        self._deployer = deployer
        self._may_go = may_go
        self._waits_for = waits_for
        self.deployed = deployer.deployed
        self.deploy_preflight = deployer.deploy_preflight
        self.deploy = deployer.deploy
        self.restore = deployer.restore
        self.describe_deploy = deployer.describe_deploy
        self.describe_retire = deployer.describe_retire

    async def rollout(self, color: str, version: str) -> Rollout:
        """As the port says; complete when the load balancer has the side's targets, too: a new one is checked for a
        while before it is."""
        found = await self._deployer.rollout(color, version)
        if found.state != "complete" or self._waits_for is None:
            return found
        why = await self._waits_for(color)
        return replace(found, state="progressing", detail=why) if why else found

    async def retire_preflight(self, color: str) -> list[Finding]:
        """That clients may still be there, and until when; and what `deployer` itself says."""
        own = await retire_findings(self._deployer, color)
        try:
            await self._may_go(color)
        except BackendError as error:
            if error.kind != "conflict":
                raise
            return [*own, Finding(level="block", code="clients-stay", text=error.message, fix=error.fix)]
        return own

    async def retire(self, expected: Deployed, color: str, *, stamp: str, fence: int = 0) -> Deployed:
        """As the port says; also `conflict` while clients may still be there."""
        await self._may_go(color)
        return await self._deployer.retire(expected, color, stamp=stamp, fence=fence)
