"""A version put on a side of a load balancer by the commands of the entry, and taken down when no client is left."""

from collections.abc import Awaitable, Callable

from backends.errors import BackendError
from backends.models import Finding
from backends.ports import Deployed, Deployer, retire_findings


class Patient:
    """`deployer`, which retires a side only after `may_go` has let it."""

    def __init__(self, deployer: Deployer, may_go: Callable[[str], Awaitable[None]]) -> None:
        self._deployer = deployer
        self._may_go = may_go
        self.deployed = deployer.deployed
        self.deploy_preflight = deployer.deploy_preflight
        self.deploy = deployer.deploy
        self.rollout = deployer.rollout
        self.restore = deployer.restore
        self.describe_deploy = deployer.describe_deploy
        self.describe_retire = deployer.describe_retire

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
