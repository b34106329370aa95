"""AWS on loopback: moto's server where nothing else is said, and in front of it answers of a test's own for what moto
lacks, and every fault. What is asked and what is answered is validated against botocore's model of the service, so that
neither an adapter nor a test can make up an API.

```python
with fake_aws(behind=moto_server.endpoint_url) as aws:
    aws.answers["glue.GetJobRuns"] = lambda asked: {"JobRuns": runs[asked["JobName"]]}
    aws.fail("glue.StartJobRun", "ThrottlingException", every=2)
    aws.fail("sns", how="hang")                   # any call of a service; "" is any at all
    aws.calls                                     # [("glue.GetJobRuns", {"JobName": "orders"})]
    aws.rights = Rights()                         # whose policy each call is held to, from now on
```
"""

import base64
import contextlib
import http.client
import json
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator
from msgspec import Struct

from tests.live.guard import Rights, denial

How = Literal["error", "hang", "close", "lost", "html", "slow"]
Answer = Callable[[dict[str, Any]], dict[str, Any]]
HANG_S = 30.0
_DENIALS = {"s3": "AccessDenied", "sns": "AuthorizationError"}
_IN_POLICIES = {"stepfunctions": "states", "mwaa": "airflow"}
_SERVICES = {"monitoring": "cloudwatch", "states": "stepfunctions", "airflow": "mwaa"}
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "date", "server"}


class Refused(Exception):
    """An answer that is an error: its code as the API names it."""

    def __init__(self, code: str, message: str = "", *, status: int = 400, **more: Any) -> None:
        super().__init__(code)
        self.more = more
        self.code = code
        self.message = message or f"{code} by the fake"
        self.status = status


class Fault(Struct):
    """What is to go wrong: at each `every`th call that matches, `times` times (None: always)."""

    what: str
    how: How
    code: str
    message: str
    status: int
    times: int | None
    every: int
    seconds: float
    seen: int = 0


class FakeAws:
    """Where it is: `endpoint_url` for every service; its clock is `ahead_s` ahead of this host's."""

    def __init__(self, behind: str) -> None:
        self.answers: dict[str, Answer] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.problems: list[Exception] = []
        self.ahead_s = 0.0
        self.rights: Rights | None = None
        self._behind = behind
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._hanging = threading.Event()
        fake = self

        class Handler(_Handler):
            aws = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def endpoint_url(self) -> str:
        """Without a trailing slash."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def client(self, service: str, **config: Any) -> Any:
        """A client of the test's own."""
        from tests.live.moto import client_of

        return client_of(service, self.endpoint_url, **config)

    def called(self, what: str) -> list[dict[str, Any]]:
        """What each call of `what` asked (`glue.GetJobRuns`)."""
        return [asked for name, asked in self.calls if name == what]

    def fail(
        self, what: str = "", code: str = "InternalServerError", *, how: How = "error", message: str = "",
        status: int = 400, times: int | None = None, every: int = 1, seconds: float = HANG_S,
    ) -> None:  # fmt: skip
        """From now on, calls of `what` (`service.Operation`, `service`, or empty) end so. `lost`: it is done, and the
        connection closed without the answer. `slow`: it is answered after `seconds`."""
        self._faults.append(Fault(what, how, code, message, status, times, every, seconds))

    def heal(self) -> None:
        """No fault any more."""
        self._faults.clear()
        self._hanging.set()
        self._hanging = threading.Event()

    def fault_of(self, name: str) -> Fault | None:
        """The one that is due for this call."""
        with self._lock:
            for fault in self._faults:
                if fault.what not in ("", name, name.partition(".")[0]) or fault.times == 0:
                    continue
                fault.seen += 1
                if fault.seen % fault.every == 0:
                    fault.times = fault.times if fault.times is None else fault.times - 1
                    return fault
        return None

    def answer(self, operation: OperationModel, asked: dict[str, Any]) -> dict[str, Any] | None:
        """What the test says, validated; None where it says nothing. Raises Refused."""
        name = f"{operation.service_model.service_name}.{operation.name}"
        with self._lock:
            if operation.input_shape is not None:
                _valid(asked, operation.input_shape, f"asked of {name}")
            self.calls.append((name, asked))
            found = self.answers.get(name)
            if found is None:
                return None
            given = found(asked)
            if operation.output_shape is not None and not operation.has_event_stream_output:
                _valid(given, operation.output_shape, f"answered by {name}")
            return given

    def wait(self, seconds: float) -> None:
        """Until `heal`, or so long."""
        self._hanging.wait(seconds)

    def stop(self) -> None:
        """Nobody listens any more, and every connection is closed; safe to call twice."""
        self._hanging.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


COMMON = {
    "AccessDeniedException", "AccessDenied", "ThrottlingException", "InternalServerError", "InternalFailure",
    "ExpiredTokenException", "ValidationException", "ServiceUnavailable", "UnrecognizedClientException",
}  # fmt: skip


