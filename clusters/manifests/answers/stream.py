"""stream.py SECONDS: asks the Service ``answers`` for a stream of so many seconds, and says whether it came whole."""

import http.client
import sys
import time
import urllib.error
import urllib.request

seconds = float(sys.argv[1])
url = f"http://answers.resilience.svc.cluster.local:8080/?tokens={10 * seconds:.0f}&pace=0.1"
begun = time.monotonic()
try:
    with urllib.request.urlopen(url, timeout=20) as answer:
        end = "whole" if b"[DONE]" in answer.read() else "cut off"
        print(f"{answer.status}, {end} after {time.monotonic() - begun:.0f} s")
except urllib.error.HTTPError as error:
    print(f"{error.code}, {error.headers.get('l5d-proxy-error', 'said the server')}")
except (http.client.IncompleteRead, ConnectionError):
    print(f"200, cut off after {time.monotonic() - begun:.0f} s")
