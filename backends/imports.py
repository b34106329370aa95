"""Large libraries are loaded where they are first needed, which may be several threads at once."""

import threading
from importlib import import_module

_ONE = threading.RLock()


def import_in_turn(*modules: str) -> None:
    """Load them, one thread at a time; the `import` that follows finds them. Where one thread loads `a.b.c` and
    another `a.b`, Python may call it a deadlock and raise (python/cpython#83065): Alembic and requests do so with
    `importlib.resources`, and every second `teal doctor` on a new host called Prometheus critical. Raises ImportError.
    """
    with _ONE:
        for module in modules:
            import_module(module)
