"""`teal doctor` against systems that answer, refuse, are gone, are slow, or live in another time."""

import asyncio
import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest

from backends import registry
from backends.http import Answer
from console.cli.commands import teal
from console.cli.ending import run_command
from console.printing.diagnosis import Diagnosis, clock_skew
from tests.console import fixed_adapters

NOW = datetime(2026, 11, 21, 13, 2, 31, 500000, tzinfo=UTC)


class SilentCheck(fixed_adapters.Fixed):
    """A check that never ends."""

    async def run(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def clock_server() -> Iterator[ThreadingHTTPServer]:
    """Answers 200; its clock is ahead by as many seconds as the path says."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ahead = timedelta(seconds=int(self.path.strip("/")))
            self.send_response_only(200)
            self.send_header("Date", format_datetime(datetime.now(UTC) + ahead, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def write_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def write(entries: str, settings: str = "") -> None:
        config = tmp_path / "config.toml"
        config.write_text(f"[contexts.c]\n{settings}\n{entries}")
        config.chmod(0o600)
        monkeypatch.setenv("TEAL_CONFIG", str(config))

    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    own = {**fixed_adapters.ADAPTERS, "checks.silent": f"{__name__}:SilentCheck"}
    monkeypatch.setattr(registry, "ADAPTERS", {**registry.ADAPTERS, **own})
    return write


def entry(port: str, name: str, kind: str, more: str = "") -> str:
    return f'[[contexts.c.{port}]]\nname = "{name}"\ntype = "{kind}"\n{more}\n'


def diagnosed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Diagnosis], dict[str, Any]]:
    capsys.readouterr()
    code = run_command(teal, ["doctor", "-o", "json", *arguments])
    document = json.loads(capsys.readouterr().out)
    found = msgspec.convert(document["items"], list[Diagnosis])
    return code, {each.name if each.type else each.subject: each for each in found}, document


def test_each_backend_says_how_it_is_and_what_may_be_done(write_config, capsys):
    write_config(
        entry("pipelines", "airflow", "fixed")
        + entry("alerts", "am", "fixed")
        + entry("deployments", "analytics", "fixed")
        + entry("checks", "vault", "refused")
        + entry("quality", "scores", "sql", 'url = "sqlite:///none/warehouse.db"\ntable = "scores"')
    )
    code, found, document = diagnosed(capsys)
    assert code == 0
    fine = found["analytics"]
    assert (fine.health, fine.reachable, fine.authorized, fine.detail) == ("ok", True, True, "")
    assert found["am"].may == ("read",)
    refused = found["vault"]
    assert (refused.health, refused.reachable, refused.authorized, refused.may) == ("critical", True, False, ())
    assert refused.detail == "http://vault.internal/health: HTTP 403"
    assert found["scores"].health == "critical"
    assert found["scores"].authorized is None
    assert document["health"] == "critical"
    assert [each["health"] for each in document["items"]][:2] == ["critical", "critical"], "worst first"
    assert {source["name"] for source in document["sources"] if not source["ok"]} == {"vault", "scores"}
    assert run_command(teal, ["doctor", "--strict"]) == 7


def test_where_no_backend_answers_it_ends_with_7_in_time(write_config, capsys):
    write_config(entry("checks", "hanging", "silent"))
    code, found, _ = diagnosed(capsys, "--timeout", "0.3")
    assert code == 7
    assert (found["hanging"].health, found["hanging"].reachable) == ("critical", False)


def test_what_writes_may_be_done_depends_on_the_context(write_config, capsys):
    local = entry("pipelines", "dags", "local", 'history = "sqlite:///runs.db"\nlogs = "logs"\ndags = []')
    write_config(local)
    assert diagnosed(capsys)[1]["dags"].may == ("read", "run")
    write_config(local, "read_only = true")
    assert diagnosed(capsys)[1]["dags"].may == ("read",)


@pytest.mark.parametrize(
    ("ahead", "health", "words"),
    [
        (0, "ok", ""),
        (20, "warning", "its clock is 2. s ahead of this host's"),
        (-300, "critical", "its clock is (299|300) s behind this host's"),
    ],
)
def test_a_clock_that_is_off_is_said(ahead, health, words, write_config, capsys, clock_server):
    url = f"http://127.0.0.1:{clock_server.server_port}/{ahead}"
    write_config(entry("checks", "api", "http", f'url = "{url}"') + entry("checks", "vault", "refused"))
    _, found, _ = diagnosed(capsys)
    api = found["api"]
    assert api.health == health
    assert api.clock_skew_s == pytest.approx(ahead, abs=2)
    assert found["vault"].clock_skew_s is None, "each backend has its own"
    assert re.search(words + "$", api.detail)


@pytest.mark.parametrize(
    ("headers", "skew"),
    [
        ({"date": "Sat, 21 Nov 2026 13:02:31 GMT"}, 0.5),
        ({"date": "Sat, 21 Nov 2026 13:03:31 GMT"}, 60.5),
        ({"date": "Sat, 21 Nov 2026 13:02:31"}, 0.5),
        ({"date": "Sat, 21 Nov 2026 13:02:31 GMT", "age": "30"}, None),
        ({"date": "yesterday"}, None),
        ({}, None),
    ],
)
def test_the_skew_of_an_answer(headers, skew):
    answer = Answer(200, headers, b"", seconds=1.0, url="http://127.0.0.1/")
    assert clock_skew(answer, NOW) == skew


def test_the_journal_the_state_and_the_config_have_findings(write_config, capsys, tmp_path, monkeypatch):
    write_config(entry("checks", "api", "fixed") + entry("checks", "nothing", "nonesuch"))
    code, found, _ = diagnosed(capsys)
    assert code == 0
    assert found["journal"].health == "warning"
    assert "others do not see" in found["journal"].detail
    assert not (tmp_path / "state" / "journal.db").exists(), "looking changes nothing"
    assert found["state"] == Diagnosis(subject="state", name=str(tmp_path / "state"), health="ok")
    assert found["config"].health == "critical"
    assert found["config"].name == f"{tmp_path / 'config.toml'}:9"
    (tmp_path / "file").touch()
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "file" / "state"))
    _, found, _ = diagnosed(capsys)
    assert found["state"].detail == found["journal"].detail == f"{tmp_path / 'file'} is not a directory"
    assert found["journal"].health == "critical"


def test_a_password_of_the_journal_is_not_shown(write_config, capsys, monkeypatch):
    monkeypatch.setenv("JOURNAL_URL", "postgresql+psycopg://teal:s3cret@127.0.0.1:1/teal")
    write_config(entry("checks", "api", "fixed"), 'journal = { env = "JOURNAL_URL" }')
    _, found, document = diagnosed(capsys)
    assert found["journal"].health == "critical"
    assert found["journal"].name == "postgresql+psycopg://127.0.0.1:1/teal"
    assert "s3cret" not in json.dumps(document)


def test_the_table_names_the_same(write_config, capsys):
    write_config(entry("checks", "vault", "refused"))
    assert run_command(teal, ["doctor"]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"STATE +WHAT +NAME +TYPE +REACHED +AUTHORIZED +MAY +MS +SKEW S +DETAIL", lines[0])
    assert lines[1].split()[:7] == ["✗", "critical", "checks", "vault", "refused", "yes", "no"]


def test_a_system_that_refuses_a_query_of_ours_was_reached(write_config, capsys, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "w.db")) as database:
        database.execute("create table orders (at)")
    url = f'url = "sqlite:///{tmp_path}/w.db"'
    write_config(
        entry("checks", "refused", "freshness", f'{url}\nquery = "selekt 1"')
        + entry("checks", "local", "freshness", 'url = "nothing://x/y"\nquery = "select 1"')
    )
    _, found, _ = diagnosed(capsys)
    assert (found["refused"].health, found["refused"].reachable) == ("critical", True)
    assert (found["local"].health, found["local"].reachable) == ("critical", None)


def test_each_entry_that_is_broken_has_a_row_of_its_own(write_config, capsys):
    write_config(
        """
        [[contexts.c.checks]]
        name = "odd"
        [[contexts.c.checks]]
        name = "web"
        type = "tcp"
        host = "127.0.0.1"
        port = 1
        [[contexts.c.checks]]
        name = "web"
        type = "tcp"
        host = "127.0.0.1"
        port = 2
        [[contexts.c.checks]]
        type = "nonsuch"
        """
    )
    run_command(teal, ["doctor", "-o", "json"])
    items = json.loads(capsys.readouterr().out)["items"]
    rows = {item["name"]: item["detail"] for item in items if item["subject"] == "checks"}
    assert list(rows) == ["odd", "web", "web (2)", "nonsuch"]
    assert "no type" in rows["odd"]
    assert 'a second checks entry named "web"' in rows["web (2)"]
    assert 'no adapter "nonsuch"' in rows["nonsuch"]
