"""A part of the console that fails although nobody expected it is said where it failed and leaves a crash file; the
rest goes on. Over every worker that there is: they are found, not listed."""

import ast
import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import console.screens
from actions.models import Request
from backends.errors import BackendError
from console.app import TealApp
from console.caring import Caring
from console.crash import Defects
from console.ports.store import Snapshot, SourceKey, Store
from console.screens.action import ActionScreen
from console.screens.action_list import ActionsScreen
from console.screens.alert_detail import AlertDetail
from console.screens.deployment_detail import DeploymentDetail
from console.screens.failed import Failed
from console.screens.insights import Insights
from console.screens.menu import ActionMenu
from console.screens.note import NotePrompt
from console.screens.overview import Overview
from console.screens.plan import PlanScreen
from console.screens.run_detail import RunDetail
from console.screens.several import SeveralPlans
from console.screens.silence import SilenceForm
from console.screens.silence_detail import SilenceDetail
from console.screens.silences import SilencesScreen
from console.screens.traces import TracesAround
from console.screens.trigger import TriggerForm
from tests.console import fakes, screen_fakes
from tests.console.screen_fakes import Holder, text_of
from tests.console.screens.test_alert_screens import ALERT, SILENCE
from tests.console.screens.test_insights_screen import Searcher
from tests.console.screens.test_plan_screen import until

ROOT = Path(console.screens.__file__).parents[1]
SECRET = "hunter2 and what was read"
FLIP = Request(kind="flip", service="analytics", to="green")
WAITING = ("reading the", "reading its", "reading what", "looking at", "planning…", "Reading")


class Session(screen_fakes.FakeSession):
    """Answers whatever a screen asks."""

    def __init__(self) -> None:
        super().__init__()
        whole = fakes.FakeSession()
        self.orders, self.due, self.logs, self.since = whole.orders, whole.due, None, whole.since
        self.config_files, self.sources, self.window = whole.config_files, whole.sources, whole.window
        self.start, self.aclose = whole.start, whole.aclose
        self.adapters = fakes.FakeAdapters(whole)
        self.context = fakes.FakeContext(protected=False)


SCREENS: dict[str, Callable[[TealApp, Any], Any]] = {
    "TealApp": lambda app, session: None,
    "Opening": lambda app, session: None,
    "Overview": lambda app, session: None,
    "ActionMenu": lambda app, session: ActionMenu(session, screen_fakes.a_run()),
    "ActionScreen": lambda app, session: ActionScreen(session, "01J9ZK3V7F3"),
    "ActionsScreen": lambda app, session: ActionsScreen(app),
    "AlertDetail": lambda app, session: AlertDetail(session, ALERT),
    "DeploymentDetail": lambda app, session: DeploymentDetail(session, screen_fakes.a_deployment()),
    "Folding": lambda app, session: None,
    "Insights": lambda app, session: Insights(session, [("cw", Searcher())], session.window()),
    "NotePrompt": lambda app, session: NotePrompt(),
    "PlanScreen": lambda app, session: PlanScreen(session, FLIP),
    "RunDetail": lambda app, session: RunDetail(session, screen_fakes.a_run()),
    "SeveralPlans": lambda app, session: SeveralPlans(session, [FLIP, FLIP], "End", "silence"),
    "SilenceDetail": lambda app, session: SilenceDetail(session, SILENCE),
    "SilenceForm": lambda app, session: SilenceForm(session, ALERT),
    "SilencesScreen": lambda app, session: SilencesScreen(app),
    "TracesAround": lambda app, session: TracesAround(session, ALERT),
    "TriggerForm": lambda app, session: TriggerForm(session, "local", "etl"),
}  # fmt: skip
"""How each screen with a worker is opened; of the app and the overview nothing needs to be."""


async def _press_go(pilot: Any, screen: Any) -> None:
    await until(pilot, lambda: screen.focused is not None, "the plan can be agreed to")
    await pilot.click("#go")


async def _hear(pilot: Any, _: Any) -> None:
    pilot.app.session.put("alerts", ALERT)


BEGUN: dict[tuple[str, str], Callable[[Any, Any], Awaitable[None]]] = {
    ("Folding", "_read"): _hear,
    ("PlanScreen", "_agree"): _press_go,
    ("SeveralPlans", "_agree"): _press_go,
}
"""What begins a work that the screen itself does not, where it is no method that begins it."""


