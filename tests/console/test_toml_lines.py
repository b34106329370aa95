"""The line that is named for a key is the one to change."""

import tomllib
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.config.toml_lines import KeyPath, line_numbers, line_of


class Document:
    """A random TOML document in which each value holds a word of its own, on the line where the value begins."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._words = 0
        self._names = 0
        self._lines: list[str] = []
        self._table([], 0)
        self.text = "\n".join(self._lines) + random.choice(["", "\n"])

    def _table(self, path: list[str], depth: int) -> None:
        choose = self._random.choice
        for _ in range(self._random.randint(0, 3)):
            self._noise()
            dots = [self._key() for _ in range(choose([1, 1, 1, 2, 3]))]
            self._write(f"{choose(['', '  '])}{self._dotted(dots)}{choose([' = ', '=', ' =  '])}{self._value(0)}")
        for _ in range(self._random.randint(0, 3 - depth)):
            inner = [*path, *[self._key() for _ in range(choose([1, 1, 2]))]]
            if choose([True, False]):
                self._write(f"{choose(['', ' '])}[{choose(['', ' '])}{self._dotted(inner)}]")
                self._table(inner, depth + 1)
                continue
            for _ in range(self._random.randint(1, 3)):
                self._write(f"[[{self._dotted(inner)}{choose(['', ' '])}]]")
                self._table(inner, depth + 1)

    def _write(self, statement: str) -> None:
        self._lines.append(
            statement + self._random.choice(["", "", " # its words", ' # """ a quote', " # '''", " # ]"])
        )

    def _noise(self) -> None:
        self._lines.append(self._random.choice(["", "", "  ", '# """', "# x = 'y", "# [old]", "#'''\n# '''"]))

    def _key(self) -> str:
        self._names += 1
        name = f"{self._random.choice(['k', 'name-', 'a_'])}{self._names}"
        odd = ['"{}"', "'{}'", '"{} # [x]"', "'{} = \"'", '"{}.b"', '"{}\\" \\u00e9"', "'\"{}\"'"]
        return self._random.choice(["{}", "{}", "{}", *odd]).format(name)

    def _dotted(self, parts: list[str]) -> str:
        return self._random.choice([".", ".", " . "]).join(parts)

    def _word(self) -> str:
        self._words += 1
        return f"w{self._words}w"

    def _value(self, depth: int, *, one_line: bool = False) -> str:
        word, choose = self._word(), self._random.choice
        plain = [
            f'"{word}"', f"'{word}'", f'"{word} \\" [x] # no comment"', f"'{word} # \"\"\" y'", f"'{word}\"\"\"y'",
            f'"{word} \\\\"', f'"{word} = \'\'\' {{ }} ]"', f"'{word}\u2028\\'",
        ]  # fmt: skip
        long = [
            f'"""{word}\nk1 = 1\n[k2]\n"""', f"'''{word}\n[[k3]]\n# it's\n'''", f'"""{word} "two" ""\\""""',
            f"'''{word}''''", f'"""{word}"""""', f'"""{word} \\\n  on\n"""',
        ]  # fmt: skip
        if depth > 2 or self._random.random() < 0.6:
            return choose(plain if one_line else plain + long)
        if choose([True, False]):
            pairs = (
                f"{self._key()} = {self._value(depth + 1, one_line=True)}" for _ in range(self._random.randint(0, 3))
            )
            return f"{{ {', '.join(pairs)} }}"
        breaks = [" "] if one_line else [" ", "\n", "\n\n", ' # ]""" x\n', "\n# [k1]\n"]
        elements = "".join(
            f"{choose(breaks)}{self._value(depth + 1, one_line=one_line)}{choose(['', ' '])},"
            for _ in range(self._random.randint(0, 3))
        )
        return f"[{elements}{choose(breaks)}]"


def leaves(value: Any, path: KeyPath = ()) -> dict[KeyPath, str]:
    if isinstance(value, str):
        return {path: value}
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return {found: leaf for key, each in inner for found, leaf in leaves(each, (*path, key)).items()}


@given(st.randoms(use_true_random=False))
def test_to_change_the_value_on_the_line_that_is_named_changes_that_key_alone(random: Random) -> None:
    text = Document(random).text
    before, lines = leaves(tomllib.loads(text)), line_numbers(text)
    for path, value in before.items():
        word = value[: value.index("w", 1) + 1]
        rows = text.split("\n")
        assert word in rows[lines[path] - 1], f"{path} is on another line\n{text}"
        rows[lines[path] - 1] = rows[lines[path] - 1].replace(word, "changed")
        after = leaves(tomllib.loads("\n".join(rows)))
        assert {each for each in before if before[each] != after[each]} == {path}


@pytest.mark.parametrize(
    "before",
    [
        'a = 1 # """',
        'a = \'x"""y\'',
        "a = [\n  [1, 2],\n  [3, 4]\n]",
        "a = [\n  [\n    'b'\n  ],\n]",
        'a = """\nlast = 1\n[last]\n"""',
        "'a]' = 1",
        "a = '\u2028'",
        '"a\\"b" = 1',
    ],
)
def test_what_comes_before_a_key_does_not_hide_it(before: str) -> None:
    text = f"{before}\nlast = 2\n"
    assert tomllib.loads(text)["last"] == 2
    assert line_numbers(text)[("last",)] == text.count("\n")


def test_tables_and_elements_have_a_line_each() -> None:
    text = "[a.b]\nx = 1\n[a]\nc.d = [\n  { e = 1 },\n  { e = 2 },\n]\n[[s]]\n[s.t]\nu = 1\n[[s]]\n[s.t]\nu = 2\n"
    lines = line_numbers(text)
    assert lines["a",] == 3
    assert lines["a", "b"] == 1
    assert lines["a", "c"] == 4
    assert lines["a", "c", "d", 1, "e"] == 6
    assert (lines["s",], lines["s", 0], lines["s", 1]) == (8, 8, 11)
    assert lines["s", 1, "t", "u"] == 13


def test_a_key_without_a_line_has_that_of_what_is_around_it() -> None:
    assert line_of(line_numbers("[a]\nb = 1\n"), ("a", "missing", 3)) == 1
    assert line_of({}, ("a",)) is None


@given(st.text(alphabet="ab=.[]{}\"'#\\\n ,1"))
def test_text_that_is_no_toml_ends_the_search(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for line in line_numbers(text).values())
