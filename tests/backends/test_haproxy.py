"""`haproxy` against answers that no HAProxy should give, and the examples of its documentation."""

import asyncio
import contextlib
import re
import tempfile
import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.deployments.haproxy import socket as haproxy_socket
from backends.deployments.haproxy.socket import Node
from backends.deployments.haproxy.state import Mark, NodeState, read_node, variable_of
from backends.deployments.haproxy.switch import HaproxySwitch
from backends.deployments.sides import UrlSides
from backends.errors import BackendError
from backends.http import Http
from backends.models import ColorState
from backends.ports import RequestCounts
from backends.registry import AdapterContext, build

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "proxies.md"
STATE = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight\n"
    "3 model 1 blue-1 127.0.0.1 2 0 100 100\n3 model 2 green-1 127.0.0.1 2 0 0 100\n\n"
)
STAT = (
    "# pxname,svname,stot,status,check_status,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,econ,eresp,rtime,"
    "mode,algo,\n"
    "model,blue-1,9,UP,L7OK,0,8,0,0,1,0,0,0,12,http,,\nmodel,green-1,0,UP,L7OK,0,0,0,0,0,0,0,0,0,http,,\n"
    "model,BACKEND,9,UP,,0,8,0,0,1,0,0,0,12,http,roundrobin,\n\n"
)
GOOD = {
    "show servers state": STATE,
    "show stat": STAT,
    "show info": "Name: HAProxy\nPid: 7\nStart_time_sec: 1795653951\n\n",
    "get var": "Variable not found.\n\n",
    "show cli level": "admin\n\n",
    "experimental-mode": "\n\n\n\n",
    "set server": "\n\n\n",
}
Answers = Callable[..., Any]


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    """`answers({"show stat": "…"})` is an adapter over a socket that says so, and what is good for all else."""
    with tempfile.TemporaryDirectory(prefix="teal-") as short:
        said = dict(GOOD)
        path, http = Path(short) / "s", Http()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            command = (await reader.readline()).decode()
            with contextlib.suppress(OSError):
                writer.write(
                    next(
                        said[start] for start in sorted(said, key=len, reverse=True) if command.startswith(start)
                    ).encode()
                )
                await writer.drain()
            writer.close()

        def made(others: dict[str, str]) -> HaproxySwitch:
            said.update(others)
            entry = {
                "nodes": [f"unix:{path}"], "backend": "model", "servers": {"blue": ["blue-1"], "green": ["green-1"]},
            }  # fmt: skip
            context = AdapterContext("model", Path(short), Path(short), http)
            found: HaproxySwitch = build("deployments", "haproxy", entry, context)
            return found

        async with await asyncio.start_unix_server(handle, path):
            yield made
        await http.aclose()


async def test_the_counters_are_those_of_the_backend_where_a_frontend_has_its_name(answers: Answers) -> None:
    adapter = answers({"show stat": STAT.splitlines()[0] + "\n\n", "show stat 3 ": STAT})
    assert (await adapter.request_counts()).requests["blue"] == 9
    said = await adapter.preflight(await adapter.observe(), {"blue": 90, "green": 10})
    assert "haproxy-algorithm" not in {finding.code for finding in said}


async def test_what_haproxy_answered_itself_is_no_server_s(answers: Answers) -> None:
    """As HAProxy 2.6 counts: two were not connected, and 23 more found every server down."""
    stat = STAT.replace("blue-1,9,UP,L7OK,0,8,0,0,1,0,0,0,", "blue-1,11,DOWN,L4CON,0,8,0,0,1,0,2,0,")
    stat = stat.replace("BACKEND,9,UP,,0,8,0,0,1,0,0,0,", "BACKEND,34,DOWN,,0,8,0,0,26,0,25,0,")
    adapter = answers({"show stat": stat})
    counts = RequestCounts(requests={"blue": 11, "green": 0}, failures={"blue": 3, "green": 0}, refused=23)
    assert await adapter.request_counts() == counts


