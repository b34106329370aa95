"""Images of containers: the repository, and the tag or digest that is taken for the version."""

import re

from backends.text import clean

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG_FIX = "a tag: letters, digits, `_`, `.`, `-`, at most 128; or sha256:<64 hex digits>"


def image_version(image: str) -> str | None:
    """The tag of an image, else the digest it is pinned to; None where it says neither."""
    name, _, digest = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    return clean(tag if colon else digest, 128) or None


def image_repository(image: str) -> str:
    """The image without tag and digest."""
    name = image.partition("@")[0]
    directory, slash, last = name.rpartition("/")
    return f"{directory}{slash}{last.partition(':')[0]}"


def version_problem(version: str) -> str:
    """Why `version` is no tag of an image; empty where it is one."""
    if not version:
        return "the version is empty"
    if _TAG.fullmatch(version) or _DIGEST.fullmatch(version):
        return ""
    return f'"{clean(version, 64)}" is no tag of an image'


def with_version(repository: str, version: str) -> str:
    """The image of that repository at a version, which is a tag or a digest."""
    return f"{repository}{'@' if _DIGEST.fullmatch(version) else ':'}{version}"
