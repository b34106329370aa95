"""Which adapter serves (port, type), ours and third parties', and that naming one imports no SDK."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backends import registry
from backends.errors import BackendError
from backends.http import Http
from backends.ports.controllers import is_controller_class
from backends.registry import ADAPTERS, API, AdapterContext, adapter_class, adapter_types, build, remembers
from console.cli.commands import teal
from console.cli.ending import run_command
from console.config.schema import config_schema
from console.version import __version__

METHODS = {
    "metrics": ("instant", "range", "series_exist"),
    "pipelines": (
        "runs",
        "run",
        "tasks",
        "task_log",
        "follow_log",
        "events",
        "pipelines",
        "pipeline",
        "trigger",
        "retry_preview",
        "retry",
        "cancel",
        "set_paused",
        "approvals",
        "approve",
    ),
    "quality": ("scores",),
    "alerts": ("alerts",),
    "deployments": ("deployment", "observe", "color_health", "shift", "describe_shift", "manual_commands"),
    "logs": ("query", "follow"),
    "checks": ("run",),
    "errors": ("issues",),
    "oncall": ("on_call",),
    "traces": ("search", "trace"),
    "notify": ("notify",),
}
CONTROLLER = ("deployment", "observe", "operation", "preflight", "order", "describe_order", "manual_commands")
SDKS = ("sqlalchemy", "requests", "prometheus_api_client", "httpx", "textual", "rich", "alembic", "click")


ACME = """
import msgspec

class Adapter:
    api = {api}
    class Config(msgspec.Struct, forbid_unknown_fields=True):
        url: str
    def __init__(self, config, context):
        self.config, self.context = config, context

class Clumsy(Adapter):
    def __init__(self, config, context):
        self.port = int(config.url)

class Odd:
    pass

class Shapeless:
    api = {api}
    Config = dict

class Lax:
    api = {api}
    class Config(msgspec.Struct):
        url: str
