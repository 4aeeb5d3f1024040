"""ask.py TIMES PATH [NAME:VALUE]: how often each answer came from the Service ``answers``, and why the proxy failed others."""

import collections
import json
import sys
import urllib.error
import urllib.request

url = f"http://answers.resilience.svc.cluster.local:8080{sys.argv[2]}"
headers = dict(part.split(":", 1) for part in sys.argv[3:])
seen: collections.Counter[str] = collections.Counter()
for _ in range(int(sys.argv[1])):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            seen[f"{answer.status} from {json.load(answer)['version']}"] += 1
    except urllib.error.HTTPError as error:
        why = error.headers.get("l5d-proxy-error", "said the server").rpartition("response headers: ")[2]
        seen[f"{error.code}, {why}"] += 1
for text, count in sorted(seen.items()):
    print(f"{count:3} × {text}")
