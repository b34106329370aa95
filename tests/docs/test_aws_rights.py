"""The rights that docs/aws.md lists for an entry are those of the calls that its adapter makes, no more, no fewer."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

HOUSE = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\w+) `([\w-]+)`[^|]* \|(.*)\|$", re.MULTILINE)
RIGHT = re.compile(r"`([\w-]+:\w+)`")
SERVICES = ("sqs", "kinesis", "lambda", "s3", "sns", "cloudwatch", "logs", "glue", "stepfunctions", "events", "mwaa")
IN_POLICIES = {"stepfunctions": "states", "mwaa": "airflow", "s3:ListObjectsV2": "s3:ListBucket"}
SOURCES = {
    "checks sqs": ("backends/checks/sqs.py", "backends/aws/datapoints.py"),
    "checks kinesis": ("backends/checks/kinesis.py", "backends/aws/datapoints.py"),
    "checks lambda": ("backends/checks/lambda_function.py", "backends/aws/datapoints.py"),
    "checks backup": ("backends/checks/backup",),
    "checks report": ("backends/artifacts",),
    "notify sns": ("backends/notify/sns.py",),
    "metrics cloudwatch": ("backends/metrics/cloudwatch",),
    "logs cloudwatch": ("backends/logs/cloudwatch",),
    "alerts cloudwatch": ("backends/alerts/cloudwatch",),
    "pipelines glue": ("backends/pipelines/glue", "backends/logs/cloudwatch/events.py"),
    "pipelines step-functions": ("backends/pipelines/stepfunctions", "backends/logs/cloudwatch/events.py"),
    "pipelines airflow": tuple(f"backends/pipelines/airflow/{name}.py" for name in ("mwaa", "mwaa_login")),
    "quality glue": ("backends/quality/glue.py",),
}
_ECS = "backends/deployments/ecs"
MOVED = {
    "deployments ecs": tuple(f"{_ECS}/{name}.py" for name in ("cluster", "deployer", "failing", "scaling", "switch")),
    "deployments ecs-native": (
        *(f"{_ECS}/{name}.py" for name in ("cluster", "native", "native_state", "native_guards")),
        "backends/deployments/alb/health.py",
    ),
    "deployments codedeploy": (
        "backends/deployments/codedeploy", f"{_ECS}/cluster.py", f"{_ECS}/native_guards.py",
    ),
}  # fmt: skip
"""Those whose calls name service and operation side by side."""
ALWAYS = {"sts:GetCallerIdentity", "iam:PassRole", "ecs:TagResource"}
"""Who we are; what a new revision of a task definition needs besides its call."""
BESIDES = {
    "deployments codedeploy": {
        f"codedeploy:{name}"
        for name in ("GetDeploymentConfig", "GetApplicationRevision", "RegisterApplicationRevision")
    }
}  # fmt: skip
READS = re.compile(r"[\w-]+:(Describe|List|Get|BatchGet)\w+")
UNUSED = {"deployments codedeploy": {"ecs:UpdateService", "ecs:ListTasks", "ecs:DescribeTasks"}}


def told() -> dict[str, set[str]]:
    """The rows of the page's table."""
    page = (HOUSE / "docs" / "aws.md").read_text()
    return {f"{port} {kind}": set(RIGHT.findall(rest)) for port, kind, rest in ROW.findall(page) if RIGHT.search(rest)}


def words_of(path: Path) -> Iterator[str]:
    """Every string and every name of a method in a file or a directory."""
    for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.Attribute):
                yield node.attr


@pytest.mark.parametrize("entry", SOURCES)
def test_the_page_has_the_calls_that_are_made(entry: str) -> None:
    words = {word for source in SOURCES[entry] for word in words_of(HOUSE / source)}
    called = set()
    for service in SERVICES:
        if service not in words:
            continue
        for operation in botocore.session.get_session().get_service_model(service).operation_names:
            if xform_name(operation) in words:
                right = f"{IN_POLICIES.get(service, service)}:{operation}"
                called.add(IN_POLICIES.get(right, right))
    assert told()[entry] == called


def test_every_row_is_of_an_adapter() -> None:
    assert set(told()) == set(SOURCES)


def calls_in(path: Path) -> Iterator[str]:
    """The right of each call whose first two arguments are a service and an operation."""
    for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            named = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)] if isinstance(
                node, ast.Call
            ) else []  # fmt: skip
            if len(named) == 2 and all(isinstance(each, str) for each in named):
                yield from right_of(*named)


def right_of(service: str, operation: str) -> Iterator[str]:
    """As a policy calls it; nothing where it is no call of AWS."""
    if service in botocore.session.get_session().get_available_services():
        model = botocore.session.get_session().get_service_model(service)
        found = next((each for each in model.operation_names if xform_name(each) == operation), None)
        if found is not None:
            yield f"{'elasticloadbalancing' if service == 'elbv2' else service}:{found}"


def policy(entry: str) -> list[dict[str, Any]]:
    """The statements of the page's policy for it."""
    page = (HOUSE / "docs" / "aws.md").read_text()
    text = page.partition(f"### Policy of `{entry.split()[1]}`\n")[2]
    found: list[dict[str, Any]] = json.loads(text.partition("```json\n")[2].partition("```")[0])["Statement"]
    return found


@pytest.mark.parametrize("entry", MOVED)
def test_the_policy_has_the_calls_of_what_moves_traffic(entry: str) -> None:
    called = {right for source in MOVED[entry] for right in calls_in(HOUSE / source)} - UNUSED.get(entry, set())
    allowed = {action for statement in policy(entry) for action in statement["Action"]}
    assert allowed == called | ALWAYS | BESIDES.get(entry, set())


@pytest.mark.parametrize("entry", MOVED)
def test_the_statement_of_a_viewer_has_all_that_is_read_and_nothing_that_writes(entry: str) -> None:
    look, *rest = policy(entry)
    assert (look["Sid"], look["Resource"]) == ("Look", "*")
    assert [action for action in look["Action"] if not READS.fullmatch(action)] == []
    besides = BESIDES.get(entry, set())
    later = {action for each in rest for action in each["Action"]}
    assert {action for action in later if READS.fullmatch(action)} <= besides