async def test_one_look_is_one_read(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests, failures and what was refused came from three reads of one page, of three moments."""
    reads = []

    async def counted(*given: Any) -> NodeState:
        reads.append(given)
        return await read_node(*given)

    monkeypatch.setattr("backends.deployments.haproxy.nodes.read_node", counted)
    await answers({}).request_counts()
    assert len(reads) == 1


async def test_what_is_good_is_read(answers: Answers) -> None:
    adapter = answers({})
    assert (await adapter.observe()).weights == {"blue": 100, "green": 0}
    assert (await adapter.request_counts()).requests == {"blue": 9, "green": 0}


@pytest.mark.parametrize(
    ("others", "kind"),
    [
        ({"show servers state": ""}, "malformed"),
        ({"show servers state": STATE[:-30]}, "malformed"),
        ({"show servers state": STATE.replace(" srv_uweight", "")}, "malformed"),
        ({"show servers state": STATE.replace("1\n", "2\n", 1)}, "malformed"),
        ({"show servers state": STATE.replace("2 0 100 100", "2 0 many 100")}, "malformed"),
        ({"show servers state": "HTTP/1.0 400 Bad request\r\n\r\n<html>"}, "malformed"),
        ({"show servers state": "Can't find backend.\n\n"}, "config"),
        ({"show servers state": "Permission denied\n\n"}, "auth"),
        ({"show servers state": "Unknown command: 'show'\n\n"}, "malformed"),
        ({"show servers state": "x" * 9_000_000}, "malformed"),
        ({"show stat": STAT[:-40]}, "malformed"),
        ({"show stat": "No such proxy.\n\n"}, "malformed"),
        ({"show info": "\n"}, "malformed"),
    ],
)
async def test_an_answer_that_is_none_is_one_line_and_never_a_color(
    answers: Answers, others: dict[str, str], kind: str
) -> None:
    adapter = answers(others)
    with pytest.raises(BackendError) as caught:
        await adapter.observe()
    assert caught.value.kind == kind
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400
    found = await adapter.deployment()
    assert (found.live, found.truth.endpoints.value) == ("unknown", "unknown")


async def test_names_that_would_drive_a_terminal_do_not(answers: Answers) -> None:
    hostile = STAT.replace("UP,L7OK", "DO\x1b[31mWN,\x1b]0;x\x07L4CON")
    adapter = answers({"show stat": hostile, "show servers state": STATE.replace(" 2 0 0 100", " 0 0 0 100")})
    detail = (await adapter.endpoints()).detail
    assert "DOWN L4CON" in detail
    assert "\x1b" not in detail


async def test_an_agent_that_sets_weights_is_named(answers: Answers) -> None:
    asked = STAT.replace("mode,algo,", "mode,agent_status,algo,").replace("http,roundrobin", "http,,roundrobin")
    asked = asked.replace("12,http,,\n", "12,http,L7OK,,\n").replace("0,http,,\n", "0,http,,,\n")
    for stat, named in ((STAT, []), (asked, ["warning"])):
        adapter = answers({"show stat": stat})
        findings = await adapter.preflight(await adapter.observe(), {"blue": 100, "green": 0})
        assert [one.level for one in findings if one.code == "haproxy-agent"] == named
    assert any("blue-1" in one.text and "disable agent" in one.fix for one in findings)


@pytest.mark.parametrize("said", ["\n", "", "No such server.\n\n\n"])
async def test_a_write_whose_answer_breaks_off_or_complains_is_no_success(answers: Answers, said: str) -> None:
    adapter = answers({"experimental-mode": said})
    with pytest.raises(BackendError) as caught:
        await adapter.shift(await adapter.observe(), {"blue": 0, "green": 100}, stamp="A:shift")
    assert caught.value.kind in ("malformed", "failed")


async def test_a_write_that_is_answered_and_not_done_is_noticed(answers: Answers) -> None:
    adapter = answers({})
    with pytest.raises(BackendError) as caught:
        await adapter.shift(await adapter.observe(), {"blue": 0, "green": 100}, stamp="A:shift")
    assert (caught.value.kind, "in the same moment" in caught.value.message) == ("conflict", True)


async def test_a_socket_that_never_answers_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(haproxy_socket, "TIMEOUT_S", 0.2)
    forever = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await forever.wait()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        node = Node(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(BackendError) as caught:
            await node.ask("show info")
        assert (caught.value.kind, "`show info`" in caught.value.message) == ("timeout", True)
        forever.set()


@pytest.mark.parametrize("address", ["", "lb", "lb:0", "lb:70000", "unix:relative", "http://lb:1", "a b:1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"unix:/PATH|HOST:PORT"):
        Node(address)


@pytest.mark.parametrize(
    ("address", "socat"),
    [
        ("unix:/run/a.sock", "unix-connect:/run/a.sock"),
        ("/run/a.sock", "unix-connect:/run/a.sock"),
        ("lb-2.internal:9999", "tcp-connect:lb-2.internal:9999"),
        ("[::1]:9999", "tcp-connect:[::1]:9999"),
    ],
)
def test_an_address_as_socat_writes_it(address: str, socat: str) -> None:
    assert Node(address).socat == socat


@given(
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.integers(0, 100),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=40),
)
def test_a_mark_is_read_as_it_was_written_and_is_one_word(number: int, fence: int, share: int, stamp: str) -> None:
    from backends.text import clean

    shares = {"blue": share, "green": 100 - share}
    mark = Mark(phase="done", number=number, fence=fence, shares=shares, stamp=clean(stamp))
    assert re.fullmatch(r"[\w./=+:%~-]*", mark.text(), re.ASCII)
    assert Mark.parse(mark.text()) == mark


@given(st.text(max_size=60))
def test_no_mark_of_somebody_else_breaks_the_reader(text: str) -> None:
    found = Mark.parse(text)
    assert found is None or found.phase in ("moving", "done")


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_each_backend_has_a_variable_of_its_own(one: str, other: str) -> None:
    assert re.fullmatch(r"[\w.]+", variable_of(one), re.ASCII)
    if one != other and re.fullmatch(r"[\w.-]+", one + other, re.ASCII):
        assert variable_of(one) != variable_of(other)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nodes": []}, "at least one"),
        ({"nodes": ["lb:1", "lb:1"]}, "none twice"),
        ({"servers": {"blue": ["a"]}}, "two colors"),
        ({"servers": {"blue": ["a"], "green": ["a"]}}, "none belongs to two colors"),
        ({"servers": {"blue": ["a; shutdown"], "green": ["b"]}}, "no name in HAProxy"),
        ({"backend": "a/b"}, "no name in HAProxy"),
        ({"persist": "state"}, "a path is for one node on this host"),
        ({"health": {"red": "http://x"}}, "the same colors"),
    ],
)
def test_an_entry_that_can_not_be_is_refused_in_words(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    entry = {"nodes": ["lb:1"], "backend": "model", "servers": {"blue": ["a"], "green": ["b"]}, **change}
    with pytest.raises(BackendError, match=words):
        build("deployments", "haproxy", entry, AdapterContext("model", tmp_path, tmp_path, Http()))


def test_the_examples_of_the_documentation_are_entries(tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    kinds = set()
    for example in examples:
        entry = tomllib.loads(example)["contexts"]["production"]["deployments"][0]
        name, kind = entry.pop("name"), entry.pop("type")
        build("deployments", kind, entry, AdapterContext(name, tmp_path, tmp_path, Http()))
        kinds.add(kind)
    assert kinds == {"haproxy", "nginx"}


async def test_a_side_says_what_it_answers_itself_where_haproxy_is_not_read(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def well(self: UrlSides, color: str) -> ColorState:
        return ColorState(healthy=True, version="2.9.0", detail="healthy")

    monkeypatch.setattr(UrlSides, "health", well)
    adapter = answers({"show servers state": "no backend\n\n"})
    found = await adapter.deployment()
    side = found.colors["blue"]
    assert (side.healthy, side.version, side.ready) == (True, "2.9.0", None), "nobody counted servers"
    assert side.detail.startswith("healthy; what HAProxy says is not known: ")
    assert (found.truth.control.value, found.live, found.health) == ("unknown", "unknown", "unknown")
    asked = await adapter.color_health("blue")
    assert asked.healthy is None, "to go on both have to say yes"
    assert asked.detail.startswith("it answers healthy itself; what HAProxy says is not known: ")


async def test_a_mean_of_long_ago_is_not_shown_as_of_now(answers: Answers) -> None:
    """HAProxy's is of the last 1024 requests, whenever they came."""
    for since, shown in (("3", True), ("3600", False), ("-1", False)):
        stat = (
            STAT.replace("rtime,", "rtime,lastsess,")
            .replace(",12,http", f",12,{since},http")
            .replace(",0,http", ",0,-1,http")
        )
        found = await answers({"show stat": stat}).deployment()
        assert ("12 ms mean" in found.colors["blue"].detail) is shown, since
