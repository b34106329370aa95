"""An AppSpec of an ECS service: which task definition it names, and the same with another one.
Source: https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file.html"""

from typing import Any

import msgspec

from backends.errors import BackendError
from backends.json_text import decode_text

MAX_CHARS = 100_000


def parsed(text: str) -> dict[str, Any]:
    """JSON or YAML. Raises BackendError(config) for what is neither, or has no service."""
    if len(text) > MAX_CHARS:
        raise BackendError("config", "the AppSpec is too large to be read")
    try:
        found = decode_text(text, object)
    except msgspec.DecodeError:
        found = _yaml(text)
    if not isinstance(found, dict) or _properties(found) is None:
        raise BackendError("config", "the AppSpec names no service with a task definition", fix="see it in CodeDeploy")
    return found


def task_definition(text: str) -> str:
    """The one that it names; empty where it can not be read."""
    try:
        found = _properties(parsed(text))
    except BackendError:
        return ""
    return str((found or {}).get("TaskDefinition", ""))


def with_definition(text: str, arn: str) -> str:
    """The same with that task definition: its hooks, load balancer and network stay."""
    found = parsed(text)
    properties = _properties(found)
    assert properties is not None
    properties["TaskDefinition"] = arn
    return msgspec.json.encode(found).decode()


def minimal(arn: str, container: str, port: int) -> str:
    """The least that there is, of a service that was never deployed by its group."""
    properties = {
        "TaskDefinition": arn, "LoadBalancerInfo": {"ContainerName": container, "ContainerPort": port},
    }  # fmt: skip
    target = {"TargetService": {"Type": "AWS::ECS::Service", "Properties": properties}}
    return msgspec.json.encode({"version": 0.0, "Resources": [target]}).decode()


def hooks(text: str) -> list[str]:
    """The lifecycle events that a function is called in."""
    try:
        named = _lower(parsed(text)).get("hooks") or []
    except BackendError:
        return []
    return [str(name) for each in named if isinstance(each, dict) for name in each]


def _properties(found: dict[str, Any]) -> dict[str, Any] | None:
    """Those of the first service, to be written into."""
    resources = _lower(found).get("resources")
    for each in resources if isinstance(resources, list) else []:
        for target in each.values() if isinstance(each, dict) else ():
            inner = _lower(target).get("properties") if isinstance(target, dict) else None
            if isinstance(inner, dict) and inner.get("TaskDefinition"):
                return inner
    return None


def _lower(found: dict[str, Any]) -> dict[str, Any]:
    return {str(key).lower(): value for key, value in found.items()}


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        raise BackendError("config", "the AppSpec is neither JSON nor YAML", fix="see it in CodeDeploy") from None