@contextlib.contextmanager
def fake_aws(behind: str = "") -> Iterator[FakeAws]:
    """A new one, gone at the end of the block; `behind`: moto's server, which gets what no test answers."""
    aws = FakeAws(behind)
    try:
        yield aws
    finally:
        aws.stop()
    if aws.problems:
        raise aws.problems[0]


class _Handler(BaseHTTPRequestHandler):
    aws: FakeAws
    protocol_version = "HTTP/1.1"
    timeout = 60

    def setup(self) -> None:
        super().setup()
        self.aws._open.add(self.connection)

    def finish(self) -> None:
        self.aws._open.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((time.time() if timestamp is None else timestamp) + self.aws.ahead_s)

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, ValueError):  # the client went away, or the fake was stopped
            self.close_connection = True

    def do_any(self) -> None:
        try:
            self._do()
        except OSError:
            raise
        except Exception as error:
            self.aws.problems.append(error)
            self._cut()

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        service = self._service()
        found = _operation(service, self.command, self.path, self.headers, body) if service else None
        name = f"{service}.{found[0].name if found else self.command}"
        if self.aws.rights is not None:
            right = self.aws.rights.missing([self._right(service, found[0].name if found else "")])
            if right:
                code = _DENIALS.get(service, "AccessDeniedException")
                return self._refuse(code, denial(right), 403, found[0] if found else None)
        fault = self.aws.fault_of(name)
        if fault is not None and fault.how not in ("lost", "slow"):
            return self._fail(fault, found[0] if found else None)
        if fault is not None and fault.how == "slow":
            time.sleep(fault.seconds)
        try:
            given = self.aws.answer(*found) if found else None
        except Refused as refused:
            if found:
                _known_error(found[0], refused.code)
            return self._refuse(
                refused.code, refused.message, refused.status, found[0] if found else None, refused.more
            )
        if given is None:
            sent = self._forwarded(body)
        else:
            assert found
            if found[0].has_event_stream_output:
                return self._stream(found[0], given)
            sent = 200, {"content-type": "application/json"}, _encoded(found[0], given)
        if fault is not None and fault.how == "lost":
            return self._cut()
        return self._send(*sent)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_any  # noqa: N815 - as http.server calls them

    def _service(self) -> str:
        scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request", self.headers.get("authorization") or "")
        return "" if scope is None else _SERVICES.get(scope[1], scope[1])

    def _right(self, service: str, operation: str) -> str:
        """As a policy calls it."""
        if service == "s3":
            is_list = "list-type" in parse_qs(urlsplit(self.path).query) or self.path.count("/") == 1
            return "s3:ListBucket" if is_list else "s3:GetObject"
        return f"{_IN_POLICIES.get(service, service)}:{operation}"

    def _fail(self, fault: Fault, operation: OperationModel | None) -> None:
        if fault.how == "hang":
            self.aws.wait(fault.seconds)
            return self._cut()
        if fault.how == "close":
            return self._cut()
        if fault.how == "html":
            return self._send(200, {"content-type": "text/html"}, b"<!doctype html><title>Sign in</title>")
        return self._refuse(fault.code, fault.message or f"{fault.code} by the fake", fault.status, operation)

    def _refuse(
        self, code: str, message: str, status: int, operation: OperationModel | None, more: dict[str, Any] | None = None
    ) -> None:
        headers = {"content-type": "application/x-amz-json-1.1", "x-amzn-errortype": code}
        body = json.dumps({"__type": code, "message": message, **(more or {})}).encode()
        is_query = operation is not None and operation.service_model.protocol == "query"
        if is_query or operation is None:  # of those that are asked here, only S3 is not decoded
            headers = {"content-type": "text/xml"}
            said = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            whole = f"<ErrorResponse>{said}<RequestId>1</RequestId></ErrorResponse>"
            body = (whole if is_query else said).encode()
        self._send(status, headers, body)

    def _forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        assert self.aws._behind, f"nobody answers {self.command} {self.path} {self.headers.get('x-amz-target') or ''}"
        connection = http.client.HTTPConnection(urlsplit(self.aws._behind).netloc, timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            headers = {key.lower(): value for key, value in answer.getheaders() if key.lower() not in _HOP_BY_HOP}
            return answer.status, headers, answer.read()
        finally:
            connection.close()

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in {**headers, "content-length": str(len(body)), "x-amzn-requestid": "1"}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _stream(self, operation: OperationModel, given: dict[str, Any]) -> None:
        """An answer that goes on: `events` is an iterator of dicts of one event each, which ends the answer."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("content-type", "application/vnd.amazon.eventstream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self._chunk(_message({":message-type": "event", ":event-type": "initial-response"}, b"{}"))
        shape = next(part for part in operation.output_shape.members.values() if part.serialization.get("eventstream"))
        for event in given["events"]:
            if not event:
                continue
            ((name, value),) = event.items()
            _valid(value, shape.members[name], f"sent by {operation.name}")
            fault = name.endswith("Exception")
            kind = {":message-type": "exception", ":exception-type": name}
            headers = kind if fault else {":message-type": "event", ":event-type": name}
            headers[":content-type"] = "application/json"
            self._chunk(_message(headers, json.dumps(_json(value, shape.members[name])).encode()))
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _message(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of an event stream: https://smithy.io/2.0/aws/amazon-eventstream.html."""
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", len(head) + len(payload) + 16, len(head))
    whole = prelude + struct.pack("!I", zlib.crc32(prelude)) + head + payload
    return whole + struct.pack("!I", zlib.crc32(whole))


# ---- botocore's model of a service, both ways


@cache
def model_of(service: str) -> ServiceModel:
    """As botocore has it."""
    return botocore.session.get_session().get_service_model(service)


def _operation(
    service: str, method: str, target: str, headers: Any, body: bytes
) -> tuple[OperationModel, dict[str, Any]] | None:
    """What was asked, and with which parameters; None for a protocol that is moto's alone (XML)."""
    try:
        model = model_of(service)
    except botocore.exceptions.UnknownServiceError:
        return None
    protocol = model.metadata["protocol"] if "json" not in model.metadata.get("protocols", ()) else "json"
    if protocol == "json":
        operation = model.operation_model((headers.get("x-amz-target") or "").rpartition(".")[2])
        return operation, json.loads(body or b"{}")
    if protocol == "query":  # its parameters are flat: only the names of simple ones are told
        given = dict(parse_qsl(body.decode(), keep_blank_values=True))
        operation = model.operation_model(given["Action"])
        shape = operation.input_shape
        members = {} if shape is None else shape.members
        return operation, {key: value for key, value in given.items() if key in members}
    if protocol == "rest-json":
        return _rest_operation(model, method, target, body)
    return None


def _rest_operation(
    model: ServiceModel, method: str, target: str, body: bytes
) -> tuple[OperationModel, dict[str, Any]] | None:
    path, _, query = target.partition("?")
    for name in model.operation_names:
        operation = model.operation_model(name)
        pattern = re.sub(r"\{(\w+)\+?\}", r"(?P<\1>[^/]+)", operation.http["requestUri"].partition("?")[0])
        if operation.http["method"] == method and (match := re.fullmatch(pattern.rstrip("/"), path.rstrip("/"))):
            shape = operation.input_shape
            assert shape is not None
            given = json.loads(body) if body else {}
            named = {unquote(key): unquote(value) for key, value in match.groupdict().items()}
            asked = dict(parse_qsl(query))
            for member, kind in shape.members.items():
                where, called = kind.serialization.get("location"), kind.serialization.get("name", member)
                if where == "uri" and called in named:
                    given[member] = named[called]
                elif where == "querystring" and called in asked:
                    given[member] = int(asked[called]) if kind.type_name == "integer" else asked[called]
            return operation, given
    return None


def _known_error(operation: OperationModel, code: str) -> None:
    known = {shape.name for shape in operation.error_shapes} | COMMON
    known |= {shape.metadata.get("error", {}).get("code", "") for shape in operation.error_shapes}
    assert code in known, f"{operation.name} has no error {code}, only {sorted(known)}"


def _valid(value: Any, shape: Shape, what: str) -> None:
    report = ParamValidator().validate(value, shape)
    unknown = _unknown(value, shape)
    # A number out of its range is what an adapter has to survive.
    wrong = [line for line in report.generate_report().splitlines() if "valid min value" not in line]
    assert not wrong, f"{what}: {wrong}"
    assert not unknown, f"{what}: {unknown} is not in botocore's model"


def _unknown(value: Any, shape: Shape) -> list[str]:
    """Members that the model does not know, and words that its enums do not."""
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        found = [f"{shape.name}.{key}" for key in value if key not in shape.members]
        return found + [
            each for key, part in value.items() if key in shape.members for each in _unknown(part, shape.members[key])
        ]
    if shape.type_name == "list":
        return [each for part in value for each in _unknown(part, shape.member)]
    if shape.type_name == "map":
        return [each for part in value.values() for each in _unknown(part, shape.value)]
    enum = getattr(shape, "enum", None)
    return [f"{shape.name} {value!r}"] if enum and value not in enum and not str(value).startswith("NEW_") else []


def _encoded(operation: OperationModel, given: dict[str, Any]) -> bytes:
    shape = operation.output_shape
    return b"{}" if shape is None else json.dumps(_json(given, shape)).encode()


def _json(value: Any, shape: Shape) -> Any:
    kind = shape.type_name
    if kind == "structure" and not getattr(shape, "is_document_type", False):
        return {
            shape.members[key].serialization.get("name", key): _json(part, shape.members[key])
            for key, part in value.items()
        }
    if kind == "list":
        return [_json(part, shape.member) for part in value]
    if kind == "map":
        return {key: _json(part, shape.value) for key, part in value.items()}
    if kind == "timestamp":
        at = value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
        return round(at.timestamp(), 3)
    if kind == "blob":
        return base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
    return value
