"""Finding, reading and checking a config file. Nothing here connects anywhere."""

from __future__ import annotations

import os
import re
import stat
from importlib.util import source_hash
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from backends.environment import referenced, withhold
from backends.errors import BackendError
from backends.literals import USE_REFERENCE, literal_at, literals, secrets_in_command, without_literals
from backends.misfits import strange_colors, strange_words, without_misfits
from backends.paths import path_problem
from backends.redaction import learn
from backends.registry import adapter_class
from backends.settings import decode_hook
from backends.text import clean
from console.config.file import ConfigText
from console.config.model import MIN_REFRESH_S, ConfigFile, ContextConfig, ThemeName, context_shape
from console.config.names import FIX, is_dangerous, name_problem, names_in, safe_name
from console.config.shapes import (
    FORWARD_COMMANDS,
    LOOKS,
    commands_in,
    fitting_fields,
    judging_problems,
    once,
    path_problems,
    struct_problems,
    text_problems,
    unsafe_problems,
)
from console.errors import ConfigError, Problem
from console.paths import home
from console.ports.entry import Entry
from console.ports.table import PORTS
from console.zones import zone_of

if TYPE_CHECKING:
    from console.config.toml_lines import KeyPath

SYSTEM_CONFIG = Path("/etc/tealdeck/config.toml")
NO_CONTEXT = "no context is in it: there is nothing to look at"
FIX_NO_CONTEXT = "write [contexts.NAME] with its entries; `teal config init` writes an example"
ENTRY_KEYS = ("type", "name")


class Context(msgspec.Struct, frozen=True):
    """A context as read: its settings, its entries by port, where relative paths start, which file said so and at which
    path in it."""

    name: str
    config: ContextConfig
    entries: dict[str, tuple[Entry, ...]]
    base_dir: Path
    source: Path
    table: dict[str, Any]
    sandbox: bool = False
    prefix: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    """What of the file forbids the way forward and nothing else: a key that nobody knows may be one misspelled."""
    path: Path = Path()
    """The config by which it was found; `source` may be a file beside it."""

    @property
    def digest(self) -> str:
        """What the config says, as 16 hex digits: data that was kept under another one is not of this context."""
        # Against chance, not against malice, and without OpenSSL, which takes 3 ms to load.
        return source_hash(msgspec.json.encode(self.table, order="sorted", enc_hook=str)).hex()

    def entry(self, port: str, name: str) -> Entry | None:
        """The entry of that name, or None."""
        return next((entry for entry in self.entries[port] if entry.name == name), None)


_OF_CONTEXTS = frozenset({"contexts", "default_context"})
_OF_WAY_BACK = ("deployments", "journal", "protected", "read_only", "contexts")


class Config(msgspec.Struct, frozen=True):
    """A file that could be read, with its contexts, and every problem that was found in it."""

    path: Path
    default_context: str
    keymap: dict[str, str]
    contexts: dict[str, Context]
    problems: tuple[Problem, ...]
    theme: str = ""
    notify_terminal: bool = True
    default_known: bool = True
    """Whether it is said which context is meant where nobody names one: its name, or there is but one."""


def search_path(explicit: str | None) -> list[Path]:
    """Where a config is looked for, first wins. A file named by --config or TEAL_CONFIG is the only place."""
    named = explicit or os.environ.get("TEAL_CONFIG")
    if named:
        if problem := path_problem(named):
            raise ConfigError(f"{clean(named, 300)}: {problem[0]}", fix=problem[1])
        return [Path(named).expanduser()]
    base = Path(os.environ.get("XDG_CONFIG_HOME") or home() / ".config")
    return [base / "tealdeck" / "config.toml", SYSTEM_CONFIG]


def find_config(explicit: str | None = None) -> Path | None:
    """The config file to use, or None where there is none. Raises ConfigError for a named file that is missing."""
    places = search_path(explicit)
    found = next((place for place in places if _is_there(place)), None)
    if found is None and (explicit or os.environ.get("TEAL_CONFIG")):
        raise ConfigError(
            f"{places[0]}: no such file", fix="correct --config or TEAL_CONFIG, or run `teal config init`"
        )
    return found


