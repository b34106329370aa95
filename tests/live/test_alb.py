"""`alb` on moto with simecs before it, and simalb as the data plane: the contract on one rule, on two and on a default
action, and what only a load balancer does."""

import asyncio
import json
import shlex
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from backends.aws.access import AwsSession
from backends.aws.account import Account
from backends.deployments.alb.health import Group, Target
from backends.deployments.alb.places import Place
from backends.deployments.alb.rules import Rule
from backends.deployments.alb.switch import AlbSwitch
from backends.deployments.alb.writer import Writer
from backends.errors import BackendError
from backends.http import Http
from backends.ports import SwitchState, retire_findings
from backends.registry import AdapterContext, build
from backends.testing.deployments import BLUE, GREEN, Meddle, Sicken, SwitchContract
from tests.live.alb import TAGS, Bench, alb_bench
from tests.live.aws import AwsLab
from tests.live.process import until
from tests.two_colors import TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("aws"), pytest.mark.usefixtures("keys")]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with alb_bench(tmp_path_factory.mktemp("aws")) as found:
        yield found


@pytest.fixture
async def service(tmp_path: Path, bench: Bench) -> AsyncIterator[TwoColors]:
    async with bench.service(tmp_path) as service:
        await asyncio.to_thread(bench.reset)
        yield service


def switch_of(bench: Bench, service: TwoColors, http: Http, *, rules: Any = 1, **more: Any) -> AlbSwitch:
    base = service.directory
    context = AdapterContext("model", base, base / "own", http)
    given = more if isinstance(rules, int) else {**more, "rules": rules}
    entry = {**bench.entry(service, rules=rules if isinstance(rules, int) else 1), **given}
    found: AlbSwitch = build("deployments", "alb", entry, context)
    return found


class _OverRules(SwitchContract):
    rules = 1

    @pytest.fixture
    async def adapter(self, bench: Bench, service: TwoColors, http: Http) -> AsyncIterator[AlbSwitch]:
        adapter = switch_of(bench, service, http, rules=self.rules)
        yield adapter
        await adapter.aclose()

    @pytest.fixture
    def meddle(self, bench: Bench) -> Meddle:
        def meddle(weights: dict[str, int]) -> None:
            for rule in bench.balancer.rules[: self.rules]:
                bench.lab.weigh(rule, bench.balancer.groups, weights)

        return meddle

    @pytest.fixture
    def sicken(self, service: TwoColors) -> Sicken:
        return service.sicken


class TestOneRule(_OverRules):
    pass


class TestTwoRules(_OverRules):
    rules = 2


