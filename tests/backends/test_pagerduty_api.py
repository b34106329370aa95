"""What all adapters of PagerDuty share: token, pages, limits, words for errors."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from backends.errors import BackendError
from backends.http import Http
from backends.pagerduty.api import PagerDutyAccess, PagerDutyApi, page_of, path_of
from backends.registry import AdapterContext
from backends.settings import decode_hook
from tests.backends.fake_pagerduty import ME, TOKEN, FakePagerDuty

Connect = Callable[..., PagerDutyApi]


class Record(Struct):
    id: str


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakePagerDuty]:
    monkeypatch.setenv("PAGERDUTY_TOKEN", TOKEN)
    users = [ME, *({**ME, "id": f"P{number}", "email": f"{number}@example.com"} for number in range(1, 250))]
    async with FakePagerDuty(users=users) as server:
        yield server
        assert server.complaints == []


@pytest.fixture
async def connect(server: FakePagerDuty, tmp_path: Path) -> AsyncIterator[Connect]:
    http = Http()

    def connected(**config: Any) -> PagerDutyApi:
        table = {"url": server.url, "token": {"env": "PAGERDUTY_TOKEN"}, **config}
        return PagerDutyApi(
            msgspec.convert(table, PagerDutyAccess, dec_hook=decode_hook),
            AdapterContext("pd", tmp_path, tmp_path, http),
        )

    yield connected
    await http.aclose()


async def test_all_pages_are_read(connect: Connect) -> None:
    found, is_all = await connect().pages("/users", "users", Record)
    assert ([each.id for each in found], is_all) == (["PXPGF42", *(f"P{number}" for number in range(1, 250))], True)


async def test_no_more_than_was_asked_for(connect: Connect, server: FakePagerDuty) -> None:
    found, is_all = await connect().pages("/users", "users", Record, most=120)
    assert (len(found), is_all, len(server.requests)) == (120, False, 2)


async def test_whose_token_it_is(connect: Connect, server: FakePagerDuty) -> None:
    api = connect()
    first, again = await api.me(), await api.me()
    assert first is not None
    assert (first.email, first, len(server.requests)) == ("alice@example.com", again, 1)


async def test_a_general_key_is_nobodys(connect: Connect, server: FakePagerDuty) -> None:
    server.is_general = True
    assert await connect().me() is None


async def test_nothing_is_sent_while_it_says_that_we_ask_too_much(connect: Connect, server: FakePagerDuty) -> None:
    server.limited = 1
    api = connect()
    for _ in range(2):
        with pytest.raises(BackendError, match="limit of requests") as caught:
            await api.me()
        assert caught.value.kind == "rate_limited"
        assert 20 < (caught.value.retry_after_s or 0) <= 23
    assert len(server.requests) == 1


async def test_retry_after_is_obeyed(connect: Connect, server: FakePagerDuty) -> None:
    server.limited, server.extra_headers = 1, {"retry-after": "7"}
    with pytest.raises(BackendError) as caught:
        await connect().me()
    assert 5 < (caught.value.retry_after_s or 0) <= 7


async def test_the_last_request_that_is_left_is_the_last(connect: Connect, server: FakePagerDuty) -> None:
    server.remaining = 0
    api = connect()
    assert await api.me()
    with pytest.raises(BackendError, match="limit of requests"):
        await api.get("/users", dict[str, Any])


async def test_its_own_words_for_an_error(connect: Connect, server: FakePagerDuty) -> None:
    with pytest.raises(BackendError, match="HTTP 400: Invalid Input Provided: Requester User Not Found") as caught:
        await connect().write("PUT", "/incidents/P1", {"incident": {}}, dict[str, Any], by="bob@example.com")
    assert caught.value.status == 400
    server.complaints.clear()


async def test_a_wrong_token_is_named_by_where_it_is_from(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGERDUTY_TOKEN", "u+wrongwrongwrong1")
    with pytest.raises(BackendError) as caught:
        await connect().me()
    assert (caught.value.kind, "u+wrong" in caught.value.message) == ("auth", False)
    assert "EU region" in caught.value.fix


def test_what_comes_from_outside_stays_one_step_of_a_path() -> None:
    assert path_of("incidents", "../users/me", "notes") == "/incidents/..%2Fusers%2Fme/notes"


def test_only_a_page_of_the_web_is_a_link() -> None:
    assert page_of("https://acme.pagerduty.com/incidents/P1") == "https://acme.pagerduty.com/incidents/P1"
    assert (page_of("javascript:alert(1)"), page_of(None)) == (None, None)
