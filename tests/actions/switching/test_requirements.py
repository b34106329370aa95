"""What a release requires of the platform: met, not met, and not known, which is not met either."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from actions.described import RelatedSources
from actions.models import Consent, Request
from actions.switching.requirements import Requires, requirement_findings, requires_of, unmet
from backends.errors import BackendError
from backends.models import Alert, CheckResult, Finding, PerfDatum, PipelineRun, QualityScore
from tests.actions.house import YES, House
from tests.two_colors import TwoColors

NOW = datetime(2026, 3, 1, tzinfo=UTC)
AROUND = RelatedSources(
    quality=("scores",), alerts=("am",), pipelines=("airflow",), labels=("service", "app"), linked=("daily", "hourly")
)


class Platform:
    """Sources with what a test puts there; `lost` is out of reach."""

    def __init__(self) -> None:
        self.found: dict[str, Sequence[Any]] = {"quality": [], "alerts": [], "pipelines": []}
        self.check: CheckResult | None = None
        self.lost = ""

    async def ask(self, port: str, name: str) -> Any:
        if port == self.lost:
            raise BackendError("unreachable", f"{name}: connection refused", fix="look at it")
        return self

    async def scores(self) -> Sequence[Any]:
        return self.found["quality"]

    async def alerts(self) -> Sequence[Any]:
        return self.found["alerts"]

    async def runs(self) -> Sequence[Any]:
        return self.found["pipelines"]

    async def run(self) -> CheckResult:
        assert self.check is not None
        return self.check

    async def look(self, **requires: Any) -> list[Finding]:
        return await requirement_findings(requires_of(requires), AROUND, "analytics", self.ask)


def score(value: float | None, state: Any = "ok", dataset: str = "transactions", **more: Any) -> QualityScore:
    return QualityScore(
        ref=f"scores/{dataset}",
        backend="scores",
        dataset=dataset,
        score=value,
        warn=0.95,
        crit=0.8,
        state=state,
        **more,
    )


def alert(severity: str, state: Any = "firing", **labels: str) -> Alert:
    return Alert(
        ref="am/1", backend="am", fingerprint="1", name="HighErrorRate", severity=severity, state=state, labels=labels
    )


def run(state: Any, pipeline: str = "daily") -> PipelineRun:
    return PipelineRun(ref=f"airflow/{pipeline}/1", backend="airflow", pipeline=pipeline, run_id="1", state=state)


@pytest.mark.parametrize(
    ("scores", "level", "words"),
    [
        ([score(0.97)], "ok", "transactions scores 0.970, 0.95 is required"),
        ([score(0.9499)], "block", "transactions scores 0.950, 0.95 is required"),
        ([score(0.97), score(0.5)], "block", "scores 0.500"),
        ([score(0.99, "unknown", reason="older than the last good run")], "block", "older than the last good run"),
        ([score(None, "unknown")], "block", "no score that counts now: no data"),
        ([score(0.99, dataset="customers")], "block", "transactions has no score"),
    ],
)
async def test_quality(scores: list[QualityScore], level: str, words: str) -> None:
    platform = Platform()
    platform.found["quality"] = scores
    (finding,) = await platform.look(quality={"transactions": 0.95})
    assert (finding.level, finding.code, words in finding.text) == (level, "quality", True), finding


@pytest.mark.parametrize(
    ("severity", "found", "level"),
    [
        ("critical", [], "ok"),
        ("critical", [alert("critical", service="analytics")], "block"),
        ("critical", [alert("Critical", app="analytics")], "block"),
        ("critical", [alert("page", "acknowledged", app="analytics")], "block"),
        ("critical", [alert("critical", service="model")], "ok"),
        ("critical", [alert("warning", service="analytics")], "ok"),
        ("critical", [alert("critical", "silenced", service="analytics")], "ok"),
        ("critical", [alert("critical", "pending", service="analytics")], "ok"),
        ("warning", [alert("warning", service="analytics")], "block"),
        ("warning", [alert("info", service="analytics")], "ok"),
    ],
)
async def test_alerts(severity: Any, found: list[Alert], level: str) -> None:
    platform = Platform()
    platform.found["alerts"] = found
    (finding,) = await platform.look(alerts=severity)
    assert (finding.level, finding.code) == (level, "alerts"), finding


@pytest.mark.parametrize(
    ("idle", "found", "level", "words"),
    [
        (["daily"], [run("success")], "ok", "no run of daily"),
        (["daily"], [run("failed"), run("running", "other")], "ok", "no run of daily"),
        (["daily"], [run("running")], "block", "airflow/daily/1 (running)"),
        (["daily"], [run("queued"), run("success")], "block", "(queued)"),
        (["daily"], [run("unknown")], "block", "(unknown)"),
        (["dayly"], [run("success")], "block", "nobody knows a run of dayly"),
        ("linked", [run("success"), run("waiting", "hourly")], "block", "airflow/hourly/1 (waiting)"),
        ("linked", [run("success"), run("success", "hourly")], "ok", "daily, hourly"),
    ],
)
async def test_runs(idle: Any, found: list[PipelineRun], level: str, words: str) -> None:
    platform = Platform()
    platform.found["pipelines"] = found
    (finding,) = await platform.look(idle=idle)
    assert (finding.level, finding.code, words in finding.text) == (level, "runs", True), finding


@pytest.mark.parametrize(
    ("age_s", "level", "words"),
    [(3600.0, "ok", "1h old, 24h"), (90_000.0, "block", "1d1h old"), (None, "block", "its age is not known: no file")],
)
async def test_backup(age_s: float | None, level: str, words: str) -> None:
    platform = Platform()
    perfdata = () if age_s is None else (PerfDatum(label="age", value=age_s, unit="s"),)
    platform.check = CheckResult(ref="warehouse", name="warehouse", state="ok", message="no file", perfdata=perfdata)
    (finding,) = await platform.look(backup={"warehouse": "24h"})
    assert (finding.level, finding.code) == (level, "backup")
    assert words.replace("24h", "1d") in finding.text


@pytest.mark.parametrize(
    ("port", "requires"),
    [("quality", {"quality": {"a": 0.9}}), ("alerts", {"alerts": "critical"}), ("pipelines", {"idle": ["daily"]}),
     ("checks", {"backup": {"warehouse": "24h"}})],
)  # fmt: skip
async def test_what_nobody_can_look_at_is_not_met(port: str, requires: dict[str, Any]) -> None:
    platform = Platform()
    platform.lost = port
    (finding,) = await platform.look(**requires)
    assert (finding.level, finding.overridable, finding.fix) == ("block", True, "look at it")
    assert "nobody can look" in finding.text


def test_overridden_is_overridden_by_its_own_word_alone() -> None:
    findings = [Finding(level="block", code=code, text=code, overridable=True) for code in ("quality", "runs")]
    assert unmet(findings, ()) is findings[0]
    assert unmet(findings, ["quality"]) is findings[1]
    assert unmet(findings, ["quality", "runs"]) is None


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"quality": {"a": 95}}, "requires: quality: a = 95 is no least score"),
        ({"backup": {"a": "0s"}}, "requires: backup: a: more than 0s"),
        ({"alerts": "severe"}, "requires.alerts"),
        ({"idle": "all"}, "requires.idle"),
        ({"idel": []}, "unknown field `idel`"),
    ],
)
def test_what_can_not_be_meant(written: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words):
        requires_of(written)


def test_nothing_is_required_by_default() -> None:
    assert requires_of({}) == Requires()


FLIP = Request(kind="flip", service="analytics", to="green")


async def test_it_is_looked_at_when_planned_and_once_more_before_traffic_moves(tmp_path: Path) -> None:
    """An alert that fires between the plan and the first step is seen by the runner."""
    required = {"alerts": "critical"}
    async with TwoColors(tmp_path) as service, House(tmp_path / "state", service, requires=required) as home:
        platform = Platform()
        real = home.targets.switch

        async def switch(name: str) -> Any:
            target = await real(name)
            return type(target)(target.adapter, target.entry, platform.ask)

        home.targets.switch = switch
        home.targets.around = RelatedSources(alerts=("am",))
        platform.found["alerts"] = [alert("critical", service="analytics")]
        plan = await home.gate.plan(FLIP)
        assert [finding.code for finding in plan.findings if finding.level == "block"] == ["alerts"]
        platform.found["alerts"] = []
        action = await home.ended(await home.gate.submit(await home.gate.plan(FLIP), YES))
        # The runner has no such source: what it cannot look at is not met.
        assert action.status == "aborted"
        assert action.error is not None
        assert "nobody can look" in action.error.message
        request = Request(kind="flip", service="analytics", to="green", overrides=("alerts",))
        reason = Consent(confirmed=True, reason="the alert is about this very release")
        action = await home.ended(await home.gate.submit(await home.gate.plan(request), reason))
        assert action.status == "succeeded"
