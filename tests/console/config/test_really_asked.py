"""`teal config validate` and `teal doctor` really ask each entry, and tell nobody of it."""

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from console.cli.commands import teal
from console.cli.ending import run_command
from tests.backends.fake_prometheus import FakePrometheus
from tests.console.config.written import HEAD, PROMETHEUS, Validate


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    fake = FakePrometheus()
    fake.start()
    yield fake
    fake.stop()


def test_a_query_without_any_series_is_named(validate: Validate, prometheus: FakePrometheus) -> None:
    metrics = PROMETHEUS.replace("http://127.0.0.1:9", prometheus.url)
    quality = '[[contexts.c.quality]]\nname = "q"\ntype = "prometheus"\nmetrics = "prom"\nquery = "data_qualty_score"\n'
    code, found = validate(HEAD + metrics + quality)
    assert (code, [(each["line"], each["level"]) for each in found]) == (0, [(7, "warning")])
    assert found[0]["message"] == "it finds no dataset: prom has no series data_qualty_score"


def test_a_link_to_what_no_source_has_is_named(validate: Validate, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "w.db") as database:
        database.execute("create table t (dataset text, score float, evaluated_at text)")
        database.execute("insert into t values ('transactions', 1.0, '2026-11-28T20:00:00Z')")
    (tmp_path / "logs").mkdir()
    code, found = validate(
        f'{HEAD}links = {{ rows = [{{ pipeline = "nightli", datasets = ["transactons", "transactions"] }}] }}\n'
        '[[contexts.c.quality]]\ntype = "sql"\nurl = "sqlite:///w.db"\ntable = "t"\n'
        '[[contexts.c.pipelines]]\ntype = "local"\nhistory = "sqlite:///r.db"\nlogs = "logs"\n'
        'dags = [{ name = "nightly", tasks = [{ name = "a", command = ["true"] }] }]\n'
    )
    assert code == 0
    assert [(each["line"], each["level"], each["message"]) for each in found] == [
        (3, "warning", 'no source has the dataset "transactons"'),
        (3, "warning", 'no source has the pipeline "nightli"'),
    ]


@pytest.mark.parametrize(
    ("entry", "health", "words"),
    [
        ('logs]]\ntype = "files"\npaths = ["logs/*.lgo"]\n', "warning", "no file matches logs/*.lgo"),
        ('notify]]\ntype = "slack"\nwebhook = { env = "TEAL_NOT_SET" }\n', "critical",
         "environment variable TEAL_NOT_SET is not set"),
    ],
)  # fmt: skip
def test_doctor_says_it_at_the_entry_once(
    validate: Validate, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, entry: str, health: str,
    words: str,
) -> None:  # fmt: skip
    monkeypatch.delenv("TEAL_NOT_SET", raising=False)
    validate(f"{HEAD}[[contexts.c.{entry}", "--offline")
    run_command(teal, ["doctor", "-o", "json"])
    items = json.loads(capsys.readouterr().out)["items"]
    assert [(each["health"], each["detail"].count(words)) for each in items if words in each["detail"]] == [(health, 1)]


IN_CLUSTER = {
    "gateway-api": 'route = "r"\nservices = { blue = "b", green = "g" }\n',
    "istio": 'virtual_service = "v"\nservices = { blue = "b", green = "g" }\n',
}


def dead_switch(kind: str, tmp_path: Path) -> str:
    sides = 'health = { blue = "http://127.0.0.1:9/", green = "http://127.0.0.1:9/" }\n'
    if kind == "haproxy":
        more = 'nodes = ["unix:/nosuch.sock"]\nbackend = "b"\nservers = { blue = ["b"], green = ["g"] }\n'
    elif kind == "nginx":
        more = (
            f'include = "{tmp_path}/nosuch.conf"\nupstream = "web"\nservers = {{ blue = ["127.0.0.1:9"], '
            'green = ["127.0.0.1:9"] }\nstamp_url = "http://127.0.0.1:9/__color"\n'
            'validate = ["true"]\nreload = ["true"]\n'
        )
    elif kind in IN_CLUSTER:
        more = f'kubeconfig = "{tmp_path}/nosuch"\n{IN_CLUSTER[kind]}'
    elif kind == "kubernetes":
        more = f'kubeconfig = "{tmp_path}/nosuch"\nservice = "s"\ncolor_label = "color"\n'
    else:
        more = 'path = "nosuch.json"\n'
    return f'[[contexts.c.deployments]]\nname = "web"\ntype = "{kind}"\n{sides}{more}'


