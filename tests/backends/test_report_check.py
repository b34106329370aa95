"""`report` checks: what the tools themselves wrote (tests/fixtures/reports), and what is none or proves nothing."""

import contextlib
import gzip
import json
import os
import re
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from backends.checks.report.check import ReportCheck
from backends.checks.report.formats import read_report
from backends.checks.report.sources import MAX_BYTES
from backends.errors import BackendError
from backends.http import Http
from backends.models import CheckResult
from backends.registry import AdapterContext, build
from backends.testing.checks import consistent
from tests.backends.faulty_server import FAULTS, FaultyServer, Received
from tests.own_time import Watch

FIXTURES = Path(__file__).parent.parent / "fixtures" / "reports"
ALWAYS = "36500d"
AGO = timedelta(hours=30)

Look = Callable[..., Any]


def check_of(directory: Path, http: Http | None = None, **config: Any) -> ReportCheck:
    context = AdapterContext("mine", directory, directory, http or Http())
    check: ReportCheck = build("checks", "report", config, context)
    return check


async def look(directory: Path, **config: Any) -> CheckResult:
    check = check_of(directory, **config)
    result = await check.run()
    consistent(result)
    assert result.latency_ms is not None
    await check.aclose()
    await check.aclose()
    return result


async def look_at(directory: Path, content: Any, **config: Any) -> CheckResult:
    """Of a report with that content."""
    raw = content if isinstance(content, bytes) else content.encode() if isinstance(content, str) else None
    (directory / "report").write_bytes(json.dumps(content).encode() if raw is None else raw)
    os.utime(directory / "report", (0, 0))  # long written: nobody waits for the rest of it
    return await look(directory, **{"path": "report", "max_age": ALWAYS, **config})


def counts(result: CheckResult) -> dict[str, float | None]:
    return {datum.label: datum.value for datum in result.perfdata if datum.label != "age"}


# ---- what the tools wrote


@pytest.mark.parametrize(
    ("name", "format_", "state", "words", "found"),
    [
        ("junit.xml", "junit", "ok", "3 tests; ", {"failures": 0, "errors": 0, "skipped": 0, "tests": 3}),
        ("junit-failed.xml", "junit", "critical", "1 failure of 6 tests, 1 skipped: test_rebate; 1 error of 6 tests, 1 "
         "skipped: test_stock", {"failures": 1, "errors": 1, "skipped": 1, "tests": 6}),
        ("junit-empty.xml", "junit", "unknown", "junit-empty.xml: no test ran: 0 tests", {"tests": 0}),
        ("junit-skipped.xml", "junit", "unknown", "junit-skipped.xml: no test ran: 1 test, 1 skipped", {"tests": 1}),
        ("bandit.sarif", "sarif", "critical", "1 error: B602", {"error": 1, "warning": 0, "note": 2}),
        ("bandit-fine.sarif", "sarif", "ok", "0 results; ", {"error": 0, "warning": 0, "note": 0}),
        ("coverage.json", "coverage", "warning", "70.0% of lines covered", {"lines": 70, "branches": 75}),
        ("coverage.xml", "coverage", "warning", "70.0% of lines covered", {"lines": 70, "branches": 75}),
        ("terraform.json", "terraform", "critical", "2 to destroy: terraform_data.goes[0] …; 3 to create: "
         "terraform_data.comes[0] …; 1 to change: terraform_data.changes; 1 output to change: n",
         {"destroys": 2, "creates": 3, "changes": 1, "drifted": 0, "outputs": 1}),
        ("terraform-fine.json", "terraform", "ok", "nothing to change; ", {"destroys": 0, "creates": 0}),
    ],
)  # fmt: skip
async def test_reports_of_the_tools_themselves(
    tmp_path: Path, name: str, format_: str, state: str, words: str, found: dict[str, float]
) -> None:
    path = str(FIXTURES / name)
    result = await look(tmp_path, path=path, max_age=ALWAYS)
    assert (result.state, result.message[: len(words)]) == (state, words)
    assert counts(result).items() >= found.items()
    named = await look(tmp_path, path=path, max_age=ALWAYS, format=format_)
    assert (named.state, counts(named)) == (state, counts(result))