def trees() -> dict[str, ast.Module]:
    paths = [*ROOT.glob("*.py"), *(ROOT / "screens").rglob("*.py"), *(ROOT.parent / "panels").rglob("*.py")]
    return {str(path.relative_to(ROOT.parent)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def methods() -> list[tuple[type[Any], str]]:
    """Each method that begins a worker by `@work`."""
    names = [f"console.screens.{found.name}" for found in pkgutil.iter_modules(console.screens.__path__)]
    found = []
    for name in ("console.app", "console.opening", *names):
        module = importlib.import_module(name)
        of = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == name]
        for each in of:
            found += [(each, method) for method, value in vars(each).items() if is_work(value)]
    return found


def is_work(value: Any) -> bool:
    code = getattr(value, "__code__", None)
    return code is not None and code.co_name == "begun" and code.co_filename.endswith("screens/working.py")


def asked() -> list[tuple[type[Any], str]]:
    """Each method that is handed to `Work(asked=…)`."""
    found = []
    for name, tree in trees().items():
        for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            for call in (node for node in ast.walk(owner) if isinstance(node, ast.Call)):
                if isinstance(call.func, ast.Name) and call.func.id == "Work" and not name.endswith("working.py"):
                    given = next(each.value for each in call.keywords if each.arg == "asked")
                    names = [each.attr for each in ast.walk(given) if isinstance(each, ast.Attribute)]
                    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
                    found.append((vars(module)[owner.name], names[0]))
    return found


def raising(monkeypatch: pytest.MonkeyPatch, of: type[Any], name: str) -> None:
    """From now on what that worker does fails as nobody expects."""

    async def defective(*_: Any, **__: Any) -> None:
        raise KeyError(SECRET)

    value = vars(of)[name]
    if is_work(value):
        cell = value.__closure__[value.__code__.co_freevars.index("method")]
        defective.__name__ = name
        monkeypatch.setattr(cell, "cell_contents", defective)
    else:
        monkeypatch.setattr(of, name, defective)


EVERY = [*methods(), *asked()]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("of", "name"), EVERY, ids=[f"{of.__name__}.{name}" for of, name in EVERY])
@pytest.mark.parametrize("size", [(80, 24), (60, 16)], ids=["80", "60"])
async def test_a_defect_is_said_where_it_happened_and_leaves_a_crash_file(
    of: type[Any], name: str, size: tuple[int, int], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(monkeypatch, of, name)
    session = Session()
    app = TealApp(session)
    async with app.run_test(size=size) as pilot:
        await pilot.pause(0.1)
        overview = app.screen_stack[0]
        screen = SCREENS[of.__name__](app, session)
        if screen is not None:
            app.push_screen(screen)
            await until(pilot, lambda: screen.is_mounted, "it is open")
        node = app if of.__name__ in ("TealApp", "Opening") else screen or overview
        shown_on = overview if node is app else node
        await pilot.pause(0.1)
        if not shown_on.query(Failed):
            if (of.__name__, name) in BEGUN:
                await BEGUN[of.__name__, name](pilot, screen)
            elif is_work(vars(of)[name]):
                getattr(node, name)()
            else:
                node.action_run()
        await until(pilot, lambda: list(shown_on.query(Failed)), "it is said")
        await pilot.pause(0.1)
        line = shown_on.query_one(Failed)
        files = list(state.glob("crash-*.txt"))
        assert files
        assert f"A part of the console failed: KeyError: this is a defect; report it with {files[0]}." in line.text
        assert not line.text.rstrip().endswith(str(files[0]) + ".")  # then what to do
        assert all("defective" in each.read_text() and SECRET not in each.read_text() for each in files)
        shown = text_of(app)
        assert "A part of the console failed: KeyError" in shown
        assert not [words for words in WAITING if words in shown], shown
        for key in ("tab", "down", "shift+tab", "enter", "tab", "r"):  # nor does a key trip over what is not there
            await pilot.press(key)
        assert app.is_running


GUARDED = (
    "Work(",
    "kept(",
    "self._defects.kept(",
    "self.store.defects.kept(",
    "feed.run(",
    "reading",
    "self.session.submit(",
)
"""Of these nothing is lost: a feed tells of its defects itself, `reading` is kept, and an order is awaited."""
AWAITED = ("console/orders.py", "console/runners.py")
"""What these begin they await themselves."""


def test_no_worker_begins_in_another_way() -> None:
    """What is started by Textual itself is silent or ends the console, and what asyncio starts is silent."""
    wrong = []
    for name, tree in trees().items():
        if name.endswith("screens/working.py"):
            continue
        for node in ast.walk(tree):
            match node:
                case ast.ImportFrom(module="textual", names=names) if any(each.name == "work" for each in names):
                    wrong.append(f"{name}:{node.lineno} imports textual.work")
                case ast.Attribute(attr="run_worker" | "work"):
                    wrong.append(f"{name}:{node.lineno} {node.attr}")
                case ast.keyword(arg="exit_on_error"):
                    wrong.append(f"{name}:{node.lineno} exit_on_error")
                case ast.Call(func=ast.Attribute(attr="create_task" | "ensure_future"), args=[begun, *_]):
                    if name not in AWAITED and not ast.unparse(begun).startswith(GUARDED):
                        wrong.append(f"{name}:{node.lineno} begins {ast.unparse(begun)}")
    assert not wrong, "begin it with console.screens.working: " + "; ".join(wrong)
    assert len(EVERY) > 20


async def test_what_works_again_is_no_longer_said_and_r_reads_again(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session()
    reads: list[int] = []

    async def actions(**_: Any) -> list[Any]:
        reads.append(1)
        if len(reads) < 3:
            raise KeyError(SECRET)
        return session.all_actions

    session.actions = actions
    detail = DeploymentDetail(session, screen_fakes.a_deployment())
    app = Holder(detail)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Press r to read again" in text_of(app), "it is said")
        assert "a part of the console failed" in str(detail.query_one("#actions-title").render())
        await pilot.press("r")
        await until(pilot, lambda: len(reads) == 2, "it was read again")
        await until(pilot, lambda: "Press r to read again" in text_of(app), "it is said again")
        await pilot.press("r")
        await until(pilot, lambda: "A part of the console" not in text_of(app), "it works")
        assert "Flip" in text_of(app) or "flip" in text_of(app)
    assert len(list(state.glob("crash-*.txt"))) == 1  # it failed twice at one place


async def test_a_service_whose_history_can_not_be_read_is_not_one_to_which_nothing_was_done() -> None:
    session = screen_fakes.FakeSession()

    async def actions(**_: Any) -> list[Any]:
        raise BackendError("unreachable", "the journal does not answer")

    session.actions = actions
    detail = DeploymentDetail(session, screen_fakes.a_deployment())
    app = Holder(detail)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "the journal does not answer" in text_of(app), "it is said")
        detail._show()  # as every few seconds
        await pilot.pause()
        assert "the journal does not answer" in text_of(app)
        assert "nothing was done" not in text_of(app)


def test_one_who_listens_and_fails_keeps_nobody_else_from_hearing(state: Path) -> None:
    store, heard, told = Store(), [], []
    store.defects.tell = told.append

    def fails(_: Snapshot) -> None:
        raise KeyError(SECRET)

    store.listen(fails)
    store.listen(heard.append)
    for _ in range(3):
        store.put(Snapshot(key=SourceKey("alerts", "am"), type="alertmanager"))
    assert len(heard) == 3
    assert told[0].startswith("A part of the console failed: KeyError: this is a defect; report it with ")
    assert len(set(told)) == 1
    assert len(list(state.glob("crash-*.txt"))) == 1


async def test_what_fails_behind_the_screens_is_said_on_the_overview(state: Path) -> None:
    session = Session()
    app = TealApp(session)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: ("start", None) in session.start.__self__.calls, "it has begun")
        overview = app.screen_stack[0]
        assert isinstance(overview, Overview)
        session.store.listen(lambda _: [][0])
        session.put("alerts", ALERT)
        await until(pilot, lambda: "A part of the console failed: IndexError" in text_of(app), "it is said")
        await pilot.press("r")
        await until(pilot, lambda: "A part of the console" not in text_of(app), "r forgets it")


async def test_what_is_told_beside_all_else_is_not_silent_either(state: Path) -> None:
    told: list[str] = []
    defects = Defects()
    defects.tell = told.append
    config = SimpleNamespace(read_only=False)
    context: Any = SimpleNamespace(config=config, entries={"notify": ["one"]})

    async def opened() -> Any:
        raise KeyError(SECRET)

    caring = Caring(context, opened, lambda: 1 / 0, defects)
    caring.begin()
    await caring.aclose(hangs=False)
    assert [words.partition(";")[0] for words in told] == ["A part of the console failed: KeyError: this is a defect"]
    assert len(list(state.glob("crash-*.txt"))) == 1
