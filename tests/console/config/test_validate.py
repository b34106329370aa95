"""`teal config validate` tells the truth: each static mistake once, at its line."""

import json
from pathlib import Path

import pytest

from console.cli.commands import teal
from console.cli.ending import run_command
from console.config.file import ConfigText
from tests.console.config.written import HEAD, LINE_OF_MORE, PROMETHEUS, SERVICE, Validate

SLACK = HEAD + '[[contexts.c.notify]]\ntype = "slack"\nwebhook = %s\n'


STATIC = [
    ("stages = { canary = [50, 10, 100] }", "stages", "stages of canary: [50, 10, 100] do not rise to 100"),
    ("stages = { gradual = [10, 50] }", "stages", "stages of gradual: [10, 50] do not rise to 100"),
    ('deploy = ["./deply.sh", "{version}"]', "deploy", "deply.sh: no such file or directory"),
    ('deploy = ["no-such-command", "{version}"]', "deploy", "no command no-such-command"),
    ('smoke = ["./plain.sh"]', "smoke", "plain.sh: not executable"),
    ('deploy = ["true", "{versoin}"]', "deploy", "{versoin} is not filled in: did you mean {version}?"),
    ('deploy = ["true", "{url}"]', "deploy", "{url} is not filled in here"),
    ('smoke = ["true", "--url={URL}"]', "smoke", "{URL} is not filled in: did you mean {url}?"),
    ('metrics = "prm"', "metrics", 'no metrics entry "prm" in this context'),
    ('requires = { backup = { nightli = "24h" } }', "requires.backup.nightli", 'no checks entry "nightli"'),
    ("stages = { canary = [] }", "stages", "stages of canary: [] do not rise to 100"),
    ('probe = { url = "http://127.0.0.1:9/", header = "" }', "probe.header", '"" is no name of a header'),
    ('probe = { url = "http://127.0.0.1:9/", header = "X Color:" }', "probe.header", "no answer could prove anything"),
    ('health = { blue = "http://127.0.0.1:9/h" }', "health", "one side alone, blue: there is none to switch to"),
    ('retire = ["./gone.sh"]', "retire", "gone.sh: no such file"),
    ('stages = { canary = [50, 100], gradual = "all" }', "stages.gradual", "expected a list, got text"),
    ('health = { blue = "http://127.0.0.1:9/h", green = 9 }', "health.green", "expected text, got a whole number"),
]


@pytest.mark.parametrize(("line", "key", "words"), STATIC)
def test_a_mistake_in_a_deployment_is_named_once_at_its_line(
    validate: Validate, tmp_path: Path, line: str, key: str, words: str
) -> None:
    (tmp_path / "plain.sh").write_text("")
    code, found = validate(HEAD + SERVICE + line + "\n", "--offline")
    assert [(each["line"], each["path"]) for each in found] == [(LINE_OF_MORE, f"contexts.c.deployments[0].{key}")]
    assert words in found[0]["message"]
    assert (code, found[0]["level"]) == (2, "error")


@pytest.mark.parametrize(("given", "said"), [('"alice@example.com"', ["warning"]), ('{ env = "PAGERDUTY_EMAIL" }', [])])
def test_a_name_that_all_operators_share_is_doubted(
    validate: Validate, monkeypatch: pytest.MonkeyPatch, given: str, said: list[str]
) -> None:
    monkeypatch.setenv("PAGERDUTY_EMAIL", "alice@example.com")
    monkeypatch.setenv("PAGERDUTY_TOKEN", "y_NbAkKc66ryYTWUXYEu")
    table = '[[contexts.c.alerts]]\ntype = "pagerduty"\ntoken = { env = "PAGERDUTY_TOKEN" }\nfrom = ' + given + "\n"
    code, found = validate(HEAD + table, "--offline")
    assert (code, [each["level"] for each in found]) == (0, said)
    assert all(
        each["path"] == "contexts.c.alerts[0].from" and "a literal is shared" in each["message"] for each in found
    )


