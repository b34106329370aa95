"""A canary over an HTTPRoute and over a VirtualService, judged by a real Prometheus that scrapes both colors."""

from pathlib import Path

import pytest

from tests.live.kubernetes import Cluster
from tests.live.process import until
from tests.live.prometheus import Exporter, PrometheusServer
from tests.live.require import program
from tests.live.routes import KINDS, routed
from tests.live.teal import CommandLine
from tests.load import Load

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]

RPS = 60.0
GATE = """
[[contexts.test.deployments.gates]]
name = "error rate"
candidate = '''sum(rate(http_requests_total{{color="{{color}}",status=~"5.."}}[2s]))
  / sum(rate(http_requests_total{{color="{{color}}"}}[2s]))'''
requests = 'sum(increase(http_requests_total{{color="{{color}}"}}[2s]))'
on_no_data = "zero"
max = 0.05
min_requests = 10
window = "2s"
every = "500ms"
hold = "90s"
[[contexts.test.metrics]]
name = "prom"
type = "prometheus"
url = "{prometheus}"
"""


@pytest.mark.parametrize("kind", KINDS)
async def test_a_canary_over_a_route_is_judged_by_its_share_and_taken_back(
    kube: Cluster, tmp_path: Path, kind: str
) -> None:
    program("prometheus")
    exporter = Exporter()
    port = int(kube.metrics_url.rpartition(":")[2].partition("/")[0])
    prometheus = PrometheusServer(tmp_path, exporter, also=[port])
    prometheus.start()
    try:
        with routed(kube, kind) as space:
            stages = {"stages": {"canary": [25, 100]}, "stage_time": "20s", "bake": "1s", "metrics": "prom"}
            teal = CommandLine(tmp_path, {"type": space.kind, **space.config(**stages)})
            with (tmp_path / "config.toml").open("a") as config:
                config.write(GATE.format(prometheus=prometheus.url))
            before = space.without_weights()
            async with Load(space.url(path="/work"), RPS) as load:
                query = 'sum(increase(http_requests_total{color="blue"}[2s]))'
                until(lambda: prometheus.value(query) is not None, "Prometheus scrapes the pods", within=60)
                order = ("deploy", "release", "analytics", "--version", "2.5.0-err20", "--strategy", "canary")
                ended = await teal.action(*order, "-y", "--reason", "go")
            assert (ended["exit"], ended["status"]) == (1, "rolled_back"), ended
            assert "error rate" in ended["error"]["message"]
            assert (space.weights(), space.without_weights()) == ({"blue": 100, "green": 0}, before)
            assert {seen.color for seen in load.lost} <= {"green"}, "what failed was the canary alone"
    finally:
        prometheus.stop()
        exporter.close()
