"""Releases of Helm, read from where Helm keeps them, and ordered by its own program."""
