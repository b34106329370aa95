"""The options that every command shares, and what a command is told of them."""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import click
from msgspec import Struct

from backends.settings import LONGEST_S, Duration
from console.cli.empty_values import must_not_be_empty
from console.cli.whole_help import ChangeOption, CommonOption
from console.errors import EXIT_USAGE, CommandError
from console.typed_times import FORMS, TypedTime

Command = TypeVar("Command", bound=Callable[..., Any])

READ_OUTPUTS = ("table", "json", "jsonl")


class Common(Struct, frozen=True, kw_only=True):
    """How to find the context and how to print. `watch_s` is None for printing once; times are seconds."""

    config: str | None = None
    context: str | None = None
    output: str = "table"
    fields: tuple[str, ...] = ()
    limit: int | None = None
    watch_s: float | None = None
    color: bool = True
    timeout_s: float | None = None
    strict: bool = False
    quiet: bool = False
    verbose: int = 0


class Writing(Struct, frozen=True, kw_only=True):
    """How the operator agrees to a change, and how to follow it."""

    dry_run: bool = False
    plan_hash: str = ""
    yes: bool = False
    confirm: str = ""
    reason: str = ""
    overrides: tuple[str, ...] = ()
    detach: bool = False
    foreground: bool = False
    idempotency_key: str = ""
    wait_timeout_s: float | None = None


class DurationType(click.ParamType[Any]):
    """Seconds as `90s`, `10m`, `1h30m`; a bare number counts as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Raises click's usage error for anything else."""
        with contextlib.suppress(ValueError):
            if 0 <= (seconds := float(value)) <= LONGEST_S:  # nan is not
                return seconds
        try:
            return float(Duration.parse(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = DurationType()


class PatienceType(DurationType):
    """As `DurationType`, more than none: in no time nothing is read, and every source seems not to answer."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Raises click's usage error for anything else."""
        seconds = super().convert(value, param, ctx)
        if not seconds:
            self.fail(f'"{value}" is no time to wait: write at least "1ms"', param, ctx)
        return seconds


PATIENCE = PatienceType()


class TimeType(click.ParamType[Any]):
    """A time as `TypedTime`: an age (`15m`), a time of day, or ISO 8601, of the zone that the context shows."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> TypedTime:
        """Raises click's usage error for anything else."""
        if isinstance(value, TypedTime):
            return value
        try:
            return TypedTime.parse(value)
        except ValueError:
            return self.fail(f'"{value}" is no time: write {FORMS}', param, ctx)


TIME = TimeType()


_common_option = partial(click.option, cls=CommonOption)
_change_option = partial(click.option, cls=ChangeOption)


def common_options(outputs: tuple[str, ...] = READ_OUTPUTS) -> Callable[[Command], Command]:
    """The options of every command; the command gets them as its first argument, a `Common`."""

    def decorate(command: Command) -> Command:
        options = [
            _common_option("-c", "--config", metavar="FILE", help="The config file to read."),
            _common_option("-C", "--context", metavar="NAME", help="A context of the config; also TEAL_CONTEXT."),
            _common_option("-o", "--output", type=click.Choice(outputs), default=outputs[0], show_default=True),
            _common_option("--fields", metavar="A,B", help="Print only these fields."),
            _common_option("--limit", type=click.IntRange(min=0), metavar="N", help="Print at most N items; 0: all."),
            _common_option(
                "-w", "--watch", type=DURATION, is_flag=False, flag_value="2", metavar="[S]",
                help="Print again every S, 2 s by default.",
            ),
            _common_option("--no-color", is_flag=True, help="Print without color; also NO_COLOR."),
            _common_option("--timeout", type=PATIENCE, metavar="S", help="The deadline: S for all of it."),
            _common_option("--strict", is_flag=True, help="Exit 7 if any source did not answer."),
            _common_option("-q", "--quiet", is_flag=True, help="Print only errors on stderr."),
            _common_option("-v", "--verbose", count=True, help="Print more on stderr."),
        ]  # fmt: skip
        return _with_options(command, options, "common", _common)

    return decorate


def writing_options(command: Command) -> Command:
    """The options of every command that changes something, as the argument `writing`."""
    options = [
        _change_option("--dry-run", is_flag=True, help="Print the plan and its hash; change nothing."),
        _change_option("--plan-hash", default="", metavar="H", help="Go on only if the plan has this hash."),
        _change_option("-y", "--yes", is_flag=True, help="Do not ask for confirmation."),
        _change_option("--confirm", default="", metavar="CONTEXT", help="The name of a protected context, typed out."),
        _change_option("--reason", default="", metavar="TEXT", help="Why; the audit keeps it."),
        _change_option("--override", multiple=True, metavar="GUARD", help="Go past this finding; needs --reason."),
        _change_option("--detach", is_flag=True, help="Return once the runner has it (exit 8)."),
        _change_option("--foreground", is_flag=True, help="Run it in this process, as in a container or CI."),
        _change_option("--idempotency-key", default="", metavar="K", help="Act only once for this key."),
        _change_option("--wait-timeout", type=DURATION, metavar="S", help="Watch for S, then return (exit 8)."),
    ]
    return _with_options(command, options, "writing", _writing)


def _with_options(
    command: Command, options: list[Any], argument: str, build: Callable[[dict[str, Any]], Any]
) -> Command:
    from functools import update_wrapper

    def wrapper(*args: Any, **values: Any) -> Any:
        return command(*args, **{argument: build(values)}, **values)

    update_wrapper(wrapper, command)
    made: Any = wrapper
    for option in reversed(options):
        made = option(made)
    return cast("Command", made)


def _common(values: dict[str, Any]) -> Common:
    must_not_be_empty(click.get_current_context())
    root: dict[str, Any] = click.get_current_context().find_root().obj or {}
    fields = values.pop("fields")
    return Common(
        config=values.pop("config") or root.get("config"),
        context=values.pop("context") or root.get("context"),
        output=values.pop("output"),
        fields=tuple(name.strip() for name in fields.split(",") if name.strip()) if fields else (),
        limit=values.pop("limit"),
        watch_s=values.pop("watch"),
        color=not (values.pop("no_color") or root.get("no_color")),
        timeout_s=values.pop("timeout"),
        strict=values.pop("strict"),
        quiet=values.pop("quiet"),
        verbose=values.pop("verbose"),
    )


def _writing(values: dict[str, Any]) -> Writing:
    writing = Writing(
        dry_run=values.pop("dry_run"),
        plan_hash=values.pop("plan_hash"),
        yes=values.pop("yes"),
        confirm=values.pop("confirm"),
        reason=values.pop("reason"),
        overrides=tuple(values.pop("override")),
        detach=values.pop("detach"),
        foreground=values.pop("foreground"),
        idempotency_key=values.pop("idempotency_key"),
        wait_timeout_s=values.pop("wait_timeout"),
    )
    if writing.detach and writing.foreground:
        raise CommandError(EXIT_USAGE, "usage", "--detach and --foreground exclude each other")
    return writing


def key_values(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`K=V` pairs; V is JSON where it parses, else a string. Raises CommandError for a pair without `=`."""
    from backends.json_text import value_of

    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise CommandError(EXIT_USAGE, "usage", f'"{pair}" is not K=V', fix="write -p rows=500")
        found[key] = value_of(value)
    return found
