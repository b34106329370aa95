"""Where a browser shows what is in AWS: each partition has a console of its own."""

from backends.text import clean

_ELSEWHERE = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}


def console_of(region: str) -> str:
    """Begin of the pages of a region, without a slash: `https://eu-central-1.console.aws.amazon.com`."""
    domains = (domain for prefix, domain in _ELSEWHERE.items() if region.startswith(prefix))
    return f"https://{clean(region, 40)}.{next(domains, 'console.aws.amazon.com')}"
