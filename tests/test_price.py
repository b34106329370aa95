"""What one more costs: a port that is declared here, in one place, is known to everything that goes over the table.

All that the house has to be told of it is `TOYS` (its record), `WoodenToys` (an adapter) and the two lines of `toys`.
"""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
from msgspec import Struct
from msgspec.structs import replace

from actions.kinds import TABLE
from actions.models import Refused, Request
from actions.outcome import exit_code
from actions.telling import title, way
from backends import registry
from backends.errors import BackendError
from backends.models import Finding, Health, severity_rank
from backends.ports import Closable
from backends.registry import AdapterContext
from console.app import TealApp
from console.cli.commands import teal
from console.cli.ending import run_command
from console.config.schema import config_schema
from console.config.selection import select
from console.ports.entry import Entry
from console.ports.record import Adapters, Desk, Noun, Place, Port, Reading
from console.ports.store import SourceKey
from console.ports.table import PORTS
from console.reading.snapshots import SnapshotFiles
from console.screens.choices import choices
from console.screens.lists import ListScreen
from console.screens.overview import Overview
from console.screens.palette import commands_of
from console.session import Session
from panels.columns import Cell, Column, Kind
from tests.actions.every_kind import desk
from tests.console.screen_fakes import FakeSession, a_run, text_of
from tests.toy_kind import POKE, REQUEST, YES, poked

ROOT = Path(__file__).parents[1]


class Toy(Struct, frozen=True, kw_only=True):
    """The model."""

    ref: str
    backend: str
    toy: str
    wheels: int
    wanted: int = 4
    bought_at: datetime | None = None

    @property
    def health(self) -> Health:
        """Without a wheel it does not go."""
        return "ok" if self.wheels >= self.wanted else "critical"


class Toys(Closable, Protocol):
    """The protocol."""

    async def toys(self) -> list[Toy]:
        """All of the box."""


class WoodenConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A box of toys.

    wheels: how many each has.
    lost: whether the box can not be found.
    """

    wheels: int = 4
    lost: bool = False


class WoodenToys:
    """The adapter: a car and a train, that can be wound up."""

    api = 1
    Config = WoodenConfig

    def __init__(self, config: WoodenConfig, context: AdapterContext) -> None:
        self._config, self._name = config, context.name

    async def toys(self) -> list[Toy]:
        if self._config.lost:
            raise BackendError("unreachable", "the box is lost", fix="look under the bed")
        at = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
        car = Toy(ref=f"{self._name}/car", backend=self._name, toy="car", wheels=4, bought_at=at)
        return [car, Toy(ref=f"{self._name}/train", backend=self._name, toy="train", wheels=self._config.wheels)]

    def wind(self) -> None:
        """What doctor says may be done."""

    async def aclose(self) -> None:
        """Nothing is open."""


async def _fetch(desk: Desk, name: str) -> tuple[Toy, ...]:
    return tuple(await desk.adapters.of(TOYS, name).toys())


async def _ask(adapters: Adapters, entry: Entry) -> list[Any]:
    few = [toy for toy in await adapters.of(TOYS, entry.name).toys() if toy.health != "ok"]
    return [Finding(level="warning", code="wheels", text=f"{toy.toy} has {toy.wheels} wheels") for toy in few]


ROWS: Kind[Toy] = Kind(
    name="toys",
    columns=(
        Column(title="TOY", cell=lambda toy, _: Cell(toy.toy), min_width=8, max_width=30),
        Column(title="WHEELS", cell=lambda toy, _: Cell(str(toy.wheels)), max_width=6),
    ),
    key=lambda toy: toy.ref,
    health=lambda toy: toy.health,
    sort_key=lambda toy: (severity_rank(toy.health), toy.toy),
    text=lambda toy: toy.toy,
    fields=lambda toy: {"state": toy.health},
    empty="No toys",
)

TOYS: Port[Toys, Toy] = Port(
    name="toys",
    about="what is played with.",
    protocol=Toys,
    ask=_ask,
    writes=("wind", "wind"),
    reading=Reading(
        item=Toy,
        fetch=_fetch,
        interval_s=30.0,
        single="toy",
        title=lambda toy: toy.toy,
        says=lambda toy: f"{toy.toy} has {toy.wheels} of {toy.wanted} wheels",
        at=lambda toy: toy.bought_at,
    ),
    noun=Noun(name="toy", help="Toys:"),
    place=Place(kind=f"{__name__}:ROWS", title="Toys"),
)


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PORTS, "toys", TOYS)
    monkeypatch.setitem(registry.ADAPTERS, "toys.wooden", f"{__name__}:WoodenToys")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes the config of a context with one box of toys; `keys` are of its entry."""
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TEAL_CONFIG", str(tmp_path / "config.toml"))

    def write(keys: str = "wheels = 3") -> Path:
        path = tmp_path / "config.toml"
        path.write_text(f'[contexts.home]\n[[contexts.home.toys]]\nname = "box"\ntype = "wooden"\n{keys}\n')
        path.chmod(0o600)
        return path

    write()
    return write


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["teal", *arguments])
        code = run_command(teal, list(arguments))
    return code, capsys.readouterr().out


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(said(capsys, *arguments, "-o", "json")[1])


