"""The smoke test of the sandbox: `python -P -m console.sandbox.smoke URL` asks `/work` of one color twenty times."""

import sys
from urllib.parse import urlsplit

from console.sandbox.fetch import fetch

TIMES = 20


def main() -> int:
    """0 where all answers are good; 1 with one line that says which was not."""
    port = urlsplit(sys.argv[1]).port or 80
    for number in range(1, TIMES + 1):
        try:
            status, _, _ = fetch(port, "/work", timeout_s=5.0)
        except OSError as error:
            sys.stdout.write(f"/work, request {number}: {error}\n")
            return 1
        if status != 200:
            sys.stdout.write(f"/work, request {number} of {TIMES}: HTTP {status}\n")
            return 1
    sys.stdout.write(f"{TIMES} of {TIMES} answers of /work are good\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
