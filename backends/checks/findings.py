"""What one look found: every fault in its own words, the worst decides; what was measured, with its limits."""

from msgspec import Struct

from backends.models import CheckResult, Health, PerfDatum, severity_rank, worst
from backends.redaction import redacted


class Limits(Struct, frozen=True):
    """The last value that is still fine, and the last that is not yet critical; None for none.

    `at_least` turns them around: a value below is worse.
    """

    warn: float | None = None
    crit: float | None = None
    at_least: bool = False

    def judge(self, value: float) -> Health:
        """The state of `value`; equal to a limit is within it."""
        if _beyond(value, self.crit, self.at_least):
            return "critical"
        return "warning" if _beyond(value, self.warn, self.at_least) else "ok"

    def broken_by(self, value: float) -> float | None:
        """The limit that `value` is beyond, the worse one of two; None where it is within."""
        return {"critical": self.crit, "warning": self.warn}.get(self.judge(value))

    def texts(self) -> tuple[str, str]:
        """Both as ranges of the monitoring plugins: `80` for at most, `21:` for at least, empty for none."""
        end = ":" if self.at_least else ""
        return (
            "" if self.warn is None else number(self.warn) + end,
            "" if self.crit is None else number(self.crit) + end,
        )


NO_LIMITS = Limits()


class Findings:
    """Collected during one look at the check called `name`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._faults: list[tuple[Health, str]] = []
        self._perfdata: list[PerfDatum] = []

    def fault(self, state: Health, words: str) -> None:
        """Something that is wrong; `ok` is nothing."""
        if state != "ok":
            self._faults.append((state, words))

    def measured(
        self,
        label: str,
        value: float,
        words: str = "",
        *,
        limits: Limits = NO_LIMITS,
        unit: str = "",
        min: float | None = 0,  # noqa: A002 - as perfdata calls it
        max: float | None = None,  # noqa: A002 - the same
    ) -> None:
        """A value for perfdata; beyond its limits it is a fault, said in `words`."""
        warn, crit = limits.texts()
        self.add(
            limits.judge(value),
            words,
            PerfDatum(label=label, value=value, unit=unit, warn=warn, crit=crit, min=min, max=max),
        )

    def add(self, state: Health, words: str, datum: PerfDatum) -> None:
        """A value that was judged elsewhere."""
        self._perfdata.append(datum)
        self.fault(state, words)

    def result(self, fine: str, *, seconds: float | None = None) -> CheckResult:
        """The outcome: the faults, worst first, or `fine` where there is none. `seconds`: how long the answer took."""
        faults = sorted(self._faults, key=lambda fault: severity_rank(fault[0]))
        return CheckResult(
            ref=self._name,
            name=self._name,
            state=worst([state for state, _ in faults]) if faults else "ok",
            message=redacted("; ".join(words for _, words in faults) or fine),
            latency_ms=None if seconds is None else seconds * 1000,
            perfdata=tuple(self._perfdata),
        )


def number(value: float) -> str:
    """As perfdata writes it: no exponent below a quadrillion (of bytes, say), no noise of binary fractions."""
    return f"{value:.15g}"


def refuse_crossed(config: object, *names: str) -> None:
    """ValueError where what a config calls `NAME_warn` is more than its `NAME_crit`."""
    for name in names:
        warn, crit = getattr(config, f"{name}_warn"), getattr(config, f"{name}_crit")
        if warn is not None and crit is not None and warn > crit:
            raise ValueError(f"{name}_warn, {name}_crit: warn is not more than crit")


def critical(name: str, message: str, *, seconds: float | None = None) -> CheckResult:
    """Nothing could be measured, and that is the fault."""
    latency_ms = None if seconds is None else seconds * 1000
    return CheckResult(ref=name, name=name, state="critical", message=redacted(message), latency_ms=latency_ms)


def _beyond(value: float, limit: float | None, at_least: bool) -> bool:
    return limit is not None and (value < limit if at_least else value > limit)
