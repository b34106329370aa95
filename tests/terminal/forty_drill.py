"""Forty red rows after a flip: the sandbox and its real switch, an Alertmanager that is a fake's, and a rota."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from tests.backends.fake_alertmanager import FakeAlertmanager
from tests.terminal.conftest import Sandbox

CONTEXT = "forty"
PODS = 37
ROWS = PODS + 3


class Forty(NamedTuple):
    """Where the console finds it."""

    env: dict[str, str]
    manager: FakeAlertmanager


@contextmanager
def forty_red_rows(sandbox: Sandbox) -> Iterator[Forty]:
    """A console's surroundings. The `sandbox` runs; its traffic is flipped, and then its alerts fire."""
    manager = FakeAlertmanager()
    manager.start()
    own = sandbox.env
    try:
        directory = sandbox.state / "sandbox"
        config = directory / f"{CONTEXT}.toml"
        (directory / "rota.ics").write_text(_rota(datetime.now(UTC)))
        config.write_text(_config((directory / "config.toml").read_text(), manager.url))
        config.chmod(0o600)
        env = {name: value for name, value in own.items() if name != "TEAL_CONTEXT"} | {"TEAL_CONFIG": str(config)}
        sandbox.env = env
        done = msgspec.json.decode(sandbox.teal("deploy", "flip", "analytics", "-y", "-o", "json"))["items"][0]
        assert done["status"] == "succeeded", done
        for pod in range(PODS):
            manager.fire(alertname="PodNotReady", severity="critical", service="analytics", pod=f"analytics-{pod}")
        for name in ("HighErrorRate", "SLOBurnRate", "SyntheticLoginFails"):
            manager.fire(alertname=name, severity="critical", service="analytics")
        yield Forty(env, manager)
    finally:
        sandbox.env = own
        manager.stop()


def _config(of_sandbox: str, manager: str) -> str:
    """That of the sandbox, which bakes no longer than it must, with an Alertmanager and a rota beside it."""
    own = of_sandbox.replace("contexts.sandbox", f"contexts.{CONTEXT}").replace('= "sandbox"', f'= "{CONTEXT}"')
    return f"""{own.replace('bake = "10s"', 'bake = "2s"')}
[[contexts.{CONTEXT}.alerts]]
name = "am"
type = "alertmanager"
urls = ["{manager}"]
[[contexts.{CONTEXT}.oncall]]
name = "primary"
type = "ical"
path = "rota.ics"
"""


def _rota(now: datetime) -> str:
    """Alice has it now, and bob after her."""
    begins = (now - timedelta(hours=2)).replace(minute=0, second=0, microsecond=0)
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//rota//EN"]
    for number, who in enumerate(("alice", "bob")):
        start, end = (begins + timedelta(hours=8 * at) for at in (number, number + 1))
        lines += [
            "BEGIN:VEVENT", f"UID:{number}@rota", f"SUMMARY:{who}", f"DTSTAMP:{now:%Y%m%dT%H%M%SZ}",
            f"DTSTART:{start:%Y%m%dT%H%M%SZ}", f"DTEND:{end:%Y%m%dT%H%M%SZ}", "END:VEVENT",
        ]  # fmt: skip
    return "\r\n".join([*lines, "END:VCALENDAR", ""])
