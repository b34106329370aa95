"""`teal config`: write, check and show the config."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import click
import msgspec
from msgspec.structs import replace

from actions.switching.conditions import unjudged
from backends.command_line import work_on
from backends.errors import RUN_VALIDATE, BackendError
from backends.files import open_plain
from backends.literals import LITERAL_SECRET, masked
from backends.models import Finding as SystemFinding
from backends.models import Health
from backends.text import clean
from console.cli.options import Common, common_options
from console.cli.showing import Answer, show
from console.cli.whole_help import WholeHelp
from console.config.file import ConfigText, dotted
from console.config.lint import lint, look_at
from console.config.load import Config, Context, fatal_problems, find_config, load_config, pick_context, search_path
from console.config.schema import config_schema
from console.config.selection import Selection
from console.errors import EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_USAGE, CommandError, ConfigError, Problem
from console.loop import run as run_loop
from console.ports.store import Snapshot
from console.printing.diagnosis import asked
from console.printing.output import document, print_json
from console.reading.asking import Unknown, unknown_names
from console.reading.due import Due
from console.reading.feeds import DEADLINE_S
from console.session import Session, opened
from console.streams import say

Level = Literal["error", "warning"]
SILENT = "no answer in"


class Finding(msgspec.Struct, frozen=True):
    """One problem of a config, or one source that did not answer. `kind`: `config`, or that of the source's failure."""

    file: str
    line: int | None
    path: str
    message: str
    fix: str
    level: Level = "error"
    kind: str = "config"


class Written(msgspec.Struct, frozen=True):
    """The file that was written, and the environments of MWAA that it names."""

    file: str
    mwaa: tuple[str, ...] = ()


@click.group(cls=WholeHelp)
def config() -> None:
    """The config."""


