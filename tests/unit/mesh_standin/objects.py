"""Kubernetes objects as the API server would hand them out, cut down to what the mesh reads."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def meta(name: str, namespace: str = "demo", **more: Any) -> Object:
    return {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}", **more}


def pod(name: str = "server-0", *, meshed: bool = True, address: str = "10.10.1.5", **metadata: Any) -> Object:
    """A pod of Deployment ``server`` with a port ``http`` (8080), probed on ``/healthz``."""
    mesh = {"linkerd.io/control-plane-ns": "linkerd", "linkerd.io/proxy-deployment": "server"} if meshed else {}
    container = {
        "name": "app",
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
    }
    return {
        "metadata": meta(name, labels={"app": "server", "pod-template-hash": "996", **mesh}, **metadata),
        "spec": {"serviceAccountName": "server", "containers": [container]},
        "status": {"podIP": address},
    }


def namespace(name: str = "demo", **annotations: str) -> Object:
    return {"metadata": {"name": name, "uid": name, "annotations": annotations}}


def server(name: str = "server-http", **spec: Any) -> Object:
    return {"metadata": meta(name), "spec": {"podSelector": {"matchLabels": {"app": "server"}}, "port": "http", **spec}}


def policy(name: str, target: Object, *required: Object) -> Object:
    return {"metadata": meta(name), "spec": {"targetRef": target, "requiredAuthenticationRefs": list(required)}}


def to_server(name: str = "server-http") -> Object:
    return {"group": "policy.linkerd.io", "kind": "Server", "name": name}


def mtls(name: str, **spec: Any) -> Object:
    return {"metadata": meta(name), "spec": spec}


def needs(kind: str, name: str) -> Object:
    return {"group": "policy.linkerd.io", "kind": kind, "name": name}


def service(name: str = "server", **metadata: Any) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return {"metadata": meta(name, **metadata), "spec": {"clusterIP": "10.11.0.9", "ports": ports}}


def endpoint_slice(*addresses: str, service: str = "server", ready: bool = True, port: int = 8080, **metadata: Any) -> Object:
    labels = {"kubernetes.io/service-name": service}
    return {
        "metadata": meta(f"{service}-abc", labels=labels, **metadata),
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
    }
