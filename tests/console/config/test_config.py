"""A config says where each mistake is, and a broken entry disables itself, nothing else."""

import os
import re
from pathlib import Path

import pytest

from console.config.load import fatal_problems, find_config, load_config, pick_context, search_path
from console.config.selection import select
from console.errors import CommandError, ConfigError

REPOSITORY = Path(__file__).parents[3]

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


def test_the_example_has_no_problem(write):
    config = load_config(write((REPOSITORY / "config.example.toml").read_text()))
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


def test_a_directory_above_that_others_can_write_refuses_the_config(write):
    """`contexts/*.toml`, their directory, the directory of the config."""
    path = write(GOOD)
    evil = write('title = "x"\n', "contexts/evil.toml")
    for spoiled in (evil, evil.parent, path.parent):
        mode = spoiled.stat().st_mode
        spoiled.chmod(mode | 0o002)
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert caught.value.exit_code == 2
        assert caught.value.message.startswith(f"{spoiled}: others can write")
        assert caught.value.fix == f"chmod go-w {spoiled}"
        spoiled.chmod(mode)
    assert set(load_config(path).contexts) == {"production", "evil"}


def test_a_secret_file_or_command_that_others_can_write_disables_its_entry_only(write):
    token, ask, deploy = (write("x", name) for name in ("token", "ask.sh", "deploy.sh"))
    for path in (token, ask, deploy):
        path.chmod(0o707)
    path = write(
        GOOD
        + 'headers = { A = { file = "token" }, B = { command = ["./ask.sh"] } }\n'
        + '[[contexts.production.deployments]]\nname = "web"\ntype = "file-switch"\npath = "switch.json"\n'
        + 'deploy = ["./deploy.sh", "{color}"]\n'
    )
    config = load_config(path)
    assert [
        (problem.line, problem.path.rpartition("].")[2], problem.entry)
        for problem in sorted(config.problems, key=lambda problem: problem.line or 0)
    ] == [
        (9, "headers.A", "api"),
        (9, "headers.B", "api"),
        (14, "deploy", "web"),
    ]
    assert all("others can write it" in problem.message for problem in config.problems)
    context = pick_context(config, None)
    assert fatal_problems(config, context) == []
    assert context.entries["checks"][0].problem
    assert not context.entries["deployments"][0].problem, "a rollback needs no deploy command"


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
        ('presets = ["errors"]\n', 15, 'presets: no "errors" (use one of: error-rate, latency-p95, alb-error-rate, '),
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


NAMES = [
    "OK: fake\\nCRITICAL", "\\u001b[2Jx", "../../escape", "a/b", "a..b", "..", ".hidden", "-rf", "", " ", "a  b",
    "x" * 101, "a:b", "$(touch x)", "a\\u202eb",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_none_is_refused_where_it_stands(write, name):
    """It would become a line of a monitoring plugin, a path, a word of a shell."""
    path = write(GOOD.replace('name = "api"', f'name = "{name}"'))
    [problem] = load_config(path).problems
    assert (problem.line, problem.path) == (6, "contexts.production.checks[0].name")
    assert "name" in problem.message
    assert "write letters, digits" in problem.fix
    assert str(problem).isprintable()
    (entry,) = load_config(path).contexts["production"].entries["checks"]
    odd = name in ("a  b", "a:b", "$(touch x)")
    assert bool(entry.problem) is not odd, "an odd name that is only a name disables nothing"
    assert entry.name == name if odd else re.fullmatch(r"[\w-]+", entry.name)


@pytest.mark.parametrize("name", ["api", "error rate", "p99.5", "größe", "a-b_c.d", "2nd", "_x"])
def test_a_name_that_is_one(write, name):
    assert problem_lines(write(GOOD.replace('name = "api"', f'name = "{name}"'))) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_context_by_such_a_name_is_unusable(write, name):
    config = load_config(write(GOOD.replace("[contexts.production]", f'[contexts."{name}"]').replace(
        "[[contexts.production.", f'[[contexts."{name}".').replace('default_context = "production"', "")))  # fmt: skip
    context = pick_context(config, None)
    assert "/" not in context.name
    assert "is no name" in str(fatal_problems(config, context)[0]) or "empty name" in str(
        fatal_problems(config, context)[0]
    )


def test_a_context_file_by_such_a_name_is_unusable(write):
    path = write(GOOD)
    write('title = "x"\n', "contexts/a\n[31mb.toml")
    config = load_config(path)
    [problem] = config.problems
    assert "is no name" in problem.message
    assert "\n" not in str(problem.message)
    assert fatal_problems(config, pick_context(config, None)) == []


@pytest.mark.parametrize(
    ("more", "line", "path"),
    [
        ('stages = { "a/b" = [100] }\n', 15, "stages.a/b"),
        ('health = { "../x" = "http://h/", green = "http://g/" }\n', 15, "health.../x"),
        ('gates = [{ name = "a\\nb", candidate = "up", max = 1 }]\n', 15, "gates[0].name"),
        ('[[contexts.production.pipelines]]\ntype = "local"\nhistory = "sqlite:///r.db"\nlogs = "l"\n'
         'dags = [{ name = "x/y", tasks = [{ name = "a", command = ["true"] }] }]\n', 19, "dags[0].name"),
        ('[[contexts.production.pipelines]]\ntype = "local"\nhistory = "sqlite:///r.db"\nlogs = "l"\n'
         'dags = [{ name = "x", tasks = [{ name = "../a", command = ["true"] }] }]\n', 19, "dags[0].tasks[0].name"),
    ],
)  # fmt: skip
def test_so_is_every_name_that_an_entry_gives(write, more, line, path):
    found = load_config(write(GOOD + SERVICE + more)).problems
    assert [(problem.line, problem.path.rpartition("].")[2]) for problem in found if "no name" in problem.message] == [
        (line, path.rpartition("].")[2])
    ]


@pytest.mark.parametrize("setting", ['title = "a\\nb"', 'links = { rows = [{ owner = "\\u001b[2J" }] }'])
def test_a_setting_that_is_shown_is_one_line(write, setting):
    [problem] = load_config(write(GOOD.replace('title = "analytics"', setting))).problems
    assert problem.line == 4
    assert "control character" in problem.message


def test_a_byte_order_mark_and_windows_lines_are_read(write):
    path = write("")
    path.write_bytes(b"\xef\xbb\xbf" + (GOOD + "wrong = 1\n").replace("\n", "\r\n").encode())
    [problem] = load_config(path).problems
    assert problem.line == 9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = " + "[" * 5000 + "]" * 5000, "64 deep"),
        ("x = " + "{a=" * 5000 + "1" + "}" * 5000, "64 deep"),
        (".".join("a" * 500) + " = 1", "64 deep"),
        (".".join("a" * 50_000) + " = 1", "64 deep"),
        ("[" + " . ".join(["'a b'", '"c"'] * 25_000) + "]", "64 deep"),
        ("x = [{b = 1, " + ".".join("a" * 50_000) + " = 1}]", "64 deep"),
        ("x = " + "9" * 5000, "limit"),
        ('x = "a\n', "a quote is missing (at line 1"),
        ("x = 1\nx = 2\n", "the key is set twice (at"),
        ("[a]\n[a]\n", "is there twice (at line 2"),
        ("x = red\n", "text needs quotes (at line 1"),
    ],
)
def test_what_can_not_be_parsed_gets_one_line(write, text, words):
    with pytest.raises(ConfigError) as caught:
        load_config(write(text))
    assert words in caught.value.message
    assert caught.value.message.isprintable()


