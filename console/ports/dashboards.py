"""Which dashboard shows a thing, and the time that it is about. Pure functions over models."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from backends.models import Item
from console.ports.derive import named_by_kind, related
from console.ports.links import Links
from console.ports.table import port_of

AROUND = timedelta(minutes=30)
"""Of what is shown before it began and after it ended."""


def dashboard_of(item: Item, links: Links) -> str:
    """The dashboard of `links` for `item`, from half an hour before it to half an hour after its end, or to now; empty
    where there is none. What it names itself comes before what is linked with that."""
    own = named_by_kind(item, links)
    for kind, page in links.dashboards.items():
        if own.get(kind):
            return _page(page, kind, own[kind][0], item)
    rows = related({name for names in own.values() for name in names}, links)
    for kind, page in links.dashboards.items():
        linked = {
            "pipeline": [row.pipeline for row in rows if row.pipeline],
            "dataset": [dataset for row in rows for dataset in row.datasets],
            "service": [service for row in rows for service in row.services],
        }
        if linked[kind]:
            return _page(page, kind, linked[kind][0], item)
    return ""


def _page(page: str, kind: str, name: str, item: Any) -> str:
    found = page.replace(f"{{{kind}}}", quote(name, safe=""))
    begun, ended = _times(item)
    if begun is None:
        return found
    times = urlencode({"from": _ms(begun - AROUND), "to": "now" if ended is None else _ms(ended + AROUND)})
    parts = urlsplit(found)
    return parts._replace(query=f"{parts.query}&{times}" if parts.query else times).geturl()


def _times(item: Any) -> tuple[datetime | None, datetime | None]:
    ended = getattr(item, "ended_at", None)
    begun = getattr(item, "started_at", None)
    if begun is None:
        port = port_of(item)
        begun = port.reading.at(item) if port is not None and port.reading is not None else None
    return begun, ended


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
