"""Workloads that call each other, in and out of the mesh, and the requests they send."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from labs import kube
from labs.errors import CommandFailed
from tests.parity import mesh
from tests.parity.context import Object, ParityContext

PROGRAMS = "boring-ops-lab/lab:dev"
PORT = 8080
INJECT = {"linkerd.io/inject": "enabled"}
HEALTHZ: Object = {"httpGet": {"path": "/healthz", "port": "http"}}
Answer = dict[str, Any]
"""``{"status", "headers", "body", "error", "seconds"}``; status 0 and the error's name where no answer came."""


def program(name: str) -> str:
    return resources.files("tests.parity.programs").joinpath(f"{name}.py").read_text()


def deployment(
    name: str,
    *,
    app: str = "",
    replicas: int = 1,
    env: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    failures: int = 3,
    program_name: str = "server",
    probe: Object = HEALTHZ,
) -> list[Object]:
    """A ServiceAccount and a Deployment of servers in its name; ``program_name``: which of the programs they run.

    ``failures`` of its readiness probe in a row make a pod unready.
    """
    labels = {"app": app or name, "part": name}
    variables: list[Object] = [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    variables += [{"name": key, "value": value} for key, value in (env or {}).items()]
    container = {
        "name": "app",
        "image": PROGRAMS,
        "command": ["python", "-c", program(program_name)],
        "env": variables,
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {**probe, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": failures},
    }
    return _workload(name, labels, container, replicas, annotations)


def client(name: str = "client", annotations: dict[str, str] | None = None) -> list[Object]:
    """A ServiceAccount and a Deployment in its name whose container waits to be asked."""
    container = {"name": "app", "image": PROGRAMS, "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.5; done"]}
    return _workload(name, {"app": name}, container, 1, annotations)


def _workload(
    name: str, labels: dict[str, str], container: Object, replicas: int, annotations: dict[str, str] | None
) -> list[Object]:
    pod = {"serviceAccountName": name, "terminationGracePeriodSeconds": 1, "containers": [container]}
    template = {"metadata": {"labels": labels, "annotations": annotations or {}}, "spec": pod}
    body = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body},
    ]


def service(
    name: str, *, app: str = "", annotations: dict[str, str] | None = None, labels: dict[str, str] | None = None
) -> Object:
    """A Service of the pods labelled ``app`` (its own name, if none is given) at the servers' port."""
    spec = {"selector": {"app": app or name}, "ports": [{"name": "http", "port": PORT, "targetPort": "http"}]}
    metadata = {"name": name, "annotations": annotations or {}, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def play(context: ParityContext, namespace: str, *objects: Object, cluster: str = "app") -> None:
    """Apply objects and wait until their Deployments are rolled out."""
    context.apply(namespace, *objects, cluster=cluster)
    for found in objects:
        if found["kind"] == "Deployment":
            kube.wait(context.api(cluster), "Deployment", found["metadata"]["name"], namespace, kube.rolled_out, timeout=120)


def meshed(context: ParityContext) -> str:
    """The meshed namespace: two pods ``server``, one ``client``; returns its name."""
    namespace = context.namespace("mesh", annotations=INJECT)

    def make() -> None:
        mesh.installed(context)
        play(context, namespace, *deployment("server", replicas=2), service("server"), *client())

    context.once("demo mesh", make)
    return namespace


def plain(context: ParityContext) -> str:
    """The namespace without a mesh: one ``client`` and one ``server``."""
    namespace = context.namespace("plain")
    context.once("demo plain", lambda: play(context, namespace, *client(), *deployment("server"), service("server")))
    return namespace


def url(service: str, namespace: str, path: str = "/hello") -> str:
    return f"http://{service}.{namespace}.svc.cluster.local:{PORT}{path}"


def ask(context: ParityContext, namespace: str, target: str, *, cluster: str = "app", **request: Any) -> list[Answer]:
    """What the client of a namespace got from a URL; ``request``: method, headers, body (bytes), times, every (s), reuse.

    Raises:
        CommandFailed: the client could not be asked.
    """
    words = ["exec", f"--namespace={namespace}", "deploy/client", "--container=app", "--", "python", "-c", program("client")]
    ran = context.kubectl(*words, json.dumps({"url": target, **request}), cluster=cluster, timeout=120)
    if ran.code:
        raise CommandFailed(["kubectl", *words[:4]], ran.code, ran.text)
    answers: list[Answer] = ran.json()
    return answers


def status(context: ParityContext, namespace: str, target: str, **request: Any) -> Any:
    """The status of one call; the error's name where none came."""
    (answer,) = ask(context, namespace, target, **request)
    return answer["status"] or answer["error"]


def seen(answer: Answer) -> dict[str, str]:
    """The request headers that the server saw, by lower-case name."""
    headers: dict[str, str] = json.loads(answer["body"])["headers"]
    return headers


def identity(account: str, namespace: str) -> str:
    """The mesh identity of a ServiceAccount."""
    return f"{account}.{namespace}.serviceaccount.identity.linkerd.cluster.local"


def pods(context: ParityContext, namespace: str, app: str, cluster: str = "app") -> list[Object]:
    """The pods with this label that are not going away."""
    found = kube.select(context.api(cluster), "Pod", namespace, labels=f"app={app}")
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]
