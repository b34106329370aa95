"""Profiles of AWS whose credentials want something of a person: nothing is ever asked at the terminal."""

import getpass
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backends.aws.access import AwsAccess, AwsSession
from backends.errors import BackendError
from backends.http import Http
from backends.metrics.cloudwatch.metrics import CloudWatchMetrics
from backends.registry import AdapterContext, build

ROLE = """
[profile mfa]
region = eu-central-1
role_arn = arn:aws:iam::123456789012:role/oncall
source_profile = base
mfa_serial = arn:aws:iam::123456789012:mfa/me

[profile chained]
region = eu-central-1
role_arn = arn:aws:iam::123456789012:role/other
source_profile = mfa

[profile base]
aws_access_key_id = AKIAEXAMPLE
aws_secret_access_key = example
"""


@pytest.fixture(autouse=True)
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config file of the command line, in a home of its own."""
    path = tmp_path / "config"
    path.write_text(ROLE)
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return path


async def metrics_of(tmp_path: Path, profile: str) -> AsyncIterator[CloudWatchMetrics]:
    http = Http()
    config = {"timeout": "20s", "aws": {"profile": profile, "endpoint_url": "http://127.0.0.1:9"}}
    adapter = build("metrics", "cloudwatch", config, AdapterContext("cw", tmp_path, tmp_path, http))
    yield adapter
    await adapter.aclose()
    await http.aclose()


@pytest.mark.parametrize("profile", ["mfa", "chained"])
async def test_a_profile_with_mfa_is_refused_and_asks_nobody(
    tmp_path: Path, profile: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getpass, "unix_getpass", lambda *_: pytest.fail("asked"))
    async for adapter in metrics_of(tmp_path, profile):
        for _ in range(3):
            with pytest.raises(BackendError) as caught:
                await adapter.instant('A:B{c="d"}.Sum')
            assert caught.value.kind == "auth"
            assert "MFA code" in caught.value.message
            assert "aws sts get-caller-identity --profile" in caught.value.fix
    assert capfd.readouterr() == ("", "")


async def test_a_command_for_credentials_is_kept_from_the_terminal(aws: Path) -> None:
    said = {"Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": "s"}
    script = aws.parent / "credentials.py"
    script.write_text(
        "import os, sys\n"
        "assert os.getsid(0) == os.getpid() and sys.stdin.read() == ''\n"
        f"print({json.dumps(json.dumps(said))})\n"
    )
    aws.write_text(f"[profile p]\nregion = eu-central-1\ncredential_process = {sys.executable} {script}\n")
    client = AwsSession(AwsAccess(profile="p"), {}, timeout_s=5).client("s3", attempts=2)
    assert "AKIA" in client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