def _is_there(place: Path) -> bool:
    """Raises ConfigError where that can not be seen: to go on as if there were none would be to act on another one."""
    try:
        return stat.S_ISREG(place.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        fix = "check the owner and mode of it and of the directories above it, or name another with --config"
        raise ConfigError(f"{clean(str(place), 300)}: {words}", fix=fix) from None


def _beside(path: Path) -> list[Path]:
    """The files `contexts/*.toml`. Raises ConfigError where the directory can not be read."""
    try:
        return sorted(each for each in (path.parent / "contexts").iterdir() if each.suffix == ".toml")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError(f"{path.parent / 'contexts'}: {error.strerror}", fix="check its owner and mode") from None


def load_config(path: Path, *, check_entries: bool = True) -> Config:
    """Read `path` and `contexts/*.toml` beside it.

    Raises ConfigError for a file that cannot be used at all: unreadable, changeable by others, not TOML. Everything
    else is a problem: an entry with one is kept and marked, so that a bad Slack reference does not stop a rollback.
    Without `check_entries` no adapter is imported: what is wrong with an entry is raised when its adapter is built.
    """
    main = ConfigText(path)
    data = main.parse()
    problems = struct_problems(main, data, ConfigFile, ())
    sources: dict[str, tuple[ConfigText, tuple[str, ...], dict[str, Any]]] = {
        name: (main, ("contexts", name), table)
        for name, table in _dict(data.get("contexts")).items()
        if isinstance(table, dict)
    }
    for extra in _beside(path):
        if extra.stem in sources:
            problems.append(Problem(extra, 1, extra.stem, "this context is in the main file too", "keep one of them"))
            continue
        own = ConfigText(extra)
        sources[extra.stem] = (own, (), own.parse())
    withhold(referenced([table for _, _, table in sources.values()]))
    contexts = {}
    for name, (source, prefix, table) in sources.items():
        if words := name_problem(name):
            bad = source.problem(prefix, f"context {words}", FIX)
            problems.append(msgspec.structs.replace(bad, context=safe_name(name)))
        context, found = _load_context(safe_name(name), source, prefix, table, check_entries)
        problems += found
        contexts[context.name] = context
    if not contexts:
        problems.append(Problem(path, 1, "contexts", NO_CONTEXT, FIX_NO_CONTEXT))
    default = data.get("default_context")
    if not isinstance(default, str) or not default:
        default = next(iter(contexts), "")
    elif (default := safe_name(default) if default in sources else default) not in contexts:
        message = f'default_context is "{default}", which is not a context'
        problems.append(main.problem(("default_context",), message, _known(contexts)))
    keymap = {key: value for key, value in _dict(data.get("keymap")).items() if isinstance(value, str)}
    theme = next((name for name in get_args(ThemeName) if name == data.get("theme")), "")
    rings = data.get("notify_terminal") is not False
    named = len(contexts) == 1 or bool(data.get("default_context"))
    return Config(path, default, keymap, contexts, tuple(problems), theme, rings, named)


def pick_context(config: Config, name: str | None) -> Context:
    """The context called `name`, or the default. Raises ConfigError naming those that there are."""
    wanted = name or os.environ.get("TEAL_CONTEXT") or config.default_context
    if not config.contexts:
        raise ConfigError(f"{config.path}: {NO_CONTEXT}", fix=FIX_NO_CONTEXT)
    if wanted not in config.contexts:
        raise ConfigError(f'no context "{clean(wanted, 100)}" in {config.path}', fix=_known(config.contexts))
    return msgspec.structs.replace(config.contexts[wanted], path=config.path.absolute())


def fatal_problems(config: Config, context: Context) -> list[Problem]:
    """The problems that make `context` unusable: those outside of its entries, which only disable themselves."""
    return [problem for problem in config.problems if not problem.entry and problem.context in ("", context.name)]


def is_beside(problem: Problem) -> bool:
    """Whether it is a key that no way back goes by: of a whole file one that no context is made of, as `theme`; of a
    context any but those that say where is written and recorded, and one that may be a misspelled one of these."""
    if problem.entry or problem.unshown:
        return False
    path = problem.path.removeprefix(f"contexts.{problem.context}.") if problem.context else problem.path
    key = re.split(r"[.\[]", path, maxsplit=1)[0]
    if not problem.context:
        return key.isidentifier() and key not in _OF_CONTEXTS
    from difflib import get_close_matches  # 6 ms, and only a mistake needs it

    return key.isidentifier() and not get_close_matches(key, _OF_WAY_BACK, 1, 0.6)


def _load_context(
    name: str, source: ConfigText, prefix: tuple[str, ...], table: dict[str, Any], check_entries: bool
) -> tuple[Context, list[Problem]]:
    shape = context_shape()
    problems = [
        msgspec.structs.replace(problem, context=name) for problem in struct_problems(source, table, shape, prefix)
    ]
    problems += [
        msgspec.structs.replace(problem, context=name, unshown=True) for problem in text_problems(source, table, prefix)
    ]
    entries: dict[str, tuple[Entry, ...]] = {}
    for port in PORTS:
        seen: list[Entry] = []
        rows = table.get(port, [])
        for index, row in enumerate(rows if isinstance(rows, list) else []):
            if isinstance(row, dict):
                entry, found = _load_entry(source, (*prefix, port, index), port, row, seen, check_entries)
                problems += [msgspec.structs.replace(problem, context=name, entry=entry.name) for problem in found]
                seen.append(entry)
        entries[port] = tuple(seen)
    # What does not fit is fatal for this context and was listed above; what else is wrong is found by the rest.
    settings = msgspec.convert(fitting_fields(table, shape), shape, dec_hook=decode_hook)
    try:
        zone_of(settings.timezone)
    except ConfigError as error:
        unknown = source.problem((*prefix, "timezone"), error.message, error.fix)
        problems.append(msgspec.structs.replace(unknown, context=name))
        settings = msgspec.structs.replace(settings, timezone="")
    if settings.refresh < MIN_REFRESH_S:
        words = f"less than {MIN_REFRESH_S:g}s: every source would be asked without a pause"
        too_often = source.problem((*prefix, "refresh"), words, 'write at least "1s"')
        problems.append(msgspec.structs.replace(too_often, context=name))
    return Context(name, settings, entries, source.path.parent.resolve(), source.path, table, prefix=prefix), problems


def _load_entry(
    source: ConfigText,
    where: KeyPath,
    port: str,
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
        return Entry(port, safe_name(str(name)), clean(str(kind), 60), data, "no type"), problems
    # An odd name is a mistake; only one that is dangerous disables what it names.
    odd: list[Problem] = []
    for at, given in ((("name",), name), *names_in(data)):
        if words := name_problem(given):
            into = problems if is_dangerous(given) else odd
            into.append(source.problem((*where, *at), words, FIX))
    name = safe_name(name)
    if any(other.name == name for other in others):
        problem(f'a second {port} entry named "{name}"', "give it a name of its own", (*where, "name"))
    learn(*(secret for command in commands_in(data) for secret in secrets_in_command(command)))
    forward: list[Problem] = []
    for at, words in literals(data):
        learn(literal_at(data, at))
        # One in what only looks forbids the way forward, as the plan says, and is in no rollback's way.
        into = forward if port == "deployments" and at[0] in LOOKS else problems
        into.append(source.problem((*where, *at), words, USE_REFERENCE))
    if check:
        try:
            shape = adapter_class(port, kind).Config
        except BackendError as error:
            problem(error.message, error.fix, (*where, "type"))
        else:
            told = without_literals(data)
            fitting, _ = without_misfits(port, told, shape)
            problems += struct_problems(source, fitting, shape, where)
            if fitting != told:  # the plan of a way forward says so too
                forward += [one for one in struct_problems(source, told, shape, where) if one not in problems]
            for color, known in strange_colors(told) if port == "deployments" else ():
                forward.append(
                    source.problem((*where, "exposition", color), strange_words(color, known), "correct its name")
                )
    problems = once(problems)
    said = {found.path for found in problems}
    for key, value in data.items():
        into = forward if port == "deployments" and key in {*FORWARD_COMMANDS, *LOOKS} else problems
        into += [found for found in path_problems(source, value, (*where, key)) if found.path not in said]
        if check:
            into += unsafe_problems(source, value, key, (*where, key))
    reason = "; ".join(f"{found.path.rpartition('.')[2]}: {found.message}" for found in problems)
    problems += odd
    if check and port == "deployments":
        # Not of the reason: a mistake in a gate forbids the way forward, as the plan says, and stops no rollback.
        problems += forward
        problems += judging_problems(source, data, where, told=bool(reason))
    return Entry(port, name, clean(kind, 60), data, reason), problems


def _known(contexts: dict[str, Context]) -> str:
    return f"contexts: {', '.join(contexts) or 'none'}"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
