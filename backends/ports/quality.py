"""Scores of datasets."""

from typing import Protocol

from backends.models import QualityScore
from backends.ports.closable import Closable


class Quality(Closable, Protocol):
    """Scores of datasets."""

    async def scores(self) -> list[QualityScore]:
        """The newest score of each dataset, with its trend, oldest first."""
