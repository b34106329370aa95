"""Real Alertmanagers in one cluster, on free ports of loopback, with Debian's amtool beside them."""

import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.live.process import accepts, free_port, run, started, until
from tests.live.require import program

CONFIG = """
route: {receiver: nobody, group_by: [alertname]}
receivers: [{name: nobody}]
inhibit_rules:
- source_matchers: ['severity="critical"']
  target_matchers: ['severity="warning"']
  equal: [dataset]
"""


class AlertmanagerPeer:
    """One server; keeps its data and its log in `directory`."""

    def __init__(self, directory: Path, gossip_ports: Sequence[int], number: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = directory / f"am-{number}"
        self._gossip_port = gossip_ports[number]
        self._gossip_ports = gossip_ports
        self._running = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it; nothing where it runs."""
        if self._process is not None:
            return
        self._directory.mkdir(exist_ok=True)
        config = self._directory / "alertmanager.yml"
        config.write_text(CONFIG)
        command = [program("prometheus-alertmanager"), f"--config.file={config}", f"--storage.path={self._directory}"]
        command += [f"--web.listen-address=127.0.0.1:{self.port}"]
        command += [f"--cluster.listen-address=127.0.0.1:{self._gossip_port}", "--cluster.settle-timeout=1s"]
        command += [f"--cluster.peer=127.0.0.1:{port}" for port in self._gossip_ports if port != self._gossip_port]
        self._process = self._running.enter_context(
            started(command, self._directory / "alertmanager.log", lambda: accepts(self.port))
        )

    def stop(self) -> None:
        """End it; safe to call twice."""
        self._running.close()
        self._process = None

    def amtool(self, *words: str) -> Any:
        """What `amtool … -o json` prints."""
        return json.loads(run([program("amtool"), f"--alertmanager.url={self.url}", *words, "-o", "json"]))

    def silences(self) -> list[Any]:
        """Those that amtool shows: active and pending."""
        found: list[Any] = self.amtool("silence", "query")
        return found

    def states(self) -> dict[str, str]:
        """Fingerprint to state of each alert that `amtool alert query` shows."""
        found = self.amtool("alert", "query", "--active", "--silenced", "--inhibited", "--unprocessed")
        return {alert["fingerprint"]: alert["status"]["state"] for alert in found}

    def post(self, alerts: Sequence[dict[str, Any]]) -> None:
        """Send alerts as Prometheus does."""
        body = json.dumps(list(alerts)).encode()
        request = urllib.request.Request(f"{self.url}/api/v2/alerts", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=10):
            pass

    def peers(self) -> int:
        """How many it sees in its cluster."""
        with urllib.request.urlopen(f"{self.url}/api/v2/status", timeout=10) as answer:
            return len(json.load(answer)["cluster"].get("peers", []))


class Cluster:
    """Peers that run, and what fires now: a stand-in for the Prometheus that sends to each of them."""

    def __init__(self, peers: Sequence[AlertmanagerPeer]) -> None:
        self.peers = peers
        self._firing: dict[str, dict[str, Any]] = {}

    @property
    def urls(self) -> list[str]:
        """As the config names them."""
        return [peer.url for peer in self.peers]

    def fire(self, alerts: Sequence[tuple[dict[str, str], dict[str, str]]]) -> None:
        """Exactly these (labels, annotations) fire from now on, on every peer; the others are resolved."""
        now = datetime.now(UTC)
        wanted = {json.dumps(labels, sort_keys=True): (labels, notes) for labels, notes in alerts}
        sent = [
            {**alert, "endsAt": now.isoformat()} for key, alert in self._firing.items() if key not in wanted
        ]  # fmt: skip
        self._firing = {
            key: {
                "labels": labels,
                "annotations": notes,
                "startsAt": self._firing.get(key, {}).get("startsAt", now.isoformat()),
                "endsAt": (now + timedelta(hours=1)).isoformat(),
            }
            for key, (labels, notes) in wanted.items()
        }
        for peer in self.peers:
            peer.post([*sent, *self._firing.values()])


@contextlib.contextmanager
def alertmanagers(directory: Path, size: int = 2) -> Iterator[Cluster]:
    """So many peers that know each other."""
    gossip = [free_port() for _ in range(size)]
    peers = [AlertmanagerPeer(directory, gossip, number) for number in range(size)]
    try:
        for peer in peers:
            peer.start()
        until(lambda: all(peer.peers() == size for peer in peers), "the peers see each other")
        yield Cluster(peers)
    finally:
        for peer in peers:
            peer.stop()
