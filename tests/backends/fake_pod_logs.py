"""Logs of pods behind the part of the Kubernetes API that reads them: stamped as by the kubelet, `sinceTime` in whole
seconds, followed until the connection is cut.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.backends.fake_kubernetes import FakeKubernetes
from tests.backends.faulty_server import Received, head

PODS = "/api/v1/namespaces/analytics/pods"


@dataclass
class FakePod:
    """`lines` of the container as it runs, `previous` of the one before its last restart."""

    name: str
    uid: str = "u"
    containers: tuple[str, ...] = ("main",)
    phase: str = "Running"
    restarts: int = 0
    waiting: bool = False
    lines: list[tuple[str, str]] = field(default_factory=list)
    previous: list[tuple[str, str]] = field(default_factory=list)

    def write(self, at: datetime, text: str, ns: str = "000000000") -> None:
        self.lines.append((at.strftime("%Y-%m-%dT%H:%M:%S.") + ns + "Z", text))

    def restart(self) -> None:
        self.previous, self.lines = self.lines, []
        self.restarts += 1

    def document(self) -> dict[str, Any]:
        statuses = [{"name": one, "restartCount": self.restarts} for one in self.containers]
        return {
            "metadata": {"name": self.name, "uid": self.uid},
            "spec": {"containers": [{"name": one} for one in self.containers]},
            "status": {"phase": self.phase, "containerStatuses": statuses},
        }


@dataclass
class FakePodLogs(FakeKubernetes):
    """`members`: the pods that any selector chooses."""

    members: dict[str, FakePod] = field(default_factory=dict)
    generation: int = 0
    asked: list[dict[str, str]] = field(default_factory=list)

    def add(self, pod: FakePod) -> FakePod:
        self.members[pod.name] = pod
        return pod

    def cut(self) -> None:
        """End every stream, in the middle of things."""
        self.generation += 1

    async def respond(self, writer: asyncio.StreamWriter, request: Received) -> None:
        url = urlsplit(request.target)
        path, params = unquote(url.path), {key: values[0] for key, values in parse_qs(url.query).items()}
        if path == PODS:
            await self._say(writer, 200, {"items": [pod.document() for pod in self.members.values()]})
        elif path.startswith(PODS) and path.endswith("/log"):
            self.asked.append(params)
            await self._log(writer, self.members.get(path.split("/")[-2]), params)
        else:
            await super().respond(writer, request)

    async def _log(self, writer: asyncio.StreamWriter, pod: FakePod | None, params: dict[str, str]) -> None:
        if pod is None:
            await self._say(writer, 404, {"message": "pods not found"})
        elif pod.waiting or ("previous" in params and not pod.restarts):
            await self._say(writer, 400, {"message": "container is waiting to start: ContainerCreating"})
        else:
            await self.write(writer, head(200, {"content-type": "text/plain", "connection": "close"}))
            await self._lines(writer, pod, params)
            writer.close()

    async def _lines(self, writer: asyncio.StreamWriter, pod: FakePod, params: dict[str, str]) -> None:
        lines = pod.previous if "previous" in params else pod.lines
        since, tail = params.get("sinceTime", "")[:19], int(params.get("tailLines", 10**9))
        start = max(0, len(lines) - tail)
        while start < len(lines) and lines[start][0][:19] < since:
            start += 1
        generation = self.generation
        while True:
            for stamp, text in lines[start:]:
                await self.write(writer, f"{stamp} {text}\n".encode("utf-8", "surrogateescape"))
            start = len(lines)
            if params.get("follow") != "true" or lines is not pod.lines or pod.phase != "Running":
                return
            if self.generation != generation:
                writer.transport.abort()
                return
            await asyncio.sleep(0.005)
