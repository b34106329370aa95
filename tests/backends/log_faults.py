"""What every log adapter that asks over HTTP does when the system does not answer well: one error of a known kind."""

from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.ports import LogQuery, Logs
from tests.backends.faulty_server import FaultyServer

KINDS = {
    "hang": "timeout", "no answer": "unreachable", "reset": "unreachable", "401": "auth", "403": "auth",
    "404": "not_found", "429": "rate_limited", "500": "unreachable", "502": "unreachable", "503": "unreachable",
    "html": "malformed", "html 503": "unreachable", "empty": "malformed", "truncated JSON": "malformed",
    "truncated body": "unreachable", "huge": "malformed", "invalid UTF-8": "malformed", "redirect": "malformed",
    "escapes": "unreachable", "not HTTP": "malformed", "drip": "timeout",
}  # fmt: skip
SLOW = {"huge", "no answer", "reset", "429", "502", "503", "html 503", "truncated body"}
SECRET = "hunter2secret"


class LogFaults:
    """A test class inherits this and gives `server` (a `FaultyServer`) and `impatient` (an adapter on it that waits two
    seconds at most and sends the password `SECRET`)."""

    @pytest.mark.parametrize("fault", KINDS)
    async def test_each_fault_is_one_error(self, server: FaultyServer, impatient: Logs, fault: str) -> None:
        server.fault = fault
        with pytest.raises(BackendError) as caught:
            await impatient.query(LogQuery())
        kinds = {KINDS[fault], "timeout"} if fault in SLOW else {KINDS[fault]}  # it may run out of time on the way
        assert caught.value.kind in kinds, caught.value.message
        assert caught.value.message.isprintable()
        assert SECRET not in caught.value.message + caught.value.fix

    async def test_nobody_listens(self, server: FaultyServer, impatient: Logs) -> None:
        await server.stop()
        with pytest.raises(BackendError) as caught:
            await impatient.query(LogQuery())
        assert caught.value.kind == "unreachable"

    async def test_a_server_that_quotes_the_request_gives_no_secret_away(
        self, server: FaultyServer, impatient: Logs
    ) -> None:
        server.fault = "echo"
        with pytest.raises(BackendError) as caught:
            await impatient.query(LogQuery())
        assert SECRET not in caught.value.message

    @pytest.mark.parametrize("answer", [[], {}, {"data": None}, {"hits": 3}, "text", {"data": {"resultType": 1}}])
    async def test_another_shape_is_malformed(self, server: FaultyServer, impatient: Logs, answer: Any) -> None:
        server.answer = lambda _: (200, answer)
        with pytest.raises(BackendError) as caught:
            await impatient.query(LogQuery())
        assert caught.value.kind == "malformed"

    async def test_a_fault_ends_a_follow_with_an_error(self, server: FaultyServer, impatient: Logs) -> None:
        stream = impatient.follow(LogQuery(limit=0))
        server.fault = "500"
        with pytest.raises(BackendError):
            await anext(stream)


def secret_file(directory: Path) -> dict[str, str]:
    """A reference to the password `SECRET`."""
    (directory / "secret").write_text(SECRET)
    return {"file": "secret"}