@pytest.mark.parametrize(
    ("name", "state", "words", "missing", "changed"),
    [
        ("dvc-fine.json", "ok", "all is up to date; ", 0, 0),
        ("dvc.json", "warning", "1 changed: train", 0, 1),
        ("dvc-remote.json", "critical", "1 missing: model.pkl", 1, 0),
        ("dvc-data.json", "critical", "1 missing: model.pkl; 1 changed: model.pkl", 1, 1),
    ],
)
async def test_dvc_itself(tmp_path: Path, name: str, state: str, words: str, missing: int, changed: int) -> None:
    result = await look_at(tmp_path, (FIXTURES / name).read_bytes(), format="dvc")
    assert (result.state, result.message[: len(words)]) == (state, words)
    assert counts(result) == {"missing": missing, "changed": changed}


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.iterdir()))
@pytest.mark.parametrize("format_", ["junit", "sarif", "k6", "terraform", "dvc", "coverage"])
async def test_one_format_is_never_taken_for_another(tmp_path: Path, name: str, format_: str) -> None:
    own = {"bandit": "sarif"}.get(name.partition(".")[0].partition("-")[0], name.partition(".")[0].partition("-")[0])
    if own == format_ and name != "terraform-state.json":
        return
    result = await look(tmp_path, path=str(FIXTURES / name), max_age=ALWAYS, format=format_)
    assert (result.state, result.perfdata) == ("unknown", ())


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.iterdir()))
async def test_half_of_a_report_is_none(tmp_path: Path, name: str) -> None:
    whole = (FIXTURES / name).read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        half = whole.rstrip()[: int(len(whole.rstrip()) * share)]
        result = await look_at(tmp_path, half)
        assert (result.state, result.perfdata) == ("unknown", ()), share
        packed = await look_at(tmp_path, gzip.compress(whole)[: int(len(gzip.compress(whole)) * share)])
        assert packed.state == "unknown"


async def test_gzip_is_undone(tmp_path: Path) -> None:
    result = await look_at(tmp_path, gzip.compress((FIXTURES / "junit.xml").read_bytes()))
    assert (result.state, counts(result)["tests"]) == ("ok", 3)


# ---- limits and age


async def test_limits_of_the_config_stand_before_the_usual_ones(tmp_path: Path) -> None:
    plan, covered = str(FIXTURES / "terraform.json"), str(FIXTURES / "coverage.xml")
    inf = float("inf")
    lenient = {"warn": {"creates": 3, "changes": inf, "outputs": 1}, "crit": {"destroys": 2}}
    result = await look(tmp_path, path=plan, max_age=ALWAYS, **lenient)
    assert (result.state, result.message.partition(";")[0]) == ("ok", "a plan with changes")
    assert (await look(tmp_path, path=covered, max_age=ALWAYS, warn={"lines": 70})).state == "ok"
    strict = await look(tmp_path, path=covered, max_age=ALWAYS, crit={"branches": 75.5})
    assert (strict.state, strict.message.partition(";")[0]) == ("critical", "75.0% of branches covered")
    few = await look(tmp_path, path=str(FIXTURES / "junit.xml"), max_age=ALWAYS, crit={"tests": 100})
    assert (few.state, few.message) == ("critical", "only 3 tests")


async def test_what_is_too_old_is_unknown_whatever_it_says(tmp_path: Path) -> None:
    for name in ("junit.xml", "junit-failed.xml"):
        path = tmp_path / name
        path.write_bytes((FIXTURES / name).read_bytes().replace(b'timestamp="', b'at="'))
        assert (await look(tmp_path, path=name)).state == ("ok" if name == "junit.xml" else "critical")
        os.utime(path, ((datetime.now(UTC) - AGO).timestamp(),) * 2)
        result = await look(tmp_path, path=name)
        assert result.state == "unknown"
        assert result.message.startswith(f"{name} is 1d6h")
        said = "3 tests" if name == "junit.xml" else "1 failure of "
        assert f", over 1d2h: it said {said}" in result.message
        assert (await look(tmp_path, path=name, max_age="31h")).state != "unknown"


@pytest.mark.parametrize("zone", ["", "+00:00"])
async def test_what_says_itself_that_it_is_ten_days_old_is_old_in_every_zone(tmp_path: Path, zone: str) -> None:
    at, now = ((datetime.now(UTC) - ago).strftime("%Y-%m-%dT%H:%M:%S.%f") for ago in (timedelta(days=10), timedelta()))
    for when, state in ((at, "unknown"), (now, "ok")):
        coverage = {"meta": {"timestamp": when + zone}, "totals": {"covered_lines": 9, "num_statements": 10}}
        junit = f'<testsuite timestamp="{when}{zone}" tests="1"><testcase name="a"/></testsuite>'
        for name, content in (("coverage.json", json.dumps(coverage)), ("junit.xml", junit)):
            (tmp_path / name).write_text(content)
            assert (await look(tmp_path, path=name)).state == state, (name, when)