@pytest.mark.parametrize(
    ("text", "line", "words", "code"),
    [
        ('[contexts.c]\nfreeze = ["Fri 16:00 to Mon 08:00"]\n', 2, "Fri 16:00 to Mon 08:00", 2),
        ('[contexts.c]\nfreeze = ["Fri 99:00 - Xon 08:00"]\n', 2, "Fri 99:00 - Xon 08:00", 2),
        ('[contexts.c]\ntimezone = "Europe/Berln"\n', 2, "is not known", 2),
        ('[contexts.c]\nwatchdog = "Watchdog"\n', 2, 'nothing could have the alert "Watchdog"', 2),
        (HEAD + SERVICE + '[contexts.c.links]\nrows = [{ pipeline = "p", services = ["wbe"] }]\n', 8,
         '"wbe" is no service of this context', 2),
        (HEAD + '[contexts.c.links]\nlabels = { servce = ["app"] }\n', 4, '"servce" is no kind of thing', 2),
        (HEAD + '[contexts.c.links.labels]\ndataset = ["table"]\nservice = "app"\n', 5, "expected a list, got text", 2),
        (HEAD + '[contexts.c.links]\nlabels = { service = [1] }\n', 4, "expected text, got a whole number", 2),
        (SLACK % '{ env = "TEAL_NOT_SET" }', 5, "environment variable TEAL_NOT_SET is not set", 2),
        (SLACK % '{ file = "gone" }', 5, "gone: No such file", 2),
        (SLACK % '{ command = ["./gone"] }', 5, "gone: no such file", 2),
        (HEAD + '[[contexts.c.logs]]\ntype = "files"\npaths = ["logs/*.lgo"]\n', 5, "no file matches logs/*.lgo", 0),
        (HEAD + '[[contexts.c.logs]]\ntype = "files"\npaths = ["."]\n', 5, ": a directory, not a file", 2),
        (HEAD + '[[contexts.c.logs]]\ntype = "runs"\npipelines = "airflo"\n[[contexts.c.pipelines]]\nname = "airflow"\n'
         'type = "airflow"\nurl = "http://127.0.0.1:1"\n', 5, 'no pipelines entry "airflo" in this context', 2),
        (HEAD + 'journal = { env = "TEAL_NOT_SET" }\n', 3, "environment variable TEAL_NOT_SET is not set", 2),
        (HEAD + '[[contexts.c.pipelines]]\ntype = "local"\nhistory = "sqlite:///r.db"\nlogs = "l"\n'
         'dags = [{ name = "d", params = { env = "prod" }, tasks = [{ name = "a", command = ["./a.sh"] }] }]\n', 7,
         "a.sh: no such file", 2),
    ],
)  # fmt: skip
def test_a_mistake_is_named_once_at_its_line(
    validate: Validate, monkeypatch: pytest.MonkeyPatch, text: str, line: int, words: str, code: int
) -> None:
    monkeypatch.delenv("TEAL_NOT_SET", raising=False)
    assert validate(text, "--offline")[0] == code
    again, found = validate(text)
    assert [each["line"] for each in found if words in each["message"]] == [line], found
    if not any(asked in text for asked in ("airflow", "journal", "deployments")):
        assert len(found) == 1, found
        assert again == code


def test_a_strategy_by_nearly_a_known_name_is_told(validate: Validate) -> None:
    code, found = validate(HEAD + SERVICE + "stages = { canray = [50, 100], slow = [1, 100] }\n", "--offline")
    assert (code, [(each["path"], each["level"]) for each in found]) == (
        0, [("contexts.c.deployments[0].stages.canray", "warning")],
    )  # fmt: skip
    assert found[0]["message"] == '"canray" is a strategy of its own: canary keeps its shares'


