"""A real Prometheus that scrapes an exporter of the test, with alert rules of the limits that a data platform has."""

import contextlib
import json
import shutil
import subprocess
import threading
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.live.process import free_port, started
from tests.live.require import program

PASSWORD = "correct horse"
PASSWORD_BCRYPT = "$2b$04$OktLXOgskKD/WNs76ImdmO2nBoW91THyXHFH0Hn0dEE6ezjjnQJry"
EVERY = "200ms"

CONFIG = """
global: {{scrape_interval: {every}, scrape_timeout: {every}, evaluation_interval: {every}}}
rule_files: ["rules.yml"]
scrape_configs:
- job_name: platform
  honor_labels: true
  static_configs: [{{targets: {targets}}}]
alerting:
  alertmanagers: [{{static_configs: [{{targets: {alertmanagers}}}]}}]
"""
RULES = """
groups:
- name: quality
  rules:
  - alert: DataQualityDegradation
    expr: data_quality_score < 0.80
    labels: {severity: critical}
    annotations: {summary: "score {{ $value }} of {{ $labels.dataset }} below 0.80", runbook_url: "https://runbooks/dq"}
  - alert: DataQualityWarning
    expr: data_quality_score < 0.95 and data_quality_score >= 0.80
    labels: {severity: warning}
- name: pipelines
  rules:
  - alert: HighErrorRate
    expr: |
      sum by (pipeline) (rate(pipeline_errors_total[2s])) / sum by (pipeline) (rate(records_processed_total[2s])) > 0.05
    for: 2s
    labels: {severity: critical}
    annotations: {description: "more than 5 % of the records of {{ $labels.pipeline }} fail"}
  - alert: SlowPipeline
    expr: pipeline_p95_seconds > 2
    for: 1h
    labels: {severity: warning}
- name: fragile
  rules:
  - alert: OverCapacity
    expr: load_used / on (job) load_limit > 1
    labels: {severity: page}
"""


class Exporter:
    """Serves `gauges` as they are, and counters that grow by `rates` a second. Keys: `name{label="value"}`."""

    def __init__(self) -> None:
        self.gauges: dict[str, float | str] = {}
        self.rates: dict[str, float] = {}
        self._counted: dict[str, float] = {}
        self._at = time.monotonic()
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = exporter.text().encode()
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def text(self) -> str:
        """In Prometheus' text format."""
        now = time.monotonic()
        for series, rate in self.rates.items():
            self._counted[series] = self._counted.get(series, 0.0) + rate * (now - self._at)
        self._at = now
        return "".join(f"{series} {value}\n" for series, value in {**self.gauges, **self._counted}.items())

    def clear(self) -> None:
        """Nothing is served any more."""
        self.gauges, self.rates, self._counted = {}, {}, {}

    def close(self) -> None:
        """End its thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def series(name: str, **labels: str) -> str:
    """A series as the text format writes it."""
    escaped = {
        key: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for key, value in labels.items()
    }
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in escaped.items()) + "}"


class PrometheusServer:
    """One server; keeps its data and its log in `directory`."""

    def __init__(
        self,
        directory: Path,
        exporter: Exporter,
        *,
        prefix: str = "",
        user: str = "",
        alertmanagers: Sequence[str] = (),
        also: Sequence[int] = (),
    ) -> None:
        """`also`: loopback ports that it scrapes beside the exporter."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{prefix}"
        self.exporter = exporter
        self._prefix = prefix
        self._user = user
        self._directory = directory
        self._running = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        targets = [f"127.0.0.1:{port}" for port in (exporter.port, *also)]
        config = CONFIG.format(every=EVERY, targets=json.dumps(targets), alertmanagers=json.dumps(list(alertmanagers)))
        (directory / "prometheus.yml").write_text(config)
        (directory / "rules.yml").write_text(RULES)
        (directory / "web.yml").write_text(f"basic_auth_users: {{{user}: {PASSWORD_BCRYPT}}}\n" if user else "")

    def start(self) -> None:
        """Run it, without what it knew before: it would not see what went meanwhile. Nothing where it runs."""
        if self._process is not None:
            return
        shutil.rmtree(self._directory / "data", ignore_errors=True)
        command = [program("prometheus"), f"--config.file={self._directory / 'prometheus.yml'}"]
        command += [f"--storage.tsdb.path={self._directory / 'data'}", f"--web.listen-address=127.0.0.1:{self.port}"]
        command += [f"--web.external-url={self.url}"] if self._prefix else []
        command += [f"--web.config.file={self._directory / 'web.yml'}"] if self._user else []
        self._process = self._running.enter_context(started(command, self._directory / "log", self._ready))

    def stop(self) -> None:
        """End it; safe to call twice."""
        self._running.close()
        self._process = None

    def read(self, path: str) -> Any:
        """`data` of `/api/v1/<path>`."""
        request = urllib.request.Request(f"{self.url}/api/v1/{path}")
        if self._user:
            request.add_header("authorization", f"Basic {b64encode(f'{self._user}:{PASSWORD}'.encode()).decode()}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["data"]

    def firing(self) -> dict[str, tuple[str, str]]:
        """Dataset to state and summary, of all alerts that have one."""
        return {
            alert["labels"]["dataset"]: (alert["state"], alert["annotations"].get("summary", ""))
            for alert in self.read("alerts")["alerts"]
            if "dataset" in alert["labels"]
        }

    def health(self) -> set[str]:
        """The words for it that its rules have."""
        return {rule["health"] for group in self.read("rules")["groups"] for rule in group["rules"]}

    def value(self, query: str) -> str | None:
        """Of the first sample that the query finds."""
        found = self.read("query?" + urlencode({"query": query}))["result"]
        return str(found[0]["value"][1]) if found else None

    def _ready(self) -> bool:
        """All rules were evaluated. It answers with 503 until it has read what it keeps."""
        try:
            health = self.health()
        except OSError:
            return False
        return bool(health) and "unknown" not in health


@contextlib.contextmanager
def prometheus(directory: Path, **how: Any) -> Iterator[PrometheusServer]:
    """A new server that runs, with an exporter of its own, gone at the end of the block."""
    program("prometheus")
    exporter = Exporter()
    server = PrometheusServer(directory, exporter, **how)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        exporter.close()
