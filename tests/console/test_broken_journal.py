"""What commands say and do while the journal can not be used: what is live is shown, and the way back is open."""

import sqlite3
from datetime import datetime
from pathlib import Path

import pytest

from tests.console.test_foreground import Teal
from tests.console.test_orders import written
from tests.console.test_orphan_commands import said
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}


async def test_reads_show_what_is_live_and_the_way_back_runs(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    teal = Teal(tmp_path, written(service, ""))
    code, _, err = await said(teal, "deploy", "flip", "analytics", "-y")
    assert code == 0, err
    journal = tmp_path / "state" / "journal.db"
    whole = journal.read_bytes()
    journal.write_bytes(b"not a database, but a diary\n" * 100)
    why = f"who acts is unknown: journal {journal}: file is not a database"
    for words, expected in (
        (("status",), 0),
        (("deploy", "status"), 0),
        (("check",), 3),
        (("check", "deployments"), 3),
    ):
        code, out, err = await said(teal, *words)
        assert (code, why in out) == (expected, True), (words, out, err)
        assert f"mv {journal} {journal}.damaged" in out
    document = await teal.document("deploy", "status")
    (item,) = document["items"]
    assert (item["live"], item["action"], why in item["action_unknown"]) == ("green", None, True)
    assert (document["health"], document["partial"], document["errors"][0]["source"]) == ("unknown", True, "journal")
    document = await teal.document("status")
    assert (document["deployments"][0]["live"], document["actions"], document["health"]) == ("green", [], "unknown")
    (found,) = [found for found in (await teal.document("doctor"))["items"] if found["subject"] == "journal"]
    assert (found["health"], "not a database" in found["detail"]) == ("critical", True)
    code, out, err = await said(teal, "action", "rollback", "A1", "-y")
    assert (code, "teal deploy rollback SERVICE -y" in err) == (7, True), err
    code, out, err = await said(teal, "deploy", "flip", "analytics", "-y")
    assert (code, service.weights()) == (7, GREEN)
    code, out, err = await said(teal, "deploy", "rollback", "analytics", "-y")
    assert (code, service.weights(), "succeeded" in out) == (0, BLUE, True), err
    (kept,) = (tmp_path / "state" / "late").iterdir()
    assert [line for line in err.splitlines() if "not in the journal" in line] == [
        f"teal: not in the journal: its records are in {kept}"
    ]
    assert "{" not in err, "whoever reads it at night is told where, and shown no records"
    code, out, _ = await said(teal, "deploy", "rollback", "analytics", "-y")
    assert (code, "nothing changed" in out) == (0, True)
    assert journal.read_bytes().startswith(b"not a database")
    journal.write_bytes(whole)
    code, out, _ = await said(teal, "audit", "verify")
    assert (code, kept.exists()) == (0, False)
    late = [record for record in (await teal.document("audit", "list"))["items"] if record["late"]]
    assert (late[0]["kind"], late[-1]["kind"]) == ("command", "result")
    assert all(record["happened_at"] < record["at"] for record in late)
    done, came = (datetime.fromisoformat(late[0][key]).astimezone() for key in ("happened_at", "at"))
    _, out, _ = await said(teal, "audit", "list")
    words = f"{done:%Y-%m-%d %H:%M:%S %Z}, late: written {came:%Y-%m-%d %H:%M:%S}"
    assert out.count(", late: written ") == len(late)
    assert words in out
    assert (await teal.action())["kind"] == "rollback"


async def test_a_lock_is_waited_for_two_seconds(tmp_path: Path, service: TwoColors) -> None:
    teal = Teal(tmp_path, written(service, ""))
    code, _, err = await said(teal, "deploy", "flip", "analytics", "-y")
    assert code == 0, err
    other = sqlite3.connect(tmp_path / "state" / "journal.db", isolation_level=None)
    for statement in ("PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE"):
        other.execute(statement)
    code, out, _ = await said(teal, "deploy", "status")
    assert (code, "another writer keeps it" in out, "GREEN" in out) == (0, True, True)
    code, out, err = await said(teal, "deploy", "rollback", "analytics", "-y")
    assert (code, service.weights()) == (0, BLUE), err
    other.close()
    code, out, _ = await said(teal, "deploy", "history", "-o", "json")
    assert '"rollback"' in out


@pytest.mark.parametrize("where", ['{ env = "NO_SUCH" }', '"postgresql://127.0.0.1:1/teal"'])
async def test_a_server_that_is_down_or_a_secret_that_is_missing_is_a_journal_that_is_lost(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    config = written(service, "")
    config.write_text(config.read_text().replace("[contexts.c]\n", f"[contexts.c]\njournal = {where}\n"))
    monkeypatch.delenv("NO_SUCH", raising=False)
    teal = Teal(tmp_path, config)
    code, out, err = await said(teal, "deploy", "status")
    assert (code, "BLUE" in out, "who acts is unknown" in out) == (0, True, True), err
    service.write(GREEN, stamp="A:shift[100]")
    code, out, err = await said(teal, "deploy", "rollback", "analytics", "-y")
    assert (code, service.weights()) == (0, BLUE), err
