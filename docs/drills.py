"""`python -m docs.drills` writes docs/drills.md: the drills, by which `make drills` and the tests play them."""

import sys
from pathlib import Path

from msgspec import Struct

from docs.pages import cell, write

PAGE = Path(__file__).parent / "drills.md"
MOST_KEYS = 6
MOST_S = 10.0
BAKE = "10s"


class Key(Struct, frozen=True):
    """What is typed as one step, as the page names it, and what is on an 80×24 screen then. `read_s`: so long whoever
    plays it looks at that; a plan takes no key that comes sooner."""

    typed: str
    shows: tuple[str, ...] = ()
    read_s: float = 0.0

    @property
    def strokes(self) -> int:
        """How many keys that are."""
        return 1 if self.typed in ("Enter", "Tab", "Esc") else len(self.typed)


class Drill(Struct, frozen=True, kw_only=True):
    """`inject`: how it is broken, commands in the order in which they are given; `before`: what the overview shows once
    it is, and then `keys` are typed. `seen` says what there is to be seen, for people."""

    name: str
    inject: tuple[str, ...]
    told: str = ""
    before: tuple[str, ...]
    keys: tuple[Key, ...]
    seen: str

    @property
    def strokes(self) -> int:
        """How many keys it takes from the overview to the answer."""
        return sum(key.strokes for key in self.keys)

    @property
    def typed(self) -> str:
        """Its keys, as they are pressed."""
        return " ".join(key.typed for key in self.keys)


FLIP = "teal deploy flip analytics -C sandbox -y --detach"
ANEW = '--override rejected --reason "a drill"'  # of the version that an earlier drill has found bad

DRILLS = (
    Drill(
        name="A task fails",
        inject=("teal sandbox break failing-task",),
        before=("validate_transactions_data",),
        keys=(
            Key("1", ("validate_transactions_data",)), Key("Enter", ("failed", "validate_transactions_data")),
            Key("E", ("SuiteError", "amount_eur")), Key("x", ("retry",)), Key("r", ("Retry",)),
        ),
        seen="the run on top with its reason below; the failed task, its log, the line that says why; `x` `r` plans a "
        "retry",
    ),
    Drill(
        name="Bad data behind a green run",
        inject=("teal sandbox break bad-data",),
        before=("DataQualityDegradation",),
        keys=(Key("2", ("< 0.80",)), Key("Enter", ("transaction_amount",)), Key("t", ("T0",))),
        seen="the run ended well and says `bad data` (✗), the score is red with both numbers (0.71 < 0.80), the failed "
        "checks with their counts; T0 on the timeline is the score, not the run",
    ),
    Drill(
        name="A bad release before a flip",
        inject=("teal sandbox break bad-release",),
        before=("down",),
        keys=(Key("4", ("down",)), Key("x", ("GREEN is not healthy",))),
        seen="the menu says why a flip can not be planned: GREEN is not healthy; on the command line exit 3; nothing "
        "moved",
    ),
    Drill(
        name="A bad release after a flip",
        inject=(FLIP, "teal sandbox break crash-color:live"),
        before=("Deployments",),
        keys=(Key("@", ("flip analytics",)), Key("Enter", ("rolled back",))),
        seen="the bake sees it within two looks and goes back by itself; the action ends `rolled back`, proven by 20 "
        "of 20 fresh requests; `b` then says back already, and a flip to that version needs `--override rejected "
        '--reason "…"`',
    ),
    Drill(
        name="A slow color",
        inject=("teal sandbox break slow-color",),
        before=("over 500ms",),
        keys=(Key("4", ("analytics",)), Key("Enter", ("healthy in",))),
        seen="healthy, and it answers in 800 ms: that stands beside the color, the check is ▲; a latency gate would "
        "hold it",
    ),
    Drill(
        name="A dead backend",
        inject=("teal sandbox break dead-backend",),
        before=("? scores", "? rules"),
        keys=(Key("s", ("Sources", "scores", "rules")),),
        seen="scores and alerts turn `?` with the reason in their first row, the strip names the source once; nothing "
        "is green that nobody sees",
    ),
    Drill(
        name="5,000 alerts",
        inject=("teal sandbox break alert-flood",),
        before=("DeadLetters ×5,000",),
        keys=(
            Key("3", ("DeadLetters ×5,000",)), Key("/"), Key("42", ("/42",)), Key("Enter", ("DeadLetters",)),
            Key("v", ("each by itself",)),
        ),
        seen="one row `DeadLetters ×5,000`; keys answer at once; `v` shows the alerts one by one, those with `42`",
    ),
    Drill(
        name="SSH lost in the middle of a flip",
        inject=(f"{FLIP} {ANEW}",),
        told="flip with `--detach`, or close the terminal while the action screen is open; then `teal` anew",
        before=("Deployments",),
        keys=(Key("@", ("flip analytics",)),),
        seen="the action goes on without you; the next console shows it on the strip with who started it "
        "(`tests/live/test_ssh.py` over a real sshd)",
    ),
    Drill(
        name="Two operators at once",
        inject=(f"{FLIP} {ANEW}", f"{FLIP} {ANEW}"),
        told="two terminals, the same `teal deploy flip analytics -C sandbox -y`",
        before=("Deployments",),
        keys=(Key("@", ("flip analytics",)),),
        seen="one wins; the other is told who, what and since when (exit 6); `teal action watch ID` follows the winner",
    ),
    Drill(
        name="The runner is killed",
        inject=(f"{FLIP} {ANEW}", "kill"),
        told="flip with `--detach`, then `kill -9` of the pid that `teal action show ID -o json` names as `owner`",
        before=("nobody runs it",),
        keys=(
            Key("b", ("Roll back analytics", "[ Roll back ]"), read_s=2.0), Key("Tab"),
            Key("Enter", ("rolled back",)),
        ),
        seen="the strip and `teal check` (exit 2) say since when nobody runs it; `b`, from anywhere, plans the way "
        "back, its button brings traffic back; `teal action resume ID` goes on forward instead",
    ),
)  # fmt: skip

