"""Mistakes of a config that can be seen without asking anybody, and that stop nothing by themselves: each named once,
at its line, by `teal config validate` and `teal doctor`.
"""

import contextlib
import glob
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actions.guards import freeze_problem
from actions.journal.location import place_problem
from actions.judging.gate_fit import fit_findings
from actions.judging.metric_gates import gates_of
from actions.judging.stages import STRATEGIES, stages_of
from backends.deployments.common import DeploymentConfig, shared_settings
from backends.errors import BackendError
from backends.files import no_file
from backends.matching import matching
from backends.ownership import command_problem
from backends.paths import path_of, path_problem
from backends.ports.deployments import COLOR_HEADER
from backends.registry import adapter_class
from backends.settings import Secret, SecretError, decode_hook
from backends.text import clean
from console.config.file import ConfigText
from console.config.journal_place import written_problem
from console.config.load import Context
from console.config.shapes import COMMANDS, config_of, path_problems
from console.config.toml_lines import KeyPath
from console.errors import ConfigError, Problem
from console.ports.entry import Entry
from console.ports.table import PORTS

_BRACES = re.compile(r"(?<!\$)\{([A-Za-z_]+)\}")
_OF_GATES = ("color", "version", "url", "service", "target_group", "load_balancer")
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "deploy": ("color", "version", "service"), "retire": ("color", "service"),
    "smoke": ("color", "version", "url", "service"), "persist": ("node",),
    "candidate": _OF_GATES, "production": _OF_GATES, "requests": _OF_GATES,
}  # fmt: skip
_HEADERS = ("header", "version_header")
_HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LABELS = ("pipeline", "dataset", "service")


class Look(Struct, frozen=True):
    """A context, the file that it stands in, and the path of its table there."""

    context: Context
    source: ConfigText
    prefix: KeyPath

    def problem(
        self, where: KeyPath, message: str, fix: str = "", entry: str = "", *, warning: bool = False
    ) -> Problem:
        """What is wrong at a key of the context."""
        found = self.source.problem((*self.prefix, *where), message, fix)
        return replace(found, context=self.context.name, entry=entry, level="warning" if warning else "error")

    def of(self, entry: Entry, inside: KeyPath, message: str, fix: str = "", *, warning: bool = False) -> Problem:
        """The same at a key of an entry."""
        index = self.context.entries[entry.port].index(entry)
        return self.problem((entry.port, index, *inside), message, fix, entry.name, warning=warning)

    @property
    def entries(self) -> Iterator[Entry]:
        """All of them: one mistake in an entry does not hide the next."""
        return (entry for port in PORTS for entry in self.context.entries[port])


def look_at(context: Context, texts: dict[Path, ConfigText] | None = None) -> Look:
    """Raises ConfigError where the file is gone by now. `texts`: the files that were read already, and this one then:
    one of many contexts is not read for each."""
    texts = {} if texts is None else texts
    if context.source not in texts:
        texts[context.source] = ConfigText(context.source)
    return Look(context, texts[context.source], context.prefix)


def lint(contexts: Iterable[Context], problems: Iterable[Problem]) -> list[Problem]:
    """What can be seen to be wrong in these contexts and is not among `problems`. Blocks: it looks at files."""
    found: list[Problem] = []
    looks: list[Look] = []
    texts: dict[Path, ConfigText] = {}
    said = {problem.path for problem in problems}
    for context in contexts:
        try:
            look = look_at(context, texts)
        except ConfigError as error:
            found.append(Problem(context.source, None, context.name, error.message, error.fix, context=context.name))
            continue
        looks.append(look)
        found += [problem for rule in RULES for problem in rule(look) if problem.path not in said]
    return found + list(_same_switch(looks))


