"""A `teal …` command to be typed or copied, from data: nothing in it is taken for a shell's words or for an option."""

from shlex import quote

PLACE_VARIABLE = "TEAL_RUNNER_PLACE"
PLACE_VARIABLE = "TEAL_RUNNER_PLACE"
_place: list[str] = []


def work_on(*, config: str = "", context: str = "") -> None:
    """What every printed command needs to mean the same where it is pasted: the config and the context that this
    program works on, each empty where a plain `teal` finds it. The undo of staging is no order to production."""
    given = [*(["-c", quote(config)] if config else []), *(["-C", quote(context)] if context else [])]
    set_place(" ".join(given))


def place() -> str:
    """What `work_on` has said, for a program of ours that is to print the same."""
    return " ".join(_place)


def set_place(words: str) -> None:
    """The inverse of `place`."""
    _place[:] = [words] if words else []


def command(words: str, *refs: str, context: str = "", flags: str = "", **options: str) -> str:
    """`command("deploy flip", "web", to="GREEN")` is `teal deploy flip web --to GREEN`.

    `words` and `flags` (as `-y`) are ours; `refs`, `options` and `context` are data and quoted. Where one of `refs`
    begins with `-` they stand last, behind `--`.
    """
    named_here = ["-C", quote(context)] if context and "-C " not in place() else []
    told = ["teal", *_place, *named_here, words]
    named = [quote(ref) for ref in refs]
    given = [_option(name, value) for name, value in options.items()] + ([flags] if flags else [])
    if any(ref.startswith("-") for ref in refs):
        return " ".join([*told, *given, "--", *named])
    return " ".join([*told, *named, *given])


def _option(name: str, value: str) -> str:
    dashed = f"--{name.replace('_', '-')}"
    return f"{dashed}={quote(value)}" if value.startswith("-") else f"{dashed} {quote(value)}"
