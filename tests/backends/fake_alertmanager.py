"""Alertmanager's API v2 in this process, to lose answers at will. Real servers: `tests/live/alertmanager.py`.

```python
one, two = cluster(2)
one.fault = "reset after"     # the next order is carried out, and its answer is lost
```
"""

import contextlib
import json
import re
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

LINGER_NOT = struct.pack("ii", 1, 0)  # close by a reset
FILTER = re.compile(r'"?([^"=!~]+)"?(=~|!=|!~|=)"(.*)"', re.DOTALL)


def stamp(at: datetime) -> str:
    """As Alertmanager writes times."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


@dataclass
class FakeAlertmanager:
    """One peer. `fault` is done to the next order (POST, DELETE), or to all reads where it begins with `read `."""

    prefix: str = ""
    fault: str = ""
    gossips: bool = True
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: list["FakeAlertmanager"] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    clock_ahead: timedelta = timedelta()
    up_s: float | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Listen on a free port."""
        peer = self

        class Handler(self.handler()):  # which one, the fake of another system says
            fake = peer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}{self.prefix}"

    def handler(self) -> "type[Handler]":
        """What answers."""
        return Handler

    def stop(self) -> None:
        """Close the port; safe to call twice."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def orders(self) -> list[str]:
        """What was asked to change, in order."""
        return [f"{method} {path}" for method, path, _ in self.requests if method != "GET"]

    def fire(self, *, age_s: float = 0, heard_s: float = 0, **labels: str) -> str:
        """An alert, `age_s` old, its sender heard of `heard_s` ago; returns its fingerprint."""
        now = self.now()
        fingerprint = sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]
        self.alerts[fingerprint] = {
            "fingerprint": fingerprint, "labels": labels, "annotations": {}, "generatorURL": "", "receivers": [],
            "startsAt": stamp(now - timedelta(seconds=age_s)), "endsAt": stamp(now + timedelta(minutes=5)),
            "updatedAt": stamp(now - timedelta(seconds=heard_s)),
            "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
        }  # fmt: skip
        return fingerprint

    def now(self) -> datetime:
        """By the clock of this peer."""
        return datetime.now(UTC) + self.clock_ahead

    def shown_alerts(self, filters: list[str]) -> list[dict[str, Any]]:
        """What `GET /alerts` says, silences applied."""
        found = []
        for alert in self.alerts.values():
            hiding = [
                silence["id"] for silence in self.known.values()
                if self.state_of(silence) == "active"
                and all(_matches(alert["labels"], each) for each in silence["matchers"])
            ]  # fmt: skip
            status = {**alert["status"], "silencedBy": hiding}
            if hiding:
                status["state"] = "suppressed"
            if all(_matches(alert["labels"], _parsed(text)) for text in filters):
                found.append({**alert, "status": status})
        return found

    def shown_silence(self, silence_id: str) -> dict[str, Any]:
        """What `GET /silence/ID` says."""
        silence = self.known[silence_id]
        return {**silence, "status": {"state": self.state_of(silence)}}

    def state_of(self, silence: dict[str, Any]) -> str:
        """Pending, active, expired."""
        now = stamp(self.now())
        if silence["endsAt"] <= now:
            return "expired"
        return "pending" if silence["startsAt"] > now else "active"

    def put(self, body: dict[str, Any]) -> str:
        """A silence made, or changed where `id` names one; the other peers hear of it."""
        before = self.known.get(body.get("id", ""))
        starts_at = body["startsAt"]
        if before is not None and before["matchers"] == body["matchers"] and before["startsAt"] == starts_at:
            silence_id = str(before["id"])
        else:
            silence_id, starts_at = str(uuid.uuid4()), max(_stamped(starts_at), stamp(self.now()))
        ends_at = _stamped(body["endsAt"])
        self._tell({**body, "id": silence_id, "startsAt": starts_at, "endsAt": ends_at})
        return silence_id

    def expire(self, silence_id: str) -> None:
        """It ends now."""
        self._tell({**self.known[silence_id], "endsAt": stamp(self.now())})

    def _tell(self, silence: dict[str, Any]) -> None:
        silence["updatedAt"] = stamp(self.now())
        for peer in [self, *(self.others if self.gossips else [])]:
            peer.known[silence["id"]] = dict(silence)


def _stamped(text: str) -> str:
    return stamp(datetime.fromisoformat(text))


def _parsed(text: str) -> dict[str, Any]:
    found = FILTER.fullmatch(text)
    assert found is not None, text
    name, sign, value = found.groups()
    value = re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value)
    return {"name": name, "value": value, "isRegex": "~" in sign, "isEqual": not sign.startswith("!")}


def _matches(labels: dict[str, str], matcher: dict[str, Any]) -> bool:
    value = labels.get(matcher["name"], "")
    same = re.fullmatch(matcher["value"], value) is not None if matcher["isRegex"] else value == matcher["value"]
    wanted: bool = matcher["isEqual"]
    return same == wanted


class Handler(BaseHTTPRequestHandler):
    """Alertmanager's paths."""

    fake: FakeAlertmanager
    body: Any = None
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def took(self) -> bool:
        """Whether a system that holds this one has answered by itself."""
        return False

    def do_GET(self) -> None:
        if self.took():
            return
        if self.fake.fault.startswith("read "):
            self._fail(self.fake.fault.removeprefix("read "))
            return
        path, query = self._begin()
        silence_id = path.removeprefix("/silence/")
        if path == "/alerts":
            self._answer(self.fake.shown_alerts(query.get("filter", [])))
        elif path == "/silences":
            self._answer([self.fake.shown_silence(each) for each in self.fake.known])
        elif path == "/status" and self.fake.up_s is not None:
            self._answer({"uptime": stamp(self.fake.now() - timedelta(seconds=self.fake.up_s))})
        elif silence_id in self.fake.known:
            self._answer(self.fake.shown_silence(silence_id))
        else:
            self._answer("silence not found", 404)

    def do_POST(self) -> None:
        self.body = body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.took():
            return
        self._begin()
        if not self.may_post(body):
            self._answer({"message": "You'll need additional permissions to perform this action."}, 403)
        elif self.headers["content-type"] == "application/json":
            self._order(lambda: {"silenceID": self.fake.put(body)})
        else:
            self._answer({"code": 415}, 415)

    def do_PATCH(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.took():
            self._answer({"code": 405, "message": "method PATCH is not allowed"}, 405)

    def may_post(self, body: dict[str, Any]) -> bool:
        """Whether that silence may be made."""
        return True

    def do_DELETE(self) -> None:
        if self.took():
            return
        path, _ = self._begin()
        self._order(lambda: self.fake.expire(path.removeprefix("/silence/")))

    def _begin(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        path = parts.path.removeprefix(f"{self.fake.prefix}/api/v2")
        self.fake.requests.append((self.command, path, dict(self.headers)))
        return path, parse_qs(parts.query)

    def _order(self, order: Callable[[], object]) -> None:
        fault, self.fake.fault = self.fake.fault, ""
        how, _, when = fault.partition(" ")
        answer = None if when == "before" else order()
        if when:
            self._fail(how)
        else:
            self._answer(answer)

    def _fail(self, how: str) -> None:
        if how.isdigit():
            self._answer({"code": how, "message": "no"}, int(how))
        elif how == "garbage":
            self._answer("<html>", 200)
        else:
            if how == "hang":
                self.fake.stopping.wait(60)
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
                self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, body: object, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(int(self.fake.now().timestamp()))


@contextlib.contextmanager
def cluster(size: int, prefix: str = "") -> Iterator[list[FakeAlertmanager]]:
    """So many peers that tell each other of silences, and not of alerts."""
    peers = [FakeAlertmanager(prefix) for _ in range(size)]
    for peer in peers:
        peer.others = [other for other in peers if other is not peer]
        peer.start()
    try:
        yield peers
    finally:
        for peer in peers:
            peer.stop()
