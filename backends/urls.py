"""What can be seen to be wrong with a URL before anybody is asked."""

import re

from backends.errors import BackendError
from backends.redaction import redact_url

_PORT = r"(?i)^\s*[a-z][a-z0-9+.-]*://[^/\s?#]*:(\d+)(?:[/?#]|\s*$)"
MAX_PORT = 65535


def port_problem(text: str) -> str:
    """Why nobody can connect to the port that `text`, a URL, names; empty where somebody can, or it is no URL."""
    found = re.match(_PORT, text) if "://" in text else None
    if found is None or (len(found[1]) <= len(str(MAX_PORT)) and 1 <= int(found[1]) <= MAX_PORT):
        return ""
    return f"port {found[1][:20]}: 1 to {MAX_PORT}"


def refuse_port(url: str) -> None:
    """Raises BackendError(config) where `port_problem` finds something."""
    if why := port_problem(url):
        raise BackendError("config", f"{redact_url(url)}: {why}", fix="correct the URL")