async def test_a_copy_is_as_old_as_what_it_is_a_copy_of(tmp_path: Path) -> None:
    result = await look(tmp_path, path=str(FIXTURES / "terraform-fine.json"))
    assert result.state == "unknown"
    assert "old, over 1d2h: it said nothing to change" in result.message
    ahead = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    content = (FIXTURES / "terraform-fine.json").read_text()
    (tmp_path / "new").write_text(re.sub(r'(?<="timestamp":")[^"]*', ahead, content))
    assert (await look(tmp_path, path="new")).state == "ok"  # the file is not older than that
    os.utime(tmp_path / "new", ((datetime.now(UTC) + timedelta(hours=2)).timestamp(),) * 2)
    result = await look(tmp_path, path="new")
    assert (result.state, result.message.endswith("in the future: a clock is wrong")) == ("unknown", True)


# ---- what is none


@pytest.mark.parametrize(
    "content",
    [b"", b" \n", b"\xef\xbb\xbf", b"null", b"[]", b"{}", b"1", b"\x00\xff", b"<", b"<a/>", b"<html></html>", b"OK",
     b"<testsuites", b"<testsuites/><testsuites/>", b"<coverage/>", b'<coverage line-rate="x"/>',
     b'<coverage line-rate="nan"/>', b'<coverage line-rate="7"/>', b'<coverage lines-valid="0" line-rate="1"/>',
     b"<testsuites/>", b'<testsuite tests="0"/>', b'<testsuite tests="-5"><properties/></testsuite>',
     b'{"version": "2.1.0", "runs": []}', b'{"version": "3.0", "runs": []}', b'{"version": 2, "runs": []}',
     b'{"version": "2.1.0", "runs": [{"tool": {"driver": {}}}]}', b'{"version": "2.1.0", "runs": {}}',
     b'{"metrics": {}}', b'{"metrics": {"a": {"thresholds": {}}}}', b'{"metrics": {"a": {"thresholds": {"x": 1}}}}',
     b'{"format_version": "1.2", "values": {}}', b'{"format_version": "2.0", "planned_values": {}}',
     b'{"format_version": "1.2", "planned_values": {}, "errored": true}',
     b'{"format_version": "1.2", "planned_values": {}, "complete": false}',
     b'{"meta": {}, "totals": {}}', b'{"meta": {}, "totals": {"covered_lines": 0, "num_statements": 0}}',
     b'{"meta": {}, "totals": {"covered_lines": 9, "num_statements": 3}}', b"[" * 100_000, b'{"a":' * 100_000],
)  # fmt: skip
async def test_what_proves_nothing_is_unknown(tmp_path: Path, content: bytes) -> None:
    assert (await look_at(tmp_path, content)).state == "unknown"


async def test_what_is_not_there_is_unknown_and_what_nobody_may_look_at_is_an_error(tmp_path: Path) -> None:
    result = await look(tmp_path, path="gone.xml")
    assert (result.state, result.message) == ("unknown", f"there is no gone.xml in {tmp_path}")
    (tmp_path / "directory").mkdir()
    assert (await look(tmp_path, path="directory")).state == "unknown"
    with pytest.raises(BackendError) as caught:
        await look(tmp_path, path="elsewhere/gone.xml")
    assert caught.value.kind == "unreachable"


