"""Health checks."""

from typing import Protocol

from backends.models import CheckResult
from backends.ports.closable import Closable


class Check(Closable, Protocol):
    """One health check."""

    async def run(self) -> CheckResult:
        """Look once. What is wrong with the checked system is a state, not an error."""
