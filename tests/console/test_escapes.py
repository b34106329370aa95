"""Esc and the next key are two keys, however fast; a sequence is one, however slow."""

import pytest

from console.escapes import ESCAPE, Escapes


@pytest.mark.parametrize(
    ("reads", "keys"),
    [
        ([b"\x1b", b"4"], ESCAPE + b"4"),
        ([b"\x1b4"], ESCAPE + b"4"),
        ([b"\x1b/web\r"], ESCAPE + b"/web\r"),
        ([b"\x1b\r"], ESCAPE + b"\r"),
        ([b"\x1bb"], ESCAPE + b"b"),
        ([b"\x1b\x7f"], ESCAPE + b"\x7f"),
        ([b"\x1b", b"\xc3\xa4"], ESCAPE + "ä".encode()),
        ([b"\x1b\x1b[A"], ESCAPE + b"\x1b[A"),
        ([b"\x1b", b"[", b"A"], b"\x1b[A"),
        ([b"\x1bO", b"P"], b"\x1bOP"),
        ([b"\x1b[1", b";5", b"A"], b"\x1b[1;5A"),
        ([b"\x1b[27u4"], ESCAPE + b"4"),
        ([b"\x1b[<0;1;1M"], b"\x1b[<0;1;1M"),
        ([b"\x1b]11;rgb:0/0/0\x1b\\q"], b"\x1b]11;rgb:0/0/0\x1b\\q"),
        ([b"\x1b]"], ESCAPE + b"]"),
        ([b"\x1b[200~a\x1bb", b"\x1b", b"c\x1b[20", b"1~\x1bd"], b"\x1b[200~a\x1bb\x1bc\x1b[201~" + ESCAPE + b"d"),
    ],
)
def test_what_is_read_in_pieces_means_the_same(reads: list[bytes], keys: bytes) -> None:
    escapes = Escapes()
    assert b"".join(escapes.read(read) for read in reads) == keys
    assert not escapes.held


@pytest.mark.parametrize(
    ("read", "keys"),
    [(b"\x1b", ESCAPE), (b"\x1b[", ESCAPE + b"["), (b"\x1bO", ESCAPE + b"O"), (b"\x1b[1;", b"\x1b[1;")],
)
def test_what_nothing_came_behind_was_typed(read: bytes, keys: bytes) -> None:
    escapes = Escapes()
    assert escapes.read(read) == b""
    assert escapes.held
    assert escapes.give_up() == keys
    assert escapes.give_up() == b""


@pytest.mark.parametrize("key", [b"b", b"f", b"\x7f"])
def test_a_line_of_text_moves_and_deletes_by_word(key: bytes) -> None:
    assert Escapes(lambda: True).read(b"\x1b" + key) == b"\x1b" + key
    assert Escapes(lambda: True).read(b"\x1bx") == ESCAPE + b"x"