def _same_switch(looks: Sequence[Look]) -> Iterator[Problem]:
    """Entries that move the same traffic: what one of them has begun the other takes for somebody else's edit. Two
    contexts may be two views of one platform: that is a warning, and nothing where one of them writes nothing."""
    first: dict[str, tuple[Look, Entry]] = {}
    for look in looks:
        for entry in () if look.context.config.read_only else look.context.entries["deployments"]:
            shared = sorted(what for what in _writes(look, entry) if what in first)
            first |= {what: (look, entry) for what in _writes(look, entry) if what not in first}
            if shared:
                there, other = first[shared[0]]
                told = there.of(other, (), "")
                words = f"it moves the same traffic as {other.name} ({told.file}:{told.line}): {shared[0]}"
                fix = "keep one of them, or give each a switch of its own"
                yield look.of(entry, (), words, fix, warning=there is not look)


def _writes(look: Look, entry: Entry) -> frozenset[str]:
    config = config_of(entry)
    try:
        return config.writes(look.context.base_dir) if isinstance(config, DeploymentConfig) else frozenset()
    except BackendError:
        return frozenset()  # said


def _settings(look: Look) -> Iterator[Problem]:
    config = look.context.config
    # As written: one that is no text hides no other.
    windows = look.context.table.get("freeze")
    for index, window in enumerate(windows if isinstance(windows, list) else ()):
        if isinstance(window, str) and (why := freeze_problem(window)):
            yield look.problem(("freeze", index), why, "until it is corrected, every way forward is blocked")
    if config.watchdog and not look.context.entries["alerts"]:
        yield look.problem(("watchdog",), f'nothing could have the alert "{config.watchdog}": there are no alerts', "")


def _links(look: Look) -> Iterator[Problem]:
    links, services = look.context.config.links, [entry.name for entry in look.context.entries["deployments"]]
    for index, row in enumerate(links.rows):
        for service in row.services:
            if service not in services:
                words = f'"{clean(service, 100)}" is no service of this context'
                yield look.problem(("links", "rows", index, "services"), words, _known(service, services, "services"))
    for key in links.labels:
        if key not in _LABELS:
            yield look.problem(
                ("links", "labels", key), f'"{clean(key, 100)}" is no kind of thing', _known(key, _LABELS)
            )


def _references(look: Look) -> Iterator[Problem]:
    for entry in look.entries:
        for path, port, name in _referred(entry):
            known = [other.name for other in look.context.entries[port]]
            if name not in known:
                words = f'no {port} entry "{clean(name, 100)}" in this context'
                yield look.of(entry, path, words, _known(name, known, f"{port} entries"))


def _referred(entry: Entry) -> Iterator[tuple[KeyPath, str, str]]:
    """Where an entry names another one, of which port, and which."""
    for key in (name for name, port in PORTS.items() if port.referred):
        if isinstance(name := entry.data.get(key), str) and name:
            yield (key,), key, name
    requires = entry.data.get("requires")
    backup = requires.get("backup") if isinstance(requires, dict) else None
    for name in backup if isinstance(backup, dict) else ():
        yield ("requires", "backup", name), "checks", name
    for index, gate in _gate_tables(entry):
        if isinstance(name := gate.get("metrics"), str):
            yield ("gates", index, "metrics"), "metrics", name


def _gate_tables(entry: Entry) -> Iterator[tuple[int, dict[str, Any]]]:
    """Those of a deployment, as written."""
    gates = entry.data.get("gates") if entry.port == "deployments" else None
    yield from (
        (at, gate) for at, gate in enumerate(gates if isinstance(gates, list) else ()) if isinstance(gate, dict)
    )


def _commands(look: Look) -> Iterator[Problem]:
    for entry in look.entries:
        for path, command in _commands_in(entry.data, ()):
            said = any(path_problems(look.source, command, ()))
            problem = None if said or "{" in command[0] else command_problem(command, look.context.base_dir)
            if problem is not None:
                yield look.of(entry, path, *problem)


def _commands_in(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, list[str]]]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        is_words = isinstance(value, list) and value and all(isinstance(word, str) for word in value)
        if key in COMMANDS and is_words:
            yield (*path, key), value
        else:
            yield from _commands_in(value, (*path, key))


