"""Which adapter serves (port, type), ours and third parties', and that naming one imports no SDK."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backends import registry
from backends.errors import BackendError
from backends.http import Http
from backends.registry import ADAPTERS, API, AdapterContext, adapter_class, adapter_types, build

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
    "notify": ("notify",),
}
SDKS = ("sqlalchemy", "requests", "prometheus_api_client", "httpx", "textual", "rich", "alembic", "click")


class Acme:
    api = API

    class Config(msgspec.Struct, forbid_unknown_fields=True):
        url: str

    def __init__(self, config: "Acme.Config", context: AdapterContext) -> None:
        self.config, self.context = config, context


class FromTheFuture(Acme):
    api = API + 1


class WithoutApi:
    pass


class Point:
    """An entry point as `importlib.metadata` hands it out."""

    def __init__(self, name: str, loaded: Any) -> None:
        self.name = name
        self.loaded = loaded
        self.loads = 0

    def load(self) -> Any:
        self.loads += 1
        return self.loaded


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> dict[str, Point]:
    found = {
        name: Point(name, loaded)
        for name, loaded in (
            ("quality.acme", Acme),
            ("quality.future", FromTheFuture),
            ("quality.odd", WithoutApi),
            ("quality.sql", WithoutApi),
        )
    }

    def entry_points(*, group: str) -> list[Point]:
        assert group == registry.ENTRY_POINT_GROUP
        return list(found.values())

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    return found


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
    assert [method for method in (*METHODS[port], "aclose") if not callable(getattr(found, method, None))] == []


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


def test_an_unknown_type_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(BackendError, match='no adapter "sqll" for quality') as caught:
        adapter_class("quality", "sqll")
    assert caught.value.kind == "config"
    assert "sql" in caught.value.fix


def test_a_third_party_is_loaded_when_it_is_named(points: dict[str, Point], context: AdapterContext) -> None:
    types = adapter_types("quality")
    assert types == sorted(types)
    assert {"acme", "future", "odd", "prometheus", "sql"} <= set(types)
    assert points["quality.acme"].loads == 0
    adapter = build("quality", "acme", {"url": "x"}, context)
    assert isinstance(adapter, Acme)
    assert (adapter.config.url, adapter.context.name) == ("x", "mine")
    assert points["quality.future"].loads == 0


@pytest.mark.parametrize(("kind", "words"), [("future", f"speaks api {API + 1}"), ("odd", "speaks api None")])
def test_a_third_party_of_another_api_is_refused(points: dict[str, Point], kind: str, words: str) -> None:
    with pytest.raises(BackendError, match=words) as caught:
        adapter_class("quality", kind)
    assert caught.value.kind == "config"


def test_a_third_party_cannot_take_the_place_of_ours(points: dict[str, Point]) -> None:
    assert adapter_class("quality", "sql") is not WithoutApi


def test_a_third_party_that_cannot_be_imported_is_a_matter_of_the_config(points: dict[str, Point]) -> None:
    def load() -> Any:
        raise ModuleNotFoundError("No module named 'acme_sdk'")

    points["quality.acme"].load = load  # type: ignore[method-assign]
    with pytest.raises(BackendError, match="acme_sdk") as caught:
        adapter_class("quality", "acme")
    assert caught.value.kind == "config"


@pytest.mark.parametrize(
    ("config", "words"),
    [({}, "missing required field `url`"), ({"url": 5}, r"\$\.url"), ({"url": "x", "urk": 1}, "unknown field `urk`")],
)
def test_a_config_that_does_not_fit_is_named(
    points: dict[str, Point], context: AdapterContext, config: dict[str, Any], words: str
) -> None:
    with pytest.raises(BackendError, match=words) as caught:
        build("quality", "acme", config, context)
    assert caught.value.kind == "config"
    assert caught.value.message.startswith("quality.mine: ")
