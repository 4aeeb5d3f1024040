"""Kubernetes events, as Linkerd's control plane records them."""

from __future__ import annotations

import datetime
from typing import Any

from labs.wire.kube_api import KubeApi

Object = dict[str, Any]


async def emit(api: KubeApi, involved: Object, reason: str, message: str, *, component: str, kind: str = "Normal") -> None:
    """Record one event about the object ``involved`` (apiVersion, kind, namespace, name and, where known, uid)."""
    now = datetime.datetime.now(datetime.UTC)
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{involved['name']}.{now.timestamp():.6f}".lower(), "namespace": involved["namespace"]},
        "involvedObject": involved,
        "reason": reason,
        "message": message,
        "type": kind,
        "source": {"component": component},
        "reportingComponent": component,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
    await api.create("events", involved["namespace"], body)
