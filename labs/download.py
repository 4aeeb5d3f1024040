"""Fetching a file whose SHA-256 is known: resumable, retried, and in its place only when it is whole."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from labs import errors
from labs.wire import no_proxy

Report = Callable[[int, int | None], None]
"""Called with the bytes received so far and the total size, if the site reports it."""

PAUSES = (1.0, 2.0, 4.0)
"""Seconds between two attempts: networks at conferences come back."""
IDLE_TIMEOUT = 15.0
"""Seconds without a byte after which an attempt counts as failed."""
CHUNK = 1 << 18
TEXT_LIMIT = 1 << 20
"""Bytes a list of checksums may have."""
TRANSIENT = (urllib.error.URLError, http.client.HTTPException, OSError)
BUSY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class _Truncated(OSError):
    """The connection ended before the file did."""


def mirrored(url: str) -> str:
    """``url``, or where ``$LAB_MIRROR`` keeps it: ``MIRROR/HOST/PATH``."""
    mirror = os.environ.get("LAB_MIRROR", "").rstrip("/")
    parts = urlsplit(url)
    return f"{mirror}/{parts.netloc}{parts.path}" if mirror else url


def text(url: str, timeout: float = IDLE_TIMEOUT) -> str:
    """A small text file, asked for once; ``timeout`` in seconds.

    Raises:
        SiteUnreachable: no answer in time.
        DownloadError: the site has no such file.
    """
    address = mirrored(url)
    try:
        with _open(address, {}, timeout) as response:
            return response.read(TEXT_LIMIT).decode()
    except TRANSIENT as error:
        raise _failure(address, error) from error


def fetch(url: str, target: Path, sha256: str, report: Report = lambda done, total: None) -> None:
    """Fetch ``url`` into ``target``, which appears (or is replaced) only when the whole file has the checksum ``sha256``.

    The next call continues an interrupted one.

    Raises:
        SiteUnreachable: the site did not answer, or the connection broke again and again.
        DownloadError: the site has no such file.
        ChecksumMismatch: the whole file is not what was published; it is removed.
    """
    address = mirrored(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{sha256[:12]}.part")
    for pause in (*PAUSES, None):
        try:
            _append(address, part, report)
            break
        except TRANSIENT as error:
            failure = _failure(address, error)
            if pause is None or not isinstance(failure, errors.SiteUnreachable):
                raise failure from error
            time.sleep(pause)
    _verify(part, sha256, address)
    part.replace(target)


def published(sums: str, name: str) -> str:
    """The SHA-256 of the file ``name`` in the text of a checksum file: lines ``HEX  [*]PATH``, or the bare number.

    Raises:
        DownloadError: the text does not have it.
    """
    rows = [line.split() for line in sums.splitlines() if line.strip()]
    if len(rows) == 1 and len(rows[0]) == 1 and _is_sha256(rows[0][0]):
        return rows[0][0].lower()
    for row in rows:
        if len(row) == 2 and row[1].lstrip("*").rpartition("/")[2] == name and _is_sha256(row[0]):
            return row[0].lower()
    raise errors.DownloadError(f"expected the SHA-256 of {name} in the list of checksums; found {sums[:80]!r}")


def _is_sha256(word: str) -> bool:
    return len(word) == 64 and all(letter in "0123456789abcdefABCDEF" for letter in word)


def _open(url: str, headers: dict[str, str], timeout: float) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "boring-ops-lab", **headers})
    return no_proxy.open_url(request, timeout)


def _append(url: str, part: Path, report: Report) -> None:
    """Get what ``part`` does not have yet."""
    have = part.stat().st_size if part.exists() else 0
    try:
        response = _open(url, {"Range": f"bytes={have}-"} if have else {}, IDLE_TIMEOUT)
    except urllib.error.HTTPError as error:
        if have and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # All of it is there: the checksum will tell.
        raise
    with response:
        have = have if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if have else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                have += len(chunk)
                report(have, total)
    if total is not None and have < total:
        raise _Truncated(f"the connection ended after {have} of {total} bytes")


def _verify(part: Path, sha256: str, url: str) -> None:
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        part.unlink()
        raise errors.ChecksumMismatch(
            f"{url} is not what was published: expected SHA-256 {sha256}; found {found}",
            fix="the same command again; if this happens twice, do not use that network (or that mirror)",
        )


def _failure(url: str, error: Exception) -> errors.DownloadError:
    if isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code not in BUSY:
        return errors.DownloadError(f"{url} is not available: {error.code} {error.reason}", fix="check clusters/versions.toml")
    reason = getattr(error, "reason", None) or error
    return errors.SiteUnreachable(
        f"{urlsplit(url).netloc} does not answer ({reason}); needed for {url}",
        fix="check the network and HTTPS_PROXY, or name a mirror (LAB_MIRROR=http://HOST:PORT), then the same command again",
    )
