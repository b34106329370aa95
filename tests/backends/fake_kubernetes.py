"""One object that moves traffic, a Service or a route, with its pods behind the part of the Kubernetes API that the
adapters use, for faults that a real server cannot be made to have: an answer that is lost after the write, a write that
is applied late.
"""

import asyncio
import contextlib
import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.backends.faulty_server import FAULTS, FaultyServer, Received

SERVICE = "/api/v1/namespaces/analytics/services/analytics"
TOKEN = "hunter2-token"


class PatchError(Exception):
    """A `test` that failed, in the words of the API server."""


def new_service() -> dict[str, Any]:
    return {
        "metadata": {"name": "analytics", "uid": "u-1", "resourceVersion": "1"},
        "spec": {"selector": {"app": "analytics", "color": "blue"}},
    }


def pod(name: str, color: str, *, ready: bool = True, leaving: bool = False, image: str = "a/b:1.0") -> dict[str, Any]:
    gone = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {}
    return {
        "metadata": {"name": name, "labels": {"app": "analytics", "color": color}, **gone},
        "spec": {"containers": [{"name": "main", "image": image}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


@dataclass
class FakeKubernetes(FaultyServer):
    """`async with FakeKubernetes() as server`; `server.kubeconfig(tmp_path)` is how to reach it.

    `write_faults`: for each of the next patches a key of `FAULTS`, or empty; `commits`: whether a patch with a fault is
    applied before it. `late_s`: it is applied so long after. `applied`: the patches that were. `service` is the
    object at `at`, whatever it is.
    """

    at: str = SERVICE
    service: dict[str, Any] = field(default_factory=new_service)
    objects: dict[str, tuple[int, Any]] = field(default_factory=dict)
    write_faults: list[str] = field(default_factory=list)
    commits: bool = True
    late_s: float | None = None
    applied: list[Any] = field(default_factory=list)
    pods: dict[str, list[Any]] = field(
        default_factory=lambda: {color: [pod(f"{color[0]}1", color)] for color in ("blue", "green")}
    )
    tokens: set[str] = field(default_factory=lambda: {TOKEN})

    def kubeconfig(self, directory: Path, user: dict[str, Any] | None = None) -> Path:
        path = directory / "kubeconfig"
        config = {
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "oncall", "user": user or {"token": TOKEN}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "oncall", "namespace": "analytics"}}],
        }
        path.write_text(yaml.safe_dump(config))
        return path

    @property
    def patches(self) -> list[Received]:
        return [request for request in self.requests if request.method == "PATCH"]

    async def respond(self, writer: asyncio.StreamWriter, request: Received) -> None:
        path = unquote(urlsplit(request.target).path)
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            await self._say(writer, 401, _status("Unauthorized"))
        elif path == self.at and request.method == "PATCH":
            await self._patch(writer, request)
        elif path == self.at:
            await self._say(writer, 200, self.service)
        elif path in self.objects:
            await self._say(writer, *self.objects[path])
        elif path.endswith("/pods"):
            selector = parse_qs(urlsplit(request.target).query)["labelSelector"][0]
            color = dict(part.split("=") for part in selector.split(","))["color"]
            await self._say(writer, 200, {"items": self.pods.get(color, [])})
        else:
            await self._say(writer, 404, _status(f"{path} not found"))

    async def _patch(self, writer: asyncio.StreamWriter, request: Received) -> None:
        operations = json.loads(request.body)
        dry = "dryRun" in parse_qs(urlsplit(request.target).query)
        fault = self.write_faults.pop(0) if self.write_faults else ""
        if fault and self.late_s is not None:
            asyncio.get_running_loop().call_later(self.late_s, self._apply_late, operations)
        elif not fault or self.commits:
            try:
                made = apply(self.service, operations)
            except PatchError as error:
                await self._say(writer, 422, _status(f"testing value {error} failed: test failed"))
                return
            if not dry:
                self._store(made, operations)
        if fault:
            await FAULTS[fault](self, writer)
            writer.close()
            return
        await self._say(writer, 200, self.service)

    def _apply_late(self, operations: Any) -> None:
        with contextlib.suppress(PatchError):
            self._store(apply(self.service, operations), operations)

    def _store(self, made: dict[str, Any], operations: Any) -> None:
        made["metadata"]["resourceVersion"] = str(int(made["metadata"]["resourceVersion"]) + 1)
        if "generation" in made["metadata"] and made["spec"] != self.service["spec"]:
            made["metadata"]["generation"] += 1
        self.service = made
        self.applied.append(operations)

    async def _say(self, writer: asyncio.StreamWriter, status: int, body: Any) -> None:
        await self.send(writer, status, json.dumps(body).encode())


def _status(message: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "message": message}


def apply(document: dict[str, Any], operations: Any) -> dict[str, Any]:
    """`test`, `add` and `replace` of RFC 6902. Raises PatchError."""

    def has(target: Any, last: Any) -> bool:
        return last < len(target) if isinstance(target, list) else last in target

    made = copy.deepcopy(document)
    for one in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in one["path"].split("/")[1:]]
        target: Any = made
        for part in parents:
            target = target[int(part) if isinstance(target, list) else part]
        if last == "-":
            target.append(one["value"])
            continue
        last = int(last) if isinstance(target, list) else last
        if one["op"] == "test":
            if not has(target, last) or target[last] != one["value"]:
                raise PatchError(one["path"])
        elif one["op"] == "replace" and not has(target, last):
            raise PatchError(one["path"])
        else:
            target[last] = one["value"]
    return made
