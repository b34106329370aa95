"""What the driver of a job run wrote: the groups `/output` and `/error`, the stream is the id of the run."""

from collections.abc import Sequence

from msgspec.structs import replace

from backends.aws.account import Account
from backends.errors import BackendError
from backends.identifiers import identifier
from backends.logs.cloudwatch.events import Group, pages
from backends.models import LogEntry
from backends.pipelines.glue.wire import JobRun
from backends.together import together

GROUP = "/aws-glue/jobs"
LOG_LINES = 2000


async def logs_of(account: Account, job: str, attempts: Sequence[JobRun]) -> list[LogEntry]:
    """The last `LOG_LINES` lines of all of them, in the order of their times. Raises BackendError."""
    asked = [(attempt, suffix) for attempt in attempts for suffix in ("output", "error")]
    found = await together(*(_lines(account, job, attempt, suffix) for attempt, suffix in asked))
    entries = [entry for lines in found for entry in lines]
    return sorted(entries, key=lambda entry: int(entry.at_ns or 0))[-LOG_LINES:]


async def _lines(account: Account, job: str, attempt: JobRun, suffix: str) -> list[LogEntry]:
    base = attempt.log_group_name.rstrip("/").removesuffix("/output").removesuffix("/error") or GROUP
    group = Group(f"{base}/{suffix}", prefix=attempt.id)
    since = round(attempt.began.timestamp() * 1000) if attempt.began else None
    lines: list[LogEntry] = []
    try:
        async for page in pages(account, group, since, None, newest_first=True, size=LOG_LINES):
            # The executors of a run have streams of their own, and so has its next attempt.
            lines += [found.entry for found in page if found.entry.labels.get("stream") == attempt.id]
            if len(lines) >= LOG_LINES:
                break
    except BackendError as error:
        if error.kind != "not_found":  # a job that has written nothing has no group
            raise
    source = identifier(attempt.job_name or job)
    return [replace(entry, source=source, labels={**entry.labels, "log": suffix}) for entry in lines]
