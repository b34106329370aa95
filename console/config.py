"""Finding, reading and checking a config file. Nothing here connects anywhere."""

import hashlib
import os
import stat
import tomllib
from pathlib import Path
from typing import Any, get_args

import msgspec

from backends.errors import BackendError
from backends.registry import adapter_class
from backends.settings import Secret, decode_hook, refuse_password_in_url
from console.config_model import PORTS, ConfigFile, ContextConfig, Port
from console.errors import ConfigError, Problem
from console.paths import home
from console.toml_lines import line_numbers, line_of

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
    digest: str
    sandbox: bool = False

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
    text = _read(path)
    data = _parse(path, text)
    problems = _struct_problems(path, line_numbers(text), data, ConfigFile, ())
    tables = data.get("contexts", {})
    sources: dict[str, tuple[Path, str, tuple[str, ...], dict[str, Any]]] = {
        name: (path, text, ("contexts", name), table) for name, table in tables.items() if isinstance(table, dict)
    }
    for extra in sorted((path.parent / "contexts").glob("*.toml")):
        extra_text = _read(extra)
        if extra.stem in sources:
            problems.append(Problem(extra, 1, extra.stem, "this context is in the main file too", "keep one of them"))
            continue
        sources[extra.stem] = (extra, extra_text, (), _parse(extra, extra_text))
    contexts = {}
    for name, (source, source_text, prefix, table) in sources.items():
        context, found = _load_context(name, source, source_text, prefix, table, check_entries)
        problems += found
        contexts[name] = context
    default = data.get("default_context")
    if not isinstance(default, str) or not default:
        default = next(iter(contexts), "")
    elif default not in contexts:
        lines = line_numbers(text)
        message = f'default_context is "{default}", which is not a context'
        problems.append(
            Problem(path, line_of(lines, ("default_context",)), "default_context", message, _known(contexts))
        )
    keymap = {key: value for key, value in _dict(data.get("keymap")).items() if isinstance(value, str)}
    return Config(path, default, keymap, contexts, tuple(problems))


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
    name: str, path: Path, text: str, prefix: tuple[str, ...], table: dict[str, Any], check_entries: bool
) -> tuple[Context, list[Problem]]:
    lines = line_numbers(text)
    problems = [
        msgspec.structs.replace(problem, context=name)
        for problem in _struct_problems(path, lines, table, ContextConfig, prefix)
    ]
    entries: dict[Port, tuple[Entry, ...]] = {}
    for port in PORTS:
        seen: list[Entry] = []
        rows = table.get(port, [])
        for index, row in enumerate(rows if isinstance(rows, list) else []):
            if isinstance(row, dict):
                entry, found = _load_entry(path, lines, (*prefix, port, index), port, row, seen, check_entries)
                problems += [msgspec.structs.replace(problem, context=name, entry=entry.name) for problem in found]
                seen.append(entry)
        entries[port] = tuple(seen)
    usable = {field.name: table[field.name] for field in msgspec.structs.fields(ContextConfig) if field.name in table}
    try:
        settings = msgspec.convert(usable, ContextConfig, dec_hook=decode_hook)
    except msgspec.ValidationError:
        settings = ContextConfig()  # its problems are fatal for this context and were listed above
    digest = hashlib.sha256(msgspec.json.encode(table, order="sorted", enc_hook=str)).hexdigest()[:16]
    return Context(name, settings, entries, path.parent.resolve(), path, digest), problems


def _load_entry(
    path: Path,
    lines: dict[tuple[str | int, ...], int],
    where: tuple[str | int, ...],
    port: Port,
    row: dict[str, Any],
    others: list[Entry],
    check: bool,
) -> tuple[Entry, list[Problem]]:
    kind = row.get("type")
    name = row.get("name", kind)
    data = {key: value for key, value in row.items() if key not in ENTRY_KEYS}
    problems: list[Problem] = []

    def problem(message: str, fix: str = "", at: tuple[str | int, ...] = where) -> None:
        problems.append(Problem(path, line_of(lines, at), _dotted(at), message, fix))

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
            problems += _struct_problems(path, lines, data, shape, where)
    for key, value in data.items():
        for text in _strings(value):
            try:
                refuse_password_in_url(text)
            except ValueError as error:
                problem(str(error), at=(*where, key))
    reason = "; ".join(f"{found.path.rpartition('.')[2]}: {found.message}" for found in problems)
    return Entry(port, name, kind, data, reason), problems


def _struct_problems(
    path: Path, lines: dict[tuple[str | int, ...], int], data: dict[str, Any], shape: type, where: tuple[str | int, ...]
) -> list[Problem]:
    """Every field of `data` that does not fit `shape`, each on its own: one bad key does not hide the next."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    problems = []
    for key, value in data.items():
        at = (*where, key)
        line = line_of(lines, at)
        if key not in fields:
            problems.append(Problem(path, line, _dotted(at), f'unknown key "{key}"', _nearest(key, list(fields))))
            continue
        if isinstance(value, str) and fields[key].type in (Secret, Secret | None):
            problems.append(Problem(path, line, _dotted(at), "a literal secret", 'use a reference: { env = "NAME" }'))
            continue
        inner = _inner_problems(path, lines, value, fields[key].type, at)
        problems += inner
        if inner:
            continue
        try:
            msgspec.convert(value, fields[key].type, dec_hook=decode_hook)
        except msgspec.ValidationError as error:
            message, _, inside = str(error).partition(" - at `$")
            problems.append(Problem(path, line, _dotted(at) + inside.rstrip("`"), message, ""))
    for key, field in fields.items():
        if field.required and key not in data:
            at = (*where, key)
            problems.append(Problem(path, line_of(lines, where), _dotted(at), f'"{key}" is missing', ""))
    if not problems:
        try:
            msgspec.convert(data, shape, dec_hook=decode_hook)
        except msgspec.ValidationError as error:
            problems.append(Problem(path, line_of(lines, where), _dotted(where), str(error), ""))
    return problems


def _inner_problems(
    path: Path, lines: dict[tuple[str | int, ...], int], value: Any, kind: Any, where: tuple[str | int, ...]
) -> list[Problem]:
    """The same for a table, or a list of tables, inside of a table."""
    shapes = [each for each in (kind, *get_args(kind)) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    if len(shapes) != 1 or shapes[0] is Secret:
        return []
    if isinstance(value, dict):
        return _struct_problems(path, lines, value, shapes[0], where)
    elements = enumerate(value) if isinstance(value, list) else ()
    return [
        problem
        for index, element in elements
        if isinstance(element, dict)
        for problem in _struct_problems(path, lines, element, shapes[0], (*where, index))
    ]


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


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}", fix="correct the TOML") from None


def _dotted(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


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
