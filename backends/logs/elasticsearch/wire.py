"""What Elasticsearch and OpenSearch answer to a search, and how a document is read.

Sources: https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results (8.x) and
https://docs.opensearch.org/latest/search-plugins/searching-data/point-in-time/ (2.4 and later).
"""

from typing import Any, NoReturn

from msgspec import Struct, field

from backends.errors import BackendError
from backends.http import Answer, refusal
from backends.logs.lines import parse_time
from backends.logs.stamps import Stamp

NO_TIME_NS = 9_223_372_036_854_775_807  # by which a document without a time is sorted


class PointInTimeAnswer(Struct):
    """A point in time that was opened: `id` in Elasticsearch, `pit_id` in OpenSearch."""

    id: str = ""
    pit_id: str = ""


class Hit(Struct):
    """A document that was found."""

    index: str = field(name="_index")
    id: str = field(name="_id")
    sort: list[Any] = []
    source: dict[str, Any] = field(name="_source", default_factory=dict)
    fields: dict[str, Any] = {}


class Hits(Struct):
    """Those of a page."""

    hits: list[Hit] = []


class Shards(Struct):
    """How many shards were asked, and failed."""

    total: int = 0
    failed: int = 0


class Clusters(Struct):
    """How many clusters a search across several asked. One that is `skipped` has no shard that failed."""

    total: int = 0
    successful: int = 0

    @property
    def lost(self) -> int:
        """How many did not answer, or not wholly."""
        return max(0, self.total - self.successful)


class Page(Struct):
    """A page of a search."""

    hits: Hits
    timed_out: bool = False
    shards: Shards = field(name="_shards", default_factory=Shards)
    clusters: Clusters = field(name="_clusters", default_factory=Clusters)
    pit_id: str = ""


class Cause(Struct):
    """Why something was refused."""

    reason: str = ""
    type: str = ""
    root_cause: list["Cause"] = []

    @property
    def words(self) -> str:
        """Those of what is behind it: of a failed search the reason of the first shard."""
        cause = next((cause for cause in self.root_cause if cause.reason), self)
        return f"{cause.type}: {cause.reason}" if cause.reason else cause.type


class ErrorAnswer(Struct):
    """A refusal."""

    error: Cause | str = ""


def refuse(answer: Answer, headers: dict[str, str], auth: tuple[str, str] | None, asked: str) -> NoReturn:
    """Raises BackendError with the reason that the cluster gave."""
    try:
        error = answer.decode(ErrorAnswer).error
        said = error if isinstance(error, str) else error.words
        if "no handler found" in said:  # a path that this dialect does not have
            asked = ""
    except BackendError:
        said = ""
    raise refusal(answer, headers=headers, auth=auth, said=said, asked=asked)


def value_at(document: Any, path: str) -> Any:
    """What stands at a path, whether its dots are objects or part of the name; the first of several."""
    if not isinstance(document, dict):
        return None
    if path in document:
        found = document[path]
        return found[0] if isinstance(found, list) and found else found
    head, _, rest = path.partition(".")
    while rest:
        if head in document and (found := value_at(document[head], rest)) is not None:
            return found
        more, _, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None


def time_of(hit: Hit, path: str) -> Stamp | None:
    """As the cluster reads it, whatever the format; as it is written where that is the same time but more exact."""
    written = parse_time(value_at(hit.source, path))
    read = parse_time(value_at(hit.fields, path))
    if read is None and (ns := sorted_at(hit.sort)) is not None:
        read = parse_time(ns)
    is_same = written and read and written[1] // 1_000_000 == read[1] // 1_000_000
    return written if read is None or is_same else read


def sorted_at(sort: list[Any]) -> int | None:
    """The nanosecond by which a document was sorted."""
    at = parse_time(sort[0]) if sort else None
    return at[1] if at and at[1] < NO_TIME_NS else None