def test_what_a_change_requires_of_others_is_there(validate: Validate) -> None:
    more = 'requires = { quality = { transactons = 0.95 }, idle = ["nightli"] }\n'
    dags = 'dags = [{ name = "nightly", tasks = [{ name = "a", command = ["true"] }] }]\n'
    local = f'[[contexts.c.pipelines]]\ntype = "local"\nhistory = "sqlite:///r.db"\nlogs = "logs"\n{dags}'
    _, found = validate(HEAD + SERVICE + more + local)
    told = [(each["line"], each["level"], each["message"]) for each in found if each["path"].endswith("requires")]
    assert told == [
        (LINE_OF_MORE, "warning", 'no source has the dataset "transactons"'),
        (LINE_OF_MORE, "warning", 'no source has the pipeline "nightli"'),
    ]


def test_one_mistake_in_an_entry_does_not_hide_the_next(validate: Validate) -> None:
    more = (
        'stage_time = 20\nstages = { canary = [50, 10, 100] }\ndeploy = ["./deply.sh", "{versoin}"]\nmetrics = "prm"\n'
    )
    code, found = validate(HEAD + SERVICE + more, "--offline")
    assert code == 2
    assert [each["line"] - LINE_OF_MORE for each in found] == [0, 1, 2, 2, 3]


HAPROXY = (
    '[[contexts.c.deployments]]\nname = "web"\ntype = "haproxy"\nbackend = "web"\nnodes = ["unix:///run/h.sock"]\n'
    'servers = { blue = ["b1"], green = ["g1"] }\n'
)


TOGETHER = [
    # A key of the context that does not fit, and what only its own look finds.
    (
        HEAD + 'refresh = "often"\ntimezone = "Mars/Base"\nfreeze = ["Fri 16:00 - Mon", 7, "never"]\n',
        ["refresh", "timezone", "freeze[0]", "freeze[1]", "freeze[2]"],
    ),
    (HEAD + 'tittle = "t"\ntimezone = "Mars/Base"\nfreeze = ["never"]\n', ["tittle", "timezone", "freeze[0]"]),
    # Fields that do not fit, and what is wrong between the others.
    (
        HEAD + HAPROXY + 'stages = "all"\ngates = [{ name = "e" }, { name = "f", max = "x" }]\npresets = ["nope"]\n'
        'health = { blue = "http://b/h", gren = "http://g/h" }\n',
        ["stages", "gates[0]", "gates[1]", "presets", "health"],
    ),
    # A side that nobody has, in a table that only the panel reads.
    (
        HEAD + HAPROXY + 'exposition = { blue = "http://b/metrics", gren = "http://g/metrics" }\n',
        ['exposition.gren no side "gren" (known: blue, green), green is meant'],
    ),
    (
        HEAD + SERVICE + 'health = { a = "http://a/h", b = "http://b/h" }\nexposition = { c = "http://c/m" }\n',
        ['exposition.c no side "c" (known: a, b)'],
    ),
    # A Struct that finds the first of its troubles.
    (
        HEAD + '[[contexts.c.alerts]]\ntype = "alertmanager"\nurls = ["http://a"]\nidentity = []\ntimeout = "0s"\n'
        'visible_within = "0s"\n',
        ["identity", "timeout", "visible_within"],
    ),
    (
        HEAD + SERVICE + 'probe = { url = "127.0.0.1:24103/health" }\n'
        'health = { blue = "127.0.0.1:1/health", green = "http:///health" }\nexposition = { blue = "ftp://b" }\n',
        ["probe.url", "health.blue", "health.green", "exposition.blue"],
    ),
]


@pytest.mark.parametrize(("text", "keys"), TOGETHER)
def test_all_mistakes_are_named_at_once(validate: Validate, text: str, keys: list[str]) -> None:
    code, found = validate(text, "--offline")
    assert code == 2
    told = [f"{each['path']} {each['message']}" for each in found]
    assert [key for key in keys if not any(key in words for words in told)] == [], told
    assert not [words for words in told if not any(key in words for key in keys)], told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[contexts.c.pipelines]]\ntype = "local"\nhistory = "sqlite:///r.db"\nlogs = "l"\n'
         'dags = [{ name = "d", taks = [{ name = "a", command = ["true"] }] }]\n', 'unknown key "taks"'),
        ('[[contexts.c.checks]]\ntype = "http"\nulr = "http://127.0.0.1:1/h"\n', 'unknown key "ulr"'),
        (HAPROXY.replace("nodes", "noeds"), 'unknown key "noeds"'),
        (HAPROXY.replace('"haproxy"', '"haporxy"'), 'no adapter "haporxy" for deployments'),
    ],
)  # fmt: skip
def test_what_is_misspelt_is_not_told_as_missing_too(validate: Validate, text: str, told: str) -> None:
    code, (found,) = validate(HEAD + text, "--offline")
    assert (code, found["message"]) == (2, told)
    assert found["fix"].startswith("did you mean ")


