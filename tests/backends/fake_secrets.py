"""The part of the API server that keeps Secrets and ConfigMaps, over loopback: lists by label (whole, or their metadata
alone), create, replace and JSON patches with their tests, uids and resource versions."""

import asyncio
import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.backends.fake_kubernetes import TOKEN, PatchError, apply
from tests.backends.faulty_server import FaultyServer, Received

NAMESPACE = "models"
KINDS = ("secrets", "configmaps")


@dataclass
class FakeSecrets(FaultyServer):
    """`objects` by (kind, name); `denied`: (verb, resource) that nobody may; `others`: answers of other paths."""

    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    denied: set[tuple[str, str]] = field(default_factory=set)
    others: dict[str, tuple[int, Any]] = field(default_factory=dict)
    version: int = 0

    def kubeconfig(self, directory: Path) -> Path:
        """In JSON, which is YAML."""
        path = directory / "kubeconfig"
        config = {
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "oncall", "user": {"token": TOKEN}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "oncall", "namespace": NAMESPACE}}],
        }
        path.write_text(json.dumps(config))
        return path

    def keep(self, told: dict[str, Any], kind: str = "secrets") -> None:
        """Create or replace it."""
        self.version += 1
        key = kind, told["metadata"]["name"]
        before = self.objects.get(key, {}).get("metadata", {})
        made = {"uid": f"u-{self.version}", "creationTimestamp": "2026-11-29T10:00:00Z"}
        known = {name: before.get(name, made[name]) for name in made}
        self.objects[key] = {**told, "metadata": {**told["metadata"], **known, "resourceVersion": str(self.version)}}

    async def respond(self, writer: asyncio.StreamWriter, request: Received) -> None:
        status, body = self._answer(request)
        await self.send(writer, status, json.dumps(body).encode())

    def _answer(self, request: Received) -> tuple[int, Any]:
        parts = urlsplit(request.target)
        path, query = unquote(parts.path), parse_qs(parts.query)
        if path in self.others:
            return self.others[path]
        if path.endswith("/selfsubjectaccessreviews"):
            asked = json.loads(request.body)["spec"]["resourceAttributes"]
            return 201, {"status": {"allowed": (asked["verb"], asked["resource"]) not in self.denied}}
        root = f"/api/v1/namespaces/{NAMESPACE}/"
        kind, _, name = path.removeprefix(root).partition("/")
        if not path.startswith(root) or kind not in KINDS:
            return 404, _status(f"{path} not found")
        if request.method == "GET" and not name:
            return 200, {"items": self._listed(kind, query, "PartialObject" in request.headers.get("accept", ""))}
        if request.method == "POST":
            told = json.loads(request.body)
            if (kind, told["metadata"]["name"]) in self.objects:
                return 409, _status("already exists")
            self.keep(told, kind)
            return 201, told
        if (kind, name) not in self.objects:
            return 404, _status(f'{kind} "{name}" not found')
        if request.method == "PUT":
            self.keep(json.loads(request.body), kind)
        elif request.method == "PATCH":
            try:
                self.keep(apply(self.objects[kind, name], json.loads(request.body)), kind)
            except PatchError as error:
                return 422, _status(f"testing value {error} failed: test failed")
        return 200, self.objects[kind, name]

    def _listed(self, kind: str, query: dict[str, list[str]], bare: bool) -> list[dict[str, Any]]:
        wanted = dict(part.split("=") for part in query.get("labelSelector", [""])[0].split(",") if part)
        found = []
        for (of, _), each in self.objects.items():
            labels = each["metadata"].get("labels") or {}
            if of == kind and wanted.items() <= labels.items():
                found.append({"metadata": each["metadata"]} if bare else copy.deepcopy(each))
        return found


def _status(message: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "message": message}
