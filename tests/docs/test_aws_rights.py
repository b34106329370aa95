"""The rights that docs/aws.md lists for an entry are those of the calls that its adapter makes, no more, no fewer."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

HOUSE = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\w+) `([\w-]+)` \|(.*)\|$", re.MULTILINE)
RIGHT = re.compile(r"`(\w+:\w+)`")
SERVICES = ("sqs", "kinesis", "lambda", "s3", "sns", "cloudwatch", "logs", "glue", "stepfunctions", "events")
IN_POLICIES = {"stepfunctions": "states", "s3:ListObjectsV2": "s3:ListBucket"}
SOURCES = {
    "checks sqs": ("backends/checks/sqs.py", "backends/aws/datapoints.py"),
    "checks kinesis": ("backends/checks/kinesis.py", "backends/aws/datapoints.py"),
    "checks lambda": ("backends/checks/lambda_function.py", "backends/aws/datapoints.py"),
    "checks backup": ("backends/checks/backup",),
    "notify sns": ("backends/notify/sns.py",),
    "metrics cloudwatch": ("backends/metrics/cloudwatch",),
    "logs cloudwatch": ("backends/logs/cloudwatch",),
    "alerts cloudwatch": ("backends/alerts/cloudwatch",),
    "pipelines glue": ("backends/pipelines/glue", "backends/logs/cloudwatch/events.py"),
    "pipelines step-functions": ("backends/pipelines/stepfunctions",),
    "quality glue": ("backends/quality/glue.py",),
}


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
