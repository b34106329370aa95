"""URLs in text as links of the terminal (OSC 8), where it takes them.

A link leads to what is shown and nowhere else: its target is the text itself, which `clean()` has been through.
https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

MAX_CHARS = 2083  # what terminals keep of one
_URL = r"https?://[^\s<>\"'`{}|\\^]+"  # text: compiled when the first URL is there
_NO_END = ".,;:!?"
_PAIRS = {")": "(", "]": "["}
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_IGNORANT = ("linux", "dumb", "vt100", "vt220", "")
_FIRST_VTE, _FIRST_KONSOLE = 5000, 201200  # before it, VTE drew them wrongly


class Link(NamedTuple):
    """A part of a text, and where it leads."""

    start: int
    end: int
    target: str


def urls(text: str) -> list[Link]:
    """The URLs of `text`, without what closes the sentence around them, nor those that were cut."""
    if "://" not in text or not text.isprintable():
        return []
    found = []
    for match in re.finditer(_URL, text):
        url = match[0]
        while url and (url[-1] in _NO_END or (url[-1] in _PAIRS and url.count(url[-1]) > url.count(_PAIRS[url[-1]]))):
            url = url[:-1]
        target = quote(url, safe=_PRINTABLE)
        cut = "…" in url or text[match.end() : match.end() + 1] == "…"
        if url.partition("://")[2] and len(target) <= MAX_CHARS and not cut:
            found.append(Link(match.start(), match.start() + len(url), target))
    return found


def takes_links(environ: Mapping[str, str]) -> bool:
    """Whether this terminal takes links, as far as it says who it is; most drop what they do not know. FORCE_HYPERLINK
    is believed, as other programs do."""
    if forced := environ.get("FORCE_HYPERLINK"):
        return forced not in ("0", "false")
    term = environ.get("TERM", "")
    if term in _IGNORANT or (term.startswith("screen") and not environ.get("TMUX")):
        return False
    if environ.get("TERM_PROGRAM") == "Apple_Terminal":
        return False
    return _since(environ, "VTE_VERSION", _FIRST_VTE) and _since(environ, "KONSOLE_VERSION", _FIRST_KONSOLE)


def _since(environ: Mapping[str, str], name: str, first: int) -> bool:
    version = environ.get(name, "")
    return not version.isdecimal() or int(version) >= first


class NoLinks(LineFilter):
    """Takes every link out of what was drawn, whichever widget drew it."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments, leading nowhere."""
        return [
            Segment(text, style.update_link(None), control) if style is not None and style.link else segment
            for segment in segments
            for text, style, control in (segment,)
        ]
