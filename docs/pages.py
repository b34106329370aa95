"""What the pages have in common that are written from the code."""

from pathlib import Path


def cell(text: str) -> str:
    """Text as it may stand in a table of Markdown."""
    return text.replace("|", "\\|")


def write(page: Path, text: str) -> int:
    """Write the page; the exit code of that."""
    page.write_text(text, encoding="utf-8")
    return 0
