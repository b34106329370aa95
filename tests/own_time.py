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
_USUAL_MS = 2.6
"""What `_work` takes of a core that is its own, on the machine that the numbers of the tests are of."""


class Watch:
    """Seconds since it was made, without those in which a thread of this process, or of that with the id `pid`, was
    ready to run and others had the cores (`/proc/PID/task/*/schedstat`; all seconds where the system does not say). Of
    a thread that has ended counts what was seen of it when somebody last asked."""

    def __init__(self, pid: int | None = None) -> None:
        self._tasks = Path("/proc") / ("self" if pid is None else str(pid)) / "task"
        self._began, self._before = time.monotonic(), _waited_s(self._tasks)
        self._seen = dict(self._before)

    def seconds(self) -> float:
        """Until now."""
        self._seen |= _waited_s(self._tasks)
        waited = sum(max(0.0, seconds - self._before.get(thread, 0.0)) for thread, seconds in self._seen.items())
        return max(0.0, time.monotonic() - self._began - waited)


def slowness() -> float:
    """How many times as long as usual a piece of Python takes right now, at least 1: others in the caches, a core of
    two halves, a slow machine. Measured beside what is asserted of CPU time, before and after it, the larger counts."""
    began = time.thread_time()
    _work()
    return max(1.0, (time.thread_time() - began) * 1000 / _USUAL_MS)


def _work() -> None:
    found = {f"row {number}": (number, str(number)) for number in range(6000)}
    sorted(found, key=lambda name: found[name])


def _waited_s(tasks: Path) -> dict[str, float]:
    found = {}
    for task in tasks.glob("*/schedstat"):
        try:
            found[task.parent.name] = int(task.read_text().split()[1]) * _NS
        except (OSError, IndexError, ValueError):  # it has ended
            continue
    return found