@pytest.mark.parametrize("kind", ["haproxy", "nginx", "kubernetes", *IN_CLUSTER, "file-switch"])
def test_a_dead_deployment_is_not_ok(
    validate: Validate, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = validate(HEAD + dead_switch(kind, tmp_path))
    assert [(each["line"], each["path"], each["level"]) for each in found] == [
        (3, "contexts.c.deployments.web", "error")
    ]
    assert "nosuch" in found[0]["message"]
    assert code == (2 if kind in ("kubernetes", *IN_CLUSTER) else 7)
    capsys.readouterr()
    run_command(teal, ["doctor", "-o", "json"])
    (told,) = [each for each in json.loads(capsys.readouterr().out)["items"] if each["subject"] == "deployments"]
    assert told["health"] == "critical"
    assert "nosuch" in told["detail"]
    assert told["may"] == []


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[str]]]:
    """Its URL, and the methods that it was asked with: it answers 204 to HEAD."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append("HEAD")
            self.send_response_only(503 if "down" in self.path else 401 if "who" in self.path else 404)
            self.end_headers()

        def do_POST(self) -> None:
            asked.append("POST")
            self.send_response_only(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def hook(url: str) -> str:
    return f'[[contexts.c.notify]]\nname = "hook"\ntype = "webhook"\nurl = "{url}"\n'


def test_a_notifier_is_reached_and_nobody_is_told(
    validate: Validate, receiver: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    url, asked = receiver
    assert validate(HEAD + hook(f"{url}/token")) == (0, [])
    assert asked == ["HEAD"]
    capsys.readouterr()
    run_command(teal, ["doctor", "-o", "json"])
    (told,) = [each for each in json.loads(capsys.readouterr().out)["items"] if each["subject"] == "notify"]
    assert (told["health"], told["may"]) == ("ok", ["tell"])
    assert "POST" not in asked


@pytest.mark.parametrize(("path", "words"), [("down", "HTTP 503"), ("who", "HTTP 401")])
def test_a_notifier_that_does_not_take_it_is_named(
    validate: Validate, receiver: tuple[str, list[str]], path: str, words: str
) -> None:
    code, (found,) = validate(HEAD + hook(f"{receiver[0]}/{path}"))
    assert (code, found["line"], found["message"]) == (7, 3, f"notify.hook: {words}")


@pytest.mark.parametrize("kind", ["slack", "webhook", "pagerduty", "email"])
def test_a_dead_notifier_is_not_ok(validate: Validate, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("TEAL_A_URL", f"http://127.0.0.1:{port}/T0KEN")
    more = {
        "slack": 'webhook = { env = "TEAL_A_URL" }', "webhook": 'url = { env = "TEAL_A_URL" }',
        "pagerduty": f'routing_key = {{ env = "TEAL_A_URL" }}\nurl = "http://127.0.0.1:{port}/"',
        "email": f'host = "127.0.0.1"\nport = {port}\nfrom = "a@b"\nto = ["c@d"]',
    }[kind]  # fmt: skip
    code, (found,) = validate(f'{HEAD}[[contexts.c.notify]]\nname = "n"\ntype = "{kind}"\n{more}\n')
    assert (code, found["line"], found["path"]) == (7, 3, "contexts.c.notify.n")
    assert "refused" in found["message"]
    assert "T0KEN" not in json.dumps(found)


def test_a_lost_peer_of_two_is_named(validate: Validate, receiver: tuple[str, list[str]]) -> None:
    """An Alertmanager URL that answers 404 went without a word beside one that answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(404 if self.path.startswith("/bad") else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        code, found = validate(
            f'{HEAD}watchdog = "Watchdog"\n[[contexts.c.alerts]]\ntype = "alertmanager"\n'
            f'urls = ["{url}", "{url}/bad"]\n'
        )
        assert code == 0
        assert [each["line"] for each in found] == [4, 4]
        assert any("404" in each["message"] for each in found)
        assert any("Watchdog" in each["message"] for each in found)
        code, (one,) = validate(f'{HEAD}[[contexts.c.alerts]]\ntype = "alertmanager"\nurls = ["{url}/bad"]\n')
        server.shutdown()
    assert code == 7
    assert "404" in one["message"]


def test_a_command_that_it_prints_names_the_context_that_it_is_about(validate: Validate) -> None:
    dead = (
        '[[contexts.%s.deployments]]\nname = "web"\ntype = "haproxy"\nnodes = ["unix:/%s.sock"]\nbackend = "m"\n'
        'servers = { blue = ["b"], green = ["g"] }\n'
    )
    text = 'default_context = "c"\n[contexts.c]\n[contexts.d]\n' + dead % ("c", "gone") + dead % ("d", "away")
    code, found = validate(text)
    assert code == 7
    assert {each["path"]: each["fix"] for each in found} == {
        "contexts.c.deployments.web": "`teal deploy status web` shows it",
        "contexts.d.deployments.web": "`teal -C d deploy status web` shows it",
    }