"""


class Site:
    """A directory of installed packages, each with one module of its name and the offers that it makes."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def install(self, package: str, source: str, *offered: str) -> None:
        (self.place / f"{package}.py").write_text(source)
        about = self.place / f"{package}-1.5.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n")
        (about / "entry_points.txt").write_text("\n".join([f"[{registry.ENTRY_POINT_GROUP}]", *offered]) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Names of modules are of one test only: what was imported stays imported."""
    place = tmp_path / "site-packages"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    before = set(sys.modules)
    site = Site(place)
    offers = ("quality.acme = acme_teal:Adapter", "quality.odd = acme_teal:Odd", "quality.sql = acme_teal:Adapter",
              "quality.shapeless = acme_teal:Shapeless", "quality.lax = acme_teal:Lax",
              "quality.clumsy = acme_teal:Clumsy",
              "quality.gone = acme_teal:Gone", "quality.nowhere = acme_sdk", "quality.empty =")  # fmt: skip
    site.install("acme_teal", ACME.format(api=API), *offers)
    site.install("future_teal", ACME.format(api=API + 1), "quality.future = future_teal:Adapter")
    site.install("rude_teal", "raise SystemExit(3)", "quality.rude = rude_teal:Adapter")
    site.install("wrong_teal", "def :", "quality.wrong = wrong_teal:Adapter")
    yield site
    for name in set(sys.modules) - before:
        if name.endswith("_teal"):
            del sys.modules[name]


@pytest.fixture
def context(tmp_path: Path) -> AdapterContext:
    return AdapterContext("mine", tmp_path, tmp_path, Http())


@pytest.mark.parametrize("key", sorted(ADAPTERS))
def test_each_adapter_has_what_its_port_needs(key: str) -> None:
    port, _, kind = key.partition(".")
    found = adapter_class(port, kind)
    assert found.api == API
    assert issubclass(found.Config, msgspec.Struct)
    assert found.Config.__struct_config__.forbid_unknown_fields
    assert found.Config.__struct_config__.frozen
    methods = CONTROLLER if is_controller_class(found) else METHODS[port]
    assert [method for method in (*methods, "aclose") if not callable(getattr(found, method, None))] == []


@pytest.mark.parametrize("key", sorted(ADAPTERS))
def test_naming_an_adapter_imports_no_sdk(key: str) -> None:
    port, _, kind = key.partition(".")
    code = f"import sys; from backends.registry import adapter_class; adapter_class({port!r}, {kind!r})"
    code += f"; print(sorted(set(sys.modules) & set({SDKS!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(registry.__file__).parents[1], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("port", ["alerts", "deployments"])
def test_which_systems_remember_is_known_without_their_modules(port: str) -> None:
    kinds = adapter_types(port)
    assert [kind for kind in kinds if remembers(port, kind)] == [
        kind for kind in kinds if hasattr(adapter_class(port, kind), "events")
    ]


def test_a_type_that_nobody_knows_remembers_nothing() -> None:
    assert not remembers("alerts", "nobody's")


def test_an_unknown_type_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(BackendError, match='no adapter "sqll" for quality') as caught:
        adapter_class("quality", "sqll")
    assert caught.value.kind == "config"
    assert "sql" in caught.value.fix


def test_a_third_party_is_loaded_when_it_is_named(site: Site, context: AdapterContext) -> None:
    types = adapter_types("quality")
    assert types == sorted(types)
    assert {"acme", "future", "odd", "prometheus", "sql"} <= set(types)
    assert "acme_teal" not in sys.modules
    adapter = build("quality", "acme", {"url": "x"}, context)
    assert type(adapter) is sys.modules["acme_teal"].Adapter
    assert (adapter.config.url, adapter.context.name) == ("x", "mine")
    assert "future_teal" not in sys.modules


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("future", f"adapter quality.future of future_teal 1.5 speaks api {API + 1}, this is api {API}"),
        ("odd", "speaks api None"),
        ("shapeless", "has no Config that is a msgspec.Struct"),
        ("lax", "lets misspelt keys pass"),
        ("gone", "can not be imported: AttributeError: .*Gone"),
        ("nowhere", "can not be imported: ModuleNotFoundError: No module named 'acme_sdk'"),
        ("empty", "can not be imported: ValueError"),
        ("rude", "can not be imported: SystemExit: 3"),
        ("wrong", "can not be imported: SyntaxError"),
    ],
)
def test_a_third_party_that_can_not_be_used_is_a_matter_of_the_config(site: Site, kind: str, words: str) -> None:
    with pytest.raises(BackendError, match=words) as caught:
        adapter_class("quality", kind)
    assert (caught.value.kind, caught.value.message.isprintable(), bool(caught.value.fix)) == ("config", True, True)


def test_a_third_party_that_fails_to_start_is_a_matter_of_the_config(site: Site, context: AdapterContext) -> None:
    words = r"quality\.mine: adapter quality\.clumsy of acme_teal 1\.5 fails to start: ValueError: invalid literal"
    with pytest.raises(BackendError, match=words) as caught:
        build("quality", "clumsy", {"url": "x"}, context)
    assert (caught.value.kind, caught.value.fix) == ("config", "correct the entry, or update acme_teal")


def test_a_third_party_cannot_take_the_place_of_ours(site: Site) -> None:
    assert adapter_class("quality", "sql").__module__.startswith("backends.")
    assert "acme_teal" not in sys.modules


def test_of_two_packages_that_offer_the_same_neither_is_used(site: Site) -> None:
    site.install("other_teal", ACME.format(api=API), "quality.acme = other_teal:Adapter")
    with pytest.raises(
        BackendError, match=r"acme_teal 1\.5.*other_teal 1\.5|other_teal 1\.5.*acme_teal 1\.5"
    ) as caught:
        adapter_class("quality", "acme")
    assert (caught.value.kind, caught.value.fix) == ("config", "uninstall all but one")


def test_those_that_are_broken_hide_nothing_from_the_schema(site: Site) -> None:
    found = config_schema()
    assert {"quality.acme", "quality.sql", "checks.tcp"} <= set(found["$defs"])
    assert not {"quality.odd", "quality.wrong", "quality.future"} & set(found["$defs"])


def test_a_config_may_be_called_as_one_of_ours(site: Site) -> None:
    source = (
        ACME.format(api=API)
        .replace("Config(", "SqlQualityConfig(")
        .replace("    def", "    Config = SqlQualityConfig\n    def", 1)
    )
    site.install("same_teal", source, "quality.same = same_teal:Adapter")
    found = config_schema()["$defs"]
    assert "url" in found["quality.same"]["properties"]
    assert found["quality.sql"]["properties"].keys() != found["quality.same"]["properties"].keys()


def test_the_list_of_plugins_says_why_one_is_not_used(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("stray_teal", ACME.format(api=API), "weather.acme = stray_teal:Adapter")
    assert run_command(teal, ["plugins", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["health"]) == ("teal/v1/plugins", "warning")
    found = {(each["package"], each["type"]): each for each in document["items"]}
    assert found["acme_teal", "acme"] == {
        "port": "quality", "type": "acme", "package": "acme_teal", "version": "1.5", "api": API, "problem": None,
    }  # fmt: skip
    assert found["tealdeck", "sql"]["problem"] is None
    assert found["tealdeck", "sql"]["version"] == __version__
    assert found["acme_teal", "sql"]["problem"] == "tealdeck has this type of its own: this one is never used"
    assert found["future_teal", "future"]["api"] == API + 1
    assert found["stray_teal", "acme"]["problem"] == 'no port "weather": it is never used'
    assert [each["problem"] is None for each in document["items"]] == sorted(
        each["problem"] is None for each in document["items"]
    )
    assert len([each for each in document["items"] if each["package"] == "tealdeck"]) == len(ADAPTERS)
    assert run_command(teal, ["plugins"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["PORT", "TYPE", "PACKAGE", "VERSION", "API"]
    assert any(line.split()[:5] == ["checks", "tcp", "tealdeck", __version__, str(API)] for line in lines)


@pytest.mark.parametrize(
    ("config", "words"),
    [({}, "missing required field `url`"), ({"url": 5}, r"\$\.url"), ({"url": "x", "urk": 1}, "unknown field `urk`")],
)
def test_a_config_that_does_not_fit_is_named(
    site: Site, context: AdapterContext, config: dict[str, Any], words: str
) -> None:
    with pytest.raises(BackendError, match=words) as caught:
        build("quality", "acme", config, context)
    assert caught.value.kind == "config"
    assert caught.value.message.startswith("quality.mine: ")
    assert "Object" not in caught.value.message, "a word of the decoder"
    assert "`str`" not in caught.value.message
    assert "config validate" in caught.value.fix
