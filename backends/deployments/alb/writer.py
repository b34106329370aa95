"""Weights into rules and default actions, one after the other; on the way back all at once.

The API has no compare-and-swap. What stands for it is the lease, a lock for the writers of this process, and reading
each rule right before and after its write: between that read and the write there is one round trip in which somebody
else's change is written over. Both colors go in one call, so a rule is never half of anything; a set of rules is, until
its last one is written.
"""

import asyncio
import json
import shlex
from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from backends.aws.account import Account
from backends.deployments.alb.forwarding import Action, digest_of, rewritten
from backends.deployments.alb.marks import BEFORE, MARK, Mark, announced, now
from backends.deployments.alb.places import Place
from backends.deployments.alb.rules import Rule, read_rules
from backends.errors import BackendError, ErrorKind
from backends.together import together

_ANSWERS: frozenset[ErrorKind] = frozenset({"auth", "config", "conflict", "failed", "not_found", "rate_limited"})
LOOK_AGAIN_S = (0.2, 0.5, 1.0, 2.0)


class Writer:
    """Writes to the rules of one service. `groups`: the ARN of each color's target group."""

    def __init__(self, account: Account, groups: dict[str, str]) -> None:
        self._account = account
        self._groups = groups
        self.lock = asyncio.Lock()

    async def write(
        self, rules: list[Rule], weights: dict[str, int], *, stamp: str, fence: int, journal: str,
        back: bool = False, each: dict[str, dict[str, int]] | None = None,
        beside: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> str:  # fmt: skip
        """Every rule that this very write has not reached yet; one that has its weights already is only marked.
        `rules`: as they are now. `each`: other weights than `weights`, by the ARN of a rule. `back`: a way back, which
        writes all rules at once, and goes without its mark where that is refused. `beside`: what is asked while the
        rules are marked; where it raises none is written. Returns why it left none; else nothing.

        Raises BackendError, with what was written beside it in the message; `conflict` where a rule is not as in
        `rules`; `timeout` and `unreachable` where nobody knows what came of the last one.
        """
        for rule in rules:
            if why := rule.unwritable():
                raise BackendError("config", f"{rule.place.words}: {why}", fix="see docs/aws.md: what is refused")
        number = 1 + max((mark.number for rule in rules if (mark := rule.mark)), default=0)
        wanted = {rule.place.arn: (each or {}).get(rule.place.arn, weights) for rule in rules}
        writes = [
            (rule, Mark(
                number=number, digest=self._digest(rule, wanted[rule.place.arn]),
                stamp=stamp, fence=fence, journal=journal, at=now(),
            ))
            for rule in rules
            if not is_done(rule, wanted[rule.place.arn], stamp)
        ]  # fmt: skip
        unmarked, _ = await together(self._announce(writes, back=back), together(*(ask() for ask in beside)))
        written: list[str] = []

        async def one(rule: Rule, mark: Mark) -> None:
            try:
                await self._write(rule, wanted[rule.place.arn], mark)
            except BackendError as error:
                words = f"{rule.place.words}: {error.message}"
                raise BackendError(error.kind, words, fix=error.fix, status=error.status) from None
            written.append(rule.place.words)

        try:
            if back:
                await together(*(one(*each) for each in writes))
            else:  # an edit of the first one keeps the others as they are
                for rule, mark in writes:
                    await one(rule, mark)
        except BackendError as error:
            done = f"; written before it: {', '.join(written)}" if written else ""
            raise BackendError(error.kind, f"{error.message}{done}", fix=error.fix, status=error.status) from None
        return unmarked

    async def _announce(self, writes: list[tuple[Rule, Mark]], *, back: bool) -> str:
        """Mark what will be written; why there is no mark, on a way `back` that goes without."""
        try:
            await together(*(self._tag(rule, announced(mark, rule.mark, rule.digest)) for rule, mark in writes))
        except BackendError as error:
            if not back or error.kind != "auth":
                raise
            return error.message
        return ""

    def command(self, words: list[str], place: Place, weights: dict[str, int], actions: list[Action]) -> str:
        """A write as a person types it, without a mark; `words`: how a command begins, `actions`: those there
        now."""
        text = json.dumps(rewritten(actions or [{"Type": "forward"}], self._groups, weights))
        if place.kind == "listener":
            return shlex.join([*words, "modify-listener", "--listener-arn", place.arn, "--default-actions", text])
        return shlex.join([*words, "modify-rule", "--rule-arn", place.arn, "--actions", text])

    async def mark_ended(self, rules: list[Rule]) -> None:
        """Note on each that the action of its mark is over. Raises BackendError."""
        open_ = [(rule, mark) for rule in rules if (mark := rule.mark) is not None and not mark.ended]
        await together(
            *(
                self._tag(rule, [{
                    "Key": MARK if mark is rule.marks.latest else BEFORE, "Value": replace(mark, ended=True).text(),
                }])
                for rule, mark in open_
            )
        )  # fmt: skip

    async def _tag(self, rule: Rule, tags: list[dict[str, str]]) -> None:
        """Without an answer it is looked for; it moves no traffic, and so goes once more where it is not there."""
        try:
            await self._account.write("elbv2", "add_tags", ResourceArns=[rule.place.arn], Tags=tags)
        except BackendError as error:
            if _is_answer(error):
                raise
            own = (await self._read(rule)).tags
            if any(own.get(tag["Key"]) != tag["Value"] for tag in tags):
                await self._account.write("elbv2", "add_tags", ResourceArns=[rule.place.arn], Tags=tags)

    async def _write(self, rule: Rule, weights: dict[str, int], mark: Mark) -> None:
        again = await self._read(rule)
        # Tags may be described a moment after they were written: the mark before is no other's.
        ours = again.marks.latest in (mark, rule.marks.latest)
        if (again.digest, again.limits) != (rule.digest, rule.limits) or not ours:
            words = f"it was changed in this moment: {again.words}"
            raise BackendError("conflict", words, fix="see who writes it, then plan anew")
        if rule.digest == mark.digest:
            return
        try:
            await self._send(rule, weights)
        except BackendError as error:
            if not await self._arrived(rule, mark, error):
                raise

    def _digest(self, rule: Rule, weights: dict[str, int]) -> str:
        return rule.digest if rule.shares == weights else digest_of(rewritten(rule.actions, self._groups, weights))

    async def _send(self, rule: Rule, weights: dict[str, int]) -> None:
        actions = rewritten(rule.actions, self._groups, weights)
        if rule.place.kind == "listener":
            await self._account.write("elbv2", "modify_listener", ListenerArn=rule.place.arn, DefaultActions=actions)
        else:
            await self._account.write("elbv2", "modify_rule", RuleArn=rule.place.arn, Actions=actions)

    async def _arrived(self, rule: Rule, mark: Mark, error: BackendError) -> bool:
        """Whether a write that failed is there all the same: looked for a few times where AWS did not answer it."""
        if _is_answer(error):
            return False
        for wait_s in LOOK_AGAIN_S:
            await asyncio.sleep(wait_s)
            try:
                again = await self._read(rule)
            except BackendError:
                continue
            if again.digest == mark.digest:
                return True
            if again.digest != rule.digest:
                return False
        return False

    async def _read(self, rule: Rule) -> Rule:
        return (await read_rules(self._account, (rule.place,), self._groups))[0]


def _is_answer(error: BackendError) -> bool:
    """Whether AWS itself said no: then nothing came of it, and nothing will."""
    return error.kind in _ANSWERS or (error.status is not None and error.status < 500)


def is_done(rule: Rule, weights: dict[str, int], stamp: str) -> bool:
    """Whether the write with this stamp has reached it."""
    mark = rule.mark
    return mark is not None and (rule.shares, mark.stamp, mark.digest) == (weights, stamp, rule.digest)