ON_AWS = Drill(
    name="Bad data behind a green run, on AWS",
    inject=(),
    before=("DataQualityDegradation",),
    keys=(Key("2", ("0.71 < 0.80",)), Key("Enter", ("IsComplete",)), Key("t", ("T0",))),
    seen="the same with a job of Glue, a result of Glue Data Quality and an alarm of CloudWatch: the run ended well "
    "and says `bad data` (✗), the score is red with both numbers and the rules that failed; on the timeline the "
    "trigger that started the job, the alarm, and T0, which is the score",
)
"""Played on a fake of AWS (`tests/terminal/aws_drill.py`): there is no AWS in the sandbox."""

FORTY = Drill(
    name="Forty red rows, one cause",
    inject=(),
    before=("40 of one cause: ", "on call alice"),
    keys=(
        Key("8", ("×40", "a change of analytics")),
        Key("Enter", ("flip analytics", "the likely cause")),
        Key("j"),
        Key("a", ("[ Acknowledge ]",), read_s=2.0),
        Key("Tab"),
        Key("Enter", ("succeeded",)),
    ),
    seen="who is on call stands in the first line, and the second says once what forty alerts share; `8` is one row of "
    "them with the flip before it and why, `Enter` the flip, how long before, and all forty, `j` `a` plans the "
    "acknowledgement of the first one, and its button gives it",
)
"""Played on the sandbox with an Alertmanager of a fake and a rota beside it (`tests/terminal/forty_drill.py`)."""

HEAD = f"""# Ten drills

Written by `python -m docs.drills`. Each takes five minutes in the sandbox, and each is played by a test with exactly
these keys, at 80×24 (`tests/terminal/test_drills.py`); `make drills` plays them all and prints how many keys and
seconds each took: at most {MOST_KEYS} keys and {MOST_S:g} s from the first key to the answer. Start with
`teal sandbox start` and `teal` in one terminal; type the other commands in a second one. A flip in the sandbox bakes
{BAKE}; for more time to do something to it, start it by `TEAL_SANDBOX_BAKE=2m teal sandbox start`. What is injected is
real: rows are wrong, processes die, answers are late. `teal sandbox fix` makes everything well again.

| # | inject | keys in the console | what is seen |
|---|---|---|---|
"""

TAIL = f"""
The second one is played on AWS too, that is on a fake of it (`tests/terminal/test_aws_drill.py`, and the last line of
`make drills`): {" ".join(f"`{key.typed}`" for key in ON_AWS.keys)}, {ON_AWS.seen}.

And on the sandbox with an Alertmanager beside it, after a flip (`tests/terminal/test_forty_drill.py`, and with `make
drills`): **{FORTY.name}**: {" ".join(f"`{key.typed}`" for key in FORTY.keys)}, {FORTY.seen}.
"""


def page() -> str:
    """The whole of docs/drills.md."""
    return HEAD + "".join(map(_row, range(1, len(DRILLS) + 1), DRILLS)) + TAIL


def _row(number: int, drill: Drill) -> str:
    inject = drill.told or ", then ".join(f"`{command}`" for command in drill.inject)
    keys = " ".join(f"`{key.typed}`" for key in drill.keys)
    return f"| {number} | **{drill.name}** {cell(inject)} | {keys} | {cell(drill.seen)} |\n"


if __name__ == "__main__":
    sys.exit(write(PAGE, page()))
