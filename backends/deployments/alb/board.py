"""What all `alb` services of a process show, read once for all of them: the rules of a listener in one call, and the
targets of a group. For panels only; who plans or writes reads for himself."""

import time
import weakref
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from backends.aws.account import Account
from backends.deployments.alb.health import Group, read_group
from backends.deployments.alb.places import Place
from backends.deployments.alb.rules import Rule, not_there, rule_of
from backends.errors import BackendError
from backends.flight import Flights
from backends.together import together

RULES_S, HEALTH_S = 5.0, 30.0
"""How old what is shown may be, while nobody looks each second."""
RULES_WATCHED_S, HEALTH_WATCHED_S = 0.5, 1.0
WATCHED_S = 3.0  # who asks again within this watches an action that is open
T = TypeVar("T")

_boards: "weakref.WeakKeyDictionary[Account, Board]" = weakref.WeakKeyDictionary()


def board_of(account: Account) -> "Board":
    """The one of that account in this process."""
    found = _boards.get(account)
    if found is None:
        found = _boards[account] = Board(account)
    return found


class Board:
    """What was read last, with the time of reading."""

    def __init__(self, account: Account) -> None:
        self._account = weakref.ref(account)
        self._kept: dict[str, tuple[float, Any]] = {}
        self._flights = Flights()

    async def rules(
        self, places: tuple[Place, ...], groups: dict[str, str], *, watched: bool
    ) -> tuple[list[Rule], datetime]:
        """Those of `places`, without their marks, and when the oldest was read. Raises BackendError."""
        max_age_s = RULES_WATCHED_S if watched else RULES_S
        listeners = list(dict.fromkeys(place.listener for place in places))
        read = await together(
            *(self._recent(listener, max_age_s, partial(self._listener, listener)) for listener in listeners)
        )
        answers = {key: answer for _, found in read for key, answer in found.items()}
        missing = [place for place in places if place.arn not in answers]
        if missing:
            raise not_there(missing[0])
        return [rule_of(place, answers[place.arn], groups) for place in places], min(at for at, _ in read)

    async def group(self, place: Place, *, watched: bool) -> Group:
        """The targets of one. What goes wrong is its `problem`."""
        max_age_s = HEALTH_WATCHED_S if watched else HEALTH_S
        account = self._reader()
        try:
            _, found = await self._recent(place.arn, max_age_s, lambda: read_group(account, place))
        except BackendError as error:
            return Group(place=place, at=datetime.now(UTC), problem=error.message)
        return found

    def forget(self) -> None:
        """Something was written: what is shown next is read anew."""
        self._kept.clear()

    def _reader(self) -> Account:
        account = self._account()
        assert account is not None  # whoever asks holds it
        return account

    async def _listener(self, arn: str) -> dict[str, dict[str, Any]]:
        """Its rules by ARN, and the default one by the listener's."""
        found = await self._reader().pages("elbv2", "describe_rules", "Rules", ListenerArn=arn, PageSize=400)
        return {(arn if each.get("IsDefault") else str(each.get("RuleArn"))): each for each in found}

    async def _recent(self, key: str, max_age_s: float, read: Callable[[], Awaitable[T]]) -> tuple[datetime, T]:
        """What was read of `key`; read once for all who ask at the same time."""
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() - kept[0] <= max_age_s:
            found: tuple[datetime, T] = kept[1]
            return found
        return await self._flights(key, lambda: self._read(key, read))

    async def _read(self, key: str, read: Callable[[], Awaitable[T]]) -> tuple[datetime, T]:
        at, since = datetime.now(UTC), time.monotonic()
        found = (at, await read())
        self._kept[key] = (since, found)
        return found