async def error_of(
    adapter: AlbSwitch, weights: dict[str, int] = GREEN, before: SwitchState | None = None, stamp: str = "A:shift"
) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await adapter.shift(before or await adapter.observe(), weights, stamp=stamp)
    assert "\n" not in caught.value.message + caught.value.fix
    return caught.value


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What was asked of AWS from now on."""
    found: list[tuple[str, dict[str, Any]]] = []
    ask = Account._ask

    def noted(self: Account, service: str, operation: str, attempts: int, request: dict[str, Any]) -> dict[str, Any]:
        found.append((operation, request))
        return ask(self, service, operation, attempts, request)

    monkeypatch.setattr(Account, "_ask", noted)
    return found


def names(called: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [operation for operation, _ in called]


# ---- what is sent


def login(lab: AwsLab) -> dict[str, Any]:
    oidc = {
        "Issuer": "https://id.example.com", "AuthorizationEndpoint": "https://id.example.com/a",
        "TokenEndpoint": "https://id.example.com/t", "UserInfoEndpoint": "https://id.example.com/u",
        "ClientId": "teal", "ClientSecret": "correct-horse", "Scope": "openid", "SessionTimeout": 3600,
        "OnUnauthenticatedRequest": "authenticate",
    }  # fmt: skip
    return {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": oidc}


async def test_the_rest_of_the_action_list_stays_and_no_secret_is_sent(
    bench: Bench, service: TwoColors, http: Http, called: list[tuple[str, dict[str, Any]]]
) -> None:
    tuples = [{"TargetGroupArn": arn, "Weight": int(c == "blue")} for c, arn in bench.balancer.groups.items()]
    stay = {"Enabled": True, "DurationSeconds": 90}
    both = {"Type": "forward", "Order": 2, "ForwardConfig": {
        "TargetGroups": tuples, "TargetGroupStickinessConfig": stay,
    }}  # fmt: skip
    bench.elb.modify_rule(RuleArn=bench.balancer.rules[0], Actions=[login(bench.lab), both])
    before = bench.rule()
    adapter = switch_of(bench, service, http)
    await adapter.shift(await adapter.observe(), {"blue": 75, "green": 25}, stamp="A:shift[25]")
    after = bench.rule()
    assert bench.weights() == {"blue": 75, "green": 25}
    assert after["Conditions"] == before["Conditions"]
    (oidc, forward), (was, _) = after["Actions"], before["Actions"]
    hidden = "UseExistingClientSecret"
    same = {key: value for key, value in oidc["AuthenticateOidcConfig"].items() if key != hidden}
    assert (same, oidc["Order"], forward["Order"]) == (was["AuthenticateOidcConfig"], 1, 2)
    assert forward["ForwardConfig"]["TargetGroupStickinessConfig"] == stay
    (sent,) = (request for operation, request in called if operation == "modify_rule")
    assert set(sent) == {"RuleArn", "Actions"}
    config = sent["Actions"][0]["AuthenticateOidcConfig"]
    assert (config[hidden], "ClientSecret" in config) == (True, False)
    findings = {finding.code: finding for finding in await adapter.preflight(await adapter.observe(), GREEN)}
    assert "90 s" in findings["stickiness"].text


async def test_a_default_action_moves_by_its_listener(bench: Bench, service: TwoColors, http: Http) -> None:
    listener = bench.balancer.listeners[0]
    groups = [{"TargetGroupArn": arn, "Weight": int(c == "blue")} for c, arn in bench.balancer.groups.items()]
    bench.elb.modify_listener(
        ListenerArn=listener, DefaultActions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]
    )
    adapter = switch_of(bench, service, http, rules=1, listeners=[listener])
    before = await adapter.observe()
    assert before.weights == BLUE
    assert (await adapter.deployment()).truth.control.value == "blue"
    after = await adapter.shift(before, GREEN, stamp="A:shift", fence=3, journal="j1")
    assert (after.weights, after.stamp, after.fence) == (GREEN, "A:shift", 3)
    actions = bench.listener(listener)["DefaultActions"]
    assert [each["Weight"] for each in actions[0]["ForwardConfig"]["TargetGroups"]] == [0, 100]
    assert set(bench.tags(listener)) == set(TAGS)
    assert "modify-listener" in adapter.manual_commands(BLUE)[1]


async def test_a_rule_that_names_one_group_gets_both(bench: Bench, service: TwoColors, http: Http) -> None:
    rule, blue = bench.balancer.rules[0], bench.balancer.groups["blue"]
    bench.elb.modify_rule(RuleArn=rule, Actions=[{"Type": "forward", "TargetGroupArn": blue}])
    adapter = switch_of(bench, service, http)
    before = await adapter.observe()
    assert before.weights == BLUE
    after = await adapter.shift(before, {"blue": 50, "green": 50}, stamp="A:shift[50]")
    assert after.weights == {"blue": 50, "green": 50}
    assert "TargetGroupArn" not in bench.rule()["Actions"][0]


# ---- what is refused


def raw(bench: Bench, actions: list[dict[str, Any]]) -> None:
    """Past simecs, which refuses what AWS refuses: AWS may have it from other times."""
    bench.lab.moto.client("elbv2").modify_rule(RuleArn=bench.balancer.rules[0], Actions=actions)


def weighed(bench: Bench, *weights: int, also: str = "") -> list[dict[str, Any]]:
    groups = [*bench.balancer.groups.values(), *([also] if also else [])]
    tuples = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in zip(groups, weights, strict=True)]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}]


NOWHERE = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}


@pytest.mark.parametrize("odd", ["no forward action", "also forwards to", "weights are 0/0"])
async def test_a_rule_that_says_no_shares_is_refused_before_any_effect(
    bench: Bench, service: TwoColors, http: Http, odd: str, called: list[tuple[str, dict[str, Any]]]
) -> None:
    expected = await switch_of(bench, service, http).observe()
    third = bench.lab.target_group(bench.balancer.vpc, 9) if odd.startswith("also") else ""
    actions = {"no": [NOWHERE], "al": weighed(bench, 1, 0, 0, also=third) if third else [], "we": weighed(bench, 0, 0)}
    raw(bench, actions[odd[:2]])
    adapter = switch_of(bench, service, http)
    found = await adapter.observe()
    assert (found.weights, odd in found.detail, len(found.detail.splitlines())) == ({}, True, 2)
    findings = [each for each in await adapter.preflight(found, GREEN) if each.code == "rule"]
    assert [(each.level, odd in each.text, bool(each.fix)) for each in findings] == [("block", True, True)]
    refused = await error_of(adapter, before=expected)
    assert (refused.kind, odd in refused.message) == ("conflict", True)
    assert (await adapter.deployment()).live == "unknown"
    assert not {"modify_rule", "add_tags"} & set(names(called))


async def test_what_is_not_there_names_its_key(bench: Bench, service: TwoColors, http: Http) -> None:
    gone = bench.balancer.rules[0][:-4] + "0000"
    adapter = switch_of(bench, service, http, rules=[gone])
    for look in (adapter.observe, adapter.deployment):
        with pytest.raises(BackendError) as caught:
            await look()
        assert (caught.value.kind, "`rules`" in caught.value.fix) == ("not_found", True)
    group = bench.balancer.groups["green"][:-4] + "0000"
    adapter = switch_of(bench, service, http, target_groups={**bench.balancer.groups, "green": group})
    refused = await error_of(adapter)
    assert (refused.kind, "correct `target_groups`" in refused.fix) == ("not_found", True)
    with pytest.raises(BackendError) as caught:
        await adapter.preflight(await adapter.observe(), GREEN)
    assert (caught.value.kind, group in caught.value.message) == ("not_found", True)
    assert "`target_groups`" in caught.value.fix


async def test_the_default_rule_is_no_rule(bench: Bench, service: TwoColors, http: Http) -> None:
    found = bench.elb.describe_rules(ListenerArn=bench.balancer.listeners[0])["Rules"]
    default = next(rule["RuleArn"] for rule in found if rule["IsDefault"])
    adapter = switch_of(bench, service, http, rules=[default])
    findings = await adapter.preflight(await adapter.observe(), GREEN)
    assert [each.level for each in findings if each.code == "rule"] == ["block"]


@pytest.mark.parametrize(
    ("key", "code"), [("elbv2.k8s.aws/cluster", "owner-ingress"), ("CodeDeployApplication", "owner-codedeploy")]
)
async def test_a_rule_that_a_controller_owns_is_told_with_its_type(
    bench: Bench, service: TwoColors, http: Http, key: str, code: str
) -> None:
    rule = bench.balancer.rules[0]
    bench.elb.add_tags(ResourceArns=[rule], Tags=[{"Key": key, "Value": "prod"}])
    try:
        adapter = switch_of(bench, service, http)
        findings = await adapter.preflight(await adapter.observe(), GREEN)
    finally:
        bench.elb.remove_tags(ResourceArns=[rule], TagKeys=[key])
    (found,) = [each for each in findings if each.level == "block"]
    assert (found.code, bool(found.fix), "\n" in found.text) == (code, True, False)


async def test_the_caller_of_another_account_reads_nothing(
    bench: Bench, service: TwoColors, http: Http, called: list[tuple[str, dict[str, Any]]]
) -> None:
    role = {"role_arn": "arn:aws:iam::111122223333:role/oncall"}
    adapter = switch_of(bench, service, http, aws={**bench.lab.access, **role})
    with pytest.raises(BackendError) as caught:
        await adapter.preflight(SwitchState(weights=BLUE, revision="x"), GREEN)
    assert (caught.value.kind, "111122223333" in caught.value.message) == ("auth", True)
    assert called == []


async def test_who_can_not_be_asked_for_keeps_nobody_from_going_back(
    bench: Bench, service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(self: Account) -> Any:
        raise BackendError("unreachable", "AWS: sts: connection refused")

    monkeypatch.setattr(Account, "caller", nobody)
    adapter = switch_of(bench, service, http)
    (finding,) = (each for each in await adapter.preflight(await adapter.observe(), GREEN) if each.code == "identity")
    assert (finding.level, finding.overridable) == ("block", True)  # a rollback is warned of it


# ---- health of the targets


async def test_no_weight_for_a_side_with_too_few_healthy_targets(
    bench: Bench, service: TwoColors, http: Http, called: list[tuple[str, dict[str, Any]]]
) -> None:
    adapter = switch_of(bench, service, http, min_healthy=2)
    findings = {each.code: each for each in await adapter.preflight(await adapter.observe(), GREEN)}
    assert (findings["capacity"].level, "1 of 1 targets healthy" in findings["capacity"].text) == ("block", True)
    refused = await error_of(adapter)
    assert (refused.kind, "at least 2" in refused.message) == ("conflict", True)
    assert (await adapter.color_health("green")).healthy is False
    assert not {"modify_rule", "add_tags"} & set(names(called))


async def test_targets_that_fail_their_checks_are_named(bench: Bench, service: TwoColors, http: Http) -> None:
    service.faults["green"].status = 503
    group = bench.balancer.groups["green"]
    await asyncio.to_thread(until, lambda: bench.lab.states(group) == ["unhealthy"], "unhealthy")
    adapter = switch_of(bench, service, http, health={})
    health = await adapter.color_health("green")
    assert (health.healthy, health.ready, health.desired) == (False, 0, 1)
    assert f"127.0.0.1:{bench.ports['green']} is unhealthy" in health.detail
    assert "503" in health.detail
    assert (await error_of(adapter)).kind == "conflict"
    layer = await adapter.endpoints()
    assert (layer.value, layer.ready) == ("blue", 1)


async def test_a_group_that_no_rule_names_is_attached_by_the_printed_command(
    bench: Bench, service: TwoColors, http: Http
) -> None:
    rule, blue = bench.balancer.rules[0], bench.balancer.groups["blue"]
    for each in bench.balancer.rules:
        bench.elb.modify_rule(RuleArn=each, Actions=[{"Type": "forward", "TargetGroupArn": blue}])
    green = bench.balancer.groups["green"]
    await asyncio.to_thread(until, lambda: bench.lab.states(green) == ["unused"], "unused")
    adapter = switch_of(bench, service, http)
    health = await adapter.color_health("green")
    assert (health.healthy, "no rule forwards to its group" in health.detail) == (False, True)
    findings = {each.code: each for each in await adapter.preflight(await adapter.observe(), GREEN)}
    assert findings["unattached"].level == "block"
    command = findings["unattached"].fix.partition(": ")[2]
    _, actions = command.split(" --actions ")
    bench.elb.modify_rule(RuleArn=rule, Actions=json.loads(shlex.split(actions)[0]))
    assert bench.weights() == {"blue": 100, "green": 0}
    await asyncio.to_thread(until, lambda: bench.lab.states(green) == ["healthy"], "healthy")
    async with asyncio.timeout(5):  # what was seen a second ago counts
        while not (await adapter.color_health("green")).healthy:
            await asyncio.sleep(0.1)


# ---- writes that fail


async def test_a_write_whose_answer_is_lost_is_found(
    bench: Bench, service: TwoColors, http: Http, called: list[tuple[str, dict[str, Any]]]
) -> None:
    for operation in ("ModifyRule", "AddTags"):
        adapter = switch_of(bench, service, http)
        before = await adapter.observe()
        to = GREEN if before.live == "blue" else BLUE
        called.clear()
        bench.lab.fault(operation, "drop-after-commit")
        after = await adapter.shift(before, to, stamp="A:shift")
        assert (after.weights, after.stamp) == (to, "A:shift")
        assert (names(called).count("modify_rule"), names(called).count("add_tags")) == (1, 1)


@pytest.mark.parametrize(("mode", "kind"), [("error", "unreachable"), ("hang", "timeout")])
async def test_a_write_that_never_came_is_no_write(
    bench: Bench, service: TwoColors, http: Http, mode: str, kind: str
) -> None:
    adapter = switch_of(bench, service, http, timeout="3s")
    before = await adapter.observe()
    bench.lab.fault("ModifyRule", mode, seconds=6)
    failed = await error_of(adapter)
    assert failed.kind == kind
    assert await adapter.observe() == before  # announced, and not written
    after = await adapter.shift(before, GREEN, stamp="A:shift")
    assert after.weights == GREEN


async def test_a_way_back_goes_without_its_mark_where_tags_are_refused(
    bench: Bench, service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = switch_of(bench, service, http)
    before = await adapter.observe()
    there = await adapter.shift(before, GREEN if before.live == "blue" else BLUE, stamp="A:shift")

    async def refused(self: Writer, rule: Rule, tags: list[dict[str, str]]) -> None:
        raise BackendError("auth", "no right elasticloadbalancing:AddTags", status=403)

    monkeypatch.setattr(Writer, "_tag", refused)
    with pytest.raises(BackendError, match="no right"):
        await adapter.shift(there, before.weights, stamp="B:shift")
    assert (await adapter.observe()).weights == there.weights
    back = await adapter.shift(replace(there, over=True), before.weights, stamp="B:shift-back", fence=3)
    assert (back.weights, back.stamp, "without its mark: no right" in back.detail) == (
        before.weights, "B:shift-back", True,
    )  # fmt: skip
    seen = await adapter.observe()
    assert (seen.weights, seen.stamp, seen.revision) == (before.weights, "B:shift-back", back.revision)
    bench.lab.weigh(bench.balancer.rules[0], bench.balancer.groups, there.weights)
    assert (await adapter.observe()).stamp != "B:shift-back", "what somebody else wrote is theirs"


async def test_a_way_back_asks_nothing_twice_before_its_write(
    bench: Bench, service: TwoColors, http: Http, called: list[tuple[str, dict[str, Any]]]
) -> None:
    """What a runner has read a moment ago is read once more only right before the write, and the targets while the rule
    is marked: three round trips, and as safe."""
    adapter = switch_of(bench, service, http)
    there = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    before = replace(await adapter.observe(), over=True)
    called.clear()
    bench.lab.weigh(bench.balancer.rules[0], bench.balancer.groups, {"blue": 50, "green": 50})
    failed = await error_of(adapter, BLUE, before, stamp="B:shift-back")
    assert (failed.kind, "modify_rule" in names(called)) == ("conflict", False), "edited since it was read"
    bench.lab.weigh(bench.balancer.rules[0], bench.balancer.groups, GREEN)
    before = replace(await adapter.observe(), over=True)
    assert before.weights == there.weights
    called.clear()
    await adapter.shift(before, BLUE, stamp="B:shift-back")
    asked = names(called)[: names(called).index("modify_rule")]
    assert sorted(asked[:2]) == ["add_tags", "describe_target_health"]
    assert sorted(asked[2:]) == ["describe_rules", "describe_tags"]
    called.clear()
    down = switch_of(bench, service, http, min_healthy=2)
    failed = await error_of(down, GREEN, replace(await down.observe(), over=True), stamp="C:shift-back")
    assert ("at least 2" in failed.message, "modify_rule" in names(called)) == (True, False)


async def test_sts_is_in_nobodys_way_back(
    bench: Bench, service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(self: AwsSession) -> None:
        raise BackendError("unreachable", "AWS: no answer of STS")

    monkeypatch.setattr(AwsSession, "caller", silent)
    entry = bench.entry(service, rules=1)
    aws = {**entry["aws"], "account": bench.balancer.rules[0].split(":")[4]}
    adapter = switch_of(bench, service, http, aws=aws)
    before = await adapter.observe()
    to = GREEN if before.live == "blue" else BLUE
    (found,) = [each for each in await adapter.preflight(before, to) if each.code == "identity"]
    assert (found.level, found.overridable) == ("block", True), "forward it forbids, a way back it only warns of"
    assert (await adapter.shift(before, to, stamp="A:shift-back")).weights == to


async def test_what_aws_refuses_for_too_many_calls_goes_again(bench: Bench, service: TwoColors, http: Http) -> None:
    adapter = switch_of(bench, service, http)
    bench.lab.fault("ModifyRule", "throttle")
    assert (await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")).weights == GREEN


async def test_a_set_that_is_half_written_is_mixed_and_the_same_shift_goes_on_with_it(
    bench: Bench, service: TwoColors, http: Http, called: list[tuple[str, dict[str, Any]]], monkeypatch: Any
) -> None:
    adapter = switch_of(bench, service, http, rules=2)
    before = await adapter.observe()
    sent = Writer._send

    async def once(self: Writer, rule: Rule, weights: dict[str, int]) -> None:
        if rule.place.arn == bench.balancer.rules[1]:
            raise BackendError("auth", "no right elasticloadbalancing:ModifyRule", status=403)
        await sent(self, rule, weights)

    monkeypatch.setattr(Writer, "_send", once)
    failed = await error_of(adapter, stamp="A:shift")
    assert (failed.kind, "written before it: rule" in failed.message) == ("auth", True)
    half = await adapter.observe()
    assert (half.weights, half.live, half.stamp) == ({"blue": 50, "green": 50}, "mixed", "A:shift")
    assert "the rules differ" in half.detail
    assert [each.code for each in await adapter.preflight(half, GREEN) if each.level == "warning"] == ["rules-differ"]
    assert await conflicts_with(adapter, before)
    monkeypatch.undo()
    called.clear()
    after = await switch_of(bench, service, http, rules=2).shift(half, GREEN, stamp="A:shift")
    assert (after.weights, after.stamp) == (GREEN, "A:shift")
    back = await adapter.shift(after, BLUE, stamp="A:shift-back")
    assert (back.weights, bench.live()) == (BLUE, {"blue"})


async def conflicts_with(adapter: AlbSwitch, before: SwitchState) -> bool:
    return (await error_of(adapter, before=before)).kind == "conflict"


async def test_an_edit_between_the_look_and_the_write_is_not_written_over(
    bench: Bench, service: TwoColors, http: Http, monkeypatch: Any
) -> None:
    adapter = switch_of(bench, service, http)
    tag = Writer._tag

    async def then_edited(self: Writer, rule: Rule, tags: list[dict[str, str]]) -> None:
        await tag(self, rule, tags)
        bench.lab.weigh(rule.place.arn, bench.balancer.groups, {"blue": 70, "green": 30})

    monkeypatch.setattr(Writer, "_tag", then_edited)
    refused = await error_of(adapter)
    assert (refused.kind, "BLUE 70 %" in refused.message) == ("conflict", True)
    assert bench.weights() == {"blue": 70, "green": 30}


async def test_a_condition_that_changed_is_a_conflict_too(bench: Bench, service: TwoColors, http: Http) -> None:
    adapter = switch_of(bench, service, http)
    before = await adapter.observe()
    rule, was = bench.balancer.rules[0], bench.rule()["Conditions"]
    bench.elb.modify_rule(RuleArn=rule, Conditions=[{"Field": "path-pattern", "Values": ["/model/*"]}])
    try:
        assert await conflicts_with(adapter, before)
    finally:
        kept = [{"Field": each["Field"], "Values": each["Values"]} for each in was]
        bench.elb.modify_rule(RuleArn=rule, Conditions=kept)


async def test_a_mark_that_is_none_is_odd(bench: Bench, service: TwoColors, http: Http) -> None:
    rule = bench.balancer.rules[0]
    bench.elb.add_tags(ResourceArns=[rule], Tags=[{"Key": "tealdeck:mark", "Value": "of a newer program"}])
    found = await switch_of(bench, service, http).observe()
    assert (found.weights, "of a newer program" in found.odd_mark) == (BLUE, True)


# ---- deploying


async def test_a_version_is_up_when_the_load_balancer_has_its_targets(
    bench: Bench, service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = switch_of(bench, service, http, deploy=["true"])
    deployer = adapter.deployer
    assert deployer is not None
    states = {"state": "initial"}

    async def read(account: Account, place: Place) -> Group:
        state = states["state"] if place.name == adapter._groups["green"].name else "healthy"
        targets = tuple(Target(f"10.0.0.{n}:80", state if n == 2 else "healthy") for n in (1, 2))
        return Group(place=place, at=datetime.now(UTC), targets=targets)

    monkeypatch.setattr("backends.deployments.alb.switch.read_group", read)
    version = service.version("green")
    found = await deployer.rollout("green", version)
    assert (found.state, "10.0.0.2:80 is being registered" in found.detail) == ("progressing", True)
    service.faults["green"].status = 503
    assert (await deployer.rollout("green", version)).state == "complete"  # its health is asked next, and says no
    service.faults["green"].status, states["state"] = 200, "healthy"
    assert (await deployer.rollout("green", version)).state == "complete"


# ---- retiring


async def test_a_side_is_retired_when_no_client_can_be_left(bench: Bench, service: TwoColors, http: Http) -> None:
    commands = {"deploy": ["true"], "retire": ["sh", "-c", ": > $0.version", "{color}"]}
    adapter = switch_of(bench, service, http, **commands)
    deployer = adapter.deployer
    assert deployer is not None
    await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    (finding,) = await retire_findings(deployer, "blue")
    assert (finding.level, finding.code, "300 s" in finding.text) == ("block", "clients-stay", True)
    with pytest.raises(BackendError) as caught:
        await deployer.retire(await deployer.deployed("blue"), "blue", stamp="B:retire")
    assert (caught.value.kind, "300 s" in caught.value.message) == ("conflict", True)
    assert service.version("blue")
    for arn in bench.balancer.groups.values():
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "0"}
        bench.elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
    assert await retire_findings(deployer, "blue") == []
    await deployer.retire(await deployer.deployed("blue"), "blue", stamp="B:retire")
    assert not service.version("blue")


# ---- what it costs


async def test_a_refresh_costs_three_calls_and_health_is_looked_at_each_half_minute(
    bench: Bench, service: TwoColors, http: Http, called: list[tuple[str, dict[str, Any]]]
) -> None:
    adapter = switch_of(bench, service, http)
    first = await adapter.deployment()
    assert sorted(names(called)) == ["describe_rules", "describe_target_health", "describe_target_health"]
    adapter._shown_at -= 10  # as the console asks while nothing is open
    await asyncio.sleep(1.1)
    called.clear()
    second = await adapter.deployment()
    assert names(called) == []  # within 5 s
    assert second.truth.endpoints.at == first.truth.endpoints.at
    assert "s ago" in second.truth.endpoints.detail
    await adapter.deployment()  # as it asks each second while an action is open
    assert sorted(names(called)) == ["describe_rules", "describe_target_health", "describe_target_health"]


async def test_twenty_services_of_one_balancer_are_read_in_one_call(
    bench: Bench, service: TwoColors, http: Http, called: list[tuple[str, dict[str, Any]]]
) -> None:
    listener, rules = bench.balancer.listeners[0], []
    try:
        for number in range(19):
            made = bench.elb.create_rule(
                ListenerArn=listener, Priority=100 + number, Actions=weighed(bench, 1, 0),
                Conditions=[{"Field": "path-pattern", "Values": [f"/{number}"]}],
            )  # fmt: skip
            rules.append(made["Rules"][0]["RuleArn"])
        adapters = [switch_of(bench, service, http, rules=[arn]) for arn in [*rules, bench.balancer.rules[0]]]
        found = await asyncio.gather(*(adapter.deployment() for adapter in adapters))
    finally:
        for arn in rules:
            bench.elb.delete_rule(RuleArn=arn)
    assert [one.live for one in found] == ["blue"] * 20
    assert sorted(names(called)) == ["describe_rules", "describe_target_health", "describe_target_health"]


async def test_a_way_back_of_a_set_that_differed_puts_each_rule_back_to_its_own(
    bench: Bench, service: TwoColors, http: Http, called: list[tuple[str, dict[str, Any]]]
) -> None:
    adapter = switch_of(bench, service, http, rules=2)
    first, second = bench.balancer.rules[:2]
    bench.lab.weigh(second, bench.balancer.groups, GREEN)
    mixed = await adapter.observe()
    assert (mixed.weights, mixed.parts) == ({"blue": 50, "green": 50}, {first: BLUE, second: GREEN})
    shown = await adapter.deployment()
    assert (shown.live, [side.weight_pct for side in shown.colors.values()]) == ("mixed", [None, None])
    assert "50 %" not in shown.truth.control.detail + adapter.describe_shift(mixed, GREEN)[1]
    flipped = await adapter.shift(mixed, GREEN, stamp="A:shift")
    assert flipped.weights == GREEN
    assert [asked["RuleArn"] for name, asked in called if name == "modify_rule"] == [first], "only what must change"
    back = replace(flipped, over=True, back_to=mixed.parts)
    after = await adapter.shift(back, mixed.weights, stamp="A:shift-back")
    assert (after.parts, after.stamp) == (mixed.parts, "A:shift-back")
