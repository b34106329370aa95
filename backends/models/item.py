"""What every port hands out, whatever it is."""

from typing import Protocol

from backends.models.health import Health

Panel = str
"""What a snapshot is of: the name of a port that is read, or `timeline`."""


class Item(Protocol):
    """One thing that a source told of."""

    @property
    def health(self) -> Health:
        """How well it is."""
