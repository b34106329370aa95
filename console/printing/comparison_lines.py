"""What differs between a run and the last good one, in words."""

from collections.abc import Iterable
from datetime import datetime, tzinfo

from backends.text import counted
from console.reading.comparison import Comparison, ParamDifference
from panels.kinds.pipelines import run_name
from panels.words import ago, took

SHOWN = 4
SAME = ("params", "rows", "code")


def headline(found: Comparison, now: datetime, zone: tzinfo) -> str:
    """`#1841, 17m ago; took 4m12s, it took 3m00s`; or why there is none."""
    if found.good is None:
        return f"none to compare with: {found.why}"
    ended = f", {ago((now - found.good_ended_at).total_seconds())} ago" if found.good_ended_at else ""
    times = (found.duration_s, found.good_s)
    took_words = f"; this took {took(times[0])}, that {took(times[1])}" if None not in times else ""
    return f"{run_name(found.good_run_id, zone)}{ended}{took_words}"


def against_good(found: Comparison, zone: tzinfo) -> str:
    """The most telling difference of each kind in one line, that there is none, or why nobody can say."""
    if found.good is None:
        return f"none to compare with: {found.why}"
    told = (
        [f"{found.good_code} → {found.code}"] if found.code != found.good_code and "code" not in found.unknown else []
    )
    told += [_param(each) for each in found.params[:1]]
    told += [f"{each.task} {each.good:,} → {each.rows:,} rows" for each in found.rows[:1]]
    told += [f"{task.task} slower by {took(task.slower_s)}" for task in found.slower[:1]]
    told += [f"{counted(len(found.not_run), 'task')} did not run"] if found.not_run else []
    more = sum(max(0, len(each) - 1) for each in (found.params, found.rows, found.slower))
    if not told:
        return f"{run_name(found.good_run_id, zone)}: no difference found"
    return "; ".join([*told, *([f"and {more} more"] if more else [])])


def differences(found: Comparison) -> list[tuple[str, str]]:
    """Heading and words: what differs, what is the same, what nobody tells. Nothing where there is no good run."""
    if found.good is None:
        return []
    rows = [("params", "; ".join(_several(map(_param, found.params))))]
    slower = [f"{task.task} {took(task.good_s)} → {took(task.duration_s)}" for task in found.slower]
    known = "tasks" not in found.unknown
    rows.append(("slower", "; ".join(_several(slower)) or ("no task took notably longer" if known else "")))
    rows.append(("not run", "; ".join(_several(found.not_run))))
    numbers = [f"{each.task} {each.good:,} → {each.rows:,} ({each.words})" for each in found.rows]
    rows.append(("rows", "; ".join(_several(numbers))))
    changed = found.code != found.good_code and "code" not in found.unknown
    rows.append(("code", f"{found.good_code} → {found.code}" if changed else ""))
    told = [(heading, words) for heading, words in rows if words]
    same = [name for name, words in rows if not words and name in SAME and name not in found.unknown]
    if same:
        told.append(("the same", ", ".join(same)))
    if found.unknown:
        told.append(("not told", ", ".join("durations" if name == "tasks" else name for name in found.unknown)))
    return told


def _param(each: ParamDifference) -> str:
    if each.good is None:
        return f"{each.name} {each.value} (it had none)"
    return f"{each.name} {each.good} → {each.value}" if each.value is not None else f"{each.name} {each.good} → none"


def _several(words: Iterable[str]) -> list[str]:
    found = list(words)
    return found if len(found) <= SHOWN else [*found[:SHOWN], f"and {len(found) - SHOWN} more"]
