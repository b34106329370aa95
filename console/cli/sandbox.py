"""`teal sandbox`: the embedded platform on this host."""

import click
import msgspec

from console.cli.options import DURATION, Common, common_options
from console.cli.showing import Answer, show
from console.cli.whole_help import WholeHelp
from console.errors import EXIT_NOT_FOUND, CommandError
from console.printing.output import document, plain
from console.sandbox import control
from console.streams import say


@click.group(cls=WholeHelp)
def sandbox() -> None:
    """The embedded platform: two colors behind a router, two DAGs, real data."""


@sandbox.command()
@common_options()
def start(common: Common) -> int:
    """Start it, or find it running; returns when it works."""
    progress = None if common.quiet else lambda line: say(f"teal: {line}")
    info = control.ensure_running(timeout_s=common.timeout_s or 60, on_progress=progress)
    return _show_info(common, info)


@sandbox.command()
@common_options()
def stop(common: Common) -> int:
    """Stop it; its data stays."""
    control.stop()
    return _say(common, "the sandbox is stopped")


@sandbox.command()
@common_options()
def status(common: Common) -> int:
    """Whether it runs, where, and which faults are injected."""
    info = control.running()
    if info is None:
        raise CommandError(EXIT_NOT_FOUND, "not_found", "the sandbox is not running", fix="`teal sandbox start`")
    return _show_info(common, info)


@sandbox.command()
@common_options()
def reset(common: Common) -> int:
    """Stop it, wipe its data, start it again."""
    return _show_info(common, control.reset())


_FAULTS = "\n".join(f"  {name:13} {words}" for name, words in control.FAULTS.items())


@sandbox.command(
    "break",
    help="Inject FAULT; returns when it can be observed. One that concerns a color may name it, as slow-color:blue, "
    f"slow-color:live or slow-color:idle.\n\n\b\n{_FAULTS}",
    short_help="Inject a fault; returns when it can be observed.",
)
@common_options()
@click.argument("fault")
def break_(common: Common, fault: str) -> int:
    from console.sandbox import faults

    return _say(common, faults.inject(fault))


@sandbox.command()
@common_options()
@click.argument("fault", required=False)
def fix(common: Common, fault: str | None) -> int:
    """Take FAULT away, or all of them."""
    from console.sandbox import faults

    return _say(common, faults.fix(fault))


@sandbox.command()
@common_options()
@click.option("--rps", type=click.IntRange(1, 500), default=50, show_default=True, help="Requests a second.")
@click.option("--for", "seconds", type=DURATION, default="10s", show_default=True, help="How long, at most 120s.")
def load(common: Common, rps: int, seconds: float) -> int:
    """Drive bounded traffic through the router and say what came back."""
    report = control.load(rps, seconds)
    data = plain(report)
    shown = document("sandbox.load", [data], context="sandbox", health="ok" if not report.errors else "critical")
    show(common, Answer(shown, lambda: [f"{key:10} {value}" for key, value in data.items()]))
    return 0


def _show_info(common: Common, info: control.SandboxInfo) -> int:
    shown = document("sandbox.status", [info], context="sandbox", health="warning" if info.faults else "ok")
    data = plain(info)
    show(common, Answer(shown, lambda: [f"{key:10} {_words(value)}" for key, value in data.items()]))
    return 0


def _words(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)


class Said(msgspec.Struct, frozen=True):
    """What was done, in a sentence."""

    message: str


def _say(common: Common, message: str) -> int:
    shown = document("sandbox", [Said(message)], context="sandbox", health="ok")
    show(common, Answer(shown, lambda: [message]))
    return 0
