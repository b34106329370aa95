"""What can be seen to be wrong with a URL before anybody is asked."""

import re

_PORT = r"(?i)^\s*[a-z][a-z0-9+.-]*://[^/\s?#]*:(\d+)(?:[/?#]|\s*$)"
MAX_PORT = 65535


def port_problem(text: str) -> str:
    """Why nobody can connect to the port that `text`, a URL, names; empty where somebody can, or it is no URL."""
    found = re.match(_PORT, text)
    if found is None or (len(found[1]) <= len(str(MAX_PORT)) and 1 <= int(found[1]) <= MAX_PORT):
        return ""
    return f"port {found[1][:20]}: 1 to {MAX_PORT}"
