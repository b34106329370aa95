"""Finding, reading and checking a config file. Nothing here connects anywhere."""

from __future__ import annotations

import os
import stat
import tomllib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from backends.errors import BackendError
from backends.registry import adapter_class
from backends.settings import Secret, decode_hook, refuse_password_in_url
from console.config_model import PORTS, ConfigFile, ContextConfig, Port, ThemeName
from console.errors import ConfigError, Problem
from console.paths import home

if TYPE_CHECKING:
    from console.toml_lines import KeyPath

SYSTEM_CONFIG = Path("/etc/tealdeck/config.toml")
ENTRY_KEYS = ("type", "name")
MAX_CONFIG_BYTES = 4 * 1024 * 1024


class Entry(msgspec.Struct, frozen=True):
    """One backend of a context: what the adapter decodes (`data`), or why it cannot be used (`problem`)."""

    port: Port
    name: str
    type: str
    data: dict[str, Any]
    problem: str = ""


class Context(msgspec.Struct, frozen=True):
    """A context as read: its settings, its entries by port, where relative paths start, which file said so."""

    name: str
    config: ContextConfig
    entries: dict[Port, tuple[Entry, ...]]
    base_dir: Path
    source: Path
    table: dict[str, Any]
    sandbox: bool = False

    @property
    def digest(self) -> str:
        """What the config says, as 16 hex digits: data that was kept under another one is not of this context."""
        from hashlib import sha256  # 3 ms of OpenSSL, and the console's first paint needs none

        return sha256(msgspec.json.encode(self.table, order="sorted", enc_hook=str)).hexdigest()[:16]

    def entry(self, port: Port, name: str) -> Entry | None:
        """The entry of that name, or None."""
        return next((entry for entry in self.entries[port] if entry.name == name), None)


class Config(msgspec.Struct, frozen=True):
    """A file that could be read, with its contexts, and every problem that was found in it."""

    path: Path
    default_context: str
    keymap: dict[str, str]
    contexts: dict[str, Context]
    problems: tuple[Problem, ...]
    theme: str = ""


def search_path(explicit: str | None) -> list[Path]:
    """Where a config is looked for, first wins. A file named by --config or TEAL_CONFIG is the only place."""
    named = explicit or os.environ.get("TEAL_CONFIG")
    if named:
        return [Path(named).expanduser()]
    base = Path(os.environ.get("XDG_CONFIG_HOME") or home() / ".config")
    return [base / "tealdeck" / "config.toml", SYSTEM_CONFIG]


def find_config(explicit: str | None = None) -> Path | None:
    """The config file to use, or None where there is none. Raises ConfigError for a named file that is missing."""
    places = search_path(explicit)
    found = next((place for place in places if place.is_file()), None)
    if found is None and (explicit or os.environ.get("TEAL_CONFIG")):
        raise ConfigError(
            f"{places[0]}: no such file", fix="correct --config or TEAL_CONFIG, or run `teal config init`"
        )
    return found


def load_config(path: Path, *, check_entries: bool = True) -> Config:
    """Read `path` and `contexts/*.toml` beside it.

    Raises ConfigError for a file that cannot be used at all: unreadable, writable by others, not TOML. Everything
    else is a problem: an entry with one is kept and marked, so that a bad Slack reference does not stop a rollback.
    Without `check_entries` no adapter is imported: what is wrong with an entry is raised when its adapter is built.
    """
    main = _Source(path)
    data = main.parse()
    problems = _struct_problems(main, data, ConfigFile, ())
    sources: dict[str, tuple[_Source, tuple[str, ...], dict[str, Any]]] = {
        name: (main, ("contexts", name), table)
        for name, table in _dict(data.get("contexts")).items()
        if isinstance(table, dict)
    }
    for extra in sorted((path.parent / "contexts").glob("*.toml")):
        if extra.stem in sources:
            problems.append(Problem(extra, 1, extra.stem, "this context is in the main file too", "keep one of them"))
            continue
        own = _Source(extra)
        sources[extra.stem] = (own, (), own.parse())
    contexts = {}
    for name, (source, prefix, table) in sources.items():
        context, found = _load_context(name, source, prefix, table, check_entries)
        problems += found
        contexts[name] = context
    default = data.get("default_context")
    if not isinstance(default, str) or not default:
        default = next(iter(contexts), "")
    elif default not in contexts:
        message = f'default_context is "{default}", which is not a context'
        problems.append(main.problem(("default_context",), message, _known(contexts)))
    keymap = {key: value for key, value in _dict(data.get("keymap")).items() if isinstance(value, str)}
    theme = next((name for name in get_args(ThemeName) if name == data.get("theme")), "")
    return Config(path, default, keymap, contexts, tuple(problems), theme)


