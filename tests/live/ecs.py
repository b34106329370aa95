"""Services of ECS on loopback, whose tasks are real HTTP servers: pairs behind an `alb`, services that ECS moves by
itself, and services of CodeDeploy. A minute of AWS is short there.

```python
with ecs_lab(directory) as lab:
    pair = lab.pair("2.4.0")                    # two services, a rule between their target groups
    native = lab.native("2.4.0", strategy="BLUE_GREEN")
```
"""

import contextlib
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from tests.live.aws import POLL_S, AwsLab, aws_lab
from tests.live.process import accepts, free_port, started, until

MINUTE_S = 0.6
CLUSTER = "models"
COLORS = ("blue", "green")
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
_FAST = {"SIM_MINUTE": str(MINUTE_S), "SIM_DRAIN": "0.5", "SIM_INSTALL": "10"}


class EcsLab:
    """One cluster behind one load balancer, in one VPC. Names are new each time. What a test has made is looked at by
    the simulators ten times a second until `clear`."""

    def __init__(self, aws: AwsLab) -> None:
        self.aws = aws
        self.ecs, self.elb = aws.client("ecs"), aws.client("elbv2")
        self.ecs.create_cluster(clusterName=CLUSTER)
        self._vpc, subnets = aws.network()
        self._balancer = self.elb.create_load_balancer(Name=self.name("lb"), Subnets=subnets)["LoadBalancers"][0]
        self._ports = iter(range(8000, 9000))
        self._services, self._listeners = list[str](), list[str]()

    @staticmethod
    def name(kind: str) -> str:
        """A new one."""
        return f"{kind}-{uuid.uuid4().hex[:8]}"

    def listener(self, *groups: str) -> str:
        """A new one whose default action sends all to the first of them."""
        tuples = [{"TargetGroupArn": group, "Weight": 100 if n == 0 else 0} for n, group in enumerate(groups)]
        made = self.elb.create_listener(
            LoadBalancerArn=self._balancer["LoadBalancerArn"], Protocol="HTTP", Port=next(self._ports),
            DefaultActions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}],
        )  # fmt: skip
        arn = str(made["Listeners"][0]["ListenerArn"])
        self._listeners.append(arn)
        return arn

    def clear(self) -> None:
        """Services and listeners are gone, and with them tasks and targets."""
        self.aws.heal()
        while self._services:
            self.ecs.delete_service(cluster=CLUSTER, service=self._services.pop(), force=True)
        while self._listeners:
            self.elb.delete_listener(ListenerArn=self._listeners.pop())

    def group(self, name: str = "") -> str:
        """A new target group of IPs that are checked at /health."""
        arn = self.aws.target_group(self._vpc, 8080, name=name)
        self.elb.modify_target_group_attributes(
            TargetGroupArn=arn, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]
        )
        return arn

    def definition(self, family: str, tag: str, *, color: str = "", **more: Any) -> str:
        """A new revision whose image has that tag: it says how its tasks are (simecs)."""
        box: dict[str, Any] = {
            "name": "app", "image": f"registry/app:{tag}", "cpu": 64, "memory": 64, "essential": True,
            "portMappings": [{"containerPort": 8080}],
            "secrets": [{"name": "TOKEN", "valueFrom": "arn:aws:ssm:eu-central-1:123456789012:parameter/token"}],
            "environment": [{"name": "COLOR", "value": color}] if color else [],
        }  # fmt: skip
        side = {"name": "log-router", "image": "registry/router:1", "cpu": 10, "memory": 32, "essential": False}
        made = self.ecs.register_task_definition(
            family=family, containerDefinitions=[{**box, **more}, side], tags=[{"key": "team", "value": "models"}],
            volumes=[{"name": "scratch"}], executionRoleArn="arn:aws:iam::123456789012:role/model-execution",
        )  # fmt: skip
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def service(self, name: str, tag: str, group: str, *, color: str = "", count: int = 1, **more: Any) -> None:
        """A new one; its first tasks start."""
        behind = {"targetGroupArn": group, "containerName": "app", "containerPort": 8080}
        behind |= more.pop("advanced", {})
        self.ecs.create_service(
            cluster=CLUSTER, serviceName=name, taskDefinition=self.definition(name, tag, color=color),
            desiredCount=count, loadBalancers=[behind], **more,
        )  # fmt: skip
        self._services.append(name)

    def look(self, name: str) -> dict[str, Any]:
        """As AWS describes it."""
        found: dict[str, Any] = self.ecs.describe_services(cluster=CLUSTER, services=[name], include=["TAGS"])
        return dict(found["services"][0])

    def steady(self, *names: str) -> None:
        """Waits until their deployments have completed."""

        def done(name: str) -> bool:
            found = self.look(name)
            rollouts = [each["rolloutState"] for each in found["deployments"]]
            return rollouts == ["COMPLETED"] and found["runningCount"] == found["desiredCount"]

        until(lambda: all(done(name) for name in names), "services are steady")

    def pair(self, tag: str, *, count: int = 1, green: str = "", **more: Any) -> dict[str, Any]:
        """An entry of the type `ecs`: two services that run, all traffic on blue."""
        name = self.name("svc")
        groups = {color: self.group() for color in COLORS}
        listener = self.listener(groups["blue"], groups["green"])
        services = {color: f"{name}-{color}" for color in COLORS}
        for color in COLORS:
            version = (green or tag) if color == "green" else tag
            config = more.get("deploymentConfiguration", BREAKER)
            self.service(
                services[color], version, groups[color], color=color, count=count, deploymentConfiguration=config
            )
        self.steady(*services.values())
        until(lambda: all("healthy" in self.aws.states(group) for group in groups.values()), "targets are healthy")
        return {
            "aws": self.aws.access, "listeners": [listener], "target_groups": groups, "cluster": CLUSTER,
            "services": services, "timeout": "10s",
        }  # fmt: skip

    def native(
        self, tag: str, *, strategy: str = "BLUE_GREEN", count: int = 1, tested: bool = False, **config: Any
    ) -> dict[str, Any]:
        """An entry of the type `ecs-native`: a service that ECS moves between two target groups, at rest; `tested`:
        with a test listener."""
        name, groups = self.name("nat"), [self.group(), self.group()]
        listener, testing = self.listener(*groups), self.listener(*groups) if tested else ""
        advanced = {
            "alternateTargetGroupArn": groups[1], "productionListenerRule": listener,
            "roleArn": "arn:aws:iam::123456789012:role/ecs", **({"testListenerRule": testing} if testing else {}),
        }  # fmt: skip
        self.service(
            name, tag, groups[0], count=count, advanced={"advancedConfiguration": advanced},
            deploymentConfiguration={"strategy": strategy, "bakeTimeInMinutes": 1, **config},
        )  # fmt: skip
        self.steady(name)
        return {
            "aws": self.aws.access, "cluster": CLUSTER, "service": name, "timeout": "10s", "_listener": listener,
            **({"_testing": testing} if testing else {}),
        }  # fmt: skip

    def codedeploy(
        self, tag: str, *, wait_min: int = 0, ready_min: int = 0, tested: bool = False, **group: Any
    ) -> dict[str, Any]:
        """An entry of the type `codedeploy`: a group with its service, at rest; `wait_min`: how long the old tasks
        stay, `ready_min`: how long it waits before traffic moves; `tested`: with a test listener."""
        name = self.name("cd")
        groups = [f"{name}-a", f"{name}-b"]
        arns = [self.group(each) for each in groups]
        listener, testing = self.listener(*arns), self.listener(*arns) if tested else ""
        routes = {"prodTrafficRoute": {"listenerArns": [listener]}}
        routes |= {"testTrafficRoute": {"listenerArns": [testing]}} if testing else {}
        self.service(name, tag, arns[0], deploymentController={"type": "CODE_DEPLOY"})
        until(lambda: self.look(name)["runningCount"] == 1, "its task runs")
        deploy = self.aws.client("codedeploy")
        deploy.create_application(applicationName=name, computePlatform="ECS")
        ready = {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": ready_min}
        deploy.create_deployment_group(
            applicationName=name, deploymentGroupName="main", serviceRoleArn="arn:aws:iam::123456789012:role/deploy",
            deploymentConfigName=group.pop("config", "CodeDeployDefault.ECSAllAtOnce"),
            ecsServices=[{"serviceName": name, "clusterName": CLUSTER}],
            deploymentStyle={"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            loadBalancerInfo={"targetGroupPairInfoList": [
                {"targetGroups": [{"name": each} for each in groups], **routes}
            ]},
            blueGreenDeploymentConfiguration={
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": "TERMINATE", "terminationWaitTimeInMinutes": wait_min,
                },
                "deploymentReadyOption": ready if ready_min else {"actionOnTimeout": "CONTINUE_DEPLOYMENT"},
            },
            autoRollbackConfiguration={
                "enabled": True,
                "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"],
            },
            **group,
        )  # fmt: skip
        return {
            "aws": self.aws.access, "application": name, "deployment_group": "main", "cluster": CLUSTER,
            "service": name, "timeout": "10s", "_listener": listener,
            **({"_testing": testing} if testing else {}),
        }  # fmt: skip

    def appspec(self, definition: str, **hooks: str) -> dict[str, Any]:
        """A revision as a person sends it, in YAML."""
        lines = [
            "version: 0.0", "Resources:", "  - TargetService:", "      Type: AWS::ECS::Service", "      Properties:",
            f'        TaskDefinition: "{definition}"', "        LoadBalancerInfo:", "          ContainerName: app",
            "          ContainerPort: 8080", *(["Hooks:"] if hooks else []),
            *(f"  - {event}: {function}" for event, function in hooks.items()),
        ]  # fmt: skip
        return {"revisionType": "AppSpecContent", "appSpecContent": {"content": "\n".join(lines) + "\n"}}

    def deployments(self, name: str) -> list[dict[str, Any]]:
        """The service deployments of a service, the newest first."""
        found: dict[str, Any] = self.ecs.list_service_deployments(cluster=CLUSTER, service=name)
        return list(found["serviceDeployments"])

    @contextlib.contextmanager
    def routed(self, listener: str, directory: Path) -> Iterator[str]:
        """The data plane of a listener: its URL."""
        port = free_port()
        command = [
            sys.executable, str(self.aws.scripts / "simalb.py"), "--endpoint", self.aws.endpoint_url,
            "--region", "eu-central-1", "--lag", "0.1", "--poll", POLL_S, f"--map={listener}={port}",
        ]  # fmt: skip
        with started(command, directory / "simalb.log", lambda: accepts(port)):
            yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def ecs_lab(directory: Path, **environment: str) -> Iterator[EcsLab]:
    """All of it, gone at the end of the block. Two of them at once have addresses of their own."""
    net = {"SIM_TASK_NET": str(100 + os.getpid() % 100)}
    with mock.patch.dict(os.environ, {**_FAST, **net, **environment}), aws_lab(directory) as aws:
        yield EcsLab(aws)


Wait = Callable[[], Any]
Entry = Mapping[str, Any]
