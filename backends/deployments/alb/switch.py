"""Target groups behind an Application Load Balancer: traffic moves by the weights in rules and default actions.

```toml
[[contexts.production.deployments]]
name = "model"
type = "alb"
aws = { region = "eu-central-1", profile = "data-oncall", account = "123456789012" }
rules = ["arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener-rule/app/model/50dc6c49/f2f7dc8e/9683b2d0"]
listeners = []                       # listeners whose default action is moved too
target_groups = { blue = "arn:…:targetgroup/model-blue/73e2d6bc", green = "arn:…:targetgroup/model-green/22ca1f6e" }
```
Rights, limits and a first ten minutes: docs/aws.md.
"""

import asyncio
import time
from collections.abc import Awaitable
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from backends.aws.account import SETTLES_S, account_of
from backends.aws.witness import Look
from backends.deployments.alb.board import WATCHED_S, board_of
from backends.deployments.alb.config import AlbConfig
from backends.deployments.alb.deployer import Patient
from backends.deployments.alb.health import Group, endpoints_of, read_group, refuse_a_side_that_is_down, side_of
from backends.deployments.alb.leaving import Further, read_attributes, read_further, refuse_while_clients_stay
from backends.deployments.alb.owners import owners
from backends.deployments.alb.preflight import identity, of_rules, of_targets, of_times
from backends.deployments.alb.rules import Rule, combine, read_rules
from backends.deployments.alb.writer import Writer
from backends.deployments.command_deployer import command_deployer
from backends.deployments.common import live_color
from backends.deployments.sides import UrlSides, moves_words, shares_words
from backends.deployments.switch_format import check_weights, refuse_older_fence
from backends.errors import BackendError, nothing_sent
from backends.models import ColorState, Deployment, Finding, Truth, TruthLayer
from backends.ports import Deployer, RequestCounts, SwitchState
from backends.registry import AdapterContext
from backends.text import clean, first_line
from backends.together import together

READ_BACK_S = (0.2, 0.5, 0.0)
JUST_READ_S = 2.0
T = TypeVar("T")


