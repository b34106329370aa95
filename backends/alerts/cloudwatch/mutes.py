"""Orders to the mute rules of one account: each sent once; where its answer is lost, the rule is looked for."""

import asyncio
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from msgspec import Struct, field

from backends.alerts.cloudwatch.mute_rules import LONGEST, MAX_ALARMS, MuteRule, new_rule, rule_told
from backends.alerts.silences import SAME_TIME, ends_then, equal_silence, lasts
from backends.aws.account import MAX_PAGES, Account
from backends.aws.lost import is_lost, unless_done
from backends.aws.wire import told
from backends.errors import BackendError
from backends.models import Matcher
from backends.ports import SilenceResult
from backends.text import clean
from backends.times import away
from backends.together import few_at_a_time

LOOK_AGAIN_S = 0.2
SHOWN_WITHIN_S = 10.0
KEPT_RULES = 1_000
SIDE_BY_SIDE = 4


class _Summary(Struct, frozen=True, rename="pascal"):
    alarm_mute_rule_arn: str
    status: str = ""
    last_updated_timestamp: datetime | None = None

    @property
    def name(self) -> str:
        return self.alarm_mute_rule_arn.partition(":alarm-mute-rule:")[2] or self.alarm_mute_rule_arn


class _Page(Struct, frozen=True, rename="pascal"):
    alarm_mute_rule_summaries: list[_Summary] = field(default_factory=list)
    next_token: str = ""


