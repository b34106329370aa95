"""One plan and one action of each kind, pinned: what is hashed, what the journal keeps, what JSON says.

`python -m tests.actions.test_every_kind` writes the golden file anew, where it is meant to change.
"""

import asyncio
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from actions import facts
from actions.doing import doing_of
from actions.facts import Facts
from actions.ids import canonical
from actions.journal.rows import action_of, draft_row
from actions.kinds import TABLE
from actions.models import Plan, Request
from backends.models import Matcher
from tests.actions.every_kind import REQUESTS, Desk, desk, draft_of
from tests.actions.fake_switch import FakeSwitch
from tests.fixtures.journals.record import CONFIG

GOLDEN = Path(__file__).parent / "golden" / "kinds.json"
BEFORE = GOLDEN.with_name("kinds-before-2.json")  # written by the last program that hashed sentences
BEGUN = "2020-01-01T03:00:00.000000Z"
_VARY = [(r'"20(?:2[1-9]|[3-9]\d)-\d\d-\d\dT[^"]*Z"', '"NOW"'), (r"(?<![0-9A-Z])[0-9A-HJKMNP-TV-Z]{26}\b", "ULID")]
ORDER = "an order"


def kind_of_request(request: Request) -> str:
    return request.kind


def pinned(plan: Plan) -> dict[str, Any]:
    row = {**dict.fromkeys(("undone_by", "error", "switch", "owner")), **draft_row(draft_of(plan), BEGUN, place=BEGUN)}
    action = msgspec.json.encode(action_of(row, ())).decode()
    return {"hash": plan.hash, "plan": _fixed(row["plan"]), "action": _fixed(action)}


async def ordered(at: Desk) -> Plan:
    """Of an order to an action: its id is another each time, and hashed."""
    action = await at.begun(await at.plan(REQUESTS[0]))
    request = Request(kind=action.kind, service=action.service, ref=action.id or "", order="pause")
    return replace(await at.gate.plan(request), hash="", full_hash="")


def _fixed(text: str) -> Any:
    for pattern, word in _VARY:
        text = re.sub(pattern, word, text)
    return json.loads(text)


def text_of(found: dict[str, Any]) -> str:
    """To the letter: equality would not see the order of keys, or 1 for 1.0."""
    return json.dumps(found, indent=1)


def test_there_is_one_of_each_kind() -> None:
    assert sorted(request.kind for request in REQUESTS) == sorted(TABLE)


@pytest.mark.parametrize("request_", REQUESTS, ids=kind_of_request)
async def test_its_hash_is_of_what_its_record_says(
    tmp_path: Path, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = list[object]()
    monkeypatch.setattr(facts, "canonical", lambda value: hashed.append(value) or canonical(value))
    async with desk(tmp_path) as at:
        plan = await at.plan(request_)
    assert type(hashed[-1]) is doing_of(request_.kind).covers
    assert isinstance(hashed[-1], Facts)
    assert facts.hash_of(hashed[-1]) == plan.full_hash


@pytest.mark.parametrize("request_", REQUESTS, ids=kind_of_request)
async def test_it_is_as_it_was(tmp_path: Path, request_: Request) -> None:
    async with desk(tmp_path) as at:
        found = pinned(await at.plan(request_))
    assert text_of(found) == text_of(json.loads(GOLDEN.read_text())[request_.kind])


async def test_an_order_to_an_action_is_as_it_was(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        found = pinned(await ordered(at))
    assert text_of(found) == text_of(json.loads(GOLDEN.read_text())[ORDER])


@pytest.mark.parametrize("name", json.loads(BEFORE.read_text()))
def test_what_was_written_before_the_hash_was_of_facts_is_read(name: str) -> None:
    kept = json.loads(BEFORE.read_text())[name]
    plan = msgspec.convert(json.loads(json.dumps(kept["plan"]).replace("NOW", "2021-01-01T00:00:00Z")), Plan)
    row = {**dict.fromkeys(("undone_by", "error", "switch", "owner")), **draft_row(draft_of(plan), BEGUN, place=BEGUN)}
    read = json.loads(msgspec.json.encode(action_of(row, ())))
    assert (plan.hash, plan.full_hash) == (kept["hash"], "")
    assert read == {**kept["action"], "id": row["id"]}


async def test_words_are_no_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(tmp_path) as at:
        one = await at.plan(REQUESTS[0])
        monkeypatch.setattr(FakeSwitch, "describe_shift", lambda self, before, weights: ["said otherwise"])
        two = await at.plan(REQUESTS[0])
    assert one.summary.effects != two.summary.effects
    assert one.full_hash == two.full_hash


@pytest.mark.parametrize(
    ("kind", "differs"),
    [
        ("flip", {"strategy": ""}), ("release", {"version": "2.1"}), ("freeze", {"for_s": 7200.0}),
        ("reject", {"version": "2.1"}), ("trigger", {"params": {"day": "2020-01-02", "full": True}}),
        ("cancel", {"ref": "airflow/etl/queued"}), ("silence", {"for_s": 7201.0}),
        ("silence", {"matchers": (Matcher(name="alertname", value="Dead"),)}), ("extend", {"for_s": 7201.0}),
        ("unsilence", {"ref": "am/s-1"}), ("ack", {"ref": "am/3"}),
    ],
)  # fmt: skip
async def test_what_is_asked_for_is_a_fact(tmp_path: Path, kind: str, differs: dict[str, Any]) -> None:
    request = next(each for each in REQUESTS if each.kind == kind)
    async with desk(tmp_path) as at:
        hashes = {(await at.plan(each)).full_hash for each in (request, request, replace(request, **differs))}
    assert len(hashes) == 2


@pytest.mark.parametrize("kind", ["flip", "release", "retire"])
async def test_what_goes_forward_is_agreed_to_with_its_config_entry(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = next(each for each in REQUESTS if each.kind == kind)
    async with desk(tmp_path) as at:
        one = await at.plan(request)
        monkeypatch.setitem(CONFIG, "smoke", ["rm", "-r", "x"])
        assert (await at.plan(request)).full_hash != one.full_hash


async def test_what_a_release_replaces_is_a_fact(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        one = await at.plan(REQUESTS[1])
        at.switch.versions["green"] = "1.2"
        assert (await at.plan(REQUESTS[1])).full_hash != one.full_hash


async def test_the_way_back_is_the_same_whatever_judges_but_not_another_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(tmp_path) as at:
        one = await at.plan(REQUESTS[2])
        monkeypatch.setitem(CONFIG, "smoke", ["true"])
        assert (await at.gate.plan(REQUESTS[2])).full_hash == one.full_hash
        monkeypatch.setitem(CONFIG, "kube_context", "another")
        assert (await at.gate.plan(REQUESTS[2])).full_hash != one.full_hash


async def _write() -> None:
    made = dict[str, Any]()
    for request in REQUESTS:
        with tempfile.TemporaryDirectory() as directory:
            async with desk(Path(directory)) as at:
                made[request.kind] = pinned(await at.plan(request))
    with tempfile.TemporaryDirectory() as directory:
        async with desk(Path(directory)) as at:
            made[ORDER] = pinned(await ordered(at))
    GOLDEN.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    asyncio.run(_write())