def test_a_pipe_or_a_directory_is_no_config(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ConfigError):
            load_config(path)


@pytest.mark.usefixtures("bound_by_modes")
def test_a_directory_that_may_not_be_searched(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o000)
    with pytest.raises(ConfigError, match=r"[Pp]ermission denied"):
        find_config(str(tmp_path / "locked" / "config.toml"))


def test_a_path_that_can_not_be_looked_at_is_an_error_and_not_none(monkeypatch, tmp_path):
    """Another user's home; to go on without a config would be to act on the sandbox."""

    def denied(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.delenv("TEAL_CONFIG", raising=False)
    monkeypatch.setattr(Path, "stat", denied)
    with pytest.raises(ConfigError, match="Permission denied") as caught:
        find_config()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("timeout = 20\n", 'expected a duration like "10s", got 20'),
        ('expect = "200"\n', "expected a table, got text"),
    ],
)
def test_types_are_said_in_words(write, line, words):
    [problem] = load_config(write(GOOD + line)).problems
    assert words in problem.message


@pytest.mark.parametrize(
    "line",
    [
        "stage_time = 20\n",
        'url = "postgresql://me:hunter2@db/x"\n',
    ],
)
def test_one_mistake_is_one_line(write, line):
    [problem] = load_config(write(GOOD + SERVICE + line)).problems
    assert problem.line == 15


def test_an_inline_password_is_one_line(write):
    text = GOOD.replace('url = "http://127.0.0.1:1/health"', 'url = "http://me:hunter2@127.0.0.1/health"')
    [problem] = load_config(write(text)).problems
    assert problem.line == 8


@pytest.mark.parametrize("text", ["", "# nothing\n", 'theme = "light"\n', "[contexts]\n"])
def test_a_config_without_a_context_is_a_mistake(write, text):
    """`validate` said ok to an empty file."""
    config = load_config(write(text))
    assert [problem.message for problem in config.problems] == ["no context is in it: there is nothing to look at"]
    with pytest.raises(ConfigError, match="no context is in it"):
        pick_context(config, None)


@pytest.mark.parametrize("row", ['type = "a\\nb\\u001b[31m"', 'name = "a\\nb"', 'type = "http"\n"x\\u001b[2Jy" = 1'])
def test_nothing_of_a_config_is_said_raw(write, row):
    config = load_config(write(f"[contexts.c]\n[[contexts.c.checks]]\n{row}\n"))
    assert config.problems
    assert all(str(problem).isprintable() for problem in config.problems)
    (entry,) = config.contexts["c"].entries["checks"]
    assert entry.name.isprintable()
    assert entry.type.isprintable()
    assert entry.problem.isprintable()


@pytest.mark.parametrize(
    ("line", "stops"),
    [
        ('timezone = "Mars/X"', False), ("nonsense = 1", False), ('refresh = "soon"', False), ("titel = 3", False),
        ("freeze = 7", False), ("links = []", False), ('alerts = "x"', False), ('refresh = "1ms"', False),
        # What says where is written and recorded, and what may be a misspelling of it.
        ("journal = 7", True), ('jurnal = "/x"', True), ("readonly = true", True), ("read_only = 1", True),
        ("protectd = true", True), ('deployment = "x"', True), (r'title = "a\u001bb"', True),
    ],
)  # fmt: skip
def test_what_no_way_back_goes_by_stops_none(tmp_path: Path, line: str, stops: bool) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[contexts.lab]\n{line}\n")
    path.chmod(0o600)
    if stops:
        with pytest.raises(CommandError, match=r"contexts\.lab"):
            select(str(path), None)
        return
    found = select(str(path), None)
    (doubt,) = found.context.doubts  # and every way forward says it
    assert f"contexts.lab.{line.partition(' ')[0]}" in doubt
    assert found.context.config.timezone == ""
