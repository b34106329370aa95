"""`report` checks of artifacts of GitHub: each request and answer is held against GitHub's own description."""

import io
import os
import zipfile
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.checks.report.check import ReportCheck
from backends.checks.report.github import member
from backends.checks.report.sources import MAX_BYTES
from backends.errors import BackendError
from backends.http import Http
from backends.models import CheckResult
from backends.registry import AdapterContext, build
from backends.testing.checks import consistent
from tests.backends.fake_github import REPO, TOKEN, Artifact, FakeGitHub
from tests.backends.faulty_server import FaultyServer, Received
from tests.backends.github_openapi import description

JUNIT = b"<testsuite><testcase/></testsuite>"
FAILED = b"<testsuite><testcase><failure/></testcase></testsuite>"

Build = Callable[..., ReportCheck]


def packed(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name.replace("__", "/"), body)
    return content.getvalue()


class Blobs(FaultyServer):
    """The other host, where artifacts lie."""

    github: FakeGitHub

    async def respond(self, writer: Any, request: Received) -> None:
        number = int(request.target.partition("?")[0].rpartition("/")[2])
        artifact = next(each for run in self.github.runs for each in run.artifacts if each.id == number)
        await self.send(writer, 200, artifact.content, {"content-type": "application/zip"})


@pytest.fixture
async def github(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeGitHub]:
    description()
    monkeypatch.setenv("GH_TOKEN", TOKEN)
    async with FakeGitHub() as server, Blobs() as blobs:
        server.blobs, blobs.github = blobs, server
        yield server
        assert server.complaints == []
        assert not any("authorization" in each.headers for each in blobs.requests), "the token went to another host"


@pytest.fixture
async def check_of(github: FakeGitHub, tmp_path: Path) -> AsyncIterator[Build]:
    http = Http()

    def built(**more: Any) -> ReportCheck:
        place = {"repo": REPO, "workflow": "fails.yml", "artifact": "junit", "token": {"env": "GH_TOKEN"}}
        given = {"github": {**place, "url": github.url, **more}, "timeout": "20s"}
        check: ReportCheck = build("checks", "report", given, AdapterContext("mine", tmp_path, tmp_path, http))
        return check

    yield built
    await http.aclose()


async def look(check: ReportCheck) -> CheckResult:
    result = await check.run()
    consistent(result)
    return result


def left(github: FakeGitHub, content: bytes, hours: float, workflow: str = "fails.yml", **more: Any) -> Artifact:
    """A run that began so long ago and left an artifact."""
    created = datetime.now(UTC) - timedelta(hours=hours)
    run = github.add(workflow, "success", created, **{key: more.pop(key) for key in ("branch",) if key in more})
    artifact = Artifact(run.id + 5000, more.pop("name", "junit"), created, content, **more)
    run.artifacts.append(artifact)
    return artifact


async def test_the_newest_artifact_is_read_once(github: FakeGitHub, check_of: Build) -> None:
    left(github, packed(out__junit_xml=FAILED), 3)
    newest = left(github, packed(out__junit_xml=JUNIT), 2)
    left(github, packed(junit_xml=FAILED), 1, name="another")
    left(github, packed(junit_xml=FAILED), 0.5, workflow="succeeds.yml")
    github.add("fails.yml", "failure", datetime.now(UTC))  # broke down before it left anything
    check = check_of()
    for _ in range(2):
        result = await look(check)
        assert (result.state, result.perfdata[-1].label) == ("ok", "age")
        assert f"junit of run {newest.id - 5000} is 2h" in result.message
        assert 7200 <= (result.perfdata[-1].value or 0) < 7400
    assert len(github.asked(f"/artifacts/{newest.id}/zip")) == 1
    left(github, packed(junit_xml=FAILED), 0.1)
    assert (await look(check)).state == "critical"


async def test_one_that_is_too_old_or_has_expired_is_unknown(github: FakeGitHub, check_of: Build) -> None:
    artifact = left(github, packed(junit_xml=JUNIT), 30)
    assert ", over 1d2h: it said 1 test" in (await look(check_of())).message
    artifact.expired = True
    result = await look(check_of())
    assert (result.state, result.message.partition(": ")[2]) == (
        "unknown",
        f"junit of run {artifact.id - 5000} has expired",
    )
    artifact.expired, artifact.is_gone = False, True  # between the list and the download
    result = await look(check_of())
    assert (result.state, result.perfdata) == ("unknown", ())


async def test_none_at_all_is_unknown(github: FakeGitHub, check_of: Build) -> None:
    assert (await look(check_of())).message.endswith("none of its newest 0 runs has an artifact junit")
    github.add("fails.yml", "success", datetime.now(UTC))
    assert (await look(check_of())).message.endswith("none of its newest 1 runs has an artifact junit")
    assert (await look(check_of(workflow="gone.yml"))).state == "unknown"


async def test_only_of_one_branch(github: FakeGitHub, check_of: Build) -> None:
    left(github, packed(junit_xml=FAILED), 2, branch="main")
    left(github, packed(junit_xml=JUNIT), 1, branch="patch-1")
    assert (await look(check_of())).state == "ok"
    assert (await look(check_of(branch="main"))).state == "critical"


async def test_which_file_of_an_artifact(github: FakeGitHub, check_of: Build) -> None:
    left(github, packed(logs__a_txt=b"x", reports__unit_xml=JUNIT), 1)
    result = await look(check_of())
    assert result.state == "unknown"
    assert "2 of its files could be it (logs/a_txt, reports/unit_xml): name one by `file`" in result.message
    assert (await look(check_of(file="reports/*_xml"))).state == "ok"
    assert (await look(check_of(file="*.sarif"))).state == "unknown"


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"<html>", packed(a=JUNIT)[:-30], packed(a=b""), packed()],
    ids=["empty", "cut", "html", "no-directory", "empty-file", "no-file"],  # a zip has the time
)
async def test_a_damaged_zip_is_unknown(github: FakeGitHub, check_of: Build, content: bytes) -> None:
    left(github, content, 1)
    assert (await look(check_of())).state == "unknown"


async def test_a_refusal_is_an_error(github: FakeGitHub, check_of: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    left(github, packed(junit_xml=JUNIT), 1)
    monkeypatch.setenv("GH_TOKEN", "ghp_AnotherOne1234")
    with pytest.raises(BackendError) as caught:
        await check_of().run()
    assert caught.value.kind == "auth"
    assert os.environ["GH_TOKEN"] not in caught.value.message


def test_a_zip_that_is_a_bomb_is_bounded() -> None:
    with pytest.raises(BackendError, match="more than 32 MB, inflated"):
        member(packed(junit_xml=b" " * (MAX_BYTES + 1)), "")


@pytest.mark.parametrize(
    "config", [{"repo": "no-owner"}, {"artifact": " "}, {"workflow": ""}, {"url": "ftp://x"}, {"run": 3}]
)
def test_configs_that_are_none(check_of: Build, config: dict[str, Any]) -> None:
    with pytest.raises(BackendError):
        check_of(**config)
