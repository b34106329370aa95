"""A change that somebody else has begun by ECS or CodeDeploy, and that waits: nobody's action watches it, so it is told
to everybody, and a release of ours is refused with who."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.backends.faulty_server import FaultyServer
from tests.live.ecs import CLUSTER, EcsLab
from tests.live.moto import KEYS
from tests.live.process import until
from tests.live.teal import CommandLine
from tests.live.test_controlled_release import GO
from tests.live.test_ecs_native import pausing

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("controlled")]


def begun(lab: EcsLab, kind: str) -> dict[str, Any]:
    """The entry of a service in whose change of somebody else it waits."""
    if kind == "codedeploy":
        entry = lab.codedeploy("2.4.0", ready_min=600)
        deploy, names = lab.aws.client("codedeploy"), {"applicationName": entry["application"]}
        deploy.create_deployment(
            deploymentGroupName="main", revision=lab.appspec(lab.definition(entry["service"], "2.5.0")),
            description="by the pipeline", **names,
        )  # fmt: skip
        names["deploymentGroupName"] = "main"
        until(lambda: bool(deploy.list_deployments(includeOnlyStatuses=["Ready"], **names)["deployments"]), "it waits")
        return entry
    entry = lab.native("2.4.0", lifecycleHooks=[pausing(minutes=600, action="CONTINUE")])
    task = lab.definition(entry["service"], "2.5.0")
    lab.ecs.update_service(cluster=CLUSTER, service=entry["service"], taskDefinition=task)

    def waits() -> bool:
        arn = lab.deployments(entry["service"])[0]["serviceDeploymentArn"]
        (found,) = lab.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
        return any(each["status"] == "AWAITING_ACTION" for each in found.get("lifecycleHookDetails", []))

    until(waits, "it waits")
    return entry


@pytest.mark.parametrize(
    ("kind", "then", "who"),
    [
        ("ecs-native", "PROMOTES ITSELF at ", "somebody since"),
        ("codedeploy", "rolls back by itself at ", "by the pipeline"),
    ],
)
async def test_an_unwatched_pause_is_loud_and_locks(
    lab: EcsLab, tmp_path: Path, kind: str, then: str, who: str
) -> None:
    entry = await asyncio.to_thread(begun, lab, kind)
    entry.pop("_listener")
    async with FaultyServer() as receiver:
        hook = f'[[contexts.test.notify]]\nname = "ops"\ntype = "webhook"\nurl = "{receiver.url}/hook"'
        teal = CommandLine(tmp_path, {"type": kind, **entry}, KEYS, more=hook)
        status = await teal.action("deploy", "status", "analytics")
        assert (status["exit"], status["controller"]["phase"], receiver.requests) == (0, "paused", [])
        for _ in range(2):
            code, said, _ = await teal.run("check", "deployments")
            assert (code, then in said, "no action of ours watches it" in said) == (1, True, True), said
        (event,) = [json.loads(request.body) for request in receiver.requests]
        assert (event["what"], event["service"], event["to"]) == ("held", "analytics", "2.5.0")
        assert then in event["text"]
        assert "no action of ours watches it" in event["text"]
        code, handover, _ = await teal.run("report", "--handover")
        assert (code, then in handover) == (0, True), handover
        locked = await teal.action("deploy", "release", "analytics", "--version", "2.6.0", *GO)
        (error,) = locked["errors"][:1]
        assert (locked["exit"], who in error["message"], "\n" in error["message"]) == (6, True, False), locked
        assert "aws cloudtrail --region " in error["fix"]
    families = lab.ecs.list_task_definitions(familyPrefix=entry["service"])["taskDefinitionArns"]
    assert len(families) == 2, "nothing was registered for ours"
