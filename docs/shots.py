"""`make shots`: a picture of every screen, at two sizes and in each theme, as SVG in docs/screens/.

The console draws a platform of docs/seeded.py, where time stands still: the same code gives the same bytes, and a test
compares them (tests/docs/test_shots.py). What has changed is seen in the diff of the pictures.
"""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Input

from console.app import TealApp
from docs.seeded import NOW, Clock, platform, still
from docs.svg import compact
from panels.themes import DEFAULT, THEMES
from tests.console.screen_fakes import text_of

PLACE = Path(__file__).parent / "screens"
SIZES = ((80, 24), (120, 40))
STEP_S, SAME = 0.05, 4
PATIENCE_S = 60.0
_SILENCES = ("colon", *"silences", "enter")
_ARMED = ("exclamation_mark",)
# What is pressed on the overview, and what is on the screen then.
SHOTS: dict[str, tuple[tuple[str, ...], str]] = {
    "overview": ((), "Timeline"),
    "pipelines": (("1",), "monitoring_and_alerting"),
    "quality": (("2",), "customers"),
    "alerts": (("3",), "NodeDiskFull"),
    "deployments": (("4",), "GREEN"),
    "logs": (("5",), "cache miss"),
    "timeline": (("6",), "T0"),
    "run": (("1", "enter"), "validate_transactions_data"),
    "score": (("2", "enter"), "The last"),
    "alert": (("3", "enter"), "runbooks.example"),
    "service": (("4", "enter"), "what was done"),
    "log-line": (("5", "enter"), "Log line"),
    "run-menu": (("1", "x"), "trigger"),
    "alert-menu": (("3", "x"), "acknowledge"),
    "service-menu": (("4", "x"), "roll back"),
    "trigger": ((*_ARMED, "1", "x", "t"), "rows"),
    "release": ((*_ARMED, "4", "x", "d"), "Release"),
    "stages": ((*_ARMED, "4", "x", "w"), "gradual"),
    "plan": ((*_ARMED, "4", "x", "f"), "undo"),
    "silence-form": (("3", "x", "s"), "It would hide"),
    "silences": (_SILENCES, "ends soon"),
    "silence": ((*_SILENCES, "enter"), "Matches"),
    "end-silences": ((*_SILENCES, "space", "space", "u"), "can be done"),
    "actions": (("at",), "flip analytics"),
    "action": (("at", "enter"), "preflight"),
    "sources": (("s",), "scores"),
    "help": (("question_mark",), "KEY"),
    "palette": (("colon",), "pipelines alone"),
    "note": (("number_sign",), "a note"),
}
_FOCUS_COMES = ("trigger", "release", "stages", "plan", "silence-form", "end-silences")


async def taken(
    clock: Clock, size: tuple[int, int], themes: Iterable[str], names: Iterable[str] = SHOTS
) -> AsyncIterator[tuple[str, str, str]]:
    """(screen, theme, SVG) of each of `names`, in order."""
    async with platform(clock) as session:
        app = TealApp(session, now=lambda: NOW)
        async with app.run_test(size=size) as pilot:
            await _shows(pilot, "Timeline" if size[1] >= 34 else "Deployments", focus=False)
            for name in names:
                keys, words = SHOTS[name]
                await pilot.press(*keys)
                shown = "Deployments" if name == "overview" else words
                await _shows(pilot, shown, focus=name in _FOCUS_COMES)
                for theme in themes:
                    app.theme = THEMES[theme].name
                    await pilot.pause(STEP_S)
                    yield name, theme, compact(app.export_screenshot(simplify=True), *size)
                app.theme = THEMES[DEFAULT].name
                await _back(pilot)


async def _shows(pilot: Pilot[None], words: str, *, focus: bool) -> None:
    """Wait until it is on the screen, and nothing changes any more."""
    app = pilot.app
    before, same = "", 0
    for _ in range(int(PATIENCE_S / STEP_S)):
        for field in app.screen.query(Input):
            field.cursor_blink = False
        await pilot.pause(STEP_S)
        now = text_of(app)
        same = same + 1 if now == before else 0
        before = now
        if words in now and same >= SAME and (app.screen.focused is not None or not focus):
            return
    raise AssertionError(f"{words!r} is not on the screen, or it does not come to rest:\n{before}")


async def _back(pilot: Pilot[None]) -> None:
    """To the overview as it was at the start."""
    app = pilot.app
    assert isinstance(app, TealApp)
    while len(app.screen_stack) > 1:
        app.pop_screen()
        await pilot.pause()
    app.disarm()
    await pilot.press("0", "g")
    await pilot.pause()


def path_of(name: str, size: tuple[int, int], theme: str) -> Path:
    """Where that picture is kept."""
    return PLACE / theme / f"{name}-{size[0]}x{size[1]}.svg"


async def _take_all() -> None:
    shutil.rmtree(PLACE, ignore_errors=True)
    with still() as clock:
        for size in SIZES:
            async for name, theme, svg in taken(clock, size, THEMES):
                path = path_of(name, size, theme)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(svg, encoding="utf-8")
    (PLACE / "README.md").write_text(index(), encoding="utf-8")
    pictures = list(PLACE.rglob("*.svg"))
    sys.stdout.write(f"{len(pictures)} pictures, {sum(map(_size, pictures)) / 1e6:.1f} MB, in {PLACE}\n")


def _size(path: Path) -> int:
    return path.stat().st_size


def index() -> str:
    """The page that lists them."""
    lines = ["# Every screen", "", "Written by `make shots`: each at 80×24 and 120×40, in each theme.", ""]
    lines += ["| screen | " + " | ".join(THEMES) + " |", "|---" * (len(THEMES) + 1) + "|"]
    for name in SHOTS:
        cells = [" ".join(f"[{c}×{r}]({theme}/{name}-{c}x{r}.svg)" for c, r in SIZES) for theme in THEMES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    asyncio.run(_take_all())