@config.command()
@common_options()
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def init(common: Common, force: bool) -> int:
    """Write a commented example to where the config is looked for first; environments of MWAA that the AWS credentials
    of this user see are entries of it, commented out."""
    from console.config.found_aws import find_aws, said

    target = search_path(common.config)[0]
    if os.path.exists(target) and not force:
        raise CommandError(EXIT_REFUSED, "refused", f"{target} is there already", fix="--force overwrites it")
    found = run_loop(find_aws(Path(target).parent, timeout_s=common.timeout_s))
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(open_plain(target.resolve(), os.O_WRONLY), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.truncate()
            file.write(example_text() + found.entries())
    except OSError as error:
        raise ConfigError(f"{target}: {error.strerror}", fix="check the directory") from None
    if not common.quiet:
        for line in said(found):
            say(f"teal: {line}")
    written = document("config.init", [Written(str(target), found.environments)], context=None, health="ok")
    show(common, Answer(written, lambda: [str(target)]))
    return 0


@config.command()
@common_options()
@click.option("--offline", is_flag=True, help="Do not ask the backends.")
def validate(common: Common, offline: bool) -> int:
    """Every mistake with its line; then each entry is asked once. Exit 2 for mistakes, 7 where one does not answer; a
    warning alone is exit 0."""
    loaded = load_config(_path(common))
    contexts = [pick_context(loaded, common.context)] if common.context else list(loaded.contexts.values())
    said = [problem for problem in loaded.problems if problem.context in ("", *(each.name for each in contexts))]
    said += lint(contexts, said) + _keymap_problems(loaded)
    findings = [_finding(problem) for problem in said]
    if not offline:
        texts: dict[Path, ConfigText] = {}
        due = Due()
        due.begin(common.timeout_s)
        for context in contexts:
            named = "" if context.name == loaded.default_context else context.name
            work_on(config=common.config or "", context=named)
            findings += run_loop(_ask(loaded, context, said, texts, due))
    findings.sort(key=lambda finding: (finding.level, finding.file, finding.line or 0))
    shown = document("config.validate", findings, context=common.context, health=_health(findings))
    show(common, Answer(shown, lambda: [_line(finding) for finding in findings] or [f"{loaded.path}: ok"]))
    kinds = {finding.kind for finding in findings if finding.level == "error"}
    return EXIT_USAGE if "config" in kinds else EXIT_UNREACHABLE if kinds else 0


@config.command("show")
@common_options()
def show_(common: Common) -> int:
    """The context as it was read; secrets are shown as references, literal ones as stars."""
    loaded = load_config(_path(common))
    context = pick_context(loaded, common.context)
    item = {"context": context.name, "file": str(context.source), "digest": context.digest}
    said = {problem.path for problem in loaded.problems if problem.message == LITERAL_SECRET}
    item |= masked(
        msgspec.to_builtins(context.config, enc_hook=str), lambda path: dotted((*context.prefix, *path)) in said
    )
    item = _cleaned(item)
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


def _keymap_problems(loaded: Config) -> list[Problem]:
    """Ids that no key of the console has. Its screens are loaded for that, where a keymap is written."""
    if not loaded.keymap:
        return []
    from console.screens.binding_ids import binding_ids, unknown_id

    known, text = binding_ids(), ConfigText(loaded.path)
    wrong = [
        text.problem(("keymap", wanted), f'no key has the id "{clean(wanted, 60)}"', unknown_id(wanted, known))
        for wanted in loaded.keymap
        if wanted not in known
    ]
    return [replace(each, level="warning") for each in wrong]


async def _ask(
    loaded: Config, context: Context, said: Sequence[Problem], texts: dict[Path, ConfigText], due: Due
) -> list[Finding]:
    """What is found by asking each entry, without what was said of the config already."""
    if any(problem.level == "error" for problem in fatal_problems(loaded, context)):
        return []
    try:
        session, look = Session(Selection(context, {}, ())), look_at(context, texts)
    except ConfigError:
        return []  # said already
    strange: list[Finding] = []
    async with opened(session):
        snapshots = await asked(session.adapters, deadline_s=min(due.left_s() or DEADLINE_S, DEADLINE_S))
        found = [
            (context.entry(snapshot.key.panel, snapshot.key.name), each)
            for snapshot in snapshots for each in _found(snapshot)
        ]  # fmt: skip
        for entry in context.entries["deployments"]:
            # One that does not answer is told of above.
            with contextlib.suppress(BackendError):
                async with due.kept():
                    for wrong in await unjudged(await session.orders.targets.switch(entry.name)):
                        found.append((entry, _as_error(wrong)))
        unknown: list[Unknown] = []
        with contextlib.suppress(BackendError):
            async with due.kept():
                unknown = await unknown_names(session.adapters, snapshots)
        for kind, name, owner in unknown:
            words, fix = f'no source has the {kind} "{clean(name, 100)}"', "correct it, unless it is still to come"
            problem = (
                look.problem(("links", "rows"), words, fix, warning=True) if owner is None
                else look.of(owner, ("requires",), words, fix, warning=True)
            )  # fmt: skip
            strange.append(_finding(problem))
    told = [(entry, each) for entry, each in found if entry is not None and not entry.problem]
    known = {problem.message for problem in said}
    findings = []
    for entry, (level, error) in told:
        place = look.of(entry, (), "").path
        mistaken = any(problem.path.startswith(place) and problem.level == "error" for problem in said)
        if not (mistaken and error.kind == "config") and not any(words in error.message for words in known):
            if not error.message.startswith(SILENT):  # which one it is, those words do not say
                known.add(error.message)  # one mistake, however many entries it stops
            problem = look.of(entry, (), error.message, "" if error.fix == RUN_VALIDATE else error.fix)
            path = f"contexts.{context.name}.{entry.port}.{entry.name}"
            findings.append(replace(_finding(problem), path=path, level=level, kind=error.kind))
    return findings + strange


def _found(snapshot: Snapshot) -> Iterator[tuple[Level, BackendError]]:
    """What is wrong with one entry; that a check is bad is no mistake of the config."""
    if snapshot.error is not None:
        yield "error", BackendError(snapshot.error.kind, snapshot.error.message, fix=snapshot.error.fix)
    elif snapshot.fetched_at is None:
        yield "error", BackendError("timeout", f"{SILENT} time")
    for item in snapshot.items:
        if isinstance(item, SystemFinding):
            yield _as_error(item)


def _as_error(finding: SystemFinding) -> tuple[Level, BackendError]:
    return "error" if finding.level == "block" else "warning", BackendError("not_found", finding.text, fix=finding.fix)


def _finding(problem: Problem) -> Finding:
    return Finding(
        str(problem.file), problem.line, problem.path, problem.message, problem.fix, problem.level, kind="config"
    )


def _health(findings: Sequence[Finding]) -> Health:
    if not findings:
        return "ok"
    mistakes = any(finding.level == "error" and finding.kind == "config" for finding in findings)
    return "critical" if mistakes else "warning"


def _line(finding: Finding) -> str:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    warning = "warning: " if finding.level == "warning" else ""
    return f"{place}: {warning}{finding.path}: {finding.message}" + (f" ({finding.fix})" if finding.fix else "")


def _cleaned(value: Any) -> Any:
    """Keys and texts without what would drive or deceive a terminal."""
    if isinstance(value, dict):
        return {clean(key): _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(inner) for inner in value]
    return clean(value) if isinstance(value, str) else value


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [pair for key, inner in value.items() for pair in _flat(f"{prefix}.{key}".lstrip("."), inner)]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [pair for index, inner in enumerate(value) for pair in _flat(f"{prefix}[{index}]", inner)]
    return [(prefix, msgspec.json.encode(value).decode())]
