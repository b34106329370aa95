"""What of a config does not fit its shape, its gates, or the rule that nobody else may change what it names."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import msgspec

from backends.errors import BackendError
from backends.literals import LITERAL_SECRET, USE_REFERENCE, without_literals
from backends.misfits import in_words
from backends.ownership import Unsafe, refuse_unsafe, refuse_unsafe_command
from backends.paths import path_of, path_problem
from backends.registry import adapter_class
from backends.settings import Secret, decode_hook
from backends.urls import port_problem
from console.config.names import text_problem
from console.errors import Problem

if TYPE_CHECKING:
    from console.config.file import ConfigText
    from console.config.toml_lines import KeyPath
    from console.ports.entry import Entry

# Keys that hold a command. One that only a way forward needs stops no rollback.
COMMANDS = frozenset({"command", "deploy", "retire", "smoke", "persist", "validate", "reload"})
FORWARD_COMMANDS = frozenset({"deploy", "retire", "smoke"})
LOOKS = frozenset({"probe", "health", "exposition"})
"""What only looks at a service: it moves nothing."""
_FIELDS = r"(\w+)(?:(?:, | and )\w+)*: "  # what a Struct says of its fields begins with their names
_NEVER_ZERO = ("timeout", "probe_timeout")
_NOTHING = r"(?:0+(?:\.0+)?(?:ms|s|m|h|d|w))+"
_NO_SUCH_WORD = "Invalid enum value"
_HOME = r"~[\w.-]*(?:/|$)"
_WORDS = r"\w+"


def config_of(entry: Entry) -> Any:
    """Its entry as its adapter takes it, without literal secrets; None where that is wrong, which is said elsewhere."""
    try:
        shape = adapter_class(entry.port, entry.type).Config
        return msgspec.convert(without_literals(entry.data), shape, dec_hook=decode_hook)
    except (BackendError, msgspec.ValidationError):
        return None


@cache
def fields_of(shape: type) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a Struct: its types are looked up once, not for each of thousands of contexts."""
    return msgspec.structs.fields(shape)


def struct_problems(source: ConfigText, data: dict[str, Any], shape: type, where: KeyPath) -> list[Problem]:
    """Every field of `data` that does not fit `shape`, each on its own, and then what is wrong between the others: one
    bad key does not hide the next."""
    fields = {field.encode_name: field for field in fields_of(shape)}
    problems: list[Problem] = []
    fitting, said = dict(data), set[str]()
    for key, value in data.items():
        at, before = (*where, key), len(problems)
        if key not in fields:
            fix = _nearest(key, list(fields))
            problems.append(source.problem(at, f'unknown key "{key}"', fix))
            said |= {*re.findall(_WORDS, fix)} if fix.startswith("did") else set()
        elif isinstance(value, str) and fields[key].type in (Secret, Secret | None):
            problems.append(source.problem(at, LITERAL_SECRET, USE_REFERENCE))
        else:
            problems += _value_problems(source, value, fields[key].type, at)
        if len(problems) > before:
            said.add(key)
            del fitting[key]
    for key, field in fields.items():
        if field.required and key not in data:
            if key not in said:  # it is there, misspelt, and that was said
                problems.append(source.problem((*where, key), f'"{key}" is missing'))
            said.add(key)
    return problems + _between_fields(source, fitting, shape, where, said)


def _between_fields(
    source: ConfigText, fitting: dict[str, Any], shape: type, where: KeyPath, said: set[str]
) -> list[Problem]:
    """What a Struct says of fields that fit by themselves: it names its first trouble, so it is asked again without
    the fields that it named. What it says of those in `said` may be but the next sign of the same mistake."""
    required = [field.encode_name for field in fields_of(shape) if field.required]
    problems: list[Problem] = []
    while all(name in fitting for name in required):
        found = _misfit(source, fitting, shape, where)
        if not found:
            break
        words = {*re.findall(_WORDS, found[0].message), *re.findall(_WORDS, found[0].path.rpartition(".")[2])}
        if not words & said:
            problems += found
        blamed = words & fitting.keys()
        said |= blamed
        if not blamed:
            break
        fitting = {key: value for key, value in fitting.items() if key not in blamed}
    return problems


