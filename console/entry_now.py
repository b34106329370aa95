"""The entries of a context as its file says them now, which is what a runner reads when it starts."""

import asyncio
from collections.abc import Callable

from actions.described import Described, KeptEntry
from actions.targets import described
from backends.errors import BackendError
from console.config.load import Context, load_config, pick_context
from console.config_targets import ConfigTargets
from console.errors import ConfigError
from console.reading.adapters import Adapters


class EntryNow:
    """`FindEntry` of one context: those that were read, unless its file says otherwise now."""

    def __init__(self, context: Context, targets: Callable[[], ConfigTargets]) -> None:
        self._context, self._targets = context, targets

    async def __call__(self, row: KeptEntry) -> Described:
        """Raises BackendError, `config` where the file can not be used any more."""
        now = self._context if self._context.sandbox else await asyncio.to_thread(self._again)
        if now.digest == self._context.digest:
            return await described(self._targets(), row)
        adapters = Adapters(now)
        try:
            return await described(ConfigTargets(now, adapters), row)
        finally:
            await adapters.aclose()

    def _again(self) -> Context:
        try:
            return pick_context(load_config(self._context.path, check_entries=False), self._context.name)
        except ConfigError as error:
            raise BackendError("config", error.message, fix=error.fix) from None