def test_a_follow_up_of_a_mistake_is_not_told_as_another(validate: Validate) -> None:
    """Without `servers` nothing is known of the colors that `health` should have."""
    text = HEAD + HAPROXY.replace('["g1"]', "7") + 'health = { blue = "http://b/h", gren = "http://g/h" }\n'
    code, found = validate(text, "--offline")
    assert (code, [each["path"] for each in found]) == (2, ["contexts.c.deployments[0].servers.green"])


GATE = (
    'gates = [{ name = "e", candidate = "rate(x[%s])", max = 1, window = "%s" }]\nstage_time = "%s"\nmetrics = "prom"\n'
)


@pytest.mark.parametrize(
    ("inside", "window", "stage", "words"),
    [
        ("1m", "1m", "8s", "a stage of 8s will take 1m4s"),
        ("8s", "1m", "10m", "its queries look back 8s, its window says 1m"),
    ],
)
def test_a_gate_that_does_not_fit_its_stage_is_a_warning(
    validate: Validate, inside: str, window: str, stage: str, words: str
) -> None:
    code, found = validate(HEAD + SERVICE + GATE % (inside, window, stage) + PROMETHEUS, "--offline")
    assert (code, [each["level"] for each in found]) == (0, ["warning"])
    assert words in found[0]["message"]
    assert found[0]["line"] == LINE_OF_MORE


def test_braces_that_are_not_ours_stay(validate: Validate) -> None:
    line = """deploy = ["true", "${HOME}", '{"a": 1}', "{color}-{version}-{service}", "{stack}"]\n"""
    assert validate(HEAD + SERVICE + line, "--offline") == (0, [])


def test_one_broken_metrics_source_is_one_line(validate: Validate) -> None:
    """The same line came for each gate and score that needs it, and told to run what was running."""
    broken = PROMETHEUS.replace("http://127.0.0.1:9", "127.0.0.1:9")
    quality = '[[contexts.c.quality]]\nname = "q%d"\ntype = "prometheus"\nmetrics = "prom"\nquery = "x"\n'
    code, found = validate(HEAD + broken + quality % 1 + quality % 2)
    assert code == 2
    assert [(each["line"], each["path"]) for each in found] == [(6, "contexts.c.metrics[0].url")]


