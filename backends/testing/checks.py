"""What every adapter of the port `Check` does. An adapter's test class inherits this and gives two fixtures:

`build_check`: a factory of checks named `mine` of one system, closed afterwards; it takes `warn`, `crit` and `timeout`
(durations as text), all of them optional. `system`: an object with `stop()`, after which it does not answer at all.
"""

import asyncio
from typing import Protocol

import pytest

from backends.models import CheckResult
from backends.ports import Check


class BuildCheck(Protocol):
    def __call__(self, *, warn: str = ..., crit: str = ..., timeout: str = ...) -> Check: ...


class System(Protocol):
    async def stop(self) -> None: ...


def consistent(result: CheckResult) -> None:
    """What holds for every result, whatever was found."""
    assert result.ref == result.name == "mine"
    assert result.health == result.state
    assert result.message
    assert result.message.isprintable()
    for datum in result.perfdata:
        assert datum.label
        assert datum.value is None or datum.value >= 0


class CheckContract:
    async def test_a_healthy_system(self, build_check: BuildCheck) -> None:
        result = await build_check(warn="10s", crit="20s").run()
        consistent(result)
        assert result.state == "ok"
        assert result.latency_ms is not None
        assert 0 < result.latency_ms < 5000
        (time,) = [datum for datum in result.perfdata if datum.label == "time"]
        assert time.value == pytest.approx(result.latency_ms / 1000, abs=1e-5)
        assert (time.unit, time.warn, time.crit, time.min) == ("s", "10", "20", 0)
        assert result.message.endswith(f" in {result.latency_ms:.0f} ms")

    @pytest.mark.parametrize(
        ("warn", "crit", "state", "words"),
        [("0.001ms", "20s", "warning", "over 0.001ms"), ("0.001ms", "0.002ms", "critical", "over 0.002ms")],
    )
    async def test_slower_than_its_limits(
        self, build_check: BuildCheck, warn: str, crit: str, state: str, words: str
    ) -> None:
        result = await build_check(warn=warn, crit=crit).run()
        consistent(result)
        assert (result.state, len(result.perfdata)) == (state, 1)
        assert result.message.endswith(words)

    async def test_a_system_that_does_not_answer_is_critical_and_says_why(
        self, build_check: BuildCheck, system: System
    ) -> None:
        check = build_check(timeout="2s")
        await check.run()
        await system.stop()
        result = await check.run()
        consistent(result)
        assert (result.state, result.latency_ms, result.perfdata) == ("critical", None, ())
        assert "connection" in result.message

    async def test_side_by_side_and_closed_twice(self, build_check: BuildCheck) -> None:
        check = build_check()
        results = await asyncio.gather(*(check.run() for _ in range(5)))
        assert {result.state for result in results} == {"ok"}
        await check.aclose()
        await check.aclose()
