"""The suites that every adapter passes unchanged: one module a port, one class with what its adapters have in common.

They need pytest and pytest-asyncio (`tealdeck[testing]`), with `asyncio_mode = "auto"`. Nothing of the product imports
them. How to use one: docs/adapters.md.
"""

from pkgutil import iter_modules

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{each.name}" for each in iter_modules(__path__)))
