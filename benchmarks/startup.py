"""Start-up: the version, a headless read, first paint, first data."""

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.timing import Measurement, compare, paint_seconds, run_seconds, sandbox

BACKENDS = 3

EMPTY_APP = """
from textual.app import App
from textual.widgets import Footer, Header, Static

class Empty(App):
    TITLE = "empty app"
    def compose(self):
        yield Header()
        yield Static("nothing here")
        yield Footer()

Empty().run()
"""

BARE_READ = """
import asyncio, json, sys
import httpx

async def main(urls):
    async with httpx.AsyncClient() as client:
        answers = await asyncio.gather(*(client.get(url) for url in urls))
    print(json.dumps([[answer.status_code, answer.json()] for answer in answers]))

asyncio.run(main(sys.argv[1:]))
"""


def measure(env: dict[str, str], directory: Path, url: str) -> list[Measurement]:
    """Each budget once, against the HTTP server at `url`. Starts a sandbox of its own, and ends it."""
    measurements = [_version(env), _headless_read(env, directory, url)]
    with sandbox(env):
        subprocess.run(["teal", "status"], env=env, check=True, capture_output=True, timeout=60)
        measurements += _console(env)
    return measurements


def _version(env: dict[str, str]) -> Measurement:
    return compare(
        "teal --version : python -c pass",
        lambda: run_seconds(["teal", "--version"], env),
        lambda: run_seconds([sys.executable, "-c", "pass"], env),
        12,
    )


def checks_config(directory: Path, url: str) -> Path:
    """A config that looks at `BACKENDS` paths of the HTTP server at `url`."""
    checks = "".join(
        f'[[contexts.c.checks]]\nname = "api{index}"\ntype = "http"\nurl = "{url}/{index}"\n'
        for index in range(BACKENDS)
    )
    config = directory / "bench.toml"
    config.write_text(f"[contexts.c]\n{checks}")
    config.chmod(0o600)
    return config


def _headless_read(env: dict[str, str], directory: Path, url: str) -> Measurement:
    config = checks_config(directory, url)
    urls = [f"{url}/{index}" for index in range(BACKENDS)]
    return compare(
        f"teal check -o json, {BACKENDS} HTTP backends : httpx",
        lambda: run_seconds(["teal", "check", "-c", str(config), "-o", "json"], env),
        lambda: run_seconds([sys.executable, "-c", BARE_READ, *urls], env),
        1.25,
    )


def _console(env: dict[str, str]) -> list[Measurement]:
    def empty() -> float:
        return paint_seconds([sys.executable, "-c", EMPTY_APP], b"nothing here", env)

    return [
        compare("console, first paint : empty app", lambda: paint_seconds(["teal"], b"Pipelines", env), empty, 1.2),
        compare("console, first data : empty app", lambda: paint_seconds(["teal"], b"customers", env), empty, 1.45),
    ]


@contextmanager
def health_server() -> Iterator[str]:
    """A loopback HTTP server that says it is healthy; its URL."""

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"status": "healthy"}'
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