@pytest.mark.parametrize("arguments", [(), ("--offline",)])
@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('"mysql://db/teal"', "no journal can be kept at mysql://"),
        ('"postgresql://teal:hunter2hunter@db/teal"', "a password inside a URL"),
        ('{ env = "TEAL_JOURNAL" }', "no journal can be kept at redis://"),
    ],
)
def test_where_no_journal_can_be_is_said_at_its_line(
    validate: Validate, monkeypatch: pytest.MonkeyPatch, written: str, words: str, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TEAL_JOURNAL", "redis://cache/0")
    code, (found,) = validate(f"{HEAD}journal = {written}\n", *arguments)
    assert (code, found["line"], found["path"], found["level"]) == (2, 3, "contexts.c.journal", "error")
    assert words in found["message"]
    assert found["fix"]
    assert "hunter2" not in str(found)


def test_a_journal_at_a_path_is_used_and_shown(
    validate: Validate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = validate(f'{HEAD}journal = "journal.db"\n')
    assert (code, found) == (0, [])
    assert run_command(teal, ["note", "called the vendor"]) == 0
    assert (tmp_path / "journal.db").is_file()
    capsys.readouterr()
    run_command(teal, ["context", "show", "-o", "json"])
    assert json.loads(capsys.readouterr().out)["items"][0]["journal"] == str(tmp_path / "journal.db")


NO_PATH = [
    ('[[contexts.c.deployments]]\nname = "bad"\ntype = "file-switch"\npath = %s', "path"),
    ('[[contexts.c.logs]]\ntype = "files"\nname = "bad"\npaths = [%s]', "paths[0]"),
    ('[[contexts.c.logs]]\ntype = "journald"\nname = "bad"\ndirectory = %s', "directory"),
    ('[[contexts.c.quality]]\ntype = "dbt"\nname = "bad"\npath = %s', "path"),
    ('[[contexts.c.checks]]\ntype = "backup"\nname = "bad"\nwarn = "1d"\npath = %s', "path"),
    ('[[contexts.c.notify]]\ntype = "slack"\nname = "bad"\nwebhook = { file = %s }', "webhook.file"),
    ('[[contexts.c.logs]]\ntype = "kubernetes"\nname = "bad"\nkubeconfig = %s', "kubeconfig"),
    (SERVICE.replace("web", "bad").replace("switch.json", "other.json") + "deploy = [%s]", "deploy[0]"),
]


@pytest.mark.parametrize("written", ['"~nouser/x"', '"a\\u0000b"', '"~/x"'])
@pytest.mark.parametrize(("entry", "key"), NO_PATH)
def test_what_is_no_path_disables_its_entry_alone(
    validate: Validate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], entry: str, key: str,
    written: str,
) -> None:  # fmt: skip
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as of a user that has none
    code, found = validate(HEAD + SERVICE + entry % written + "\n")
    last = (HEAD + SERVICE + entry).count("\n") + 1
    wrong = [(each["line"], each["path"]) for each in found if each["kind"] == "config" and each["level"] == "error"]
    assert code == 2
    assert [line for line, _ in wrong] == [last], found
    assert wrong[0][1].endswith(f"].{key}")
    assert any(each["path"].endswith("deployments.web") for each in found), found
    assert run_command(teal, ["deploy", "status"]) != 70
    assert "web" in capsys.readouterr().out


@pytest.mark.parametrize("named", ["~nouser/config.toml", "~nouser"])
def test_a_config_below_nobodys_home_is_named(capsys: pytest.CaptureFixture[str], named: str) -> None:
    assert run_command(teal, ["config", "validate", "--config", named]) == 2
    assert "nobody's home is ~nouser" in capsys.readouterr().err


PORTS = [
    (SERVICE + 'probe = { url = "http://127.0.0.1:99999/h" }', "deployments[0].probe.url"),
    (SERVICE + 'health = { blue = "http://127.0.0.1:99999/h", green = "http://127.0.0.1:1/h" }',
     "deployments[0].health.blue"),
    ('[[contexts.c.checks]]\ntype = "http"\nurl = "http://127.0.0.1:99999/h"', "checks[0].url"),
    ('[[contexts.c.metrics]]\ntype = "prometheus"\nurl = "http://[::1]:99999"', "metrics[0].url"),
    ('[[contexts.c.alerts]]\ntype = "alertmanager"\nurls = ["http://127.0.0.1:0"]', "alerts[0].urls[0]"),
    ('[[contexts.c.logs]]\ntype = "loki"\nquery = "{a=\'b\'}"\nurl = "http://127.0.0.1:99999"', "logs[0].url"),
    ('[[contexts.c.notify]]\ntype = "webhook"\nurl = "http://127.0.0.1:99999"', "notify[0].url"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "key"), PORTS)
def test_a_port_that_nobody_can_have_is_named_once_at_its_line(validate: Validate, entry: str, key: str) -> None:
    code, found = validate(HEAD + entry + "\n")
    found = [each for each in found if each["kind"] == "config"]
    wrong = [(each["line"], each["path"]) for each in found if each["level"] == "error"]
    assert (code, wrong) == (2, [((HEAD + entry).count("\n") + 1, f"contexts.c.{key}")]), found
    assert "1 to 65535" in found[0]["message"]


def test_a_port_of_a_reference_is_a_mistake_and_no_defect(validate: Validate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAL_HOOK", "http://127.0.0.1:99999/h")
    _, found = validate(HEAD + '[[contexts.c.checks]]\ntype = "http"\nurl = { env = "TEAL_HOOK" }\n')
    assert [each["kind"] for each in found] == ["config"], found
    assert "port 99999: 1 to 65535" in found[0]["message"]


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        (HEAD + 'refresh = "0s"\n', 3, "refresh"),
        (HEAD + 'refresh = "999ms"\n', 3, "refresh"),
        (HEAD + '[[contexts.c.checks]]\ntype = "http"\nurl = "http://127.0.0.1:1/"\ntimeout = "0s"\n', 6,
         "checks[0].timeout"),
        (HEAD + SERVICE + 'probe_timeout = "0ms"\n', LINE_OF_MORE, "deployments[0].probe_timeout"),
    ],
)  # fmt: skip
def test_no_time_where_some_is_needed_is_a_mistake_at_its_line(
    validate: Validate, text: str, line: int, key: str
) -> None:
    code, found = validate(text, "--offline")
    assert (code, [(each["line"], each["path"]) for each in found]) == (2, [(line, f"contexts.c.{key}")]), found


