"""`teal config`: write, check and show the config."""

import contextlib
import os
from pathlib import Path
from typing import Any

import click
import msgspec

from actions.conditions import unjudged
from backends.errors import BackendError
from backends.models import Health
from console.cli.options import Common, common_options
from console.cli.showing import Answer, show
from console.config import Config, find_config, load_config, pick_context, search_path
from console.config_schema import config_schema
from console.errors import EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_USAGE, CommandError, ConfigError
from console.loop import run as run_loop
from console.output import document, error_reports, print_json
from console.select import Selection
from console.session import Session, opened
from console.zones import zone_of


class Finding(msgspec.Struct, frozen=True):
    """One problem of a config, or one source that did not answer."""

    file: str
    line: int | None
    path: str
    message: str
    fix: str


class Written(msgspec.Struct, frozen=True):
    """The file that was written."""

    file: str


@click.group()
def config() -> None:
    """The config."""


@config.command()
@common_options()
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def init(common: Common, force: bool) -> int:
    """Write a commented example to where the config is looked for first."""
    target = search_path(common.config)[0]
    if target.exists() and not force:
        raise CommandError(EXIT_REFUSED, "refused", f"{target} is there already", fix="--force overwrites it")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.write_text(example_text(), encoding="utf-8")
        os.chmod(target, 0o600)
    except OSError as error:
        raise ConfigError(f"{target}: {error.strerror}", fix="check the directory") from None
    written = document("config.init", [Written(str(target))], context=None, health="ok")
    show(common, Answer(written, lambda: [str(target)]))
    return 0


@config.command()
@common_options()
@click.option("--offline", is_flag=True, help="Do not ask the backends.")
def validate(common: Common, offline: bool) -> int:
    """Every mistake with its line; then each query once. Exit 2 for mistakes, 7 where a backend does not answer."""
    loaded = load_config(_path(common))
    findings = [
        Finding(str(problem.file), problem.line, problem.path, problem.message, problem.fix)
        for problem in loaded.problems
    ]
    findings += _zones(loaded)
    mistakes = len(findings)
    if not offline:
        for name in [common.context] if common.context else list(loaded.contexts):
            findings += run_loop(_ask(loaded, name))
    health: Health = "critical" if mistakes else "warning" if findings else "ok"
    shown = document("config.validate", findings, context=common.context, health=health)
    show(common, Answer(shown, lambda: [_line(finding) for finding in findings] or [f"{loaded.path}: ok"]))
    return EXIT_USAGE if mistakes else EXIT_UNREACHABLE if findings else 0


@config.command("show")
@common_options()
def show_(common: Common) -> int:
    """The context as it was read; secrets are shown as references."""
    loaded = load_config(_path(common))
    context = pick_context(loaded, common.context)
    item = {"context": context.name, "file": str(context.source), "digest": context.digest}
    item |= msgspec.to_builtins(context.config, enc_hook=str)
    shown = document("config.show", [item], context=context.name, health="ok")
    show(common, Answer(shown, lambda: [f"{key} = {value}" for key, value in _flat("", item)]))
    return 0


@config.command()
def schema() -> int:
    """The JSON Schema of the config, for editors."""
    print_json(config_schema())
    return 0


def example_text() -> str:
    """`config.example.toml`, from the wheel or from the checkout."""
    console = Path(__file__).resolve().parents[1]
    for place in (console / "config.example.toml", console.parent / "config.example.toml"):
        if place.is_file():
            return place.read_text(encoding="utf-8")
    raise ConfigError("config.example.toml is missing from this installation", fix="install tealdeck again")


def _path(common: Common) -> Path:
    path = find_config(common.config)
    if path is None:
        places = ", ".join(str(place) for place in search_path(None))
        raise ConfigError(f"no config; looked at {places}", fix="`teal config init` writes one")
    return path


def _zones(loaded: Config) -> list[Finding]:
    findings = []
    for context in loaded.contexts.values():
        try:
            zone_of(context.config.timezone)
        except ConfigError as error:
            path = f"contexts.{context.name}.timezone"
            findings.append(Finding(str(context.source), None, path, error.message, error.fix))
    return findings


async def _ask(loaded: Config, name: str) -> list[Finding]:
    context = pick_context(loaded, name)
    try:
        session = Session(Selection(context, {}, ()))
    except ConfigError:
        return []  # said already
    async with opened(session):
        await session.read(deadline_s=15)
        sources = [snapshot for snapshot in session.sources() if _usable(context, snapshot.key)]
        found = [
            Finding(str(context.source), None, f"contexts.{name}.{report.source}", report.message, report.fix)
            for report in error_reports(sources)
        ]
        for entry in context.entries["deployments"]:
            # One that did not answer is told of above.
            with contextlib.suppress(BackendError):
                for wrong in await unjudged(await session.orders.switch(entry.name)):
                    path = f"contexts.{name}.deployments.{entry.name}"
                    found.append(Finding(str(context.source), None, path, wrong.text, wrong.fix))
        return found


def _usable(context: Any, key: Any) -> bool:
    entry = context.entry(key.panel, key.name)
    return entry is not None and not entry.problem


def _line(finding: Finding) -> str:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    return f"{place}: {finding.path}: {finding.message}" + (f" ({finding.fix})" if finding.fix else "")


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [pair for key, inner in value.items() for pair in _flat(f"{prefix}.{key}".lstrip("."), inner)]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [pair for index, inner in enumerate(value) for pair in _flat(f"{prefix}[{index}]", inner)]
    return [(prefix, msgspec.json.encode(value).decode())]