def _templates(look: Look) -> Iterator[Problem]:
    """Braces that are none of ours stay as they are; those that are nearly ours were meant to be."""
    for entry in look.entries:
        if entry.port != "deployments":
            continue
        tables: list[tuple[KeyPath, dict[str, Any]]] = [((), entry.data)]
        tables += [(("gates", index), gate) for index, gate in _gate_tables(entry)]
        for path, table in tables:
            for key, known in _TEMPLATES.items():
                for word in _words(table.get(key)):
                    for name in _BRACES.findall(word):
                        if why := _brace_problem(name, known):
                            yield look.of(entry, (*path, key), f"{{{name}}} {why[0]}", why[1])


def _brace_problem(name: str, known: Sequence[str]) -> tuple[str, str] | None:
    if name in known:
        return None
    listed = ", ".join(f"{{{each}}}" for each in known)
    if name in _TEMPLATES["smoke"]:
        return "is not filled in here", f"filled in: {listed}"
    near = get_close_matches(name.lower(), known, n=1)
    return (f"is not filled in: did you mean {{{near[0]}}}?", f"filled in: {listed}") if near else None


def _journal(look: Look) -> Iterator[Problem]:
    written, problem = look.context.config.journal, None
    if isinstance(written, str):
        problem = written_problem(written)
    elif written is not None and written.command is None:
        with contextlib.suppress(SecretError):  # said
            problem = place_problem(written.read(look.context.base_dir))
    if problem is not None:
        yield look.problem(("journal",), *problem)


def _secrets(look: Look) -> Iterator[Problem]:
    config = look.context.config
    for _, secret in _secrets_in(config.journal, ()):
        if why := _secret_problem(secret, look.context.base_dir):
            yield look.problem(("journal",), *why)
    for entry in look.entries:
        for path, secret in _secrets_in(_decoded(entry), ()):
            if secret.file and path_problem(secret.file):
                continue  # said
            if why := _secret_problem(secret, look.context.base_dir):
                yield look.of(entry, path, *why)


def _decoded(entry: Entry) -> dict[str, Any]:
    """The fields of an entry as its adapter has them, those that fit."""
    try:
        fields = msgspec.structs.fields(adapter_class(entry.port, entry.type).Config)
    except BackendError:
        return {}
    found = {}
    for field in fields:
        if field.encode_name in entry.data:
            with contextlib.suppress(msgspec.ValidationError):
                found[field.encode_name] = msgspec.convert(
                    entry.data[field.encode_name], field.type, dec_hook=decode_hook
                )
    return found


def _secrets_in(found: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Secret]]:
    if isinstance(found, Secret):
        yield path, found
        return
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(found, Struct):
        pairs = ((field.encode_name, getattr(found, field.name)) for field in msgspec.structs.fields(found))
    elif isinstance(found, dict):
        pairs = found.items()
    elif isinstance(found, list | tuple):
        pairs = enumerate(found)
    for key, value in pairs:
        yield from _secrets_in(value, (*path, key))


def _secret_problem(secret: Secret, base: Path) -> tuple[str, str] | None:
    """A command is not run here."""
    if secret.command is None:
        try:
            secret.read(base)
        except SecretError as error:
            return error.message, error.fix
    return None


def _deployments(look: Look) -> Iterator[Problem]:
    for entry in look.entries:
        if entry.port != "deployments":
            continue
        stages = _decoded(entry).get("stages", {})
        for strategy in stages:
            if near := () if strategy in STRATEGIES else get_close_matches(strategy, STRATEGIES, n=1):
                words = f'"{clean(strategy, 100)}" is a strategy of its own: {near[0]} keeps its shares'
                yield look.of(entry, ("stages", strategy), words, f'did you mean "{near[0]}"?', warning=True)
            try:
                if not stages[strategy]:
                    raise ValueError(f"stages of {clean(strategy, 100)}: [] do not rise to 100")
                stages_of(strategy, stages)
            except ValueError as error:
                words = str(error)
                yield look.of(entry, ("stages",), words, "write rising shares in percent, the last of them 100")
        yield from _sides(look, entry)
        with contextlib.suppress(BackendError):  # said
            yield from _gates(look, entry, shared_settings(entry.data))