def test_an_entry_that_names_no_other_is_told_of_once(validate: Validate) -> None:
    entry = '[[contexts.c.logs]]\ntype = "runs"\npipelines = "locl"\n'
    _, found = validate(HEAD + entry)
    assert [(each["line"], each["path"]) for each in found] == [(5, "contexts.c.logs[0].pipelines")], found


ELB = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:"


GROUPS = f'target_groups = {{ blue = "{ELB}targetgroup/b/1", green = "{ELB}targetgroup/g/1" }}\n'


SAME = {
    "file": (
        'type = "file-switch"\npath = "switch.json"\n',
        'type = "file-switch"\npath = "linked.json"\n',
        "file ",
    ),
    "nginx": (
        'type = "file-switch"\npath = "switch.json"\n',
        'type = "nginx"\ninclude = "./switch.json"\nupstream = "u"\nstamp_url = "http://127.0.0.1:9/c"\n'
        'servers = { blue = ["127.0.0.1:1"], green = ["127.0.0.1:2"] }\n',
        "file ",
    ),
    "haproxy": (
        'type = "haproxy"\nnodes = ["unix:/s"]\nbackend = "app"\nservers = { blue = ["b1"], green = ["g1"] }\n',
        'type = "haproxy"\nnodes = ["h:1", "/s"]\nbackend = "app"\nservers = { blue = ["b2"], green = ["g1"] }\n',
        "server app/g1 at unix-connect:/s",
    ),
    "kubernetes": (
        'type = "kubernetes"\nservice = "api"\nnamespace = "x"\nkube_context = "prod"\n',
        'type = "kubernetes"\nservice = "api"\nnamespace = "x"\nkube_context = "prod"\ncolor_label = "side"\n',
        "Service x/api of context prod",
    ),
    "gateway-api": (
        'type = "gateway-api"\nnamespace = "x"\nkube_context = "prod"\nroute = "api"\nrule = "a"\n'
        'services = { blue = "b", green = "g" }\n',
        'type = "gateway-api"\nnamespace = "x"\nkube_context = "prod"\nroute = "api"\nrule = "b"\n'
        'services = { blue = "c", green = "d" }\n',
        "HTTPRoute x/api of context prod",
    ),
    "istio": (
        'type = "istio"\nnamespace = "x"\nkube_context = "prod"\nvirtual_service = "api"\n'
        'services = { blue = "b", green = "g" }\n',
        'type = "istio"\nnamespace = "x"\nkube_context = "prod"\nvirtual_service = "api"\nhost = "h"\n'
        'subsets = { blue = "b", green = "g" }\n',
        "VirtualService x/api of context prod",
    ),
    "alb": (
        f'type = "alb"\nrules = ["{ELB}listener-rule/app/m/1/2/3"]\n{GROUPS}',
        f'type = "alb"\nrules = ["{ELB}listener-rule/app/m/1/2/4", "{ELB}listener-rule/app/m/1/2/3"]\n{GROUPS}',
        f"{ELB}listener-rule/app/m/1/2/3",
    ),
}


