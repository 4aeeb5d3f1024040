"""Send the requests that the first argument describes (JSON) and print what came back (JSON)."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
import urllib.parse
from typing import Any


def connect(url: str, timeout: float) -> tuple[http.client.HTTPConnection, str]:
    """A connection, by way of HTTP_PROXY where there is one, and the target to name in the request line."""
    parts = urllib.parse.urlsplit(url)
    proxy = os.environ.get("HTTP_PROXY") or os.environ.get("http_proxy")
    to = urllib.parse.urlsplit(proxy) if proxy else parts
    path = parts.path or "/"
    return http.client.HTTPConnection(to.hostname or "", to.port or 80, timeout=timeout), url if proxy else path


def ask(connection: http.client.HTTPConnection, target: str, request: dict[str, Any]) -> dict[str, Any]:
    begun = time.monotonic()
    answer: dict[str, Any] = {"status": 0, "headers": {}, "body": "", "error": ""}
    try:
        body = "x" * request["body"] if request.get("body") else None
        headers = {"Host": urllib.parse.urlsplit(request["url"]).netloc, **request.get("headers", {})}
        connection.request(request.get("method", "GET"), target, body=body, headers=headers)
        response = connection.getresponse()
        answer |= {"status": response.status, "headers": {k.lower(): v for k, v in response.getheaders()}}
        answer["body"] = response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        answer["error"] = type(error).__name__
        connection.close()
    return answer | {"seconds": time.monotonic() - begun}


def main() -> None:
    request = json.loads(sys.argv[1])
    answers = []
    connection, target = connect(request["url"], request.get("timeout", 20))
    for _ in range(request.get("times", 1)):
        answers.append(ask(connection, target, request))
        if not request.get("reuse"):
            connection.close()
        time.sleep(request.get("every", 0))
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