def pick_context(config: Config, name: str | None) -> Context:
    """The context called `name`, or the default. Raises ConfigError naming those that there are."""
    wanted = name or os.environ.get("TEAL_CONTEXT") or config.default_context
    if wanted not in config.contexts:
        raise ConfigError(f'no context "{wanted}" in {config.path}', fix=_known(config.contexts))
    return config.contexts[wanted]


def fatal_problems(config: Config, context: Context) -> list[Problem]:
    """The problems that make `context` unusable: those outside of its entries, which only disable themselves."""
    return [problem for problem in config.problems if not problem.entry and problem.context in ("", context.name)]


def _load_context(
    name: str, source: _Source, prefix: tuple[str, ...], table: dict[str, Any], check_entries: bool
) -> tuple[Context, list[Problem]]:
    problems = [
        msgspec.structs.replace(problem, context=name)
        for problem in _struct_problems(source, table, ContextConfig, prefix)
    ]
    entries: dict[Port, tuple[Entry, ...]] = {}
    for port in PORTS:
        seen: list[Entry] = []
        rows = table.get(port, [])
        for index, row in enumerate(rows if isinstance(rows, list) else []):
            if isinstance(row, dict):
                entry, found = _load_entry(source, (*prefix, port, index), port, row, seen, check_entries)
                problems += [msgspec.structs.replace(problem, context=name, entry=entry.name) for problem in found]
                seen.append(entry)
        entries[port] = tuple(seen)
    usable = {field.name: table[field.name] for field in msgspec.structs.fields(ContextConfig) if field.name in table}
    try:
        settings = msgspec.convert(usable, ContextConfig, dec_hook=decode_hook)
    except msgspec.ValidationError:
        settings = ContextConfig()  # its problems are fatal for this context and were listed above
    return Context(name, settings, entries, source.path.parent.resolve(), source.path, table), problems


def _load_entry(
    source: _Source,
    where: KeyPath,
    port: Port,
    row: dict[str, Any],
    others: list[Entry],
    check: bool,
) -> tuple[Entry, list[Problem]]:
    kind = row.get("type")
    name = row.get("name", kind)
    data = {key: value for key, value in row.items() if key not in ENTRY_KEYS}
    problems: list[Problem] = []

    def problem(message: str, fix: str = "", at: KeyPath = where) -> None:
        problems.append(source.problem(at, message, fix))

    if not isinstance(kind, str) or not isinstance(name, str):
        problem("every entry needs a type", 'add e.g. type = "prometheus"')
        return Entry(port, str(name), str(kind), data, "no type"), problems
    if any(other.name == name for other in others):
        problem(f'a second {port} entry named "{name}"', "give it a name of its own", (*where, "name"))
    if check:
        try:
            shape = adapter_class(port, kind).Config
        except BackendError as error:
            problem(error.message, error.fix, (*where, "type"))
        else:
            problems += _struct_problems(source, data, shape, where)
    for key, value in data.items():
        for text in _strings(value):
            try:
                refuse_password_in_url(text)
            except ValueError as error:
                problem(str(error), at=(*where, key))
    reason = "; ".join(f"{found.path.rpartition('.')[2]}: {found.message}" for found in problems)
    if check and port == "deployments":
        # Not of the reason: a mistake in a gate forbids the way forward, as the plan says, and stops no rollback.
        problems += _judging_problems(source, data, where)
    return Entry(port, name, kind, data, reason), problems


