"""Annotations of Grafana as events of the timeline: deployments, incidents and whatever else people and programs mark.

API: https://grafana.com/docs/grafana/latest/developers/http_api/annotations/
"""

from datetime import UTC, datetime
from html import unescape
from urllib.parse import quote

import msgspec
from msgspec import Struct

from backends.entered import EnteredHttp
from backends.grafana import OURS, epoch_ms
from backends.models import TimelineEvent
from backends.text import clean

MOST = 500


class WireAnnotation(Struct, frozen=True, rename="camel"):
    """Times are milliseconds since 1970; `time_end` of what does not last is `time`, or 0. `text` may hold HTML."""

    time: int
    time_end: int = 0
    text: str = ""
    tags: tuple[str, ...] = ()
    login: str = ""
    dashboard_uid: str = msgspec.field(name="dashboardUID", default="")


async def annotations_between(
    client: EnteredHttp, base: str, backend: str, since: datetime, until: datetime
) -> list[TimelineEvent]:
    """Those that were not made from here, oldest first, and `unwatched` where there are more than are read. Raises
    BackendError."""
    asked = {"from": epoch_ms(since), "to": epoch_ms(until), "type": "annotation", "limit": MOST}
    answer = await client.request("GET", f"{base}/api/annotations", params=asked)
    found = sorted(answer.decode(list[WireAnnotation]), key=lambda each: each.time)
    events = [_event(each, base, backend) for each in found if OURS not in each.tags]
    if len(found) < MOST:
        return events
    words = f"{MOST:,} annotations, and no more are read: none before is known"
    return [TimelineEvent(at=since, kind="unwatched", ref=backend, text=words, until=_at(found[0].time)), *events]


def _event(wire: WireAnnotation, base: str, backend: str) -> TimelineEvent:
    tags = ", ".join(wire.tags)
    by = f" by {wire.login}" if wire.login else ""
    words = unescape(wire.text) or "annotation without a text"
    page = f"{base}/d/{quote(wire.dashboard_uid, safe='')}" if wire.dashboard_uid else None
    return TimelineEvent(
        at=_at(wire.time),
        kind="annotation",
        ref=backend,
        text=clean(f"{words}{by} [{tags}]" if tags else f"{words}{by}", 500),
        url=page and f"{page}?from={wire.time - 1_800_000}&to={max(wire.time, wire.time_end) + 1_800_000}",
        until=_at(wire.time_end) if wire.time_end > wire.time else None,
    )


def _at(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch / 1000, UTC)
