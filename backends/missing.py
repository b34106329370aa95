"""What a source could not read while it answered all the same: one peer of several, one part of an answer, one record.

An adapter tells of it with `missing`; whoever reads the source collects it, and then the answer is partial:

```python
with collected() as lost:
    items = await adapter.alerts()
```
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from backends.errors import BackendError

MOST_TOLD = 20

_COLLECTING: ContextVar[list[BackendError] | None] = ContextVar("collecting", default=None)


def missing(error: BackendError) -> None:
    """`error` says what is not in the answer, and why. It is kept once, and only where somebody collects."""
    told = _COLLECTING.get()
    if told is not None and len(told) < MOST_TOLD and all(error.message != each.message for each in told):
        told.append(error)


@contextlib.contextmanager
def collected() -> Iterator[list[BackendError]]:
    """What is missing from what is read in the block, also by the tasks and asyncio's threads that it starts."""
    told: list[BackendError] = []
    token = _COLLECTING.set(told)
    try:
        yield told
    finally:
        _COLLECTING.reset(token)
