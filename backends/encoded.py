"""Where a secret is in a text that writes it otherwise: escaped, percent-encoded, in hex or base64, broken, cut short.

Each layer of writing is taken off the whole text, with a note of what stood where; what is found is told by its place
in the text that was given. Every step is linear in the text.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache

MIN_BYTES = 6
_MIN_PREFIX = 8
_MAX_WORD_BYTES = 12
_PREFIX_SHARE = 0.6
_LAYERS = 3
_DEPTH = 2

Span = tuple[int, int]
Needle = tuple[bytes, int, tuple[bytes, ...]]
_STANDARD = bytes.maketrans(b"-_", b"+/")

# Text, compiled by `re` when it is needed first (as in `backends.text`).
_IGNORED = (
    rb"[\x00-\x20\x7f]+|\xc2[\x80-\xa0\xad]|\xcd\x8f|\xd8\x9c|\xe1\x85[\x9f\xa0]|\xe1\x9e[\xb4\xb5]"
    rb"|\xe1\xa0[\x8b-\x8f]|\xe2\x80[\x80-\x8f\xa8-\xaf]|\xe2\x81[\x9f-\xaf]|\xe3\x80\x80|\xe3\x85\xa4"
    rb"|\xef\xb8[\x80-\x8f]|\xef\xbb\xbf|\xef\xbe\xa0"
)
"""White space, and what Unicode calls default-ignorable, in UTF-8."""
_ESCAPES = (
    rb"(?s)\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\xc2\x9c|$)|\x1b[ -/]*[0-~]|\xc2\x9b[0-?]*[ -/]*[@-~]"
)
"""What a terminal draws nothing of, and `clean` takes away: what stood around it is one word then."""
_CODED = (
    rb"%[0-9A-Fa-f]{2}|&#[0-9]{1,7};?|&#[xX][0-9A-Fa-f]{1,6};?|&[A-Za-z][A-Za-z0-9]{1,30};"
    rb"|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\[0-3][0-7]{2}|\\[nrt\"'/\\]"
)
_BASE64 = rb"[A-Za-z0-9+/_-]{12,}"
_HEX = rb"[0-9A-Fa-f]{12,}"
_PAIRS = rb"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5,}"


def spans(text: bytes, secrets: Iterable[bytes], depth: int = _DEPTH) -> list[Span]:
    """Where in `text` (UTF-8) one of `secrets` stands, in whatever layers of writing; any order, may overlap."""
    needles = [needle for secret in dict.fromkeys(secrets) for needle in _needles(secret)]
    if not needles:
        return []
    found = list(_spans(text, needles, depth))
    shown, marks = _taken_off(text, _ESCAPES)
    if len(shown) != len(text):
        found += [(marks.place(start), marks.end_of(end - 1)) for start, end in _spans(shown, needles, depth)]
    return found


def _spans(text: bytes, needles: list[Needle], depth: int) -> Iterator[Span]:
    layer, below = text, []
    for taken_off, pattern in enumerate((_IGNORED, *[_CODED + b"|" + _IGNORED] * _LAYERS)):
        before = len(layer)
        layer, marks = _taken_off(layer, pattern)
        if taken_off and len(layer) == before:
            return
        below.append(marks)
        for start, end in (*_found(layer, needles), *(_inside(layer, needles, depth) if depth else ())):
            for each in reversed(below):
                start, end = each.place(start), each.end_of(end - 1)
            yield start, end


class _Marks:
    """Where the bytes of a layer stood in the one that it was taken off: a mark where what was written otherwise began
    (`at` in the layer, of `length`), and where the plain text behind it began in the layer below."""

    def __init__(self) -> None:
        self.at, self.length, self.begun, self.ended = [0], [0], [0], [0]

    def add(self, at: int, length: int, begun: int, ended: int) -> None:
        self.at.append(at)
        self.length.append(length)
        self.begun.append(begun)
        self.ended.append(ended)

    def place(self, at: int) -> int:
        """Where the byte at `at` began in the layer below."""
        mark, past = self._of(at)
        return self.begun[mark] if past < 0 else self.ended[mark] + past

    def end_of(self, at: int) -> int:
        """Behind the byte at `at`, in the layer below."""
        mark, past = self._of(at)
        return self.ended[mark] if past < 0 else self.ended[mark] + past + 1

    def _of(self, at: int) -> tuple[int, int]:
        mark = bisect_right(self.at, at) - 1
        return mark, at - self.at[mark] - self.length[mark]


def _taken_off(text: bytes, pattern: bytes) -> tuple[bytes, _Marks]:
    marks, pieces, taken, length = _Marks(), [], 0, 0
    for found in re.finditer(pattern, text):
        plain = _plain(found[0])
        pieces += [text[taken : found.start()], plain]
        length += found.start() - taken
        marks.add(length, len(plain), found.start(), found.end())
        length, taken = length + len(plain), found.end()
    return b"".join([*pieces, text[taken:]]), marks


def _plain(written: bytes) -> bytes:
    """What one piece of `_CODED` or `_IGNORED` means; nothing for white space."""
    lead, second = written[:1], written[1:2]
    if lead == b"%":
        return bytes([int(written[1:], 16)])
    if lead == b"&":
        from html import unescape

        return unescape(written.decode()).encode("utf-8", "surrogatepass")
    if lead != b"\\" or second in (b"n", b"r", b"t"):
        return b""
    if second == b"u":
        return chr(int(written[2:], 16)).encode("utf-8", "surrogatepass")
    if second.isdigit():
        return bytes([int(written[1:], 8)])
    return bytes([int(written[2:], 16)]) if second == b"x" else second


@lru_cache(maxsize=1024)
def _needles(secret: bytes) -> tuple[Needle, ...]:
    """What to look for, white space aside, and how much of its beginning is enough; also as the layers read it, and
    whole in letters of either case, forwards and backwards."""
    stripped = _taken_off(secret, _IGNORED)[0]
    read = _taken_off(stripped, _CODED + b"|" + _IGNORED)[0]
    forms = [form for form in dict.fromkeys((stripped, read)) if len(form) >= MIN_BYTES]
    return tuple((form, _enough(form), _folded(form)) for form in forms)


def _folded(secret: bytes) -> tuple[bytes, ...]:
    """Of a secret that is no word which a text may say in its own letters."""
    if secret.isalpha() and len(secret) <= _MAX_WORD_BYTES:
        return ()
    letters = secret.decode("utf-8", "surrogateescape")
    written = (case for way in (letters, letters[::-1]) for case in (way, way.lower(), way.upper()))
    return tuple(dict.fromkeys(each.encode("utf-8", "surrogateescape").lower() for each in written))


def _enough(secret: bytes) -> int:
    """So long a beginning of it tells the rest: most of it, and no ordinary word."""
    least = max(_MIN_PREFIX, -int(-len(secret) * _PREFIX_SHARE // 1))
    return next((n for n in range(least, len(secret)) if re.search(rb"[0-9A-Z\x80-\xff]", secret[:n])), len(secret))


def _found(text: bytes, needles: list[Needle]) -> Iterator[Span]:
    small = text.lower()
    for secret, enough, folded in needles:
        for each in folded:
            at = small.find(each)
            while at >= 0:
                yield at, at + len(each)
                at = small.find(each, at + len(each))
        at = text.find(secret[:enough])
        while at >= 0:
            end = at + enough
            while end < at + len(secret) and text[end : end + 1] == secret[end - at : end - at + 1]:
                end += 1
            yield at, end
            at = text.find(secret[:enough], end)


def _inside(text: bytes, needles: list[Needle], depth: int) -> Iterator[Span]:
    """Where runs of base64 and hex hold one, wherever in the run its coding began."""
    for run in re.finditer(_BASE64, text):
        for skip in range(4):
            start = run.start() + skip
            decoded = _of_base64(text[start : run.end()])
            for first, end in _spans(decoded, needles, depth - 1):
                yield start + first // 3 * 4, min(start + -(-end // 3) * 4, run.end())
    for run in re.finditer(_HEX, text):
        for skip in range(2):
            start = run.start() + skip
            digits = text[start : start + (run.end() - start) // 2 * 2]
            for first, end in _spans(bytes.fromhex(digits.decode()), needles, depth - 1):
                yield start + 2 * first, start + 2 * end
    for run in re.finditer(_PAIRS, text):
        for first, end in _spans(bytes.fromhex(re.sub(rb"[:-]", b"", run[0]).decode()), needles, depth - 1):
            yield run.start() + 3 * first, run.start() + 3 * end - 1


def _of_base64(run: bytes) -> bytes:
    """Its bytes; of a last group that is not whole, those that are."""
    from base64 import b64decode

    whole = run[: len(run) - 1] if len(run) % 4 == 1 else run
    return b64decode(whole.translate(_STANDARD) + b"=" * (-len(whole) % 4))
