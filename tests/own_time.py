"""How long something took on a machine that has time for it: what is asserted of seconds holds beside other work, too.

```python
watch = Watch()
await house.order(request)
assert watch.seconds() < 2.0
```
"""

import time
from pathlib import Path

_NS = 1e-9


class Watch:
    """Seconds since it was made, without those in which a thread of this process was ready to run and others had the
    cores (`/proc/self/task/*/schedstat`; all seconds where the system does not say)."""

    def __init__(self) -> None:
        self._began, self._waited = time.monotonic(), _waited_s()

    def seconds(self) -> float:
        """Until now."""
        before, now = self._waited, _waited_s()
        waited = sum(max(0.0, seconds - before.get(thread, 0.0)) for thread, seconds in now.items())
        return max(0.0, time.monotonic() - self._began - waited)


def _waited_s() -> dict[str, float]:
    found = {}
    for task in Path("/proc/self/task").glob("*/schedstat"):
        try:
            found[task.parent.name] = int(task.read_text().split()[1]) * _NS
        except (OSError, IndexError, ValueError):  # it has ended
            continue
    return found
