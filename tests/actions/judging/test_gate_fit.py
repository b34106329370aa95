"""A gate that does not fit the stage that it judges, said before anybody waits for it."""

import pytest

from actions.judging.gate_fit import fit_findings
from actions.judging.metric_gates import MetricGate, gates_of
from backends.settings import Duration

STAGE_S, BAKE_S = 600.0, 300.0


def gate(**fields: object) -> MetricGate:
    told = {"name": "errors", "candidate": 'sum(rate(x{color="{color}"}[1m]))', "max": 1.0, "metrics": "prom", **fields}
    return MetricGate(**told)


@pytest.mark.parametrize(
    ("found", "stage_s", "bake_s", "words"),
    [
        (gate(), STAGE_S, BAKE_S, []),
        (gate(), 8.0, BAKE_S, ["a window of 1m and 3 samples every 2s: a stage of 8s will take 1m4s"]),
        (gate(), 8.0, 20.0, ["a stage of 8s will take 1m4s and the bake of 20s will take 1m10s"]),
        (gate(every=Duration(300)), STAGE_S, BAKE_S, ["a stage of 10m will take 11m and the bake of 5m will take 11m"]),
        (gate(candidate="rate(x[8s])"), STAGE_S, BAKE_S, ["look back 8s, its window says 1m"]),
        (gate(candidate="rate(x[8s])"), 8.0, BAKE_S, ["look back 8s, its window says 1m", "will take 1m4s"]),
        (gate(candidate="rate(x[1h30m:1m])"), STAGE_S, BAKE_S, ["look back 1h30m, its window"]),
        (gate(candidate="rate(x[1m])", requests="increase(x[5m])"), STAGE_S, BAKE_S, ["look back 5m, its window"]),
        (gate(candidate="rate(x[60s])"), STAGE_S, BAKE_S, []),
        (gate(candidate='x{host=~"[a-z]+"}'), STAGE_S, BAKE_S, []),
        (gate(candidate="x"), STAGE_S, BAKE_S, []),
        (gate(dry_run=True), 8.0, BAKE_S, []),
        (
            gate(candidate="x", requests="y", min_requests=20),
            STAGE_S,
            BAKE_S,
            ["requests alone, 60 in a window of"],
        ),
        (gate(candidate="x", requests="y", min_requests=61), STAGE_S, BAKE_S, []),
        (gate(candidate="x", requests="y"), STAGE_S, BAKE_S, []),
    ],
)
def test_what_does_not_fit(found: MetricGate, stage_s: float, bake_s: float, words: list[str]) -> None:
    told = fit_findings([found], stage_s, bake_s)
    assert len(told) == len(words), told
    assert all(part in finding.text and finding.level == "warning" for part, finding in zip(words, told, strict=True))


@pytest.mark.parametrize("stage_s", [2.0, 8.0, 20.0, 59.0, 600.0])
def test_the_presets_fit_every_stage(stage_s: float) -> None:
    gates = gates_of([], ["error-rate", "latency-p95"], stage_time_s=stage_s, metrics="prom")
    assert fit_findings(gates, stage_s, stage_s) == []
