"""A stand-in for the `helm` program: it takes only the command lines that Helm takes, and really writes the revisions
of a release as Helm does, one object for each, over the API server of the kubeconfig that it is given (JSON, no TLS).

`python stand_in_helm.py DIR COMMAND…`. In DIR: `version`, what it says it is; `hold`, while it is there nothing comes
to its end; `fail` (of one command: `fail-upgrade`), with which words it ends instead; `race`: somebody makes that
revision first; `idle`: it does nothing and succeeds; `calls`, each command line that came.
"""

import base64
import gzip
import http.client
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

NOW = "2026-11-29T10:00:00Z"
BUSY = "another operation (install/upgrade/rollback) is in progress"


def manifest_of(version: str, name: str = "model") -> str:
    return (
        f"---\n# Source: {name}/templates/d.yaml\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\n"
        f"spec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n"
        f'    spec: {{containers: [{{name: main, image: "registry.test/{name}:{version}"}}]}}\n'
    )


def release_of(number: int, version: str, status: str = "deployed", **more: Any) -> dict[str, Any]:
    """As Helm's JSON has it; `more` changes it, `info` the information in it."""
    info = {"first_deployed": NOW, "last_deployed": NOW, "deleted": "", "description": "Upgrade complete"}
    info |= {"status": status, **more.pop("info", {})}
    return {
        "name": "model", "version": number, "namespace": "models", "info": info,
        "chart": {"metadata": {"name": "model", "version": "0.1.0", "appVersion": "2.4.0"}, "files": []},
        "manifest": manifest_of(version), "hooks": [], **more,
    }  # fmt: skip


def packed(release: dict[str, Any]) -> str:
    return base64.b64encode(gzip.compress(json.dumps(release).encode(), 1)).decode()


def object_of(release: dict[str, Any], *, secret: bool = True) -> dict[str, Any]:
    """The Secret or the ConfigMap that keeps it."""
    told = packed(release)
    labels = {
        "name": release["name"], "owner": "helm", "status": release["info"]["status"],
        "version": str(release["version"]),
    }  # fmt: skip
    name = f"sh.helm.release.v1.{release['name']}.v{release['version']}"
    data = {"release": base64.b64encode(told.encode()).decode() if secret else told}
    kind = {"type": "helm.sh/release.v1"} if secret else {}
    return {"metadata": {"name": name, "labels": labels}, "data": data, **kind}


def release_in(found: dict[str, Any], *, secret: bool = True) -> Any:
    data = found["data"]["release"]
    return json.loads(gzip.decompress(base64.b64decode(base64.b64decode(data) if secret else data)))