def test_without_its_record_nobody_knows_a_toy(house: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "toy", "list")[0] == 2
    code, out = said(capsys, "config", "validate", "--offline")
    assert code == 2
    assert 'unknown key "toys"' in out


@pytest.mark.usefixtures("toys")
def test_a_toy_port_is_known_to_the_config(house: Any, capsys: pytest.CaptureFixture[str]) -> None:
    context = config_schema()["properties"]["contexts"]["additionalProperties"]
    assert context["properties"]["toys"]["description"] == TOYS.about
    assert context["properties"]["toys"]["items"] == {"anyOf": [{"$ref": "#/$defs/toys.wooden"}]}
    code, out = said(capsys, "config", "validate")
    assert (code, "train has 3 wheels" in out) == (0, True), out
    house("wheel = 3")
    code, out = said(capsys, "config", "validate", "--offline")
    assert code == 2
    assert ":5: " in out
    assert 'did you mean "wheels"' in out
    house("lost = true")
    assert said(capsys, "config", "validate")[0] == 7
    assert told(capsys, "context", "show")["items"][0]["backends"]["toys"] == ["box (wooden)"]


@pytest.mark.usefixtures("toys")
def test_a_toy_port_is_known_to_doctor_status_and_check(house: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = {each["subject"]: each for each in told(capsys, "doctor")["items"]}["toys"]
    assert (found["name"], found["health"], found["may"]) == ("box", "warning", ["read", "wind"])
    assert found["detail"] == "train has 3 wheels"
    status = told(capsys, "status")
    assert [toy["toy"] for toy in status["toys"]] == ["train", "car"], "worst first"
    assert list(status)[:15] == [
        "schema", "generated_at", "context", "health", "partial", "pipelines", "quality", "alerts", "deployments",
        "logs", "checks", "issues", "oncall", "toys", "actions",
    ]  # fmt: skip
    assert status["health"] == "critical"
    _, text = said(capsys, "status")
    assert "Toys · 1 critical" in text
    assert "train has 3 of 4 wheels" in text
    assert said(capsys, "check", "--list")[1].split() == ["toys", "actions"]
    code, text = said(capsys, "check")
    assert code == 2
    assert "train has 3 of 4 wheels" in text
    house("lost = true")
    assert told(capsys, "status")["errors"][0]["fix"] == "look under the bed"
    assert said(capsys, "check", "toys")[0] == 3


@pytest.mark.usefixtures("toys")
def test_a_toy_port_has_a_command_with_its_schema(house: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert "toy         Toys: list, show." in said(capsys, "--help")[1]
    assert [toy["ref"] for toy in told(capsys, "toy", "list")["items"]] == ["box/train", "box/car"]
    for name in ("box/train", "train", "tr"):
        assert told(capsys, "toy", "show", name)["items"][0]["toy"] == "train"
    assert told(capsys, "toy", "show", "bear")["errors"][0]["message"] == 'no toy "bear"'
    assert "train has 3 of 4 wheels" in said(capsys, "toy", "show", "train")[1]
    assert told(capsys, "open", "train")["schema"] == "teal/v1/toy.show"
    assert {"toy.list", "toy.show"} <= set(said(capsys, "schema")[1].split())
    assert "Toy" in json.loads(said(capsys, "schema", "toy.show")[1])["$defs"]
    assert "toys" in json.loads(said(capsys, "schema", "status")[1])["$defs"]["StatusDocument"]["properties"]


@pytest.mark.usefixtures("toys")
async def test_a_toy_port_is_fed_kept_and_shown(house: Any) -> None:
    selection = select(None, None)
    session = Session(selection)
    app = TealApp(session)
    async with app.run_test(size=(120, 40)) as pilot:
        await session.read()
        await pilot.pause(0.2)
        overview = app.screen
        assert isinstance(overview, Overview)
        kept = SnapshotFiles(selection.context.name, selection.context.digest).load(SourceKey("toys", "box"))
        assert kept is not None
        assert kept.items == tuple(session.store.items("toys")), "the last snapshot lies on disk"
        words = {command.words: command for command in commands_of(overview)}
        assert {"toys alone", "toy train", "toy car"} <= words.keys()
        assert "Toys" not in text_of(app), "the overview has no row for it"
        await app.run_action(words["toys alone"].action, overview)
        await pilot.pause(0.2)
        assert "WHEELS" in text_of(app)
        assert overview.board.current.toy == "train"
        app.open_item(overview.board.current)
        await pilot.pause(0.2)
        assert "Toy train" in text_of(app)
        assert "wheels" in text_of(app)
        await pilot.press("escape", "s")
        await pilot.pause(0.2)
        assert isinstance(app.screen, ListScreen)
        assert "wooden" in text_of(app), "among the sources"


# ---- a kind of action


@pytest.fixture
def toy_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE, POKE.name, POKE)


@pytest.mark.usefixtures("toy_kind")
async def test_a_toy_kind_goes_through_the_gate_and_is_in_the_audit(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        ended = await poked(at, replace(YES, reason="it sleeps"))
        records = await at.journal.audit_records()
    assert (ended.kind, ended.status, ended.changed, exit_code(ended)) == ("poke", "succeeded", True, 0)
    assert [(step.name, step.detail) for step in ended.steps] == [("poke", "poked, since it sleeps")]
    assert (title(ended), way(ended)) == ("poke airflow/etl", " quiet → poked")
    assert [(record.kind, record.result) for record in records if record.order == "poke"][::4] == [
        ("command", "begun"), ("verdict", "succeeded"),
    ]  # fmt: skip


@pytest.mark.usefixtures("toy_kind")
@pytest.mark.parametrize("policy", [{"protected": True}, {"read_only": True}])
async def test_a_toy_kind_is_guarded(tmp_path: Path, policy: dict[str, bool]) -> None:
    async with desk(tmp_path) as at:
        with pytest.raises(Refused) as no:
            await poked(at, **policy)
        assert no.value.exit_code == 3
        assert await at.gate.actions() == []


async def test_a_kind_that_is_not_declared_is_neither_planned_nor_run(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        with pytest.raises(Exception, match="this version knows no poke"):
            await at.gate.plan(REQUEST)


@pytest.mark.usefixtures("toy_kind")
def test_a_toy_kind_is_in_the_help_and_takes_what_all_orders_take(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(teal, ["run", "--help"]) == 0
    assert "poke Poke a run." in " ".join(capsys.readouterr().out.split())
    assert run_command(teal, ["run", "poke", "--help"]) == 0
    told = capsys.readouterr().out
    assert "Poke a run." in told
    assert "--plan-hash" in told


@pytest.mark.usefixtures("toy_kind")
@pytest.mark.parametrize(("armed", "why_not"), [(True, ""), (False, "this console is read-only: ! arms it")])
def test_a_toy_kind_is_in_the_menu(armed: bool, why_not: str) -> None:
    session: Any = FakeSession(protected=True, armed=armed)
    run = a_run()
    (found,) = (choice for choice in choices(run, session) if choice.id == "run.poke")
    assert (found.key, found.label, found.reason) == ("z", f"poke {run.pipeline}", why_not)
    assert found.request == Request(kind="poke", service=f"{run.backend}/{run.pipeline}", ref=run.ref)


@pytest.mark.parametrize("known", [True, False])
def test_a_toy_kind_is_listed_also_by_a_version_that_does_not_know_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], known: bool
) -> None:
    async def order() -> None:
        async with desk(tmp_path) as at:
            await poked(at)

    with monkeypatch.context() as while_known:
        while_known.setitem(TABLE, POKE.name, POKE)
        asyncio.run(order())
    if known:
        monkeypatch.setitem(TABLE, POKE.name, POKE)
    config = tmp_path / "config.toml"
    config.write_text("[contexts.c]\n")
    config.chmod(0o600)
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path))
    assert run_command(teal, ["action", "list", "-c", str(config), "-o", "json"]) == 0
    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert (item["kind"], item["status"], item["plan_hash"][:9]) == ("poke", "succeeded", "sha256:2:")


def test_a_kind_stands_in_few_files() -> None:
    """Its record, how it is done, and what only the screen knows of it."""
    files = [path for name in ("actions", "console", "panels") for path in (ROOT / name).rglob("*.py")]
    stands = {kind: [str(path.relative_to(ROOT)) for path in files if f'"{kind}"' in path.read_text()]
              for kind in ("approve", "cancel", "unpause", "unfreeze", "extend", "reject")}  # fmt: skip
    print(json.dumps(stands, indent=1))
    assert all("actions/kinds.py" in where and len(where) <= 4 for where in stands.values()), stands
