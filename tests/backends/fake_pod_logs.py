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
    """`lines` of the container as it runs, `previous` of the one before its last restart. `others`: the lines of an
    init container `migrate`, a native sidecar `proxy`, an ephemeral container `debugger`, for those that are named."""

    name: str
    uid: str = "u"
    containers: tuple[str, ...] = ("main",)
    phase: str = "Running"
    restarts: int = 0
    waiting: bool = False
    lines: list[tuple[str, str]] = field(default_factory=list)
    previous: list[tuple[str, str]] = field(default_factory=list)
    others: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    is_prepared: bool = True
    unreachable: bool = False

    def write(self, at: datetime, text: str, ns: str = "000000000") -> None:
        self.lines.append((at.strftime("%Y-%m-%dT%H:%M:%S.") + ns + "Z", text))

    def restart(self) -> None:
        self.previous, self.lines = self.lines, []
        self.restarts += 1

    def document(self) -> dict[str, Any]:
        statuses = [{"name": one, "restartCount": self.restarts} for one in self.containers]
        spec: dict[str, Any] = {"containers": [{"name": one} for one in self.containers], "initContainers": None}
        status: dict[str, Any] = {"phase": self.phase, "containerStatuses": statuses}
        inits = [one for one in ("migrate", "proxy") if one in self.others]
        if inits:
            policy = {"proxy": {"restartPolicy": "Always"}, "migrate": {}}
            spec["initContainers"] = [{"name": one, **policy[one]} for one in inits]
            state = {"terminated": {"exitCode": 0, "reason": "Completed"}} if self.is_prepared else {"waiting": {}}
            status["initContainerStatuses"] = [
                {"name": one, "restartCount": 0, "state": state if one == "migrate" else {"running": {}}}
                for one in inits
            ]
        if "debugger" in self.others:
            spec["ephemeralContainers"] = [{"name": "debugger"}]
            status["ephemeralContainerStatuses"] = [{"name": "debugger", "state": {"terminated": {"exitCode": 1}}}]
        return {"metadata": {"name": self.name, "uid": self.uid}, "spec": spec, "status": status}


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
        elif pod.unreachable:
            await self._say(writer, 500, {"message": "Get https://10.0.0.7:10250: no route to host"})
        elif (params["container"] not in pod.others and pod.waiting) or ("previous" in params and not pod.restarts):
            await self._say(writer, 400, {"message": "container is waiting to start: ContainerCreating"})
        else:
            await self.write(writer, head(200, {"content-type": "text/plain", "connection": "close"}))
            await self._lines(writer, pod, params)
            writer.close()

    async def _lines(self, writer: asyncio.StreamWriter, pod: FakePod, params: dict[str, str]) -> None:
        lines = pod.previous if "previous" in params else pod.others.get(params["container"], pod.lines)
        since, tail = params.get("sinceTime", "")[:19], int(params.get("tailLines", 10**9))
        start = max(0, len(lines) - tail)
        generation = self.generation
        while True:
            fresh = lines[start:]
            start += len(fresh)
            for stamp, text in fresh:
                if stamp[:19] >= since:
                    await self.write(writer, f"{stamp} {text}\n".encode("utf-8", "surrogateescape"))
            goes_on = lines is pod.lines or params["container"] == "proxy"
            if params.get("follow") != "true" or not goes_on or pod.phase != "Running":
                return
            if self.generation != generation:
                writer.transport.abort()
                return
            await asyncio.sleep(0.005)