class Mutes:
    """The mute rules of one account and region."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._known: dict[tuple[str, str, datetime | None], MuteRule] = {}

    async def rules(self, *statuses: str) -> list[MuteRule]:
        """All of these statuses, by default of any. Raises BackendError."""
        listed: list[_Summary] = []
        more: dict[str, Any] = {"Statuses": list(statuses)} if statuses else {}
        for _ in range(MAX_PAGES):
            answer = await self._account.read("cloudwatch", "list_alarm_mute_rules", MaxRecords=100, **more)
            page = told(answer, _Page, self._account.where)
            listed += page.alarm_mute_rule_summaries
            if not page.next_token:
                break
            more["NextToken"] = page.next_token
        found = await few_at_a_time(SIDE_BY_SIDE, (partial(self._rule_of, summary) for summary in listed))
        return [rule for rule in found if rule is not None]

    async def rule(self, name: str) -> MuteRule | None:
        """One now. Raises BackendError."""
        if not name:
            return None
        try:
            answer = await self._account.read("cloudwatch", "get_alarm_mute_rule", AlarmMuteRuleName=name)
        except BackendError as error:
            if error.kind == "not_found":
                return None
            raise
        return rule_told(answer, self._account.where)

    async def make(
        self, alarms: list[str], matchers: tuple[Matcher, ...], *, until: datetime, by: str, comment: str, ack: bool,
        order: str,
    ) -> SilenceResult:  # fmt: skip
        """A rule on `alarms`, or the equal one that is there. Raises BackendError."""
        if not alarms:
            raise BackendError(
                "not_found", "it matches no alarm: a rule mutes alarms by name", fix="check the spelling"
            )
        if len(alarms) > MAX_ALARMS:
            words = f"it matches {len(alarms)} alarms, and a mute rule takes {MAX_ALARMS}"
            raise BackendError("config", words, fix="narrow it down")
        _refuse_long(until)
        same = {
            rule.name: rule
            for rule in await self.rules("ACTIVE")
            if set(rule.silence("", 0).matchers) == set(matchers) and set(rule.mute_targets.alarm_names) == set(alarms)
        }
        equal = equal_silence((rule.silence("", 0) for rule in same.values()), by=by, ack=ack)
        if equal is not None:
            if lasts(equal, until):
                return self._result(equal.id, "ACTIVE", changed=False)
            return await self.extend(equal.id, until)
        name = f"teal-{'ack' if ack else 'silence'}-{order or secrets.token_hex(8)}"
        asked = new_rule(name, alarms, matchers, until=until, by=by, comment=comment, ack=ack)
        there = await self.rule(name)
        if there is not None:
            if not _is_of(there, asked):
                words = f"a mute rule {name} is there already, and is another one"
                raise BackendError("conflict", words, fix="look at it in CloudWatch; then plan anew")
            return self._result(name, there.status, changed=False)
        return await self._put(asked)

    async def extend(self, name: str, until: datetime, *, exactly: bool = False) -> SilenceResult:
        """The same rule with a later end; `exactly`: with that one. Raises BackendError."""
        rule = await self._there(name)
        if rule.status == "EXPIRED":
            ended = f" {away(rule.ends_at)} ago" if rule.ends_at else ""
            raise BackendError("conflict", f"mute rule {clean(name, 255)} expired{ended}", fix="make a new one")
        if rule.recurs:
            raise _of_others(name, "recurs: its owner says when it ends")
        if rule.ends_at is not None and ends_then(rule.ends_at, until, exactly=exactly):
            return self._result(name, rule.status, changed=False)
        _refuse_long(until, since=rule.starts_at)
        return await self._put(rule.lasting(until))

    async def expire(self, name: str) -> SilenceResult:
        """The rule mutes nothing any more; it is kept as expired, where AWS takes that. Raises BackendError."""
        rule = await self._there(name)
        if rule.status == "EXPIRED":
            return self._result(name, "EXPIRED", changed=False, ended=True)
        if rule.recurs:
            raise _of_others(name, "recurs: ending it would end every window to come")
        try:
            ended = await self._put(rule.asked(ExpireDate=datetime.now(UTC)), ended=True)
            if ended.visible_on:
                return ended
        except BackendError as error:
            if error.kind not in ("config", "failed"):
                raise
        await self._delete(name)  # it is still there, and mutes
        return self._result(name, "", changed=True, ended=True)

    # ---- inside

    async def _rule_of(self, summary: _Summary) -> MuteRule | None:
        key = (summary.name, summary.status, summary.last_updated_timestamp)
        if key not in self._known:
            rule = await self.rule(summary.name)
            if rule is None:
                return None
            if len(self._known) >= KEPT_RULES:
                self._known.clear()
            self._known[key] = rule
        return self._known[key]

    async def _there(self, name: str) -> MuteRule:
        rule = await self.rule(name)
        if rule is None:
            raise BackendError("not_found", f"no mute rule {clean(name, 255)!r}", fix="`teal alert silences`")
        return rule

    async def _put(self, asked: dict[str, Any], *, ended: bool = False) -> SilenceResult:
        try:
            await self._account.write("cloudwatch", "put_alarm_mute_rule", **asked)
        except BackendError as error:
            if not is_lost(error):
                raise
            found = await self._shown(asked, ended=ended)
            if found is None or not _is_of(found, asked):
                raise
            return self._result(found.name, found.status, changed=True, ended=ended)
        found = await self._shown(asked, ended=ended)
        return self._result(asked["Name"], found.status if found else "", changed=True, ended=ended)

    async def _shown(self, asked: dict[str, Any], *, ended: bool) -> MuteRule | None:
        """The rule, once it shows what was asked, or as it is when time is up."""
        deadline = asyncio.get_running_loop().time() + SHOWN_WITHIN_S
        found: MuteRule | None = None
        while True:
            with suppress(BackendError):  # what can not be seen now was asked for all the same
                found = await self.rule(asked["Name"])
            wanted = "EXPIRED" if ended else "ACTIVE"
            if found is not None and found.status == wanted and _is_of(found, asked):
                return found
            if asyncio.get_running_loop().time() >= deadline:
                return found
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _delete(self, name: str) -> None:
        async def is_gone() -> bool:
            return await self.rule(name) is None

        await unless_done(self._account.write("cloudwatch", "delete_alarm_mute_rule", AlarmMuteRuleName=name), is_gone)

    def _result(self, name: str, status: str, *, changed: bool, ended: bool = False) -> SilenceResult:
        peer = self._account.where
        shown = (peer,) if status in (("EXPIRED", "") if ended else ("ACTIVE",)) else ()
        behind = () if shown else (peer,)
        pending = (peer,) if status == "SCHEDULED" else ()
        return SilenceResult(id=name, changed=changed, peers=(peer,), visible_on=shown, behind=behind, pending=pending)


def _is_of(rule: MuteRule, asked: dict[str, Any]) -> bool:
    """Whether a rule is what was asked for, as far as it is not the clock's."""
    return (
        rule.description == asked["Description"]
        and set(rule.mute_targets.alarm_names) == set(asked["MuteTargets"]["AlarmNames"])
        and rule.expire_date is not None
        and abs(rule.expire_date - asked["ExpireDate"]) <= SAME_TIME
    )


def _refuse_long(until: datetime, since: datetime | None = None) -> None:
    if until - (since or datetime.now(UTC)) > LONGEST:
        raise BackendError("config", f"a mute rule lasts {LONGEST.days} days at most", fix="a shorter time")


def _of_others(name: str, why: str) -> BackendError:
    return BackendError("config", f"mute rule {clean(name, 255)} {why}", fix="change it where it was made")