def _value_problems(source: ConfigText, value: Any, kind: Any, where: KeyPath) -> list[Problem]:
    """The same for what stands behind one key: a value, a table, or a list of tables."""
    shapes = [each for each in (kind, *get_args(kind)) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    inner: list[Problem] = []
    if len(shapes) == 1 and shapes[0] is not Secret:
        if isinstance(value, dict):
            inner = struct_problems(source, value, shapes[0], where)
        for index, element in enumerate(value) if isinstance(value, list) else ():
            if isinstance(element, dict):
                inner += struct_problems(source, element, shapes[0], (*where, index))
    elif get_origin(kind) is dict and isinstance(value, dict):  # a table by names: the decoder says of none which
        for name, each in value.items():
            inner += _value_problems(source, each, get_args(kind)[1], (*where, name))
    return inner or _misfit(source, value, kind, where)


def _words_of(kind: Any) -> list[str]:
    """The words that a value may be, of those that its type knows."""
    args = get_args(kind)
    if get_origin(kind) is Literal:
        return [str(each) for each in args if each != ""]
    return list(dict.fromkeys(word for each in args for word in _words_of(each)))


def _misfit(source: ConfigText, value: Any, kind: Any, where: KeyPath) -> list[Problem]:
    try:
        msgspec.convert(value, kind, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        message, _, inside = in_words(str(error)).partition(" - at `$")
        if message.startswith(_NO_SUCH_WORD) and (words := _words_of(kind)):
            message = f"{message.removeprefix(_NO_SUCH_WORD).strip()} is none of: {', '.join(words)}"
        named = re.match(_FIELDS, message)
        if not inside and isinstance(where[-1], int) and isinstance(value, dict) and named and named[1] in value:
            where, message = (*where, named[1]), message.removeprefix(f"{named[1]}: ")
        return [msgspec.structs.replace(found := source.problem(where, message), path=found.path + inside.rstrip("`"))]
    return []


def fitting_fields(data: Mapping[str, Any], shape: type) -> dict[str, Any]:
    """The fields of `data` that fit `shape`, each by itself."""
    fitting = {}
    for field in fields_of(shape):
        if field.encode_name in data:
            with contextlib.suppress(msgspec.ValidationError):  # what does not fit is told by who reads all
                msgspec.convert(data[field.encode_name], field.type, dec_hook=decode_hook)
                fitting[field.encode_name] = data[field.encode_name]
    return fitting


def judging_problems(source: ConfigText, data: dict[str, Any], where: KeyPath, *, told: bool) -> list[Problem]:
    """What is wrong with the gates of a deployment and with what it requires. `told`: what is wrong with its other
    fields was said."""
    from actions.judging.metric_gates import MetricGate, gates_of
    from actions.switching.requirements import Requires
    from backends.deployments.common import DeploymentConfig, shared_settings

    gates, requires = data.get("gates", []), data.get("requires", {})
    found: list[Problem] = []
    fitting: list[Any] = []
    for index, gate in enumerate(gates if isinstance(gates, list) else []):
        if isinstance(gate, dict):
            wrong = struct_problems(source, gate, MetricGate, (*where, "gates", index))
            fitting += [] if wrong else [gate]
            found += wrong
    if isinstance(requires, dict):
        found += struct_problems(source, requires, Requires, (*where, "requires"))
    if told or found:
        shared = fitting_fields({**data, "gates": fitting}, DeploymentConfig)
        data = {key: value for key, value in data.items() if key not in DeploymentConfig.__struct_fields__} | shared
    try:
        settings = shared_settings(data)
    except BackendError as error:
        return found if told or found else [source.problem(where, error.message, error.fix)]
    try:
        gates_of(settings.gates, settings.presets, stage_time_s=float(settings.stage_time), metrics=settings.metrics)
    except BackendError as error:
        found.append(source.problem((*where, error.message.partition(":")[0]), error.message, error.fix))
    return found


def unsafe_problems(source: ConfigText, value: Any, key: str, where: KeyPath) -> list[Problem]:
    """Secret files and commands below `value` that others could change."""
    base = source.path.parent
    if isinstance(value, dict) and list(value) == ["command"]:
        key, value = "command", value["command"]
    try:
        if key in COMMANDS and isinstance(value, list) and value and all(isinstance(word, str) for word in value):
            refuse_unsafe_command(value, base)
        elif isinstance(value, dict) and list(value) == ["file"] and isinstance(value["file"], str):
            refuse_unsafe(path_of(value["file"], base))
    except Unsafe as unsafe:
        return [source.problem(where, unsafe.words, unsafe.fix)]
    except (OSError, ValueError, BackendError):
        return []  # whoever needs it says what it lacks
    if isinstance(value, dict):
        return [
            found for name, inner in value.items() for found in unsafe_problems(source, inner, name, (*where, name))
        ]
    if isinstance(value, list):
        return [found for at, inner in enumerate(value) for found in unsafe_problems(source, inner, "", (*where, at))]
    return []


def commands_in(data: Any) -> list[list[str]]:
    """Every command that an entry names."""
    pairs = data.items() if isinstance(data, dict) else [("", each) for each in data] if isinstance(data, list) else ()
    found = []
    for key, value in pairs:
        if key in COMMANDS and isinstance(value, list) and all(isinstance(word, str) for word in value):
            found.append(value)
        else:
            found += commands_in(value)
    return found


def path_problems(source: ConfigText, value: Any, where: KeyPath) -> list[Problem]:
    """Texts of an entry that are no path and no URL, whatever their key: a zero byte is in no text at all, who begins
    with `~` means a home, and nobody listens on port 99999."""
    if isinstance(value, str):
        if where[-1:] and where[-1] in _NEVER_ZERO and re.fullmatch(_NOTHING, value):
            return [source.problem(where, "no time at all: nothing could answer in it", 'write it like "5s"')]
        if why := port_problem(value):
            return [source.problem(where, why, "correct the URL")]
        is_suspect = "\0" in value or (value.startswith("~") and re.match(_HOME, value))
        return [source.problem(where, *found)] if is_suspect and (found := path_problem(value)) else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in pairs for found in path_problems(source, inner, (*where, key))]


def text_problems(source: ConfigText, table: Mapping[str, Any], where: KeyPath) -> list[Problem]:
    """Settings of the context that are shown on one line and could not be."""
    shown = {key: table.get(key) for key in ("title", "timezone", "watchdog", "freeze", "links")}
    return [
        source.problem((*where, key), words, "write it on one line, without escapes")
        for key, value in shown.items()
        if (words := next(filter(None, map(text_problem, strings(value))), ""))
    ]


def once(problems: list[Problem]) -> list[Problem]:
    """One for each key: what is wrong with it is often found by more than one look, and again by one at its table."""
    found = list({problem.path: problem for problem in reversed(problems)}.values())[::-1]
    said = {(problem.message, problem.path) for problem in found}
    return [
        problem for problem in found
        if not any(words == problem.message and path.startswith(f"{problem.path}.") for words, path in said)
    ]  # fmt: skip


def _nearest(key: str, known: list[str]) -> str:
    from difflib import get_close_matches  # 6 ms, and only a mistake needs it

    near = get_close_matches(key, known, n=1)
    return f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(sorted(known))}"


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for inner in value.values() for text in strings(inner)]
    return [text for inner in value for text in strings(inner)] if isinstance(value, list) else []
