"""Access control before a bench of AWS: each call is held to a policy by moto's own engine, also the calls that simecs
answers, with the rights that AWS looks at beside that of the call.

```python
with guarded(lab.endpoint_url) as guard:
    guard.allow(statements)          # those of a policy, and no more, from now on
    guard.asked                      # every right that was looked at
```
As moto itself it looks at actions only: `Resource` has to be `*`.
"""

import contextlib
import http.client
import json
import re
import struct
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([\w-]+)/aws4_request")
_CBOR = re.compile(r"/service/\w+/operation/(\w+)")
_IN_POLICIES = {"monitoring": "cloudwatch"}
ALWAYS = {"sts:GetCallerIdentity"}
OF_CREATE_DEPLOYMENT = tuple(
    f"codedeploy:{each}" for each in ("GetApplicationRevision", "GetDeploymentConfig", "RegisterApplicationRevision")
)
WHO = "arn:aws:iam::123456789012:user/oncall"


class Rights:
    """A policy. `asked`: the rights that calls needed; `denied`: those that were not there."""

    def __init__(self) -> None:
        self._policy = json.dumps({"Version": "2012-10-17", "Statement": []})
        self.asked: set[str] = set()
        self.denied: set[str] = set()

    def allow(self, statements: Sequence[dict[str, Any]]) -> None:
        """These and no more; what was asked before is forgotten."""
        everywhere = [{"Effect": "Allow", "Action": each["Action"], "Resource": "*"} for each in statements]
        self._policy = json.dumps({"Version": "2012-10-17", "Statement": everywhere})
        self.asked, self.denied = set(), set()

    def missing(self, needed: Sequence[str]) -> str:
        """The first right of these that the policy does not give; empty where it gives all."""
        from moto.iam.access_control import IAMPolicy, PermissionResult

        policy = IAMPolicy(self._policy)
        for right in needed:
            self.asked.add(right)
            if right not in ALWAYS and policy.is_action_permitted(right) != PermissionResult.PERMITTED:
                self.denied.add(right)
                return right
        return ""


def denial(right: str) -> str:
    """As AWS words it."""
    return f"User: {WHO} is not authorized to perform: {right} because no identity-based policy allows the action"


class Guard(Rights):
    """`url` is an endpoint for every service. `calls`: the right of each call, in order."""

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self._upstream = urllib.parse.urlsplit(upstream)
        self.calls: list[str] = []
        self.url = ""
        self._freezes: dict[str, bool] = {}
        self._thawed = threading.Event()
        self.frozen = threading.Event()
        self.rewrites: dict[bytes, bytes] = {}
        """What goes on in another form: for what simecs tells by a name."""

    def freeze(self, right: str, *, taken: bool) -> None:
        """The next call of `right` gets no answer; `taken`: it has its effect all the same. `frozen` is set then."""
        self._freezes[right] = taken
        self._thawed.clear()
        self.frozen.clear()

    def thaw(self) -> None:
        """Whoever waits for an answer is cut off."""
        self._freezes.clear()
        self._thawed.set()

    def answer(
        self, method: str, path: str, headers: Any, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """Of the bench, or a refusal; None where there is none."""
        needed = rights_of(path, headers, body)
        self.calls.append(needed[0])
        if right := self.missing(needed):
            return refusal(right, headers)
        taken = self._freezes.pop(needed[0], None)
        if taken is None:
            return self.forward(method, path, headers, body)
        if taken:
            self.forward(method, path, headers, body)
        self.frozen.set()
        self._thawed.wait(60)
        return None

    def forward(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """What the bench answers."""
        asking = http.client.HTTPConnection(str(self._upstream.hostname), self._upstream.port, timeout=60)
        with contextlib.closing(asking):
            dropped = ("connection", "expect", "content-length")
            kept = {name: value for name, value in headers.items() if name.lower() not in dropped}
            for word, other in self.rewrites.items():
                body = body.replace(word, other)
            asking.request(method, path, body=body, headers=kept)
            answer = asking.getresponse()
            return answer.status, answer.getheaders(), answer.read()


def rights_of(path: str, headers: Any, body: bytes) -> list[str]:
    """What AWS looks at for a call: its own right, and those beside."""
    scope = _SCOPE.search(headers.get("Authorization", ""))
    assert scope is not None, f"an unsigned call: {path}"
    service = _IN_POLICIES.get(scope[1], scope[1])
    target, cbor = headers.get("X-Amz-Target", ""), _CBOR.search(path)
    if target:
        operation = target.rpartition(".")[2]
    else:
        operation = cbor[1] if cbor else dict(urllib.parse.parse_qsl(body.decode()))["Action"]
    own = f"{service}:{operation}"
    return [own, *_beside(own, body)]


def _beside(right: str, body: bytes) -> Iterator[str]:
    if right == "codedeploy:CreateDeployment":
        yield from OF_CREATE_DEPLOYMENT
    if right == "ecs:RegisterTaskDefinition":
        asked = json.loads(body)
        if asked.get("tags"):
            yield "ecs:TagResource"
        if asked.get("executionRoleArn") or asked.get("taskRoleArn"):
            yield "iam:PassRole"


def refusal(right: str, headers: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    """As AWS says it, in the protocol of the call."""
    words = denial(right)
    kind = headers.get("Content-Type", "")
    if kind.startswith("application/cbor"):
        data = b"\xa2" + b"".join(map(_text, ("__type", "AccessDeniedException", "message", words)))
        return 403, [("Content-Type", kind), ("smithy-protocol", "rpc-v2-cbor")], data
    if kind.startswith("application/x-amz-json"):
        return 400, [("Content-Type", kind)], json.dumps({"__type": "AccessDeniedException", "message": words}).encode()
    error = f"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{words}</Message></Error>"
    data = f"<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>".encode()
    return 403, [("Content-Type", "text/xml")], data


def _text(words: str) -> bytes:
    data = words.encode()
    if len(data) < 24:
        return bytes([0x60 + len(data)]) + data
    return (bytes([0x78, len(data)]) if len(data) < 256 else b"\x79" + struct.pack(">H", len(data))) + data


@contextlib.contextmanager
def guarded(upstream: str) -> Iterator[Guard]:
    """A guard before `upstream`, gone at the end of the block; it allows nothing at first."""
    guard = Guard(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0) or 0))
            answer = guard.answer("POST", self.path, self.headers, body)
            if answer is None:
                self.close_connection = True
                return
            status, answered, data = answer
            self.send_response(status)
            for name, value in answered:
                if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing to a terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    guard.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield guard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
