"""Who is on call."""

from datetime import datetime
from typing import Protocol

from backends.models import OnCall
from backends.ports.closable import Closable


class Schedules(Closable, Protocol):
    """Schedules of people on call. `me`: what whoever they are asked as is called there, once that is known; empty
    where they are asked as nobody."""

    me: tuple[str, ...]

    async def on_call(self, at: datetime) -> list[OnCall]:
        """Each schedule as it is at that time, of the past or to come. One of which that cannot be said is `unknown`;
        one that has nobody then is a `warning`. Raises BackendError where none can be read."""
