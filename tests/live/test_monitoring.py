"""The whole of a team's monitoring: Prometheus, two Alertmanagers that it sends to, and `teal` over one config file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.cli.commands import teal
from console.cli.ending import run_command
from tests.live.alertmanager import Cluster, alertmanagers
from tests.live.process import until
from tests.live.prometheus import PrometheusServer, prometheus, series

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("prometheus")]

CONFIG = """
default_context = "production"
[contexts.production]
[[contexts.production.metrics]]
name = "prom"
type = "prometheus"
url = "{prometheus}"
[[contexts.production.quality]]
name = "scores"
type = "prometheus"
metrics = "prom"
query = "min by (dataset) (data_quality_score)"
[[contexts.production.quality]]
name = "typo"
type = "prometheus"
metrics = "promm"
query = "data_quality_score"
[[contexts.production.alerts]]
name = "rules"
type = "prometheus"
metrics = "prom"
[[contexts.production.alerts]]
name = "am"
type = "alertmanager"
urls = {alertmanagers}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with alertmanagers(tmp_path_factory.mktemp("alertmanagers")) as cluster:
        yield cluster


@pytest.fixture
def server(cluster: Cluster, tmp_path: Path) -> Iterator[PrometheusServer]:
    with prometheus(tmp_path, alertmanagers=[url.removeprefix("http://") for url in cluster.urls]) as server:
        yield server


class Teal:
    """The command line over that config, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str) -> tuple[int, Any]:
        """The exit code, and the JSON document."""
        arguments = [*words, "-o", "json"]
        self._monkeypatch.setattr("sys.argv", ["teal", *arguments])
        self._capsys.readouterr()
        code = run_command(teal, arguments)
        return code, json.loads(self._capsys.readouterr().out)

    def states(self, backend: str) -> dict[str, str]:
        """Fingerprint to state of the alerts that one source has."""
        items = self("alert", "list", "--limit", "0")[1]["items"]
        return {item["fingerprint"]: item["state"] for item in items if item["backend"] == backend}


@pytest.fixture
def in_production(
    server: PrometheusServer,
    cluster: Cluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Teal:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(prometheus=server.url, alertmanagers=json.dumps(cluster.urls)))
    config.chmod(0o600)
    monkeypatch.setenv("TEAL_CONFIG", str(config))
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    return Teal(capsys, monkeypatch)


def test_an_alert_that_is_in_both_systems_is_shown_once(
    server: PrometheusServer, cluster: Cluster, in_production: Teal
) -> None:
    server.exporter.gauges = {series("data_quality_score", dataset=name): 0.5 for name in ("customers", "orders")}
    server.exporter.gauges[series("data_quality_score", dataset="clicks")] = 0.9
    server.exporter.gauges[series("pipeline_p95_seconds", pipeline="etl")] = 9
    until(lambda: all(len(peer.states()) == 3 for peer in cluster.peers), "three alerts arrive at both peers")
    rules, am = in_production.states("rules"), in_production.states("am")
    assert list(rules.values()) == ["pending"]  # what fires has arrived, and is the Alertmanager's
    assert list(am.values()) == ["firing"] * 3
    assert set(cluster.peers[0].states()) == set(am)

    _, document = in_production("quality", "list")
    found = {item["ref"]: item["state"] for item in document["items"]}
    assert found == {"scores/clicks": "warning", "scores/customers": "critical", "scores/orders": "critical"}
    ((source, message),) = {(error["source"], error["message"]) for error in document["errors"]}
    assert ("typo" in source, "promm" in message) == (True, True)

    server.stop()
    _, document = in_production("alert", "list", "--limit", "0")
    assert {item["backend"] for item in document["items"]} == {"am"}
    assert ["rules" in error["source"] for error in document["errors"]] == [True]
    code, document = in_production("quality", "list")
    assert (document["items"], code != 0) == ([], True)
