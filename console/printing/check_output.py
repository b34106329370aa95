"""How `teal check` speaks to other programs: monitoring plugins, CI servers, node_exporter's textfile collector."""

import re
import sys
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from actions.who import host_name
from backends.models import CheckResult, Health, PerfDatum, worst
from backends.text import counted
from console import moment
from console.printing.ranges import measured

EXIT_OF_HEALTH: dict[Health, int] = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}
WORD_OF_HEALTH: dict[Health, str] = {"ok": "OK", "warning": "WARNING", "critical": "CRITICAL", "unknown": "UNKNOWN"}
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def nagios(results: Sequence[CheckResult], context: str) -> str:
    """The monitoring plugins' output: a status line with all perfdata, then one line a check.

    Source: https://www.monitoring-plugins.org/doc/guidelines.html.
    """
    state = worst([result.state for result in results])
    bad = [result for result in results if result.state != "ok"]
    text = f"{bad[0].name}: {bad[0].message}" if bad else counted(len(results), "check")
    if len(bad) > 1:
        text += f" (and {len(bad) - 1} more)"
    perfdata = " ".join(_perfdatum(result, datum) for result in results for datum in result.perfdata)
    first = f"{WORD_OF_HEALTH[state]}: {_no_bar(text)}" + (f" | {perfdata}" if perfdata else "")
    rest = [f"{WORD_OF_HEALTH[result.state]}: {_no_bar(f'{result.name}: {result.message}')}" for result in results]
    return "\n".join([first, *rest]) + "\n"


def junit(results: Sequence[CheckResult], context: str) -> str:
    """One suite: critical is a failure, unknown an error, a warning passes and says so.

    Source: https://github.com/testmoapp/junitxml, with all that the stricter schema of Ant requires.
    """
    from xml.etree.ElementTree import Element, SubElement, indent, tostring

    counts = {
        "tests": str(len(results)),
        "failures": str(sum(result.state == "critical" for result in results)),
        "errors": str(sum(result.state == "unknown" for result in results)),
        "skipped": "0",
        "time": f"{max((result.latency_ms or 0.0 for result in results), default=0.0) / 1000:.3f}",
    }
    suites = Element("testsuites", {"name": "teal check", **counts})
    at = moment.utc_now().strftime("%Y-%m-%dT%H:%M:%S")
    about = {"name": context or "teal", "timestamp": at, "hostname": host_name()}
    suite = SubElement(suites, "testsuite", {**about, **counts})
    for result in results:
        seconds = f"{(result.latency_ms or 0.0) / 1000:.3f}"
        case = SubElement(
            suite, "testcase", classname=f"{context or 'teal'}.check", name=_xml(result.name), time=seconds
        )
        if result.state in ("critical", "unknown"):
            tag = "failure" if result.state == "critical" else "error"
            SubElement(case, tag, type=result.state, message=_xml(result.message)).text = _xml(result.message)
        else:
            SubElement(case, "system-out").text = f"{WORD_OF_HEALTH[result.state]}: {_xml(result.message)}"
    indent(suites)
    text: bytes = tostring(suites, encoding="us-ascii", xml_declaration=True)
    return text.decode() + "\n"


def prometheus(results: Sequence[CheckResult], context: str) -> str:
    """Prometheus text for a file of the textfile collector: write it beside, then rename it over the old one.

    Source: https://prometheus.io/docs/instrumenting/exposition_formats/.
    """
    families = (
        _Family(
            "tealdeck_check_status",
            "State of the check: 0 ok, 1 warning, 2 critical, 3 unknown.",
            [({"check": result.name}, float(EXIT_OF_HEALTH[result.state])) for result in results],
        ),
        _Family(
            "tealdeck_check_latency_seconds",
            "How long the checked system took to answer.",
            [({"check": result.name}, result.latency_ms / 1000) for result in results if result.latency_ms is not None],
        ),
        _Family(
            "tealdeck_check_value",
            "What the check measured, in its unit.",
            [
                ({"check": result.name, "label": datum.label, "unit": datum.unit}, datum.value)
                for result in results
                for datum in result.perfdata
                if datum.value is not None
            ],
        ),
        _Family(
            "tealdeck_check_last_run_timestamp_seconds",
            "When the checks were last run.",
            [({}, moment.utc_now().timestamp())],
        ),
    )
    return "".join(line for family in families for line in family.lines(context))


FORMATS: dict[str, Callable[[Sequence[CheckResult], str], str]] = {
    "nagios": nagios,
    "junit": junit,
    "prom": prometheus,
}


def write(text: str) -> None:
    """On stdout; what its encoding does not have is written as an escape (a monitoring host may know but ASCII)."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


class _Family(Struct, frozen=True):
    name: str
    help: str
    samples: list[tuple[dict[str, str], float]]

    def lines(self, context: str) -> Iterable[str]:
        if not self.samples:
            return
        yield f"# HELP {self.name} {self.help}\n# TYPE {self.name} gauge\n"
        for labels, value in self.samples:
            text = ",".join(f'{name}="{_escaped(word)}"' for name, word in {"context": context, **labels}.items())
            yield f"{self.name}{{{text}}} {value:.15g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _perfdatum(result: CheckResult, datum: PerfDatum) -> str:
    label = _no_bar(f"{result.name}_{datum.label}").replace("'", "''").replace("=", "_")
    limits = [datum.warn, datum.crit, *("" if limit is None else f"{limit:.15g}" for limit in (datum.min, datum.max))]
    return f"'{label}'={measured(datum)};{';'.join(limits)}".rstrip(";")


def _no_bar(text: str) -> str:
    return text.replace("|", "/")  # a bar begins the perfdata


def _xml(text: str) -> str:
    return _NO_XML.sub("", text)
