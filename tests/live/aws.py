"""AWS on loopback: moto's server with the simulators before it, and a load balancer in it that really routes.

`TEAL_TEST_AWS_DIR` (default: `shared/aws` beside the checkout) has `simecs.py`, which adds to moto what it lacks of the
control plane, and `simalb.py`, which routes requests by the rules of a listener.

```python
@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with aws_lab(tmp_path_factory.mktemp("aws")) as lab:
        yield lab

balancer = aws.balancer({"blue": 8081, "green": 8082})   # VPC, ALB, a listener with a rule, a group for each color
with aws.routed(balancer, directory) as urls: ...        # requests to them go where the rules say
```
"""

import contextlib
import json
import os
import sys
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.live.moto import REGION, MotoServer, moto
from tests.live.process import accepts, free_port, started, until
from tests.live.require import missing

ACCOUNT = "123456789012"  # of moto, for keys that it does not know
POLL_S = "0.4"  # between two looks of a data plane at its rules: a look is a dozen calls, half a processor at 0.2


class Balancer(Struct, frozen=True):
    """What `AwsLab.balancer` made. `listeners` has one for each port, `rules` one for each listener."""

    arn: str
    name: str
    vpc: str
    listeners: list[str]
    rules: list[str]
    groups: dict[str, str]

    def config(self, **more: Any) -> dict[str, Any]:
        """The part of an `alb` entry that says which rules and groups."""
        return {"rules": self.rules, "target_groups": self.groups, **more}


class AwsLab(Struct, frozen=True):
    """`endpoint_url` is for every service; `moto` is the server behind it, past what simecs refuses and counts."""

    endpoint_url: str
    moto: MotoServer
    scripts: Path

    @property
    def access(self) -> dict[str, Any]:
        """The `aws` of a config; its keys are in the environment (`KEYS`)."""
        return {"region": REGION, "endpoint_url": self.endpoint_url}

    def client(self, service: str) -> Any:
        """A client of the test's own, that goes where ours go."""
        return MotoServer(self.endpoint_url).client(service)

    def fault(self, operation: str, mode: str, count: int = 1, **more: Any) -> None:
        """The next `count` calls of `operation` (`*`: of any): throttle, hang, drop-after-commit or error; `clear`."""
        self._control({"op": operation, "mode": mode, "count": count, **more})

    def heal(self) -> None:
        """No faults any more."""
        self._control({"mode": "clear"})

    def network(self) -> tuple[str, list[str]]:
        """A new VPC with two subnets."""
        ec2 = self.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        zones = ((f"10.0.{n}.0/24", f"{REGION}{zone}") for n, zone in enumerate("ab"))
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
            for block, zone in zones
        ]
        return vpc, subnets

    def target_group(self, vpc: str, port: int, *targets: tuple[str, int], name: str = "") -> str:
        """A new group of IP targets that are checked at /health; `targets` are registered in it."""
        elb = self.client("elbv2")
        made = elb.create_target_group(
            Name=name or f"tg-{uuid.uuid4().hex[:12]}", Protocol="HTTP", Port=port, VpcId=vpc, TargetType="ip",
            HealthCheckPath="/health", HealthCheckIntervalSeconds=5, HealthyThresholdCount=2, UnhealthyThresholdCount=2,
        )  # fmt: skip
        arn = str(made["TargetGroups"][0]["TargetGroupArn"])
        if targets:
            elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": host, "Port": at} for host, at in targets])
        return arn

    def balancer(
        self,
        ports: Mapping[str, int],
        *,
        listeners: int = 1,
        weights: Mapping[str, int] | None = None,
        wait: bool = True,
    ) -> Balancer:
        """A new load balancer with `listeners` listeners, each with a rule over a group for each color, whose one
        target is 127.0.0.1 at that color's port. Their default actions answer 404. Returns when all are healthy, with
        `wait`."""
        vpc, subnets = self.network()
        elb = self.client("elbv2")
        name = f"lb-{uuid.uuid4().hex[:8]}"
        found = elb.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]
        groups = {color: self.target_group(vpc, port, ("127.0.0.1", port)) for color, port in ports.items()}
        shares = weights or {color: int(color == next(iter(ports))) for color in ports}
        tuples = [{"TargetGroupArn": groups[color], "Weight": shares[color]} for color in ports]
        made, rules = [], []
        for number in range(listeners):
            none = {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": "none"}
            listener = elb.create_listener(
                LoadBalancerArn=found["LoadBalancerArn"], Protocol="HTTP", Port=8000 + number,
                DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": none}],
            )["Listeners"][0]["ListenerArn"]  # fmt: skip
            rule = elb.create_rule(
                ListenerArn=listener, Priority=10, Conditions=[{"Field": "path-pattern", "Values": ["/*"]}],
                Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}],
            )["Rules"][0]["RuleArn"]  # fmt: skip
            made.append(listener)
            rules.append(rule)
        if wait:
            until(lambda: all(self.states(group) == ["healthy"] for group in groups.values()), "targets healthy")
        return Balancer(found["LoadBalancerArn"], name, vpc, made, rules, groups)

    def states(self, group: str) -> list[str]:
        """Of the targets of a group."""
        found = self.client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return [target["TargetHealth"]["State"] for target in found]

    def weigh(self, rule: str, groups: Mapping[str, str], weights: Mapping[str, int]) -> None:
        """Edit a rule as a person does who knows only these two groups."""
        tuples = [{"TargetGroupArn": groups[color], "Weight": weight} for color, weight in weights.items()]
        self.client("elbv2").modify_rule(
            RuleArn=rule, Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}]
        )

    @contextlib.contextmanager
    def routed(self, balancer: Balancer, directory: Path, *, lag_s: float = 0.2) -> Iterator[list[str]]:
        """The data plane of its listeners: their URLs on loopback, while the block lasts. A change of a rule is in
        force `lag_s` after it was seen."""
        ports = [free_port() for _ in balancer.listeners]
        maps = [f"--map={arn}={port}" for arn, port in zip(balancer.listeners, ports, strict=True)]
        command = [
            sys.executable, str(self.scripts / "simalb.py"), "--endpoint", self.endpoint_url, "--region", REGION,
            "--lag", str(lag_s), "--poll", POLL_S, *maps,
        ]  # fmt: skip
        with started(command, directory / "simalb.log", lambda: all(accepts(port) for port in ports)):
            yield [f"http://127.0.0.1:{port}" for port in ports]

    def _control(self, fault: dict[str, Any]) -> None:
        request = urllib.request.Request(f"{self.endpoint_url}/_sim/fault", json.dumps(fault).encode(), method="POST")
        urllib.request.urlopen(request, timeout=30).close()


def scripts_or_skip() -> Path:
    """The directory of the simulators. Skips, or fails, where there is none."""
    found = Path(os.environ.get("TEAL_TEST_AWS_DIR") or Path(__file__).parents[2].parent / "shared/aws")
    if not (found / "simecs.py").exists():
        missing(f"no {found}/simecs.py (TEAL_TEST_AWS_DIR)")
    return found


@contextlib.contextmanager
def aws_lab(directory: Path) -> Iterator[AwsLab]:
    """moto and simecs that run, their logs in `directory`, gone at the end of the block."""
    scripts = scripts_or_skip()
    with moto(directory) as server:
        port = free_port()
        command = [
            sys.executable, str(scripts / "simecs.py"), "--moto", server.endpoint_url, "--port", str(port),
            "--region", REGION,
        ]  # fmt: skip
        with started(command, directory / "simecs.log", lambda: accepts(port)):
            yield AwsLab(f"http://127.0.0.1:{port}", server, scripts)
