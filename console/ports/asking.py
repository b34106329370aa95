"""What the looks of several ports have in common."""

from backends.models import Finding


def warning(code: str, text: str, fix: str) -> Finding:
    """Something that is not as it was meant."""
    return Finding(level="warning", code=code, text=text, fix=fix)
