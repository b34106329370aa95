"""URLs are links of the terminal: they lead to what is shown, whole where it is cut, and only where it takes them."""

import io
from typing import Any

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult
from textual.color import Color

from console.app import TealApp
from console.screens.parts import Paragraphs, row
from panels.columns import Line
from panels.keybar import linked
from panels.lines import Lines
from panels.links import NoLinks, takes_links, urls
from tests.console.fakes import FakeSession

URL = "https://runbooks.internal/errors?a=1;b=2#c"


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        (f"see {URL}.", [URL]),
        (f"({URL}), then {URL}!", [URL, URL]),
        ("https://en.example/a_(b) and (https://en.example/a)", ["https://en.example/a_(b)", "https://en.example/a"]),
        ("http://[::1]:9090/graph]", ["http://[::1]:9090/graph"]),
        ("https://example.org/ä b", ["https://example.org/%C3%A4"]),
        ('<a href="http://x.y/z">', ["http://x.y/z"]),
        ("javascript:alert(1) file:///etc/passwd ssh://host http:// https://. none", []),
        ("https://a.b/\x1b]8;;evil\x07", []),
        ("https://a.b/\u202ec", []),
        ("https://a.b/" + "x" * 3000, []),
        ("https://a.b/c… and https://a.b/d…e", []),
        ("", []),
    ],
)
def test_what_is_a_url_and_where_it_ends(text: str, targets: list[str]) -> None:
    assert [link.target for link in urls(text)] == targets
    for link in urls(text):
        assert text[link.start : link.end].startswith("http")
        assert all(0x20 < ord(sign) < 0x7F for sign in link.target)


def test_the_text_is_the_same_with_its_links() -> None:
    text = f"before {URL} between {URL}"
    assert "".join(cell.text for cell in linked(text)) == text
    assert [cell.link for cell in linked(text) if cell.link] == [URL, URL]
    assert row("url", text).body.plain == text


@pytest.mark.parametrize(
    ("environ", "takes"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "tmux-256color", "TMUX": "x"}, True),
        ({"TERM": "screen-256color", "TMUX": "x"}, True),
        ({"TERM": "screen-256color"}, False),
        ({"TERM": "linux"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, False),
        ({"TERM": "xterm-256color", "VTE_VERSION": "4601"}, False),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7200"}, True),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "200800"}, False),
        ({"TERM": "linux", "FORCE_HYPERLINK": "1"}, True),
        ({"TERM": "xterm-256color", "FORCE_HYPERLINK": "0"}, False),
    ],
)
def test_which_terminals_take_them(environ: dict[str, str], takes: bool) -> None:
    assert takes_links(environ) is takes


def test_the_console_draws_none_where_its_terminal_takes_none() -> None:
    for links in (True, False):
        filters = TealApp(FakeSession(), links=links).get_line_filters()
        assert any(isinstance(found, NoLinks) for found in filters) is not links


def test_the_filter_takes_links_out_and_nothing_else() -> None:
    before = [Segment("a", Style(bold=True, link=URL)), Segment("b", Style(bold=True)), Segment("c", None)]
    after = NoLinks().apply(before, Color(0, 0, 0))
    assert [(segment.text, segment.style) for segment in after] == [
        ("a", Style(bold=True)), ("b", Style(bold=True)), ("c", None),
    ]  # fmt: skip


class Page(App[None]):
    """A row of a detail screen, and a line that is drawn cell by cell."""

    def compose(self) -> ComposeResult:
        yield Paragraphs(10, id="rows")
        yield Drawn()

    def on_mount(self) -> None:
        self.query_one(Paragraphs).show([row("runbook", f"read {URL} first")])


class Drawn(Lines):
    DEFAULT_CSS = "Drawn { height: 1; }"

    def line(self, y: int) -> Line:
        return linked(f"url {URL}")


@pytest.mark.parametrize("width", [20, 80])
async def test_what_is_drawn_leads_there_also_where_it_is_cut_or_wraps(width: int) -> None:
    app: Any = Page()
    async with app.run_test(size=(width, 12)):
        written = io.StringIO()
        for widget in (app.query_one(Paragraphs), app.query_one(Drawn)):
            for y in range(widget.size.height):
                written.write(widget.render_line(y).render(app.console))
        found = written.getvalue()
    assert f";{URL}\x1b\\" in found
    assert found.count("\x1b]8;id=") == found.count("\x1b]8;;\x1b\\")
