"""A load balancer with two listeners, each with a rule over two colors, its data plane, and entries of configs for it.

The colors come and go with each test, always at the same ports, which are registered as targets.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.live.aws import AwsLab, Balancer, aws_lab
from tests.live.kubernetes import answering
from tests.live.process import free_port, until
from tests.two_colors import COLORS, TwoColors

FIRST = {"blue": 1, "green": 0}  # as a person wrote it who thinks of no percents
LAG_S = 0.05
TAGS = ["tealdeck:mark", "tealdeck:before"]


class Bench:
    """`urls`: of the listeners, on loopback."""

    def __init__(self, lab: AwsLab, balancer: Balancer, ports: dict[str, int], urls: list[str]) -> None:
        self.lab, self.balancer, self.ports, self.urls = lab, balancer, ports, urls
        self.elb = lab.client("elbv2")
        self._listeners = {arn: self.listener(arn)["DefaultActions"] for arn in balancer.listeners}

    def reset(self) -> None:
        """All on blue, unmarked, both healthy, and requests go there."""
        self.lab.heal()
        self.elb.remove_tags(ResourceArns=[*self.balancer.rules, *self.balancer.listeners], TagKeys=TAGS)
        for rule in self.balancer.rules:
            self.lab.weigh(rule, self.balancer.groups, FIRST)
        for arn, actions in self._listeners.items():
            self.elb.modify_listener(ListenerArn=arn, DefaultActions=actions)
        for group in self.balancer.groups.values():
            until(lambda group=group: self.lab.states(group) == ["healthy"], "healthy")
        for url in self.urls:
            until(lambda url=url: answering(f"{url}/health") == "blue", "requests go to blue")

    def listener(self, arn: str) -> dict[str, Any]:
        """As AWS describes it."""
        found: dict[str, Any] = self.elb.describe_listeners(ListenerArns=[arn])["Listeners"][0]
        return found

    def rule(self, number: int = 0) -> dict[str, Any]:
        """As AWS describes it."""
        found: dict[str, Any] = self.elb.describe_rules(RuleArns=[self.balancer.rules[number]])["Rules"][0]
        return found

    def tags(self, arn: str) -> dict[str, str]:
        """Of a rule or listener."""
        found = self.elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
        return {tag["Key"]: tag["Value"] for tag in found}

    def weights(self, number: int = 0) -> dict[str, int]:
        """Of one rule, by color."""
        color_of = {arn: color for color, arn in self.balancer.groups.items()}
        (action,) = (each for each in self.rule(number)["Actions"] if each["Type"] == "forward")
        return {color_of[each["TargetGroupArn"]]: each["Weight"] for each in action["ForwardConfig"]["TargetGroups"]}

    def live(self) -> set[str]:
        """The colors that have weight in any of the rules."""
        rules = range(len(self.balancer.rules))
        return {color for number in rules for color, weight in self.weights(number).items() if weight}

    def entry(self, service: TwoColors, *, rules: int = 1, **more: Any) -> dict[str, Any]:
        """Of the config, as plain data."""
        return {
            "aws": self.lab.access,
            "rules": self.balancer.rules[:rules],
            "target_groups": self.balancer.groups,
            "health": {color: service.url(color) for color in COLORS},
            "probe": {"url": f"{self.urls[0]}/health", "header": "X-Environment"},
            "probe_timeout": "20s",
            "bake": "200ms",
            **more,
        }

    def service(self, directory: Path) -> TwoColors:
        """The two colors, at the ports of the targets; not running yet."""
        found = TwoColors(directory)
        found.ports |= self.ports
        return found


@contextlib.contextmanager
def alb_bench(directory: Path) -> Iterator[Bench]:
    """All of it, gone at the end of the block."""
    ports = {color: free_port() for color in COLORS}
    with aws_lab(directory) as lab:
        balancer = lab.balancer(ports, listeners=2, wait=False)
        with lab.routed(balancer, directory, lag_s=LAG_S) as urls:
            yield Bench(lab, balancer, ports, urls)
