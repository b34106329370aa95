"""What `teal doctor` says of an entry that reaches AWS besides how it is: as whom, where, and which rights are
missing."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from backends.aws.witness import Callers, Look, Witness, witnessed
from backends.errors import BackendError
from backends.threads import DaemonThreads
from backends.together import together

LANES = 8


class Identity(Struct, frozen=True, kw_only=True):
    """As whom AWS is reached: `account`, `identity` (the ARN of the user or role), `region`, and in `missing_rights`
    what policies call the rights that reads were refused for."""

    account: str = ""
    identity: str = ""
    region: str = ""
    missing_rights: tuple[str, ...] = ()


@runtime_checkable
class Looks(Protocol):
    """An adapter that makes more reads than one look at it does."""

    def looks(self) -> Sequence[Look]:
        """Those that do no harm."""


class Identities:
    """Who the entries of a context are to AWS; those that are reached alike are asked for once."""

    def __init__(self) -> None:
        self._threads = DaemonThreads(LANES, "aws-doctor")
        self._callers = Callers()

    def witness(self, skews: list[float]) -> Witness:
        """For one entry; it hears each clock with `skews`."""
        return Witness(skews=skews, callers=self._callers)

    async def asked(self, ask: Callable[[], Awaitable[Any]], adapter: Callable[[], Any], witness: Witness) -> Any:
        """What `ask` returns or raises, once `witness` knows also what it did not need this time."""
        with witnessed(witness):
            try:
                found = await ask()
            except BackendError:
                await self._look_further(adapter, witness)
                raise
            await self._look_further(adapter, witness)
            return found

    async def _look_further(self, adapter: Callable[[], Any], witness: Witness) -> None:
        if not witness.sessions:
            return
        session, found = witness.sessions[0], adapter()
        looks = found.looks() if isinstance(found, Looks) else ()
        asked = (self._in_a_thread(partial(session.look, look)) for look in looks)
        await together(self._ask_caller(session), *asked)

    def _in_a_thread(self, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        return asyncio.wrap_future(self._threads.submit(work))

    async def _ask_caller(self, session: Any) -> None:
        with witnessed(Witness(callers=self._callers)), suppress(BackendError):  # that right no entry needs
            await self._in_a_thread(session.caller)

    def of(self, witness: Witness) -> Identity | None:
        """As far as it is known; None of an entry that asked AWS nothing."""
        if not witness.sessions:
            return None
        session = witness.sessions[0]
        caller = self._callers.known(session.reached_as)
        return Identity(
            account=caller.account if caller else "",
            identity=caller.arn if caller else "",
            region=session.region,
            missing_rights=tuple(witness.missing),
        )
