"""Keeps requests to this machine's own addresses away from proxies.

A company's proxy cannot reach them, and ``NO_PROXY`` as most people set it (``localhost,127.0.0.1``) leaves out the rest of
127.0.0.0/8, where parts of the lab listen. Programs read that variable differently: Go and the Kubernetes client understand
networks; Python's urllib and httpx understand only single addresses. So it gets both.
"""

from __future__ import annotations

import http.client
import ipaddress
import os
import urllib.request
from collections.abc import MutableMapping
from urllib.parse import urlsplit

HOSTS = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
"""Variables that name a proxy, in lower case; programs also read them in upper case."""
LISTS = ("NO_PROXY", "no_proxy")


def is_loopback(url: str) -> bool:
    """Whether ``url`` leads to this machine: ``localhost``, or an address in 127.0.0.0/8 or ::1."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def exempt(listed: str, *more: str) -> str:
    """``listed`` (a value of NO_PROXY) with the loopback addresses and ``more`` appended, without duplicates."""
    words = [word.strip() for word in listed.split(",")]
    return ",".join(dict.fromkeys(filter(None, [*words, *HOSTS, *more])))


def exempt_environment(environment: MutableMapping[str, str] = os.environ, *more: str) -> None:
    """Make programs that read ``environment`` connect directly to the loopback and to ``more`` (hosts or networks).

    If no proxy is set, this changes nothing: on a Mac, NO_PROXY alone would hide the system's own settings from Python.
    """
    if not any(environment.get(name) or environment.get(name.upper()) for name in PROXIES):
        return
    both = ",".join(environment.get(name, "") for name in LISTS)
    environment.update(dict.fromkeys(LISTS, exempt(both, *more)))


def exempt_url(url: str) -> str:
    """``url``, unchanged. If it is on this machine, exempt its host for this process and the processes it starts."""
    if is_loopback(url):
        exempt_environment(os.environ, urlsplit(url).hostname or "")
    return url


def open_url(request: urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
    """``urllib.request.urlopen``, but without a proxy if the URL is on this machine; ``timeout`` in seconds."""
    if is_loopback(request.full_url):
        response: http.client.HTTPResponse = DIRECT.open(request, timeout=timeout)
    else:
        response = urllib.request.urlopen(request, timeout=timeout)
    return response


DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
