"""The policy of docs/aws.md is enough, and none of it is too much: with moto's access control on."""

import json
import re
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.alb.switch import AlbSwitch
from backends.errors import BackendError
from backends.http import Http
from backends.registry import AdapterContext, build
from backends.testing.deployments import BLUE, GREEN
from tests.live.aws import AwsLab, Balancer
from tests.live.moto import KEYS, MotoServer, moto
from tests.live.teal import CommandLine
from tests.two_colors import COLORS, TwoColors

POLICY = re.compile(r"```json\n(\{.*?\n\})\n```", re.DOTALL)
PAGE = Path(__file__).parents[2] / "docs" / "aws.md"
OFF = 10**12


def statements() -> list[dict[str, Any]]:
    """Those of the page. moto looks at actions only: to it, whatever they are about is `*`."""
    found = json.loads(POLICY.findall(PAGE.read_text())[0])["Statement"]  # of `alb`, the first one
    return [{**each, "Resource": "*"} for each in found]


ACTIONS = sorted({action for each in statements() for action in each["Action"]})
OF_ALB = [action for action in ACTIONS if action.startswith("elasticloadbalancing:")]


class Guarded:
    """A load balancer, and a user whose rights are set."""

    def __init__(self, server: MotoServer, balancer: Balancer) -> None:
        self.server, self.balancer = server, balancer
        self._iam = server.client("iam")
        self._iam.create_user(UserName="oncall")
        made = self._iam.create_access_key(UserName="oncall")["AccessKey"]
        self.keys = {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}

    def allow(self, statements: list[dict[str, Any]]) -> None:
        """This and no more, from now on."""
        self.control(OFF)
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self._iam.put_user_policy(UserName="oncall", PolicyName="teal", PolicyDocument=policy)
        elb = self.server.client("elbv2")
        elb.remove_tags(
            ResourceArns=[*self.balancer.rules, *self.balancer.listeners], TagKeys=["tealdeck:mark", "tealdeck:before"]
        )
        forward = [{"Type": "forward", "ForwardConfig": {"TargetGroups": [
            {"TargetGroupArn": arn, "Weight": int(color == "blue")} for color, arn in self.balancer.groups.items()
        ]}}]  # fmt: skip
        elb.modify_rule(RuleArn=self.balancer.rules[0], Actions=forward)
        elb.modify_listener(ListenerArn=self.balancer.listeners[0], DefaultActions=forward)
        self.control(0)

    def control(self, after: int) -> None:
        """Rights are looked at after so many requests."""
        where, plain = f"{self.server.endpoint_url}/moto-api/reset-auth", {"content-type": "text/plain"}
        request = urllib.request.Request(where, str(after).encode(), plain, method="POST")
        urllib.request.urlopen(request, timeout=30).close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp("moto")
    with moto(directory) as server:
        lab = AwsLab(server.endpoint_url, server, directory)
        yield Guarded(server, lab.balancer({"blue": 9001, "green": 9002}))


@pytest.fixture
async def adapter(
    guarded: Guarded, http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AlbSwitch]:
    for name, value in guarded.keys.items():
        monkeypatch.setenv(name, value)
    lab = AwsLab(guarded.server.endpoint_url, guarded.server, tmp_path)
    config = {
        "aws": {**lab.access, "account": "123456789012"}, "deploy": ["true"], "retire": ["true"],
        **guarded.balancer.config(listeners=guarded.balancer.listeners),
    }  # fmt: skip
    found: AlbSwitch = build("deployments", "alb", config, AdapterContext("model", tmp_path, tmp_path, http))
    yield found
    await found.aclose()


async def everything(adapter: AlbSwitch) -> None:
    """What an operator does in a shift: look, plan, move, end, go back, and try to retire."""
    await adapter.deployment()
    before = await adapter.observe()
    await adapter.preflight(before, GREEN)
    there = await adapter.shift(before, GREEN, stamp="A:shift")
    await adapter.mark_ended(there)
    await adapter.shift(await adapter.observe(), BLUE, stamp="B:shift-back")
    deployer = adapter.deployer
    assert deployer is not None
    with pytest.raises(BackendError, match="may have clients for"):
        await deployer.retire(await deployer.deployed("green"), "green", stamp="C:retire")


async def test_the_policy_of_the_page_is_enough(guarded: Guarded, adapter: AlbSwitch) -> None:
    guarded.allow(statements())
    await everything(adapter)


@pytest.mark.parametrize("right", OF_ALB)
async def test_one_right_less_is_named(guarded: Guarded, adapter: AlbSwitch, right: str) -> None:
    kept = [{**each, "Action": [action for action in each["Action"] if action != right]} for each in statements()]
    guarded.allow([each for each in kept if each["Action"]])
    with pytest.raises(BackendError) as caught:
        await everything(adapter)
    assert caught.value.kind == "auth", caught.value.message
    assert f"no right {right}: " in caught.value.message
    assert f"allow {right} " in caught.value.fix


@pytest.mark.parametrize("right", ["AddTags", "ModifyRule", "DescribeTargetHealth"])
async def test_a_flip_without_a_right_is_exit_4_and_changes_nothing(
    guarded: Guarded, tmp_path: Path, right: str
) -> None:
    named = f"elasticloadbalancing:{right}"
    kept = [{**each, "Action": [action for action in each["Action"] if action != named]} for each in statements()]
    guarded.allow(kept)
    lab = AwsLab(guarded.server.endpoint_url, guarded.server, tmp_path)
    async with TwoColors(tmp_path) as colors:
        entry = {
            "type": "alb", "aws": lab.access, **guarded.balancer.config(), "probe_timeout": "20s", "bake": "1s",
            "probe": {"url": colors.url("router"), "header": "X-Environment"},
            "health": {color: colors.url(color) for color in COLORS},
        }  # fmt: skip
        teal = CommandLine(tmp_path, entry, {**KEYS, **guarded.keys}, cold=True)
        refused = await teal.action("deploy", "flip", "analytics", "--to", "green", "-y", "--reason", "go")
    said = json.dumps([refused["errors"], refused.get("error")])
    assert (refused["exit"], f"no right {named}" in said) == (4, True), refused
    guarded.control(OFF)
    (rule,) = guarded.server.client("elbv2").describe_rules(RuleArns=guarded.balancer.rules)["Rules"]
    weights = [each["Weight"] for each in rule["Actions"][0]["ForwardConfig"]["TargetGroups"]]
    assert weights == [1, 0]
