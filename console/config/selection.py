"""Which context a command works on: the one of a config, or the embedded sandbox where there is no config."""

import os
from collections.abc import Callable

from msgspec import Struct

from backends.command_line import work_on
from backends.text import clean
from console.config.load import (
    Config,
    Context,
    fatal_problems,
    find_config,
    is_beside,
    load_config,
    pick_context,
    search_path,
)
from console.errors import EXIT_USAGE, CommandError, ConfigError, Problem

SANDBOX = "sandbox"


class Selection(Struct, frozen=True):
    """The context, what its file says of this terminal, and the problems that disable single entries."""

    context: Context
    keymap: dict[str, str]
    problems: tuple[Problem, ...]
    theme: str = ""
    notify_terminal: bool = True


class NoConfig(CommandError):
    """There is no config, no sandbox runs, and this command does not start one."""

    def __init__(self) -> None:
        places = ", ".join(str(place) for place in search_path(None))
        fix = "write one with `teal config init`, or try the sandbox: `teal sandbox start`"
        super().__init__(EXIT_USAGE, "config", f"no config; looked at {places}", fix=fix)


class SandboxNotNamed(CommandError):
    """There is no config, and the command would change something of a platform that nobody named."""

    def __init__(self) -> None:
        places = ", ".join(str(place) for place in search_path(None))
        message = f"no config (looked at {places}), and without one an order is only for the sandbox"
        super().__init__(EXIT_USAGE, "config", message, fix="add -C sandbox if that is meant")


def select(
    config_file: str | None,
    context_name: str | None,
    *,
    start_sandbox: bool = False,
    order: bool = False,
    check_entries: bool = True,
    on_progress: Callable[[str], None] | None = None,
) -> Selection:
    """The context to work on. `check_entries`: as `load_config`. `on_progress` hears of a sandbox that is started.
    `order`: something will be changed, and the sandbox only where it is named.

    Raises CommandError: no config, an unusable one, an unknown context.
    """
    path = find_config(config_file)
    config = load_config(path, check_entries=check_entries) if path else None
    named = context_name or os.environ.get("TEAL_CONTEXT") or None
    if config is None or (named == SANDBOX and SANDBOX not in config.contexts):
        if named not in (None, SANDBOX):
            raise ConfigError(f'no config, so no context "{clean(named, 100)}"', fix="run `teal config init`")
        if order and named is None:
            raise SandboxNotNamed()
        return _sandbox(start_sandbox, check_entries, on_progress)
    context = pick_context(config, context_name)
    work_on(config=config_file or "", context="" if context.name == config.default_context else context.name)
    return _usable(config, context, meant=named is not None or config.default_known)


def _usable(config: Config, context: Context, *, meant: bool) -> Selection:
    """`meant`: which context it is can not be the fault of a key that nobody knows."""
    from msgspec.structs import replace

    fatal = fatal_problems(config, context)
    beside = [problem for problem in fatal if meant and is_beside(problem)]
    fatal = [problem for problem in fatal if problem not in beside]
    if fatal:
        more = f" (and {len(fatal) - 1} more: `teal config validate`)" if len(fatal) > 1 else ""
        raise ConfigError(f"{fatal[0]}{more}", fix="correct it, then run `teal config validate`")
    own = tuple(problem for problem in config.problems if problem.context == context.name and problem.entry)
    context = replace(context, doubts=tuple(map(str, beside)))
    return Selection(context, config.keymap, (*beside, *own), config.theme, config.notify_terminal)


def _sandbox(start: bool, check_entries: bool, on_progress: Callable[[str], None] | None) -> Selection:
    from msgspec.structs import replace

    from console.sandbox.control import ensure_running, running

    info = ensure_running(on_progress=on_progress) if start else running()
    if info is None:
        raise NoConfig()
    config = load_config(info.config_path, check_entries=check_entries)
    work_on(context=SANDBOX)
    selection = _usable(config, pick_context(config, SANDBOX), meant=True)
    return replace(selection, context=replace(selection.context, sandbox=True))