@pytest.mark.parametrize("kind", SAME)
def test_two_entries_that_move_the_same_traffic_are_named_with_both_lines(
    validate: Validate, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "linked.json").symlink_to("switch.json")
    entry, other = (
        f'[[contexts.c.deployments]]\nname = "{name}"\n{text}' for name, text in zip("ab", SAME[kind], strict=False)
    )
    line = HEAD.count("\n") + entry.count("\n") + 1
    code, items = validate(HEAD + entry + other, "--offline")
    (told,) = [item for item in items if "moves the same traffic" in item["message"]]
    assert (code, told["line"], told["path"]) == (2, line, "contexts.c.deployments[1]")
    assert f"as a ({tmp_path / 'config.toml'}:{HEAD.count(chr(10)) + 1}): {SAME[kind][2]}" in told["message"]
    apart = other.replace("linked", "own").replace("./switch", "own").replace('"app"', '"web"').replace('"api"', '"w"')
    apart = apart.replace("app/m/", "app/n/")
    assert validate(HEAD + entry + apart, "--offline")[1] == []
    second = entry.replace("contexts.c", "contexts.d")
    code, (told,) = validate(HEAD + entry + "[contexts.d]\n" + second, "--offline")
    assert (code, told["level"], told["path"]) == (0, "warning", "contexts.d.deployments[0]")
    assert validate(HEAD + entry + "[contexts.d]\nread_only = true\n" + second, "--offline")[1] == []


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ('theme = "drk"\n' + HEAD, 1, "theme", "'drk' is none of: dark, light, color-blind, ansi, mono"),
        (HEAD + 'lock = "glbal"\n', 3, "contexts.c.lock", "'glbal' is none of: shared, local"),
        (HEAD + SERVICE + 'format = "xml"\n', LINE_OF_MORE, "contexts.c.deployments[0].format",
         "'xml' is none of: json, template"),
    ],
)  # fmt: skip
def test_a_word_that_a_key_does_not_take_is_told_with_those_that_it_takes(
    validate: Validate, text: str, line: int, key: str, words: str
) -> None:
    code, (told,) = validate(text, "--offline")
    assert (code, told["line"], told["path"], told["message"]) == (2, line, key, words)


def test_a_file_of_many_contexts_is_read_for_all_of_them_at_once(
    validate: Validate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read anew for each context, 20,000 of them took two minutes."""
    read: list[Path] = []
    told = ConfigText.__init__
    monkeypatch.setattr(ConfigText, "__init__", lambda self, path: read.append(path) or told(self, path))
    text = "".join(f'[contexts.c{number}]\ntitle = "t"\n' for number in range(40))
    assert validate(text) == (0, [])
    assert len(read) <= 3


def test_an_id_of_the_keymap_that_no_key_has_is_told_at_its_line(validate: Validate) -> None:
    text = '[keymap]\nrollback = "B"\n"logs.folow" = "F"\n"zoom.2" = "8"\n' + HEAD
    code, (told,) = validate(text, "--offline")
    assert (code, told["line"], told["level"]) == (0, 3, "warning")
    assert (told["message"], told["fix"]) == ('no key has the id "logs.folow"', 'did you mean "logs.follow"?')


def test_links_that_lead_back_are_no_way_to_look_for_ever(validate: Validate, tmp_path: Path) -> None:
    for name in ("loop", "again"):  # two of them are 2**40 paths
        (tmp_path / name).symlink_to(tmp_path)
    text = HEAD + f'[[contexts.c.logs]]\ntype = "files"\npaths = ["{tmp_path}/**/*.lgo"]\n'
    code, found = validate(text, "--offline")
    assert code == 0
    assert [each["message"] for each in found] == [f"no file matches {tmp_path}/**/*.lgo"]