def _judging_problems(source: _Source, data: dict[str, Any], where: KeyPath) -> list[Problem]:
    """What is wrong with the gates of a deployment and with what it requires."""
    from actions.gates import Gate, gates_of
    from actions.requirements import Requires
    from backends.deployments.common import shared_settings

    gates, requires = data.get("gates", []), data.get("requires", {})
    found: list[Problem] = []
    for index, gate in enumerate(gates if isinstance(gates, list) else []):
        if isinstance(gate, dict):
            found += _struct_problems(source, gate, Gate, (*where, "gates", index))
    if isinstance(requires, dict):
        found += _struct_problems(source, requires, Requires, (*where, "requires"))
    if found:
        return found
    try:
        settings = shared_settings(data)
        gates_of(settings.gates, settings.presets, stage_time_s=float(settings.stage_time), metrics=settings.metrics)
    except BackendError as error:
        return [source.problem((*where, error.message.partition(":")[0]), error.message, error.fix)]
    return []


def _struct_problems(source: _Source, data: dict[str, Any], shape: type, where: KeyPath) -> list[Problem]:
    """Every field of `data` that does not fit `shape`, each on its own: one bad key does not hide the next."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    problems: list[Problem] = []
    for key, value in data.items():
        at = (*where, key)
        if key not in fields:
            problems.append(source.problem(at, f'unknown key "{key}"', _nearest(key, list(fields))))
        elif isinstance(value, str) and fields[key].type in (Secret, Secret | None):
            problems.append(source.problem(at, "a literal secret", 'use a reference: { env = "NAME" }'))
        else:
            problems += _value_problems(source, value, fields[key].type, at)
    for key, field in fields.items():
        if field.required and key not in data:
            problems.append(source.problem((*where, key), f'"{key}" is missing'))
    return problems or _misfit(source, data, shape, where)


def _value_problems(source: _Source, value: Any, kind: Any, where: KeyPath) -> list[Problem]:
    """The same for what stands behind one key: a value, a table, or a list of tables."""
    shapes = [each for each in (kind, *get_args(kind)) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    inner: list[Problem] = []
    if len(shapes) == 1 and shapes[0] is not Secret:
        if isinstance(value, dict):
            inner = _struct_problems(source, value, shapes[0], where)
        for index, element in enumerate(value) if isinstance(value, list) else ():
            if isinstance(element, dict):
                inner += _struct_problems(source, element, shapes[0], (*where, index))
    return inner or _misfit(source, value, kind, where)


def _misfit(source: _Source, value: Any, kind: Any, where: KeyPath) -> list[Problem]:
    try:
        msgspec.convert(value, kind, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        message, _, inside = str(error).partition(" - at `$")
        return [msgspec.structs.replace(found := source.problem(where, message), path=found.path + inside.rstrip("`"))]
    return []


class _Source:
    """One file. Where its keys stand is looked up only when there is something to say of one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = _read(path)

    def parse(self) -> dict[str, Any]:
        """Raises ConfigError."""
        try:
            return tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{self.path}: {error}", fix="correct the TOML") from None

    def problem(self, where: KeyPath, message: str, fix: str = "") -> Problem:
        """What is wrong at a key, with the line of it or of what is around it."""
        from console.toml_lines import line_of  # only what is wrong is looked for

        dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
        return Problem(self.path, line_of(self._lines, where), dotted, message, fix)

    @cached_property
    def _lines(self) -> dict[KeyPath, int]:
        from console.toml_lines import line_numbers

        return line_numbers(self._text)


def _read(path: Path) -> str:
    try:
        mode = path.stat()
        if mode.st_mode & stat.S_IWOTH or (mode.st_mode & stat.S_IWGRP and mode.st_gid not in (0, os.getgid())):
            raise ConfigError(f"{path}: others can write it, and a config can name commands", fix=f"chmod go-w {path}")
        if mode.st_size > MAX_CONFIG_BYTES:
            raise ConfigError(f"{path}: {mode.st_size} bytes is no config", fix="check --config")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", fix="check its owner and mode") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}", fix="save it as UTF-8") from None


def _nearest(key: str, known: list[str]) -> str:
    from difflib import get_close_matches  # 6 ms, and only a mistake needs it

    near = get_close_matches(key, known, n=1)
    return f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(sorted(known))}"


def _known(contexts: dict[str, Context]) -> str:
    return f"contexts: {', '.join(contexts) or 'none'}"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _strings(inner)]
    return [text for inner in value for text in _strings(inner)] if isinstance(value, list) else []
