"""Gates as the config has them: what is refused at load and where, the presets, the templates."""

from typing import Any

import msgspec
import pytest

from actions.judging.metric_gates import MetricGate, Subject, gates_of, queries, render
from backends.errors import BackendError
from backends.metrics.promql import metric_names
from backends.settings import decode_hook

ERRORS = 'sum(rate(http_requests_total{color="{color}",status=~"5.."}[1m]))'
GREEN = Subject(service="analytics", color="green", version="2.5.0", url="http://green:8080")
BLUE = Subject(service="analytics", color="blue", version="2.4.1", url="http://blue:8080")


def one(**table: Any) -> MetricGate:
    (gate,) = gates_of([{"name": "errors", "candidate": ERRORS, **table}], [], stage_time_s=600, metrics="prom")
    return gate


def test_a_gate_with_every_key_of_the_design() -> None:
    gate = one(
        metrics="other", production="up", requests="count(up)", on_no_data="zero", max=0.05, max_increase=0.02,
        max_ratio=1.5, min_requests=20, window="2m", every="5s", hold="3m", dry_run=True,
    )  # fmt: skip
    assert (gate.metrics, gate.window, gate.every, gate.hold, gate.min_requests) == ("other", 120, 5, 180, 20)
    assert gate.every_s(600) == 5


def test_the_defaults() -> None:
    gate = one(max=0.05)
    assert (gate.metrics, gate.window, gate.hold, gate.min_requests, gate.on_no_data) == (
        "prom", 60, 600, 50, "inconclusive",
    )  # fmt: skip
    assert [gate.every_s(stage) for stage in (600, 40, 12)] == [10, 10, 3]


@pytest.mark.parametrize(
    ("table", "where", "words"),
    [
        ({}, "gates[0]:", "cannot fail: give it max, max_increase or max_ratio"),
        ({"max": 0.05, "maximum": 1}, "gates[0]:", "unknown field `maximum`"),
        ({"max": "5%"}, "gates[0].max:", "Expected"),
        ({"max": 1, "window": "soon"}, "gates[0].window:", "is not a duration"),
        ({"max": 1, "window": "0s"}, "gates[0]:", "more than 0s"),
        ({"max": 1, "min_requests": 0}, "gates[0]:", "at least 1"),
        ({"max": 1, "on_no_data": "pass"}, "gates[0].on_no_data:", "Invalid enum value"),
        ({"max": 1, "on_no_data": "zero"}, "gates[0]:", "needs `requests`"),
        ({"max": 0.1, "unit": "share"}, "gates[0]:", "needs `requests`"),
        ({"max": 5, "requests": "r", "on_no_data": "zero"}, "gates[0]:", "5 % is 0.05"),
        ({"max": -1}, "gates[0]:", "max: -1 is no limit"),
        ({"max": float("inf")}, "gates[0]:", "max: inf is no limit"),
        ({"candidate": "up", "max_ratio": 1.5}, "gates[0]:", "name {color} in it"),
        ({"candidate": " ", "max": 1}, "gates[0]:", "a name and a query"),
    ],
)
def test_what_is_refused_at_load_says_where(table: dict[str, Any], where: str, words: str) -> None:
    with pytest.raises(BackendError) as caught:
        one(**table)
    assert caught.value.kind == "config"
    assert caught.value.message.startswith(where)
    assert words in caught.value.message


def test_the_path_names_the_second_gate() -> None:
    good = {"name": "a", "candidate": "a", "max": 1}
    with pytest.raises(BackendError, match=r"gates\[1\].max_ratio: Expected"):
        gates_of([good, {**good, "max_ratio": []}], [], stage_time_s=600, metrics="prom")


@pytest.mark.parametrize(
    ("written", "presets", "metrics", "words"),
    [
        ([{"name": "error-rate", "candidate": "a", "max": 1}], ["error-rate"], "prom", 'two are called "error-rate"'),
        ([], ["error-rate"], "", "names no metrics source"),
        ([], ["latency"], "prom", 'no "latency"'),
    ],
)
def test_gates_that_do_not_fit_together(written: Any, presets: Any, metrics: str, words: str) -> None:
    with pytest.raises(BackendError, match=words):
        gates_of(written, presets, stage_time_s=600, metrics=metrics)


def test_the_presets_are_the_missions_numbers() -> None:
    errors, latency = gates_of([], ["error-rate", "latency-p95"], stage_time_s=600, metrics="prom")
    assert (errors.max, errors.max_increase, errors.is_share, errors.on_no_data) == (0.05, 0.02, True, "zero")
    assert (latency.max, latency.max_ratio, latency.is_share, latency.unit) == (2.0, 1.5, False, "s")
    assert metric_names(errors.candidate + errors.requests) == ("http_requests_total",)
    assert metric_names(latency.candidate) == ("http_request_duration_seconds_bucket",)
    asked = queries(latency, GREEN, BLUE)
    assert 'color="green"' in asked.candidate
    assert 'color="blue"' in asked.production
    assert (errors.window, latency.window) == (60, 60)


def test_the_presets_of_a_short_stage_and_of_one_service_of_many() -> None:
    labels = {"environment": "{color}", "app": "{service}"}
    (errors,) = gates_of([], ["error-rate"], stage_time_s=8, metrics="prom", labels=labels)
    assert errors.window == 4
    assert 'http_requests_total{environment="green",app="analytics"}[4000ms]' in queries(errors, GREEN, BLUE).candidate


def test_exactly_four_names_are_replaced() -> None:
    text = '{color} {version} {url} {service} {colour} {{color}} a{x="{color}"} {}'
    assert render(text, GREEN) == 'green 2.5.0 http://green:8080 analytics {colour} {green} a{x="green"} {}'


@pytest.mark.parametrize("version", ['1"} or vector(0) or a{x="', "1'", "1`", "1\\", "1\n2"])
def test_a_version_that_would_be_query_is_refused(version: str) -> None:
    subject = msgspec.structs.replace(GREEN, version=version)
    with pytest.raises(BackendError, match=r"version .* cannot stand in a query"):
        render('a{version="{version}"}', subject)


def test_production_is_asked_only_where_it_is_needed() -> None:
    absolute = queries(one(max=0.05, requests='count(up{color="{color}"})'), GREEN, BLUE)
    assert (absolute.production, absolute.production_requests) == ("", "")
    relative = queries(one(max_increase=0.05, requests='count(up{color="{color}"})'), GREEN, BLUE)
    assert relative.production == ERRORS.replace("{color}", "blue")
    assert relative.production_requests == 'count(up{color="blue"})'


def test_what_a_share_is() -> None:
    assert one(max_increase=0.02, requests="r").is_share
    assert one(max=0.02, requests="r", on_no_data="zero").is_share
    assert not one(max_increase=0.02).is_share
    assert not one(max=0.02, requests="r").is_share
    assert not one(max_increase=0.2, requests="r", unit="s").is_share
    assert one(max=0.02, requests="r", unit="share").is_share


def test_a_gate_survives_the_journal() -> None:
    gate = one(max=0.05, window="90s", every="1500ms")
    assert msgspec.convert(msgspec.to_builtins(gate, enc_hook=str), MetricGate, dec_hook=decode_hook) == gate
