"""``http-status URL``: ask once and print the status, 403 included: what a client outside the mesh sees."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

TIMEOUT = 10.0
"""Seconds; a proxy that finds no endpoint answers after three."""
USAGE = "usage: http-status [--header NAME:VALUE]… http://…"


def main(argv: list[str]) -> int:
    """Print the status of ``GET URL``; 1 if there was no answer, 2 for wrong usage."""
    *options, url = argv or [""]
    headers = dict(value.split(":", 1) for value in options[1::2] if ":" in value)
    wanted = ["--header"] * len(headers)
    if options[::2] != wanted or len(options) != 2 * len(wanted) or not url.startswith("http://"):
        print(USAGE, file=sys.stderr)
        return 2
    request = urllib.request.Request(url, headers={name.strip(): value.strip() for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            print(answer.status)
    except urllib.error.HTTPError as error:
        print(error.code)
    except OSError as error:
        print(f"no answer: {error}", file=sys.stderr)
        return 1
    return 0
