"""JUnit XML, as pytest, surefire, gtest, jest … write it. Source: https://github.com/testmoapp/junitxml."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from backends.checks.report.found import Count, Report, example, said_at, walk
from backends.text import counted

_OUTCOMES = frozenset({"failure", "error", "skipped"})
_DECLARED = {"tests": "tests", "failures": "failure", "errors": "error", "skipped": "skipped", "disabled": "skipped"}


def read(body: bytes) -> Report:
    """Cases are counted, and what a suite says of itself where that is more. Where none ran, nothing is proven."""
    found: Counter[str] = Counter()
    declared: Counter[str] = Counter()  # by the suites
    in_all: Counter[str] = Counter()  # by what is around them
    last: dict[str, int] = {}
    bad: dict[str, list[str]] = {"failure": [], "error": []}
    made: list[datetime] = []
    name = ""

    def begin(around: str, tag: str, attributes: Mapping[str, str]) -> None:
        nonlocal name
        if tag == "testcase":
            found["tests"] += 1
            found["skipped"] += attributes.get("status") == "notrun"
            name = attributes.get("name", "")
        elif tag in _OUTCOMES and around in ("testcase", "testsuite", "testsuites"):
            if around != "testcase" or last.get(tag) != found["tests"]:  # once a case
                found[tag] += 1
                bad.get(tag, []).append(name if around == "testcase" else attributes.get("message", around))
            last[tag] = found["tests"]
        elif not around and tag == "testsuites":
            in_all.update(_declared(attributes))
        elif tag == "testsuite" and around in ("", "testsuites"):
            declared.update(_declared(attributes))
            made.extend(filter(None, [said_at(attributes.get("timestamp"))]))

    walk(body, begin)
    tests, failures, errors, skipped = (
        max(found[key], declared[key], in_all[key]) for key in ("tests", "failure", "error", "skipped")
    )
    summary = counted(tests, "test") + (f", {skipped} skipped" if skipped else "")
    return Report(
        summary=summary,
        counts=(
            Count("failures", failures, f"{counted(failures, 'failure')} of {summary}{example(bad['failure'])}"),
            Count("errors", errors, f"{counted(errors, 'error')} of {summary}{example(bad['error'])}"),
            Count("skipped", skipped, f"{skipped} of {counted(tests, 'test')} skipped"),
            Count("tests", tests, f"only {counted(tests, 'test')}"),
        ),
        made_at=min(made, default=None),
        unjudged="" if tests > skipped else f"no test ran: {summary}",
    )


def _declared(attributes: Mapping[str, str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for key, meaning in _DECLARED.items():
        text = attributes.get(key, "")
        found[meaning] += int(text) if text.isdecimal() and len(text) < 10 else 0
    return found