class Helm:
    def __init__(self, directory: Path, words: list[str]) -> None:
        self.directory = directory
        self.secret = os.environ.get("HELM_DRIVER", "secret").startswith("secret")
        self.major = int(self.told("version", "v3.17.2+gcc0bbbd")[1])
        self.options = dict[str, str]()
        self.command, self.names = words[0], list[str]()
        self.pending: dict[str, Any] | None = None
        flags = {"--kubeconfig", "--kube-context", "--namespace", "--timeout", "--set"}
        alone = {"--wait", "--no-hooks", "--reuse-values"} if self.major == 3 else {
            "--wait", "--wait=watcher", "--no-hooks", "--reuse-values"
        }  # fmt: skip
        rest = iter(words[1:])
        for word in rest:
            if word in flags:
                self.options[word] = next(rest)
            elif word in alone:
                self.options[word.partition("=")[0]] = "true"
            elif word.startswith("-"):
                self.end(f"unknown flag: {word}")
            else:
                self.names.append(word)

    def told(self, name: str, otherwise: str = "") -> str:
        path = self.directory / name
        return path.read_text().strip() if path.exists() else otherwise

    @staticmethod
    def end(words: str) -> None:
        print(f"Error: {words}", file=sys.stderr)
        sys.exit(1)

    def ask(self, method: str, name: str = "", body: Any = None) -> tuple[int, Any]:
        config = json.loads(Path(self.options["--kubeconfig"]).read_text())
        by = {kind: {each["name"]: each for each in config[kind]} for kind in ("contexts", "clusters", "users")}
        context = by["contexts"][self.options["--kube-context"]]["context"]
        server = by["clusters"][context["cluster"]]["cluster"]["server"]
        token = by["users"][context["user"]]["user"]["token"]
        kind = "secrets" if self.secret else "configmaps"
        path = f"/api/v1/namespaces/{self.options['--namespace']}/{kind}{f'/{name}' if name else ''}"
        connection = http.client.HTTPConnection(server.removeprefix("http://"), timeout=5)
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        found = answer.status, json.loads(answer.read() or b"null")
        connection.close()
        return found

    def releases(self) -> list[dict[str, Any]]:
        found = [
            release_in(each, secret=self.secret)
            for each in self.ask("GET")[1]["items"]
            if each["metadata"].get("labels", {}).get("owner") == "helm"
        ]
        return sorted((each for each in found if each["name"] == self.names[0]), key=lambda each: int(each["version"]))

    def put(self, release: dict[str, Any], status: str, description: str = "") -> None:
        release["info"]["status"] = status
        if description:
            release["info"]["description"] = description
        told = object_of(release, secret=self.secret)
        self.ask("PUT", told["metadata"]["name"], told)

    def make(self, release: dict[str, Any], known: list[dict[str, Any]]) -> None:
        """Pending, then what it comes to."""
        if (self.directory / "idle").exists():
            return
        if (self.directory / "race").exists():
            other = release_of(release["version"], "6.6.6", "pending-upgrade", info={"last_deployed": NOW})
            self.ask("POST", body=object_of(other, secret=self.secret))
        if self.ask("POST", body=object_of(release, secret=self.secret))[0] == 409:
            self.end("release: already exists")
        self.pending = release
        while (self.directory / "hold").exists():
            time.sleep(0.02)
        if words := self.told("fail", self.told(f"fail-{self.command}")):
            self.put(release, "failed", f'Upgrade "{release["name"]}" failed: {words}')
            self.end(words)
        for each in known:
            if each["info"]["status"] == "deployed":
                self.put(each, "superseded")
        self.put(release, "deployed", "Upgrade complete" if self.command == "upgrade" else "")

    def upgrade(self) -> None:
        known = self.releases()
        if known[-1]["info"]["status"].startswith("pending-"):
            self.end(f"UPGRADE FAILED: {BUSY}")
        signal.signal(signal.SIGTERM, self.cancelled)  # Helm 3.7 and later
        version = self.options["--set"].removeprefix("image.tag=")
        number = int(known[-1]["version"]) + 1
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        info = {"last_deployed": now, "description": "Preparing upgrade"}
        self.make(release_of(number, version, "pending-upgrade", info=info), known)

    def cancelled(self, *_: Any) -> None:
        if self.pending is not None:
            self.put(self.pending, "failed", 'Upgrade "model" failed: context canceled')
        sys.exit(1)

    def rollback(self) -> None:
        known = self.releases()
        by_number = {int(each["version"]): each for each in known}
        to = int(self.names[1])
        if to not in by_number:
            self.end(f"release has no {to} version")
        if not self.options["--timeout"].removesuffix("s").isdecimal():
            self.end("invalid duration")
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        info = {
            **by_number[to]["info"],
            "status": "pending-rollback",
            "description": f"Rollback to {to}",
            "last_deployed": now,
        }
        release = {**by_number[to], "version": int(known[-1]["version"]) + 1, "info": info}
        self.make(release, known)
        print("Rollback was a success! Happy Helming!")


def main() -> None:
    directory, words = Path(sys.argv[1]), sys.argv[2:]
    with (directory / "calls").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    if words == ["version", "--short"]:
        path = directory / "version"
        print(path.read_text().strip() if path.exists() else "v3.17.2+gcc0bbbd")
        return
    helm = Helm(directory, words)
    {"upgrade": helm.upgrade, "rollback": helm.rollback}[helm.command]()


if __name__ == "__main__":
    main()
