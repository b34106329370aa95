"""What container runtimes put around a line: Docker's json-file, the files of CRI, the prefixes of Docker Compose,
kubectl and stern.

Sources: https://docs.docker.com/engine/logging/drivers/json-file/,
https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md,
https://docs.docker.com/reference/cli/docker/compose/logs/. A runtime cuts a long line (16 kB) and says so: CRI by the
tag `P`, Docker by a piece without a line end. The pieces of one stream are joined here.
"""

import re

from msgspec import Struct

from backends.logs.structured import object_of

_CRI = re.compile(r"(\d{4}-\d\d-\d\dT\S{8,32}) (stdout|stderr) ([FP])(?::\S*)? ?")
_COMPOSE = re.compile(r"(?:\d+\|)?([A-Za-z0-9][\w.-]{0,127}?)(?:[-_]\d{1,4})? *\| ")
# `kubectl logs --prefix` and stern: the pod and the container before the line.
_POD = re.compile(
    r"\[pod/[a-z0-9.-]+/[a-z0-9.-]+\] |[a-z0-9.-]+-(?:[a-z0-9]{5}|\d+) [a-z0-9-]+ (?=\{\"|\d{4}-\d\d-\d\d[T ])"
)
_NUMBERED = re.compile(r"[A-Za-z0-9][\w.-]{0,127}[-_]\d{1,4} *\| ")
_DOCKER_KEYS = frozenset(("log", "stream", "time", "attrs"))
MAX_JOINED = 64 * 1024
_STREAMS_WITHIN = 256  # lines: who writes on a stream does so about as often as on the other


class Piece(Struct, frozen=True):
    """A line as a runtime has written it: the time as text, and whether the program's own line ends here."""

    at: str
    stream: str
    text: str
    whole: bool


def piece_of(text: str) -> Piece | None:
    """What a runtime has wrapped; None for other lines."""
    if text.startswith("{"):
        if '"log":' not in text:
            return None
        found = object_of(text)
        if found is None or not found.keys() <= _DOCKER_KEYS:
            return None
        inner, at, stream = found.get("log"), found.get("time"), found.get("stream")
        if not isinstance(inner, str) or not isinstance(at, str):
            return None
        return Piece(at, str(stream or ""), inner.rstrip("\r\n"), inner.endswith("\n"))
    if " std" in text[:48] and (match := _CRI.match(text)):
        return Piece(match[1], match[2], text[match.end() :], match[3] == "F")
    return None


def without_prefix(text: str) -> str:
    """The line behind `web-1  | `, or behind `[pod/web-7d9f/app] `; a name without a number counts only before what
    begins like a line of a log."""
    if " " in text[:200] and (found := _POD.match(text)):
        return text[found.end() :]
    found = _COMPOSE.match(text) if "| " in text[:200] else None
    if found is None:
        return text
    rest = text[found.end() :]
    return rest if _NUMBERED.match(text) or rest[:1] in tuple("{[0123456789") else text


class Joiner:
    """`feed` the lines of one file in their order; pieces of one line come out as one, whole, in CRI's form."""

    def __init__(self) -> None:
        self._open: dict[str, Piece] = {}

    def feed(self, line: str) -> str | None:
        """The line that is whole now: the same one where it is not wrapped, None for a piece."""
        piece = piece_of(line)
        if piece is None:
            return line
        begun = self._open.pop(piece.stream, None)
        if begun is not None:
            text = (begun.text + piece.text)[:MAX_JOINED]
            piece = Piece(begun.at, piece.stream, text, piece.whole)
        if not piece.whole:
            self._open[piece.stream] = piece
            return None
        return line if begun is None else f"{piece.at} {piece.stream or 'stdout'} F {piece.text}"

    def rest(self) -> list[str]:
        """What no end came of."""
        pieces, self._open = list(self._open.values()), {}
        return [f"{piece.at} {piece.stream or 'stdout'} F {piece.text}" for piece in pieces]


def carried_over(lines: list[str]) -> int:
    """How many lines of a stretch may belong to what begins before it: up to the first end of each stream."""
    ends: dict[str, int] = {}
    for number, line in enumerate(lines[:_STREAMS_WITHIN]):
        piece = piece_of(line)
        if piece is not None and (piece.whole or piece.stream not in ends) and ends.get(piece.stream, -1) <= 0:
            ends[piece.stream] = number + 1 if piece.whole else 0
    return max(ends.values(), default=0)
