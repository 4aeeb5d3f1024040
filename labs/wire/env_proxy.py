"""The proxy that the environment names for a URL. In a pod of the embedded backend, this is how requests reach the mesh."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def env_proxy(url: str) -> str | None:
    """``HTTP_PROXY`` unless ``NO_PROXY`` names the host. Ask once: it does not change while a program runs.

    aiohttp's ``trust_env`` would ask twice per request, in a thread, and a thread switch can cost milliseconds.
    """
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
