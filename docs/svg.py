"""A screenshot of Textual as a small SVG, the same for the same screen: one element a row, no font to load."""

import html
import re
from typing import NamedTuple

from panels.widths import display_width

_COLUMN, _ROW, _BASE = 12.2, 24.4, 18.0
_RULE = re.compile(r"\.terminal-\d+-(r\d+) \{ ([^}]*) \}")
_TEXT = re.compile(r'<text class="terminal-\d+-(r\d+)" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>')
_RECT = re.compile(r'<rect fill="(#\w+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"')
_WINDOW = re.compile(r'<rect fill="(#\w+)" stroke=')
_FONT = "font:20px Fira Code,DejaVu Sans Mono,Menlo,Consolas,monospace;white-space:pre"
_NAMES = "abcdefghijklmnopqrstuvwxyz"


class Run(NamedTuple):
    """Text of one style, from a column on."""

    column: int
    style: str
    text: str


def compact(exported: str, columns: int, rows: int) -> str:
    """The SVG that `App.export_screenshot(simplify=True)` returned, without window, ids and font."""
    styles = {name: css.rstrip("; ") for name, css in _RULE.findall(exported)}
    matrix = exported.partition("-matrix")[2]
    lines: dict[int, list[Run]] = {}
    for name, x, y, text in _TEXT.findall(matrix):
        shown = html.unescape(text).replace("\xa0", " ")
        lines.setdefault(round((float(y) - 20) / _ROW), []).append(Run(round(float(x) / _COLUMN), styles[name], shown))
    grounds = [(color, float(x), float(y), float(width)) for color, x, y, width in _RECT.findall(matrix)]
    # Where a cell has the terminal's own ground (`ansi`, `mono`), no rectangle is drawn: that is the window's.
    [own] = _WINDOW.findall(exported)
    areas = {own: columns * rows * _COLUMN - sum(width for *_, width in grounds)}
    for color, _, _, width in grounds:
        areas[color] = areas.get(color, 0.0) + width
    ground = max(areas, key=lambda color: areas[color])
    shares: dict[str, int] = {}
    for run in (run for row in lines.values() for run in row):
        shares[run.style] = shares.get(run.style, 0) + 1
    usual = max(shares, key=lambda style: shares[style], default="")
    classes: dict[str, str] = {}
    body = [
        f'<rect fill="{color}" x="{x:g}" y="{y - 1.5:.1f}" width="{width:g}" height="{_ROW + 0.2:.1f}"/>'
        for color, x, y, width in grounds
        if color != ground
    ]
    body += [_line(lines[row], row, classes, usual) for row in sorted(lines) if _says(lines[row])]
    css = "".join(f".{name}{{{style}}}" for style, name in classes.items())
    width, height = round(columns * _COLUMN), round(rows * _ROW + 4)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 {width + 16} {height + 16}" xml:space="preserve">',
            f"<style>text{{{_FONT};{usual}}}{css}</style>",
            f'<rect fill="{ground}" x="-8" y="-8" width="{width + 16}" height="{height + 16}" rx="8"/>',
            *body,
            "</svg>\n",
        ]
    )


def _says(runs: list[Run]) -> bool:
    return any(run.text.strip() for run in runs)


def _line(runs: list[Run], row: int, classes: dict[str, str], usual: str) -> str:
    """One row as one element, from its first column that is not blank to its last, as wide as those are."""
    runs = sorted(runs)
    while not runs[0].text.strip():
        runs.pop(0)
    while not runs[-1].text.strip():
        runs.pop()
    first, pieces = runs[0].column, list[tuple[str, str]]()
    at = first
    for run in runs:
        gap = " " * (run.column - at)
        at = run.column + display_width(run.text)
        style = pieces[-1][0] if pieces and not run.text.strip() else run.style
        if pieces and pieces[-1][0] == style:
            pieces[-1] = style, pieces[-1][1] + gap + run.text
        else:
            pieces.append((style, gap + run.text))
    text = "".join(_piece(style, words, classes, usual) for style, words in pieces)
    length = sum(display_width(words) for _, words in pieces) * _COLUMN
    return f'<text x="{first * _COLUMN:g}" y="{row * _ROW + _BASE:.0f}" textLength="{length:.0f}">{text}</text>'


def _piece(style: str, words: str, classes: dict[str, str], usual: str) -> str:
    text = html.escape(words, quote=False)
    if style == usual:
        return text
    return f'<tspan class="{classes.setdefault(style, _name(len(classes)))}">{text}</tspan>'


def _name(number: int) -> str:
    return _NAMES[number] if number < len(_NAMES) else f"{_NAMES[number // 26 - 1]}{_NAMES[number % 26]}"


def text_of(svg: str) -> str:
    """What a picture says, line by line."""
    rows = re.findall(r'<text x="([\d.]+)"[^>]*>(.*?)</text>', svg)
    return "\n".join(" " * round(float(x) / _COLUMN) + html.unescape(re.sub("<[^>]*>", "", row)) for x, row in rows)
