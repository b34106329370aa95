"""A `teal …` command to be typed or copied, from data: nothing in it is taken for a shell's words or for an option."""

from shlex import quote


def command(words: str, *refs: str, context: str = "", flags: str = "", **options: str) -> str:
    """`command("deploy flip", "web", to="GREEN")` is `teal deploy flip web --to GREEN`.

    `words` and `flags` (as `-y`) are ours; `refs`, `options` and `context` are data and quoted. Where one of `refs`
    begins with `-` they stand last, behind `--`.
    """
    told = ["teal", *(["-C", quote(context)] if context else []), words]
    named = [quote(ref) for ref in refs]
    given = [_option(name, value) for name, value in options.items()] + ([flags] if flags else [])
    if any(ref.startswith("-") for ref in refs):
        return " ".join([*told, *given, "--", *named])
    return " ".join([*told, *named, *given])


def _option(name: str, value: str) -> str:
    dashed = f"--{name.replace('_', '-')}"
    return f"{dashed}={quote(value)}" if value.startswith("-") else f"{dashed} {quote(value)}"
