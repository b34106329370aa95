"""The age of data, and what is said when a source is lost."""

from datetime import timedelta

from panels.columns import text_of
from panels.sources import Source, age, empty_words, losses
from panels.words import UNICODE
from tests.console.fakes import NOW

FRESH = Source(name="am", fetched_at=NOW - timedelta(seconds=4))
LOST = Source(
    name="loki", fetched_at=NOW - timedelta(minutes=2), trust="warning", error="connection refused", fix="start it"
)
NEVER = Source(name="gone", trust="unknown", error="no such host")
WAITING = Source(name="slow")


def test_the_age_is_that_of_the_oldest_and_loud_when_a_source_is_lost() -> None:
    assert age([FRESH], NOW).text == "4s"
    assert age([FRESH], NOW).tone == "muted"
    assert (age([FRESH, LOST], NOW).text, age([FRESH, LOST], NOW).tone) == ("stale 2m", "warning")
    assert (age([FRESH, NEVER], NOW).text, age([FRESH, NEVER], NOW).tone) == ("no data", "unknown")
    assert age([WAITING], NOW).text == "reading"
    assert age([FRESH, WAITING], NOW).text == "4s, reading slow"
    assert age([], NOW).text == "not configured"


def test_each_lost_source_says_why_and_what_to_do() -> None:
    lines = [text_of(line) for line in losses([FRESH, LOST, NEVER, WAITING], NOW, UNICODE)]
    assert lines == ["? loki stale 2m: connection refused  → start it", "? gone no data: no such host"]


def test_an_empty_panel_says_who_was_asked_and_when() -> None:
    assert empty_words("No alerts firing", [FRESH], NOW) == "No alerts firing (4s ago)"
    assert empty_words("No alerts firing", [WAITING], NOW) == "Reading slow: nothing is known of it yet"
    assert empty_words("No alerts firing", [FRESH, WAITING], NOW) == "Reading slow: nothing is known of it yet"
    assert empty_words("No alerts firing", [NEVER, WAITING], NOW) == "Reading slow: nothing is known of it yet"
    assert empty_words("No alerts firing", [NEVER], NOW) == "Nothing is known"
    assert empty_words("No alerts firing", [], NOW) == "No alerts firing: no source configured"


PARTIAL = Source(name="am", fetched_at=NOW - timedelta(seconds=4), error="am-1: refused", partial=True)
JUST_LOST = Source(name="rules", fetched_at=NOW - timedelta(seconds=14), error="no such file")


def test_nothing_seen_by_a_source_that_is_lost_is_never_none() -> None:
    assert empty_words("No alerts firing", [JUST_LOST], NOW, "none firing") == (
        "Unknown: last seen 14s ago, none firing then"
    )
    assert empty_words("No alerts firing", [FRESH, JUST_LOST], NOW, "none firing") == (
        "Unknown: rules last seen 14s ago, none firing then; none firing in the other sources"
    )
    assert empty_words("No scores yet", [FRESH, NEVER], NOW) == (
        "Unknown: gone was never read; none in the other sources"
    )


def test_an_answer_that_is_a_part_is_neither_stale_nor_whole() -> None:
    assert (PARTIAL.lost, PARTIAL.incomplete) == (False, True)
    assert (age([PARTIAL], NOW).text, age([PARTIAL], NOW).tone) == ("4s, a part is missing", "unknown")
    assert text_of(losses([PARTIAL], NOW, UNICODE)[0]) == "? am a part is missing: am-1: refused"
    assert empty_words("No alerts firing", [PARTIAL], NOW, "none firing") == (
        "Unknown: a part is missing; none firing in the rest"
    )