class AlbSwitch:
    """The `Switch` of a set of rules and default actions."""

    api = 1
    Config: type[AlbConfig] = AlbConfig

    def __init__(self, config: AlbConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._places = config.places
        self._groups = config.group_places
        self._region, self._account_id = self._places[0].region, self._places[0].account
        # The ARNs name the account: who calls is asked by `preflight`, and STS is in nobody's way back.
        access = replace(config.aws, region=config.aws.region or self._region, account="")
        self._words = access.command("elbv2")
        self._account = account_of(access, context.base_dir, timeout_s=float(config.timeout))
        self._board = board_of(self._account)
        self._writer = Writer(self._account, config.target_groups)
        self._sides = UrlSides(config, context.http)
        commands = command_deployer(config, context, health=self.color_health, observe=self.observe)
        self._deployer = Patient(commands, self._may_go, self._waits_for) if commands is not None else None
        self._last: tuple[float, list[Rule]] = (float("-inf"), [])
        self._shown_at = float("-inf")
        self._unmarked: SwitchState | None = None

    @property
    def object_id(self) -> str:
        """The ARNs, which name account and region."""
        return ", ".join(sorted(place.arn for place in self._places))

    @property
    def can_split(self) -> bool:
        """Always."""
        return True

    @property
    def write_settles_s(self) -> float:
        """As long as a call that was cut off may still be on its way."""
        return SETTLES_S

    @property
    def deployer(self) -> Deployer | None:
        """The commands `deploy` and `retire`, where the config has them: a load balancer puts no version anywhere."""
        return self._deployer

    async def deployment(self) -> Deployment:
        """Rules, targets, both sides and one fresh request. Rules may be 5 s old and targets 30 s, with their age,
        while nobody asks each second. Raises BackendError where the rules can not be read."""
        watched = time.monotonic() - self._shown_at < WATCHED_S
        self._shown_at = time.monotonic()
        (rules, at), groups, data = await together(
            self._ours(self._board.rules(self._places, self._config.target_groups, watched=watched)),
            together(*(self._board.group(place, watched=watched) for place in self._groups.values())),
            self._sides.data(),
        )
        control = combine(rules, self._config.colors)
        by_color = dict(zip(self._config.colors, groups, strict=True))
        told = await self._sides.states(control)
        sides = {color: self._side(by_color[color], side, color) for color, side in told.items()}
        said = "; ".join(filter(None, (self._where(), shares_words(control.served), control.detail)))
        truth = Truth(
            control=TruthLayer(value=control.live, detail=said, at=at),
            endpoints=endpoints_of(control.weights, by_color, self._config.min_healthy, control.live),
            data=data,
        )
        return Deployment(
            ref=f"{self._name}/{self._name}", backend=self._name, service=self._name, live=live_color(truth),
            colors=sides, truth=truth, mark=control.mark,
        )  # fmt: skip

    async def observe(self) -> SwitchState:
        """All rules with their marks, now. Raises BackendError."""
        found = combine(await self._read(), self._config.colors)
        own = self._unmarked
        return own if own is not None and own.revision == found.revision else found

    async def endpoints(self) -> TruthLayer:
        """The targets of both groups, now."""
        rules, groups = await together(self._read(), self._targets())
        control = combine(rules, self._config.colors)
        return endpoints_of(control.weights, groups, self._config.min_healthy, control.live)

    async def color_health(self, color: str) -> ColorState:
        """The targets of its group, as they were a second ago at most, and the color's own word. Never raises."""
        if color not in self._groups:
            known = ", ".join(self._config.colors)
            return ColorState(healthy=None, detail=f'no color "{clean(color, 64)}" here (known: {known})')
        told, group = await together(self._sides.health(color), self._board.group(self._groups[color], watched=True))
        return self._side(group, told, color)

    async def request_counts(self) -> RequestCounts:
        """Of the `exposition` of the config. What CloudWatch counts comes minutes late, and is for gates."""
        return await self._sides.request_counts()

    async def preflight(self, expected: SwitchState, weights: dict[str, int]) -> list[Finding]:
        """Who we are, for how long, the rules as they are, other owners, healthy targets, and what keeps clients back.

        Raises BackendError(auth) naming the right that is missing to look.
        """
        self._check(weights)
        asked = together(self._identity(), self._account.lifetime(self._longest_s(weights)))
        if expected.over:  # a runner on its way back, which read the rules before: each round trip is a user's
            (who, lasting), (rules, groups) = await together(asked, together(self._read(), self._targets()))
            further = Further()
        else:
            who, lasting = await asked  # nothing is read as a caller of another account
            rules, groups, further = await together(
                self._read(), self._targets(), read_further(self._account, self._groups)
            )
        tags = {**further.tags, **{rule.place.arn: rule.tags for rule in rules}}
        before = combine(rules, self._config.colors)
        wanted = before.weights or {self._config.colors[0]: 100}
        attach = self._writer.command(self._words, rules[0].place, wanted, rules[0].actions)
        return [
            who,
            *lasting,
            *of_rules(rules),
            *owners([*self._places, *self._groups.values()], tags),
            *of_targets(groups, before.weights, weights, self._config.min_healthy, attach),
            *of_times(rules, further.attributes),
        ]

    async def shift(
        self, expected: SwitchState, weights: dict[str, int], *, stamp: str, fence: int = 0, journal: str = ""
    ) -> SwitchState:
        """Marks are announced in tags; then, rule by rule, it is read again, and both colors go in one call.

        Raises BackendError: `config` for weights or actions that can not be sent, `conflict` where a rule is not as
        expected or the side that gains has too few healthy targets, `auth`; `timeout` and `unreachable` where nobody
        knows what came of it. What was written before a failure stays, with its mark: the same shift goes on with it.
        """
        self._check(weights)
        unmarked = ""
        async with self._writer.lock:
            targets = partial(self._refuse_a_side_that_is_down, expected.weights, weights)
            rules = self._just_read(expected) if expected.over else []
            beside = [targets] if rules else []  # they are looked at while the rules are marked, or before
            if not rules:
                with nothing_sent():
                    rules, _ = await together(self._read(), targets())
            found = combine(rules, self._config.colors)
            self._must_be(found, expected)
            refuse_older_fence(self._where(), found, stamp, fence, journal)
            try:
                unmarked = await self._writer.write(
                    rules,
                    weights,
                    stamp=stamp,
                    fence=fence,
                    journal=journal,
                    back=expected.over,
                    each=expected.back_to,
                    beside=beside,
                )
            finally:
                self._board.forget()
            if unmarked:
                return await self._written_unmarked(weights, stamp, fence, journal, unmarked)
            after = await self._written(weights, stamp)
        if after.weights != weights or after.stamp != stamp:
            said = first_line(after.detail) or shares_words(after.weights)
            raise BackendError("conflict", f"{self._where()}: somebody wrote in the same moment: {said}")
        return after

    async def mark_ended(self, expected: SwitchState) -> None:
        """The tag of each rule. Read before, not compared in the same call: AWS has none that does."""
        async with self._writer.lock:
            rules = await self._read()
            self._must_be(combine(rules, self._config.colors), expected)
            await self._writer.mark_ended(rules)

    def describe_shift(self, before: SwitchState, weights: dict[str, int]) -> list[str]:
        """One line for all with account and region, one for the shares, one for each rule."""
        to = SwitchState(weights=weights, revision="").live
        lines = [f"control  {self._where()}: {before.live} → {to}"]
        lines.append(f"traffic  {moves_words(before, weights, self._config.colors)}")
        return lines + [f"rule     {place.arn}" for place in self._places]

    def manual_commands(self, weights: dict[str, int]) -> list[str]:
        """Each rule by the AWS command line, with all its actions as they were read last. Of one that was never read
        there is none: nobody knows what else a write of its actions would take away."""
        read = (rule for rule in self._last[1] if rule.actions)
        return [self._writer.command(self._words, rule.place, weights, rule.actions) for rule in read]

    def looks(self) -> list[Look]:
        """What is asked for a plan and for a retirement."""
        arn = next(iter(self._groups.values())).arn
        return [
            Look("elbv2", "describe_tags", {"ResourceArns": [arn]}),
            Look("elbv2", "describe_target_health", {"TargetGroupArn": arn}),
            Look("elbv2", "describe_target_group_attributes", {"TargetGroupArn": arn}),
        ]

    async def aclose(self) -> None:
        """Nothing is held open but what all of this process share."""

    async def _identity(self) -> Finding:
        """As whom. Raises BackendError(auth) for another account. Who can not be asked for keeps nobody from going
        back."""
        try:
            return identity(await self._account.caller(), self._account_id, self._region)
        except BackendError as error:
            if error.kind not in ("unreachable", "timeout", "rate_limited", "malformed"):
                raise
            text = f"who calls is not known: {error.message}"
            return Finding(level="block", code="identity", text=text, fix="see that STS answers", overridable=True)

    async def _written(self, weights: dict[str, int], stamp: str) -> SwitchState:
        """What is there after a write that AWS has answered: what it describes may come a moment after."""
        for wait_s in READ_BACK_S:
            after = await self.observe()
            if (after.weights, after.stamp) == (weights, stamp):
                break
            await asyncio.sleep(wait_s)
        return after

    async def _written_unmarked(
        self, weights: dict[str, int], stamp: str, fence: int, journal: str, why: str
    ) -> SwitchState:
        """A way back that could not leave its mark: this process knows it as its own until somebody writes. Raises
        BackendError(conflict)."""
        for wait_s in READ_BACK_S:
            after = combine(await self._read(), self._config.colors)
            if after.weights == weights:
                self._unmarked = replace(after, stamp=stamp, fence=fence, journal=journal, wrote=weights, ended=False)
                return replace(self._unmarked, detail=f"written without its mark: {why}")
            await asyncio.sleep(wait_s)
        raise BackendError("conflict", f"{self._where()}: somebody wrote in the same moment")

    async def _ours(self, reading: Awaitable[T]) -> T:
        """What was read. Where that may not be, or is not there, the caller may be of another account: that is said
        instead. Raises BackendError."""
        try:
            return await reading
        except BackendError as error:
            if error.kind in ("auth", "not_found"):
                identity(await self._account.caller(), self._account_id, self._region)
            raise

    async def _read(self) -> list[Rule]:
        since = time.monotonic()
        rules = await self._ours(read_rules(self._account, self._places, self._config.target_groups))
        self._last = (since, rules)
        return rules

    def _just_read(self, expected: SwitchState) -> list[Rule]:
        """What `expected` was made of, where it was read last and a moment ago; else nothing. Each is read again right
        before its write."""
        since, rules = self._last
        recent = bool(rules) and time.monotonic() - since < JUST_READ_S
        return rules if recent and combine(rules, self._config.colors).revision == expected.revision else []

    async def _refuse_a_side_that_is_down(self, before: dict[str, int], weights: dict[str, int]) -> None:
        groups = await self._targets(*(color for color in self._groups if weights.get(color)))
        refuse_a_side_that_is_down(groups, before, weights, self._config.min_healthy)

    async def _targets(self, *colors: str) -> dict[str, Group]:
        """Of these, or of both, now. Raises BackendError for a group that is not there, or may not be looked at."""
        asked = colors or tuple(self._groups)
        found = await together(*(read_group(self._account, self._groups[color]) for color in asked))
        return dict(zip(asked, found, strict=True))

    def _side(self, group: Group, told: ColorState, color: str) -> ColorState:
        return side_of(group.state(self._config.min_healthy), told, speaks=color in self._config.health)

    async def _waits_for(self, color: str) -> str:
        """Which targets of a side that is up are not healthy yet, of as many as carry the traffic on the other."""
        told, groups = await together(self._sides.health(color), self._targets())
        if color in self._config.health and not told.healthy:
            return ""  # it is the side itself, and that is asked next
        group, others = groups[color], [other for name, other in groups.items() if name != color]
        carrying = max((other.healthy for other in others), default=0)
        needed = max(self._config.min_healthy, min(group.registered, carrying))
        return "" if group.healthy >= needed else f"the load balancer has {group.words}"

    async def _may_go(self, color: str) -> None:
        rules, attributes = await together(self._read(), read_attributes(self._account, self._groups))
        refuse_while_clients_stay(rules, attributes[color], color)

    def _must_be(self, found: SwitchState, expected: SwitchState) -> None:
        if not found.weights:
            why, _, fix = found.detail.partition("\n")
            raise BackendError("conflict", f"{why}: not written over", fix=fix)
        if (found.weights, found.revision) != (expected.weights, expected.revision):
            said = first_line(found.detail) or shares_words(found.weights)
            raise BackendError("conflict", f"{self._where()}: it says {said}, stamp {found.stamp or 'none'}: changed")

    def _check(self, weights: dict[str, int]) -> None:
        if problem := check_weights(weights, self._config.colors):
            fix = "weights in percent, summing to 100"
            raise BackendError("config", f"{self._where()}: refused: {problem}", fix=fix)

    def _longest_s(self, weights: dict[str, int]) -> float:
        """As long as an action that starts with this shift may take by its stages and its bake."""
        split = sum(weight > 0 for weight in weights.values()) > 1
        stages = max((len(shares) for shares in self._config.stages.values()), default=5) if split else 0
        return stages * float(self._config.stage_time) + float(self._config.bake)

    def _where(self) -> str:
        names = ", ".join(dict.fromkeys(place.name for place in self._places))
        count = len(self._places)
        what = self._places[0].words if count == 1 else f"{count} rules of {names}"
        return f"ALB {what} (account {self._account_id}, {self._region})"
