"""Headless reads beside what people type today, and the first paint of another Textual console: for comparison only.

No budget is set here: amtool, promtool and kubectl are compiled, and start in a few milliseconds.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.timing import Measurement, compare, installed, paint_seconds, run_seconds
from tests.live.alertmanager import alertmanagers
from tests.live.kubernetes import cluster, namespace
from tests.live.process import until
from tests.live.prometheus import prometheus
from tests.live.teal import toml

ALERTS = [({"alertname": f"Alert{number}", "severity": "warning"}, {"summary": "compared"}) for number in range(20)]
NO_BUDGET = float("inf")


def report(env: dict[str, str], directory: Path) -> None:
    """Print a line for each peer that is here."""
    for compared in (_amtool, _promtool, _kubectl, _harlequin):
        try:
            print(compared(env, directory))
        except (OSError, subprocess.SubprocessError, AssertionError, TimeoutError, pytest.skip.Exception) as missing:
            print(f"      {compared.__name__.strip('_')}: not run: {missing}")


def _amtool(env: dict[str, str], directory: Path) -> Measurement:
    (directory / "alertmanager").mkdir()
    with alertmanagers(directory / "alertmanager", 1) as peers:
        peers.fire(ALERTS)
        config = _config(directory, alerts={"name": "am", "type": "alertmanager", "urls": peers.urls})
        peer = ["amtool", "alert", "query", "-o", "json", "--alertmanager.url", peers.urls[0]]
        return _reads("teal alert list -o json : amtool", env, config, ["alert", "list"], peer)


def _promtool(env: dict[str, str], directory: Path) -> Measurement:
    (directory / "prometheus").mkdir()
    with prometheus(directory / "prometheus") as server:
        until(lambda: server.value("up"), "it has scraped itself")
        scores = {"name": "scores", "type": "prometheus", "metrics": "prom", "query": "up", "label": "instance"}
        config = _config(directory, metrics={"name": "prom", "type": "prometheus", "url": server.url}, quality=scores)
        peer = ["promtool", "query", "instant", "-o", "json", server.url, "up"]
        return _reads("teal quality list -o json : promtool", env, config, ["quality", "list"], peer)


def _kubectl(env: dict[str, str], directory: Path) -> Measurement:
    (directory / "kube").mkdir()
    with cluster(directory / "kube") as found, namespace(found) as space:
        config = _config(directory, deployments={"name": "analytics", "type": "kubernetes", **space.config()})
        peer = ["kubectl", "--kubeconfig", str(found.kubeconfig), "-n", space.name, "get", "-o", "json"]
        peer += ["services,deployments,pods,endpointslices"]
        return _reads("teal deploy status -o json : kubectl get", env, config, ["deploy", "status"], peer)


def _harlequin(env: dict[str, str], directory: Path) -> Measurement:
    command = installed("harlequin", "harlequin")
    if not command:
        raise FileNotFoundError("no such package here")
    return compare(
        "console, first paint : harlequin",
        lambda: paint_seconds(["teal", "-C", "sandbox"], b"Pipelines", env),
        lambda: paint_seconds([command], b"Data", env),
        NO_BUDGET,
    )


def _config(directory: Path, **entries: dict[str, Any]) -> Path:
    path = directory / "peer.toml"
    lines = ["[contexts.bench]"]
    for port, entry in entries.items():
        lines += [f"[[contexts.bench.{port}]]", *(f"{key} = {toml(value)}" for key, value in entry.items())]
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    return path


def _reads(name: str, env: dict[str, str], config: Path, words: list[str], peer: list[str]) -> Measurement:
    command = ["teal", *words, "-c", str(config), "-o", "json"]
    for tried in (command, peer):
        subprocess.run(tried, env=env, check=True, capture_output=True, timeout=60)
    return compare(name, lambda: run_seconds(command, env), lambda: run_seconds(peer, env), NO_BUDGET)
