"""`teal config init` names the environments of MWAA where AWS is set up, says why it names none, and never waits."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.config.found_aws import has_credentials
from tests.fake_aws import FakeAws, fake_aws
from tests.live.moto import KEYS, REGION


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with fake_aws() as found:
        yield found


def init(home: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    """In a home of its own, with nothing of AWS but `env`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [
        sys.executable,
        "-m",
        "console.cli.main",
        "config",
        "init",
        "-c",
        str(home / "config.toml"),
        "-o",
        "json",
    ]
    place = {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(
        command, env={**kept, **place, **env}, capture_output=True, text=True, timeout=120, check=False
    )


def test_environments_are_entries_of_the_file(aws: FakeAws, tmp_path: Path) -> None:
    pages = {"": (["prod", "test"], "more"), "more": (["dev"], "")}

    def listed(asked: dict[str, str]) -> dict[str, object]:
        names, token = pages[asked.get("NextToken", "")]
        return {"Environments": names, **({"NextToken": token} if token else {})}

    aws.answers["mwaa.ListEnvironments"] = listed
    done = init(tmp_path, **KEYS, AWS_ENDPOINT_URL=aws.endpoint_url)
    assert done.returncode == 0, done.stderr
    (written,) = json.loads(done.stdout)["items"]
    assert written == {"file": str(tmp_path / "config.toml"), "mwaa": ["dev", "prod", "test"]}
    assert f"3 environments of MWAA in {REGION}: dev, prod, test" in done.stderr
    tail = (tmp_path / "config.toml").read_text().partition("found with the AWS credentials")[2]
    entries = "\n".join(line.removeprefix("# ") for line in tail.splitlines()[1:])
    found = tomllib.loads(entries)["contexts"]["production"]["pipelines"]
    assert found[1] == {"name": "prod", "type": "airflow", "mwaa": "prod", "aws": {"region": REGION}}
    from console.config.load import load_config

    assert load_config(tmp_path / "config.toml").contexts


def test_why_there_are_none_is_said(aws: FakeAws, tmp_path: Path) -> None:
    aws.fail("mwaa", "AccessDeniedException", message="not authorized to perform: airflow:ListEnvironments on x")
    done = init(tmp_path, **KEYS, AWS_ENDPOINT_URL=aws.endpoint_url)
    assert (done.returncode, json.loads(done.stdout)["items"][0]["mwaa"]) == (0, [])
    assert "environments of MWAA are not known: AWS: no right airflow:ListEnvironments" in done.stderr


def test_without_credentials_nobody_is_asked(aws: FakeAws, tmp_path: Path) -> None:
    done = init(tmp_path, AWS_ENDPOINT_URL=aws.endpoint_url)
    assert (done.returncode, done.stderr, aws.calls) == (0, "", [])


def test_what_says_that_aws_is_set_up(tmp_path: Path) -> None:
    assert not has_credentials({}, tmp_path)
    assert has_credentials({"AWS_PROFILE": "p"}, tmp_path)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\n")
    assert has_credentials({}, tmp_path)
    assert not has_credentials({"AWS_CONFIG_FILE": str(tmp_path / "none")}, tmp_path)
