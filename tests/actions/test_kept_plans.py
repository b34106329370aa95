"""Plans as the journal keeps them: read by their kinds, also those that another version wrote."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from actions.described import Described
from actions.expected import Expected, SwitchExpected
from actions.ids import canonical
from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.journal.late import LateFile, add_late, places
from actions.journal.rows import action_of, draft_row, kept_plan, plan_from
from actions.kinds import TABLE, kind_of
from actions.models import Request
from tests.actions.every_kind import REQUESTS, desk
from tests.actions.journals import begun, draft, execute, here
from tests.actions.test_every_kind import BEGUN, GOLDEN

NONE = dict.fromkeys(("undone_by", "error", "switch", "owner"))


def changed(text: str, **more: Any) -> str:
    return canonical({**json.loads(text), **more})


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.kind)
async def test_a_plan_is_read_as_it_was_made(tmp_path: Path, request_: Request) -> None:
    async with desk(tmp_path) as at:
        plan = await at.plan(request_)
    assert type(plan.expected) is kind_of(plan.kind).expects()
    read = plan_from(kept_plan(plan))
    assert (read, type(read.expected)) == (plan, type(plan.expected))
    assert kept_plan(read) == kept_plan(plan)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.kind)
async def test_what_only_a_later_version_keeps_is_passed_over(tmp_path: Path, request_: Request) -> None:
    async with desk(tmp_path) as at:
        plan = await at.plan(request_)
    text = kept_plan(plan)
    kept = json.loads(text)
    later = changed(text, new=1, expected={**kept["expected"], "new": [1]}, target={**kept["target"], "new": {"a": 1}})
    assert plan_from(later) == plan


async def test_a_silence_that_is_gone_already_is_read(tmp_path: Path) -> None:
    """Nothing hides the alert: there is no silence to name."""
    async with desk(tmp_path) as at:
        plan = await at.gate.plan(Request(kind="unsilence", service="am/1", ref="am/1"))
    assert plan.already
    assert plan_from(kept_plan(plan)) == plan
    assert json.loads(kept_plan(plan))["expected"].keys() == {"by", "until"}


@pytest.mark.parametrize("kind", sorted({*TABLE, "teleport"}))
def test_an_action_is_shown_whatever_its_plan_goes_by(kind: str) -> None:
    """Also one of a kind that only a later version knows: nothing that is shown depends on it."""
    row = {**NONE, **draft_row(draft(), BEGUN, place=BEGUN)}
    row |= {"kind": kind, "plan": changed(row["plan"], kind=kind, expected={"weights": [1], "run_id": 1, "by": {}})}
    shown = action_of(row, ())
    assert (shown.kind, shown.service) == (kind, "analytics")


def test_of_a_kind_that_only_a_later_version_knows_nothing_is_gone_by() -> None:
    text = changed(kept_plan(draft().plan), kind="teleport")
    assert type(plan_from(text).expected) is Expected
    with pytest.raises(TypeError):
        plan_from(text).expecting(SwitchExpected)


async def test_one_that_makes_no_sense_keeps_no_other_from_being_read(tmp_path: Path) -> None:
    """What a way back goes by is the newest change; those before it are only listed."""
    journal = Journal(here(tmp_path))
    old = await begun(journal)
    execute(journal.location, "UPDATE actions SET plan = json_set(plan, '$.expected.weights', 'x'), changed = 1")
    assert [action.id for action in await journal.moved("test", "analytics")] == [old.action_id]
    with pytest.raises(JournalError) as caught:
        await journal.plan(old.action_id)
    assert caught.value.kind == "malformed"
    await journal.aclose()


def test_the_digest_of_an_entry_is_that_of_0_1_0_which_kept_the_entry() -> None:
    metrics = {"port": "metrics", "type": "prometheus", "name": "prom", "config": {"url": "http://p"}}
    entry = {"port": "deployments", "type": "fake", "name": "svc", "config": {"path": {"env": "P"}}, "moves": "/s"}
    places_ = {"base_dir": Path("/"), "state_dir": Path("/s")}
    own = Described(**entry, **places_, sources=(Described(**metrics, **places_),))
    kept = {**entry, "base_dir": "/etc", "state_dir": "/var", "notify": [metrics], "sources": [metrics]}
    assert plan_from(changed(kept_plan(draft().plan), target=kept)).target == own.kept()


@pytest.mark.parametrize("version", ["of today", "later", "0.1.0"])
async def test_what_was_done_without_a_journal_is_added_as_its_record_holds_it(tmp_path: Path, version: str) -> None:
    """The audit holds a digest of the text: another version's must not be written anew in the words of this one."""
    journal = Journal(here(tmp_path))
    made = draft(expected=SwitchExpected(weights={"blue": 100}, revision="1", undoes="A"))
    text = kept_plan(made.plan)
    if version == "later":
        text = changed(text, new=1, expected={**json.loads(text)["expected"], "new": [1]})
    elif version == "0.1.0":
        text = changed(text, expected={"weights": {"blue": 100}, "revision": "1", "undoes": "A"})
    late = LateFile(places(journal.location, {}), journal.location.name, made)
    assert late.path is not None
    head = json.loads(late.path.read_text())
    head["draft"]["plan"] = json.loads(text)
    late.path.write_text(canonical(head) + "\n")
    late.end(action_of({**NONE, **draft_row(replace(made, status="succeeded"), BEGUN, place=BEGUN)}, ()))
    assert await add_late(journal, "test", {}) == [made.id]
    assert execute(journal.location, f"SELECT plan FROM actions WHERE id = '{made.id}'") == [(text,)]
    await journal.aclose()


def test_a_late_file_of_before_holds_the_entry_and_its_row_no_more_than_a_digest() -> None:
    from actions.journal.late import _plan_text

    made = draft()
    whole = {"port": "deployments", "type": "fake", "name": "svc", "config": {"token": {"env": "T"}}}
    head = {"journal": "j", "draft": {**msgspec.to_builtins(made), "plan": {**json.loads(kept_plan(made.plan))}}}
    head["draft"]["plan"]["target"] = {**whole, "base_dir": "/", "state_dir": "/"}
    text = _plan_text(canonical(head))
    assert json.loads(text)["target"].keys() == {"port", "type", "name", "digest"}
    assert {**json.loads(text), "target": {}} == {**json.loads(kept_plan(made.plan)), "target": {}}


def test_the_golden_rows_are_read_to_the_letter() -> None:
    """Every key that is pinned has a field: none is lost on the way."""
    for name in TABLE:
        kept = json.loads(GOLDEN.read_text())[name]
        text = canonical(json.loads(json.dumps(kept["plan"]).replace("NOW", "2021-01-01T00:00:00Z")))
        assert kept_plan(plan_from(text)) == text, name
