"""What libraries would ask at the terminal is answered before they can."""

from typing import Any

import pytest

from backends.checks.blackbox import parse_probe
from backends.sql import UTF8, libpq_arguments


@pytest.mark.parametrize(
    ("given", "asks"), [({}, False), ({"sslkey": "k"}, False), ({"sslpassword": "x"}, True), ({"service": "s"}, True)]
)
def test_a_client_key_of_postgresql_never_asks_for_its_passphrase(
    given: dict[str, Any], asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGSERVICE", raising=False)
    told = libpq_arguments(given)
    assert ("sslpassword" not in told) == asks  # what the URL says is not written over
    assert UTF8.items() <= told.items()


def test_a_server_of_postgresql_whose_host_is_gone_is_given_up() -> None:
    told = libpq_arguments({"keepalives_idle": "60"})
    assert "keepalives_idle" not in told, "the URL's word"
    assert {"keepalives_interval", "keepalives_count", "tcp_user_timeout"} <= told.keys()


def test_a_number_of_a_probe_that_is_none_is_left_out() -> None:
    said = "probe_success 1\nprobe_http_status_code NaN\nprobe_ssl_earliest_cert_expiry +Inf\n"
    assert parse_probe(said) == {"probe_success": 1.0}
