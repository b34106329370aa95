"""What triggers have started and crawlers have found, as events of the timeline."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from backends.identifiers import identifier
from backends.models import Health, TimelineEvent
from backends.pipelines.glue.wire import Crawler, Run
from backends.pipelines.groups import Group
from backends.text import clean

AT_ONCE = timedelta(seconds=30)
"""So close together are the starts of all jobs of one firing."""
SHOWN = 5
_CRAWLS: dict[str, Health] = {"FAILED": "critical", "CANCELLED": "warning", "SUCCEEDED": "ok"}


def firings_of(known: Mapping[str, Group[Run]], backend: str, since: datetime) -> Iterator[TimelineEvent]:
    """Each time that a trigger started jobs after `since`: one event, of the first run that it started."""
    by_trigger: dict[str, list[tuple[datetime, str, Run]]] = {}
    for job, group in known.items():
        for run in group.runs:
            first = run.attempts[0]
            if run.began < since:
                break
            if first.trigger_name and first.began is not None:
                by_trigger.setdefault(first.trigger_name, []).append((first.began, job, run))
    for trigger, started in by_trigger.items():
        started.sort(key=lambda each: each[:2])
        while started:
            at = started[0][0]
            together = [each for each in started if each[0] - at <= AT_ONCE]
            started = started[len(together) :]
            jobs = [job for _, job, _ in together]
            more = f" and {len(jobs) - SHOWN} more" if len(jobs) > SHOWN else ""
            ref = f"{backend}/{identifier(jobs[0])}/{identifier(together[0][2].run_id)}"
            text = clean(f"trigger {trigger} started {', '.join(jobs[:SHOWN])}{more}", 300)
            yield TimelineEvent(at=at, kind="trigger", ref=ref, text=text)


def crawl_of(crawler: Crawler, backend: str) -> TimelineEvent | None:
    """Its last crawl; None where it never crawled."""
    crawl = crawler.last_crawl
    if crawl is None or crawl.start_time is None:
        return None
    why = f": {crawl.error_message}" if crawl.error_message else ""
    return TimelineEvent(
        at=crawl.start_time.astimezone(UTC),
        kind="crawl",
        ref=f"{backend}/{identifier(crawler.name)}",
        text=clean(f"crawler {crawler.name} {crawl.status.lower()}{why}", 300),
        health=_CRAWLS.get(crawl.status, "unknown"),
    )
