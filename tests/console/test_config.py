"""A config says where each mistake is, and a broken entry disables itself, nothing else."""

from pathlib import Path

import pytest

from console.config import fatal_problems, find_config, load_config, pick_context, search_path
from console.errors import ConfigError

REPOSITORY = Path(__file__).parents[2]

GOOD = """
default_context = "production"
[contexts.production]
title = "analytics"
[[contexts.production.checks]]
name = "api"
type = "http"
url = "http://127.0.0.1:1/health"
"""


@pytest.fixture
def write(tmp_path: Path):
    def write_config(text: str, name: str = "config.toml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write_config


def problem_lines(path: Path) -> list[str]:
    return [str(problem) for problem in load_config(path).problems]


def test_the_example_has_no_problem():
    config = load_config(REPOSITORY / "config.example.toml")
    assert [str(problem) for problem in config.problems] == []
    assert list(config.contexts) == ["staging"]
    assert all(not entry.problem for entries in config.contexts["staging"].entries.values() for entry in entries)


def test_an_unknown_key_names_file_line_path_and_the_nearest_key(write):
    path = write(GOOD + "expetc = { status = 200 }\n")
    [problem] = load_config(path).problems
    assert str(problem) == (
        f'{path}:9: contexts.production.checks[0].expetc: unknown key "expetc" (did you mean "expect"?)'
    )
    assert problem.entry == "api"


def test_all_mistakes_are_reported_not_only_the_first(write):
    path = write(GOOD + 'timeout = "soon"\n[contexts.production.links]\nrow = []\n')
    found = problem_lines(path)
    assert len(found) == 2
    assert any('"soon" is not a duration' in line for line in found)
    assert any(":11: contexts.production.links.row" in line and 'did you mean "rows"?' in line for line in found)


def test_a_broken_entry_disables_itself_only(write):
    path = write(GOOD + '[[contexts.production.checks]]\nname = "bad"\ntype = "nothing"\n')
    config = load_config(path)
    context = pick_context(config, None)
    assert [bool(entry.problem) for entry in context.entries["checks"]] == [False, True]
    assert fatal_problems(config, context) == []
    assert 'no adapter "nothing" for checks' in context.entries["checks"][1].problem


def test_a_mistake_in_the_context_itself_is_fatal_for_it(write):
    config = load_config(write(GOOD.replace('title = "analytics"', "protected = 3")))
    [problem] = fatal_problems(config, pick_context(config, None))
    assert problem.path == "contexts.production.protected"
    assert problem.line == 4


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('url = "postgresql://me:hunter2@db/x"', "password inside a URL"),
        ('auth = { username = "me", password = "hunter2" }', "auth"),
    ],
)
def test_a_literal_secret_is_refused_and_never_repeated(write, line, words):
    found = problem_lines(write(GOOD.replace('url = "http://127.0.0.1:1/health"', line)))
    assert any(words in text for text in found)
    assert all("hunter2" not in text for text in found)


def test_duplicate_names_are_said(write):
    path = write(GOOD + GOOD[GOOD.index("[[contexts") :])
    [problem] = load_config(path).problems
    assert 'a second checks entry named "api"' in problem.message
    assert problem.line == 10


@pytest.mark.parametrize("mode", [0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(write, mode):
    path = write(GOOD)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="others can write it"):
        load_config(path)


def test_what_is_no_toml_says_where(write):
    with pytest.raises(ConfigError, match="line 2"):
        load_config(write("default_context = 'x'\n[contexts.\n"))


def test_a_named_file_that_is_missing_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="no such file"):
        find_config(str(tmp_path / "nothing.toml"))
    monkeypatch.setenv("TEAL_CONFIG", str(tmp_path / "gone.toml"))
    with pytest.raises(ConfigError, match=r"gone\.toml"):
        find_config()


def test_never_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("TEAL_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(GOOD)
    assert tmp_path / "config.toml" not in search_path(None)


def test_a_context_may_have_a_file_of_its_own(write):
    path = write(GOOD)
    write('title = "staging"\nread_only = true\n', "contexts/staging.toml")
    config = load_config(path)
    assert pick_context(config, "staging").config.read_only
    assert pick_context(config, None).name == "production"


def test_an_unknown_context_names_those_there_are(write):
    with pytest.raises(ConfigError) as caught:
        pick_context(load_config(write(GOOD)), "prod")
    assert caught.value.fix == "contexts: production"


def test_lines_inside_multi_line_strings_are_no_keys(write):
    path = write(GOOD + 'body = """\nurl = 5\n[contexts.nothing]\n"""\nwrong = 1\n')
    assert [(problem.path.rpartition(".")[2], problem.line) for problem in load_config(path).problems] == [
        ("body", 9),
        ("wrong", 13),
    ]


def test_a_default_context_that_is_none_is_said(write):
    [problem] = load_config(write(GOOD.replace('"production"', '"prod"', 1))).problems
    assert 'default_context is "prod"' in problem.message
    assert problem.line == 2
    assert problem.fix == "contexts: production"


SERVICE = """
[[contexts.production.deployments]]
name = "analytics"
type = "file-switch"
path = "switch.json"
metrics = "prom"
"""


@pytest.mark.parametrize(
    ("more", "line", "words"),
    [
        ('gates = [{ name = "e", candidate = "up" }]\n', 15, "deployments[0].gates[0]: a gate without a limit"),
        ('gates = [{ name = "e", candidate = "up", max = 1, holds = "1m" }]\n', 15,
         'gates[0].holds: unknown key "holds" (did you mean "hold"?)'),
        ('gates = [{ name = "e", candidate = "up", max = 1, window = "soon" }]\n', 15, 'gates[0].window: "soon" is'),
        ('presets = ["errors"]\n', 15, 'presets: no "errors" (use one of: error-rate, latency-p95)'),
        ('requires = { alerts = "critical", idel = ["x"] }\n', 15, 'requires.idel: unknown key "idel"'),
        ("requires = { quality = { transactions = 95 } }\n", 15, "requires: quality: transactions = 95 is no least"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_gate_is_named_and_disables_no_rollback(write, more, line, words):
    config = load_config(write(GOOD + SERVICE + more))
    [problem] = config.problems
    assert words in str(problem)
    assert problem.line == line
    (entry,) = config.contexts["production"].entries["deployments"]
    assert not entry.problem
    assert not fatal_problems(config, config.contexts["production"])