BOMB = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
HOSTILE = {
    "a bomb of entities": f'<!DOCTYPE testsuites [<!ENTITY e0 "ha">{BOMB}]><testsuites>&e9;</testsuites>',
    "a file of this host": '<!DOCTYPE testsuites [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuites>&x;</testsuites>',
    "attributes by default": f'<!DOCTYPE testsuites [<!ATTLIST testcase name CDATA "{"x" * 100_000}">]>'
    f"<testsuites>{'<testcase/>' * 100_000}</testsuites>",
    "parameter entities": '<!DOCTYPE testsuites [<!ENTITY % a SYSTEM "http://127.0.0.1:9/">%a;]><testsuites/>',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
async def test_xml_that_declares_things_is_not_read(tmp_path: Path, content: str) -> None:
    watch = Watch()
    result = await look_at(tmp_path, content, format="junit")
    assert result.state == "unknown"
    assert result.message.endswith("XML that declares entities or types of its own, which is not read")
    assert watch.seconds() < 2


async def test_a_type_that_lies_elsewhere_is_not_fetched(tmp_path: Path) -> None:
    """As Cobertura and gcovr write it."""
    async with FaultyServer() as server:
        doctype = f"<!DOCTYPE coverage SYSTEM '{server.url}/coverage-04.dtd'>"
        result = await look_at(tmp_path, f'{doctype}<coverage line-rate="0.9" branch-rate="0"/>')
        assert (result.state, counts(result)) == ("ok", {"lines": 90, "branches": 0})
        assert server.requests == []


async def test_what_is_large_is_bounded(tmp_path: Path) -> None:
    bomb = gzip.compress(b"<testsuites>" + b" " * (MAX_BYTES + 1))
    result = await look_at(tmp_path, bomb, timeout="60s")
    assert (result.state, result.message.endswith("more than 32 MB, inflated")) == ("unknown", True)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert (await look(tmp_path, path="large")).state == "unknown"
    cases = b"<testsuites>" + b"<testcase><a><b/></a></testcase>" * 30_000 + b"</testsuites>"
    tracemalloc.start()
    _, report = read_report(cases, None)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.summary == "30000 tests"
    assert most < 3 * len(cases), "a tree is made of it"


# ---- formats whose tools are not at hand: examples as their documents have them


def sarif(*results: dict[str, Any], rules: Any = (), **run: Any) -> Any:
    driver = {"name": "CodeQL", "rules": list(rules)}
    told = [{"message": {"text": "it is so"}, **result} for result in results]
    return {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": told, **run}]}


UNDER_REVIEW = {"kind": "external", "status": "underReview"}


def rule(level: str) -> Any:
    return {"id": "py/a", "defaultConfiguration": {"level": level}}


@pytest.mark.parametrize(
    ("content", "state", "found"),
    [
        # trivy, snyk: a level of its own
        (sarif({"ruleId": "CVE-1", "level": "error"}, {"ruleId": "CVE-2", "level": "note"}), "critical", (1, 0, 1)),
        # CodeQL: the level is the rule's, by id, by index, or of the first part of its id; else it is a warning
        (sarif({"ruleId": "py/a"}, rules=[rule("error")]), "critical", (1, 0, 0)),
        (sarif({"ruleIndex": 0}, rules=[rule("note")]), "ok", (0, 0, 1)),
        (sarif({"rule": {"id": "py/a/1"}}, rules=[rule("none")]), "ok", (0, 0, 0)),
        (sarif({"ruleId": "py/a"}, rules=[{"id": "py/a"}]), "warning", (0, 1, 0)),
        (sarif({"ruleId": "py/b"}), "warning", (0, 1, 0)),
        # what somebody has accepted, what is gone, what is no failure
        (sarif({"level": "error", "suppressions": [{"kind": "inSource"}]}), "ok", (0, 0, 0)),
        (sarif({"level": "error", "suppressions": [UNDER_REVIEW]}), "critical", (1, 0, 0)),
        (sarif({"level": "error", "suppressions": []}), "critical", (1, 0, 0)),
        (sarif({"level": "error", "baselineState": "absent"}), "ok", (0, 0, 0)),
        (sarif({"level": "none", "kind": "pass"}, {"kind": "notApplicable"}), "ok", (0, 0, 0)),
        # what nobody knows, and a tool that broke down
        (sarif({"level": "fatal"}), "unknown", (0, 0, 0)),
        (sarif(invocations=[{"executionSuccessful": False}]), "unknown", (0, 0, 0)),
        (sarif({"level": "error"}, invocations=[{"executionSuccessful": False}]), "critical", (1, 0, 0)),
        (sarif(results=None), "unknown", (0, 0, 0)),
        (sarif(invocations=[{"executionSuccessful": True, "endTimeUtc": None}]), "ok", (0, 0, 0)),
    ],
)  # fmt: skip
async def test_sarif_by_level(tmp_path: Path, content: Any, state: str, found: tuple[int, int, int]) -> None:
    result = await look_at(tmp_path, content)
    assert (result.state, counts(result)) == (state, dict(zip(("error", "warning", "note"), found, strict=True)))


def k6(threshold: Any, **metric: Any) -> Any:
    thresholds = {} if threshold is None else {"thresholds": {"p(95)<500": threshold}}
    return {"root_group": {}, "metrics": {"http_req_duration": {**thresholds, **metric}, "iterations": {"count": 3}}}


@pytest.mark.parametrize(
    ("content", "state", "words"),
    [
        (k6(False, avg=1.5), "ok", "1 threshold; "),  # --summary-export: true is crossed
        (k6(True, avg=1.5), "critical", "1 of 1 threshold crossed: http_req_duration p(95)<500"),
        (k6({"ok": True}, type="trend", values={"avg": 1.5}), "ok", "1 threshold; "),  # handleSummary()
        (k6({"ok": False}, type="trend", values={"avg": 1.5}), "critical", "1 of 1 threshold crossed"),
        (k6(None), "unknown", "report: no threshold is set"),
        (k6({"ok": True}, type="rate", values={"rate": 0, "passes": 0, "fails": 0}), "unknown", "report: no sample of"),
        (k6(False, passes=0, fails=0), "unknown", "report: no sample of http_req_duration"),
        (k6(False, passes=0, fails=2), "ok", "1 threshold; "),
        ({"metrics": {"a": {"thresholds": {"x": {"ok": True}}}, "iterations": {"values": {"count": 0}}}}, "unknown",
         "report: no iteration ran"),
    ],
)  # fmt: skip
async def test_thresholds_of_k6(tmp_path: Path, content: Any, state: str, words: str) -> None:
    result = await look_at(tmp_path, content)
    assert (result.state, result.message[: len(words)]) == (state, words)


@pytest.mark.parametrize(
    ("content", "state", "missing", "changed"),
    [
        ({}, "ok", 0, 0),
        ({"train": [{"changed deps": {"data": "modified"}}, {"changed outs": {"m.pkl": "deleted"}}], "eval": [
            "changed command", "always changed"]}, "warning", 0, 2),
        ({"data/a": "new"}, "warning", 0, 1),
        ({"data/a": "deleted", "data/b": "missing"}, "critical", 2, 0),
        ({"committed": {"modified": ["a", "b/"], "renamed": [{"old": "c", "new": "d"}]}, "uncommitted": {}, "git": {
            "is_dirty": True}, "untracked": ["x"], "unchanged": ["y"], "not_in_cache": []}, "warning", 0, 3),
        ({"not_in_cache": ["data/data.xml"], "committed": {}}, "critical", 1, 0),
    ],
)  # fmt: skip
async def test_a_status_of_dvc(tmp_path: Path, content: Any, state: str, missing: int, changed: int) -> None:
    result = await look_at(tmp_path, content, format="dvc")
    assert (result.state, counts(result)) == (state, {"missing": missing, "changed": changed})
    assert (await look_at(tmp_path, content)).state == "unknown", "it looks like anything"


@pytest.mark.parametrize("content", [{"a": []}, {"a": [1]}, {"a": "ok"}, {"a": [{}]}, {"committed": {"added": 3}}, []])
async def test_what_is_no_status_of_dvc(tmp_path: Path, content: Any) -> None:
    result = await look_at(tmp_path, content, format="dvc")
    assert (result.state, result.perfdata) == ("unknown", ())


async def test_drift_that_only_a_refresh_shows(tmp_path: Path) -> None:
    drift = [{"address": "aws_s3_bucket.logs", "change": {"actions": ["update"]}}]
    plan = {"format_version": "1.2", "planned_values": {}, "resource_changes": [], "resource_drift": drift}
    result = await look_at(tmp_path, plan)
    assert (result.state, result.message) == ("warning", "1 changed outside: aws_s3_bucket.logs")
    odd = {**plan, "resource_drift": [], "resource_changes": [{"address": "a", "change": {"actions": ["transmute"]}}]}
    assert (await look_at(tmp_path, odd)).message == "1 to change: a"
    read = {**plan, "resource_drift": [], "resource_changes": [{"address": "data.a", "change": {"actions": ["read"]}}]}
    assert (await look_at(tmp_path, read)).state == "ok"


@pytest.mark.parametrize(
    ("content", "state", "found"),
    [
        ("<testsuite><testcase name='a'/><testcase name='b' status='notrun'/></testsuite>", "ok", (0, 0, 1, 2)),
        ("<testsuite><testcase status='notrun'/></testsuite>", "unknown", (0, 0, 1, 1)),
        ("<testsuite tests='3' failures='2'><testcase/></testsuite>", "critical", (2, 0, 0, 3)),
        ("<testsuites failures='9'><testsuite><testcase/></testsuite></testsuites>", "critical", (9, 0, 0, 1)),
        ("<testsuites tests='2'><testsuite tests='1'/><testsuite tests='1'/></testsuites>", "ok", (0, 0, 0, 2)),
        ("<testsuite><testcase><failure/><failure/></testcase></testsuite>", "critical", (1, 0, 0, 1)),
        ("<testsuite><testcase/><error message='at the end'/></testsuite>", "critical", (0, 1, 0, 1)),
        ("<testsuites><testsuite><testsuite><testcase><error/></testcase></testsuite></testsuite></testsuites>",
         "critical", (0, 1, 0, 1)),
        ("<n:testsuites xmlns:n='u'><n:testsuite><n:testcase/></n:testsuite></n:testsuites>", "ok", (0, 0, 0, 1)),
        ("<testsuite><testcase><system-out>&lt;failure/></system-out><rerunFailure/></testcase></testsuite>", "ok",
         (0, 0, 0, 1)),
    ],
)  # fmt: skip
async def test_dialects_of_junit(tmp_path: Path, content: str, state: str, found: tuple[int, ...]) -> None:
    result = await look_at(tmp_path, content)
    labels = ("failures", "errors", "skipped", "tests")
    assert (result.state, counts(result)) == (state, dict(zip(labels, found, strict=True)))


# ---- by URL


@pytest.fixture
async def http() -> Any:
    http = Http()
    yield http
    await http.aclose()


async def test_a_url_is_as_old_as_it_was_last_modified(tmp_path: Path, http: Http) -> None:
    content = (FIXTURES / "junit.xml").read_text().replace('timestamp="', 'at="')

    class Ci(FaultyServer):
        async def respond(self, writer: Any, request: Received) -> None:
            await self.send(writer, self.status, content.encode(), self.extra_headers)

    async with Ci() as server:
        check = check_of(tmp_path, http, url=f"{server.url}/junit.xml", headers={"X-Token": {"env": "HOME"}})
        result = await check.run()
        assert result.state == "unknown"
        assert result.message.endswith("neither the report nor its server says how old it is")
        server.extra_headers["last-modified"] = format_datetime(datetime.now(UTC), usegmt=True)
        assert (await check.run()).state == "ok"
        assert server.requests[-1].headers["x-token"] == os.environ["HOME"]
        server.extra_headers["last-modified"] = format_datetime(datetime.now(UTC) - AGO, usegmt=True)
        assert "old, over 1d2h: it said 3 tests" in (await check.run()).message
        server.status = 404
        assert (await check.run()).state == "unknown"
        for status, kind in ((403, "auth"), (503, "unreachable")):
            server.status = status
            with pytest.raises(BackendError) as caught:
                await check.run()
            assert caught.value.kind == kind


@pytest.mark.parametrize("fault", sorted(FAULTS))
async def test_no_fault_of_a_server_is_ok(tmp_path: Path, http: Http, fault: str) -> None:
    async with FaultyServer(healthy={"meta": {}, "totals": {"covered_lines": 9, "num_statements": 9}}) as server:
        server.extra_headers["last-modified"] = format_datetime(datetime.now(UTC), usegmt=True)
        check = check_of(tmp_path, http, url=server.url, timeout="1s")
        assert (await check.run()).state == "ok"
        server.fault = fault
        state = "not known"
        with contextlib.suppress(BackendError):
            state = (await check.run()).state
        assert state in ("unknown", "not known") or fault == "slow"


# ---- configs


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "path, url, github: one of them"),
        ({"path": "a", "url": "http://a"}, "path, url, github: one of them"),
        ({"path": "a/"}, "path: a file"),
        ({"path": "s3://bucket"}, "path: a file, or s3://bucket/key"),
        ({"path": "https://a/b"}, "s3://bucket"),
        ({"path": "a", "format": "clover"}, "clover"),
        ({"path": "a", "format": "junit", "warn": {"lines": 3}}, "warn: lines is not counted here, but errors, fail"),
        ({"path": "a", "crit": {"failure": 3}}, "crit: failure is not counted here"),
        ({"path": "a", "crit": {"failures": float("nan")}}, "crit: a limit is a number"),
        ({"path": "a", "headers": {"X": "y"}}, "headers: they go with url"),
        ({"path": "a", "aws": {"region": "x"}}, "aws: path is not in S3"),
        ({"path": "a", "max_age": "0s"}, "max_age, timeout: more than 0s"),
    ],
)
def test_configs_that_are_none(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words):
        check_of(tmp_path, **config)