def _sides(look: Look, entry: Entry) -> Iterator[Problem]:
    """What can tell no side from the other."""
    probe, health = entry.data.get("probe"), entry.data.get("health")
    for key in _HEADERS:
        name = probe.get(key) if isinstance(probe, dict) else None
        if isinstance(name, str) and (name or key == _HEADERS[0]) and not re.fullmatch(_HEADER_NAME, name):
            words = f'"{clean(name, 100)}" is no name of a header: no answer could prove anything'
            yield look.of(entry, ("probe", key), words, f'write it like "{COLOR_HEADER}"')
    if isinstance(health, dict) and len(health) == 1:
        words = f"one side alone, {clean(str(next(iter(health))), 100)}: there is none to switch to"
        yield look.of(entry, ("health",), words, "name both sides")


def _gates(look: Look, entry: Entry, settings: DeploymentConfig) -> Iterator[Problem]:
    gates = gates_of(
        settings.gates, settings.presets, stage_time_s=float(settings.stage_time), metrics=settings.metrics
    )
    key = "gates" if settings.gates else "presets"
    for finding in fit_findings(gates, float(settings.stage_time), float(settings.bake)):
        yield look.of(entry, (key,), finding.text, finding.fix, warning=True)


def _urls(look: Look) -> Iterator[Problem]:
    """Those that prove and watch a change: without them nothing goes forward, and the way back is not proven."""
    for entry in look.entries:
        if entry.port != "deployments":
            continue
        for key in ("probe", "health", "exposition"):
            table = entry.data.get(key)
            named = {"url": table.get("url")} if key == "probe" and isinstance(table, dict) else table
            for name, url in named.items() if isinstance(named, dict) else ():
                if isinstance(url, str) and (why := _url_problem(url)):
                    yield look.of(entry, (key, name), why, "write it like http://HOST:PORT/PATH")


def _url_problem(url: str) -> str:
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not url.casefold().startswith(("http://", "https://")):
        return "it begins with http:// or https://"
    return "" if whole else "no URL with a host"


def _log_files(look: Look) -> Iterator[Problem]:
    for entry in look.entries:
        if (entry.port, entry.type) != ("logs", "files"):
            continue
        for pattern in _words(entry.data.get("paths")):
            if path_problem(pattern):
                continue  # said
            path = str(path_of(pattern, look.context.base_dir))
            there = matching([path])
            if there.unmatched and not there.is_cut:
                fix = "correct it, unless its files are still to come; and see that this user may search the directory"
                yield look.of(entry, ("paths",), f"no file matches {clean(pattern, 200)}", fix, warning=True)
            elif not glob.has_magic(path) and (why := no_file(Path(path))):
                yield look.of(entry, ("paths",), clean(f"{Path(path)}: {why}"), "name its files, like DIRECTORY/*.log")


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [word for word in value if isinstance(word, str)] if isinstance(value, list | tuple) else []


def _known(name: str, known: Sequence[str], what: str = "known") -> str:
    near = get_close_matches(name, known, n=1)
    return f'did you mean "{near[0]}"?' if near else f"{what}: {', '.join(known) or 'none'}"


def _doubts(look: Look) -> Iterator[Problem]:
    """What an adapter's own config says against itself: keys that may be so, and better were not."""
    for entry in look.entries:
        for key, words, fix in getattr(config_of(entry), "doubts", list)():
            yield look.of(entry, (key,), words, fix, warning=True)


RULES: tuple[Callable[[Look], Iterator[Problem]], ...] = (
    _settings, _links, _references, _commands, _templates, _journal, _secrets, _deployments, _urls, _log_files, _doubts,
)  # fmt: skip
