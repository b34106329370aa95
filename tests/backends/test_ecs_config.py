"""Entries of `ecs`, `ecs-native` and `codedeploy` that can not be meant are refused as they are read, in one line."""

from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.registry import AdapterContext, build

ARN = "arn:aws:elasticloadbalancing:eu-central-1:123456789012"
ECS = {
    "rules": [f"{ARN}:listener-rule/app/model/50dc6c49f2f7dc8e/f2f7dc8e50dc6c49/9683b2d07363e07a"],
    "target_groups": {color: f"{ARN}:targetgroup/model-{color}/73e2d6bc24d8a067" for color in ("blue", "green")},
    "cluster": "models", "services": {"blue": "model-blue", "green": "model-green"},
}  # fmt: skip
NATIVE = {"cluster": "models", "service": "model", "aws": {"region": "eu-central-1"}}
CODEDEPLOY = {**NATIVE, "application": "model", "deployment_group": "main"}


def made(kind: str, entry: dict[str, Any], http: Http, base: Path) -> Any:
    return build("deployments", kind, entry, AdapterContext("model", base, base / "own", http))


@pytest.mark.parametrize(("kind", "entry"), [("ecs", ECS), ("ecs-native", NATIVE), ("codedeploy", CODEDEPLOY)])
def test_it_is_built_without_asking_anybody(kind: str, entry: dict[str, Any], http: Http, tmp_path: Path) -> None:
    assert made(kind, entry, http, tmp_path).object_id


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("ecs", {"services": {"blue": "model-blue"}}, "services"),
        ("ecs", {"services": {"blue": "model", "green": "model"}}, "the same one for both colors"),
        ("ecs", {"services": {"red": "a", "green": "b"}}, "not the same colors"),
        ("ecs", {"services": {}}, "one for each color"),
        ("ecs", {"cluster": ""}, "cluster"),
        ("ecs", {"deploy": ["./deploy.sh"]}, "ECS puts versions there itself"),
        ("ecs-native", {"service": ""}, "neither may be empty"),
        ("ecs-native", {"stages": {"canary": [5, 100]}}, "in stages of its own"),
        ("ecs-native", {"smoke": ["./smoke.sh"]}, "smoke: it needs `preview`"),
        ("codedeploy", {"smoke": ["./smoke.sh", "{url}"]}, "smoke: it needs `preview`"),
        ("codedeploy", {"preview": "test.example.com"}, "preview: it begins with http:// or https://"),
        ("ecs-native", {"preview": "http://x/health", "env": ["TOKEN"]}, "leave out env"),
        ("codedeploy", {"exposition": {"blue": "http://x/metrics"}}, "leave out exposition"),
        ("ecs-native", {"env": ["TOKEN"]}, "leave out env"),
        ("ecs-native", {"bake": "10m"}, "bake (only gates are judged"),
        ("codedeploy", {"stage_time": "1m"}, "stage_time (only gates are judged"),
        ("ecs-native", {"health": {"blue": "http://x/health"}}, "ECS moves the traffic itself"),
        ("codedeploy", {"deployment_group": ""}, "none of them may be empty"),
        ("codedeploy", {"deploy": ["./deploy.sh"]}, "CodeDeploy moves the traffic itself"),
    ],
)
def test_what_can_not_be_meant_is_refused(
    kind: str, change: dict[str, Any], words: str, http: Http, tmp_path: Path
) -> None:
    entry = {"ecs": ECS, "ecs-native": NATIVE, "codedeploy": CODEDEPLOY}[kind]
    with pytest.raises(BackendError) as caught:
        made(kind, {**entry, **change}, http, tmp_path)
    assert (caught.value.kind, words in caught.value.message) == ("config", True), caught.value.message


def test_entries_that_move_the_same_service_are_told_from_others(http: Http, tmp_path: Path) -> None:
    from msgspec import convert

    from backends.deployments.codedeploy.controller import CodeDeployConfig
    from backends.deployments.ecs.native import NativeConfig
    from backends.deployments.ecs.switch import EcsConfig

    one = convert(NATIVE, NativeConfig).writes(tmp_path)
    assert one == convert(CODEDEPLOY, CodeDeployConfig).writes(tmp_path)
    pair = convert(ECS, EcsConfig).writes(tmp_path)
    assert {"ECS service model-blue of models in eu-central-1", *ECS["rules"]} < pair
    assert not one & pair


APPSPEC = """version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: "arn:aws:ecs:eu-central-1:123456789012:task-definition/model:7"
        LoadBalancerInfo: { ContainerName: app, ContainerPort: 8080 }
        PlatformVersion: "1.4.0"
Hooks:
  - BeforeAllowTraffic: "check-model"
"""


def test_an_appspec_keeps_all_but_the_task_definition() -> None:
    from backends.deployments.codedeploy import appspec

    again = appspec.with_definition(APPSPEC, "model:8")
    assert appspec.task_definition(again) == "model:8"
    assert appspec.hooks(again) == appspec.hooks(APPSPEC) == ["BeforeAllowTraffic"]
    before, after = (appspec.parsed(text) for text in (APPSPEC, again))
    before["Resources"][0]["TargetService"]["Properties"]["TaskDefinition"] = "model:8"
    assert after == before


@pytest.mark.parametrize("text", ["", "[]", "- a", "{", "Resources: 1", "a: [", "x" * 200_000, "[" * 5000])
def test_what_is_no_appspec_is_a_line(text: str) -> None:
    from backends.deployments.codedeploy import appspec

    with pytest.raises(BackendError) as caught:
        appspec.with_definition(text, "model:8")
    assert caught.value.kind == "config"
    assert appspec.task_definition(text) == ""
