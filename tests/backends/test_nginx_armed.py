"""What an armed file says: on its first line, which a conflict keeps in the journal, what is so; its commands below."""

from datetime import UTC, datetime
from pathlib import Path

from actions.endings import Conflict
from backends.deployments.nginx.include import Running
from backends.deployments.nginx.switch import NginxSwitch
from backends.http import Http
from backends.registry import AdapterContext, build
from tests.two_colors import COLORS


def test_the_commands_of_a_moment_are_not_on_the_line_that_is_kept(tmp_path: Path, http: Http) -> None:
    """`cp ….previous` of a conflict would have armed a split, typed an hour later."""
    entry = {
        "include": "upstream.conf", "upstream": "analytics", "stamp_url": "http://127.0.0.1:1/stamp",
        "servers": {color: [f"127.0.0.1:{port}"] for color, port in zip(COLORS, (1, 2), strict=True)},
        "validate": ["nginx", "-t"], "reload": ["nginx", "-s", "reload"],
        "health": dict.fromkeys(COLORS, "http://127.0.0.1:1/"),
        "probe": {"url": "http://127.0.0.1:1/", "header": "X-Environment"},
    }  # fmt: skip
    switch: NginxSwitch = build("deployments", "nginx", entry, AdapterContext("analytics", tmp_path, tmp_path, http))
    previous = switch._form.write(b"", {"blue": 100, "green": 0}, "A:shift", datetime.now(UTC))
    written = switch._form.write(previous, {"blue": 0, "green": 100}, "B:shift", datetime.now(UTC))
    runs = Running(shares={"blue": 100, "green": 0}, generation=switch._form.generation(previous), stamp="A:shift")
    for kept, undo in ((previous, "or undo: "), (b"", "or undo, back to BLUE, which runs: ")):
        (tmp_path / "upstream.conf").write_bytes(written)
        (tmp_path / "upstream.conf.previous").write_bytes(kept)
        found = switch._both(written, runs)
        lines = found.detail.split("\n")
        assert [line[: len(word)] for line, word in zip(lines, ("ARMED: ", "Finish: ", undo), strict=True)] == [
            "ARMED: ", "Finish: ", undo,
        ]  # fmt: skip
        for said in (lines[0], str(Conflict(found))):
            assert not any(word in said for word in ("nginx -s", "cat ", "printf", "mv "))
