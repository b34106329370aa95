"""What all ports have in common."""

from typing import Protocol


class Closable(Protocol):
    """Everything that the registry builds."""

    async def aclose(self) -> None:
        """Release connections and threads; safe to call twice."""
