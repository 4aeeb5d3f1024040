"""Driving a cluster through its API: connect, apply, wait, select, delete. The only importer of ``kubernetes``.

Objects are plain JSON dictionaries. A kind is written as manifests write it: ``"Pod"`` for those in ``KINDS``, else with its
group and version in front: ``"policy.linkerd.io/v1beta3/Server"``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import kubernetes
import urllib3
import yaml
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient, Resource
from kubernetes.dynamic.exceptions import DynamicApiError, NotFoundError, ResourceNotFoundError

from labs.errors import CommandFailed, LabError, NotFound, NotRunning, TimedOut, UsageError
from labs.paths import Paths
from labs.waiting import INTERVAL, attempts
from labs.wire import no_proxy

ApiClient = kubernetes.client.ApiClient
Object = dict[str, Any]
Condition = Callable[[Object | None], str | None]
"""Looks at an object (None: it does not exist) and says what is still missing, or None when all is well."""

FIELD_MANAGER = "boring-ops-lab"
REQUEST_TIMEOUT = 30.0
"""Seconds one call to the API server may take."""

KINDS = {
    **dict.fromkeys(("ConfigMap", "Endpoints", "Event", "Namespace", "Node", "Pod", "Secret", "Service", "ServiceAccount"), "v1"),
    **dict.fromkeys(("DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"), "apps/v1"),
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "Lease": "coordination.k8s.io/v1",
}
"""Kinds that need no group and version in front."""


def connect(context: str, kubeconfig: Path | None = None) -> ApiClient:
    """A client of the cluster that ``context`` names, in the kubeconfig of this lab if none is given.

    Raises:
        NotRunning: there is no kubeconfig, or it does not know the context.
    """
    kubeconfig = kubeconfig or Paths.current().kubeconfig
    try:
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(str(kubeconfig), context, client_configuration=configuration)
        configuration.no_proxy = no_proxy.exempt(configuration.no_proxy or "")
        return ApiClient(configuration)
    except kubernetes.config.ConfigException as error:
        raise NotRunning(f"no cluster {context!r} in {kubeconfig}: {error}", fix="lab up") from error


def call(api: ApiClient, method: str, path: str, body: Object | None = None, *, timeout: float = REQUEST_TIMEOUT) -> Object:
    """One request by URL path, without asking first which kinds there are; ``timeout`` in seconds.

    Raises:
        CommandFailed: the API server refused; its ``returncode`` is the HTTP status.
        LabError: it did not answer.
    """
    with _explained(f"{method} {path}"):
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        request = api.param_serialize(method, path, header_params=headers, body=body, auth_settings=["BearerToken"])
        response = api.call_api(*request, _request_timeout=timeout)
        text = response.read()
        if not 200 <= response.status < 300:
            raise ApiException(status=response.status, reason=response.reason, body=text)
        answer: Object = json.loads(text)
        return answer


def documents(source: Path | Iterable[Object]) -> list[Object]:
    """The objects of a YAML file, or the given ones; empty documents are skipped."""
    found = yaml.safe_load_all(source.read_text()) if isinstance(source, Path) else source
    return [document for document in found if document]


def apply(api: ApiClient, source: Path | Iterable[Object], namespace: str = "default") -> list[Object]:
    """Server-side apply, in the order given; fields that others own are taken over. Returns the objects as they are now.

    ``namespace`` is for objects that name none.
    """
    return [_apply_one(api, document, namespace) for document in documents(source)]


def _apply_one(api: ApiClient, document: Object, namespace: str) -> Object:
    kind, metadata = f"{document['apiVersion']}/{document['kind']}", document["metadata"]
    with _explained(f"apply {_title(kind, metadata['name'], metadata.get('namespace'))}"):
        resource = _resource(api, kind)
        target = (metadata.get("namespace") or namespace) if resource.namespaced else None
        applied: Object = resource.server_side_apply(
            body=document,
            namespace=target,
            field_manager=FIELD_MANAGER,
            force_conflicts=True,
            _request_timeout=REQUEST_TIMEOUT,
        ).to_dict()
        return applied


def get(api: ApiClient, kind: str, name: str, namespace: str | None = None) -> Object | None:
    """One object, or None if there is none of that name."""
    with _explained(f"get {_title(kind, name, namespace)}"):
        try:
            found: Object = _resource(api, kind).get(name=name, namespace=namespace, _request_timeout=REQUEST_TIMEOUT).to_dict()
        except NotFoundError:
            return None
        return found


def select(api: ApiClient, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = "") -> list[Object]:
    """All objects of a kind (of all namespaces, if none is given) that match the label and field selectors."""
    with _explained(f"list {kind}"):
        listing = (
            _resource(api, kind)
            .get(
                namespace=namespace,
                label_selector=labels or None,
                field_selector=fields or None,
                _request_timeout=REQUEST_TIMEOUT,
            )
            .to_dict()
        )
        return list(listing["items"])


def patch(api: ApiClient, kind: str, name: str, namespace: str | None, body: Object | list[Object]) -> Object:
    """Merge ``body`` into an object (JSON merge patch: a value of None removes the field); a list is a JSON Patch."""
    form = "json-patch" if isinstance(body, list) else "merge-patch"
    with _explained(f"patch {_title(kind, name, namespace)}"):
        patched: Object = (
            _resource(api, kind)
            .patch(
                body=body,
                name=name,
                namespace=namespace,
                content_type=f"application/{form}+json",
                _request_timeout=REQUEST_TIMEOUT,
            )
            .to_dict()
        )
        return patched


def delete(api: ApiClient, kind: str, name: str, namespace: str | None = None, *, grace: int | None = None) -> bool:
    """Delete an object and what it owns; False if it was not there. ``grace`` in seconds, else the object's own."""
    with _explained(f"delete {_title(kind, name, namespace)}"):
        try:
            _resource(api, kind).delete(
                name=name,
                namespace=namespace,
                grace_period_seconds=grace,
                propagation_policy="Background",
                _request_timeout=REQUEST_TIMEOUT,
            )
        except NotFoundError:
            return False
        return True


def logs(api: ApiClient, namespace: str, pod: str, container: str) -> str:
    """All that a container has written so far."""
    with _explained(f"read the log of {namespace}/{pod}"):
        response = kubernetes.client.CoreV1Api(api).read_namespaced_pod_log(
            pod, namespace, container=container, _preload_content=False, _request_timeout=REQUEST_TIMEOUT
        )
        written: bytes = response.data  # type: ignore[attr-defined]  # with _preload_content=False it is the raw response
        return written.decode()


def wait(
    api: ApiClient, kind: str, name: str, namespace: str | None, until: Condition, *, timeout: float = 60, pause: float = INTERVAL
) -> Object | None:
    """Look again every ``pause`` seconds until ``until`` has nothing to say, and return the object (None if it is gone).

    Raises:
        TimedOut: it did not come true within ``timeout`` seconds. The message names the object and what is missing.
    """
    missing: str | None = None
    for _ in attempts(timeout, pause):
        found = get(api, kind, name, namespace)
        missing = until(found)
        if missing is None:
            return found
    scope = f" -n {namespace}" if namespace else ""
    command = f"kubectl{scope} describe {kind.rpartition('/')[2].lower()} {name}"
    raise TimedOut(f"{_title(kind, name, namespace)} after {timeout:g} s: {missing}", fix=command)


def rolled_out(found: Object | None) -> str | None:
    """Condition: a Deployment, DaemonSet or StatefulSet runs its newest template on every replica it wants, all available."""
    if found is None:
        return "it does not exist"
    status, spec = found.get("status", {}), found["spec"]
    if status.get("observedGeneration", 0) < found["metadata"]["generation"]:
        return "its controller has not seen the newest change yet"
    daemons = found["kind"] == "DaemonSet"
    wanted = status.get("desiredNumberScheduled", 0) if daemons else spec.get("replicas", 1)
    updated = status.get("updatedNumberScheduled" if daemons else "updatedReplicas", 0)
    available = status.get("numberAvailable" if daemons else "availableReplicas", 0)
    old = 0 if daemons else status.get("replicas", 0) - updated
    if updated < wanted:
        return f"{updated} of {wanted} replicas are updated"
    if old > 0:
        return f"{old} old replicas are still there"
    return None if available >= wanted else f"{available} of {wanted} replicas are available"


def ready(found: Object | None) -> str | None:
    """Condition: the object's ``Ready`` condition is true (Pod, Node)."""
    if found is None:
        return "it does not exist"
    conditions = {row["type"]: row for row in found.get("status", {}).get("conditions") or []}
    row = conditions.get("Ready", {"status": "Unknown"})
    if row["status"] == "True":
        return None
    return f"Ready is {row['status']}" + (f": {row['message']}" if row.get("message") else "")


def replicas_ready(found: Object | None) -> str | None:
    """Condition: a ReplicaSet has as many Ready pods as it wants."""
    if found is None:
        return "it does not exist"
    ready_pods, wanted = found.get("status", {}).get("readyReplicas", 0), found["spec"].get("replicas", 1)
    return None if ready_pods >= wanted else f"{ready_pods} of {wanted} replicas are ready"


def in_crash_loop(pod: Object) -> bool:
    """Whether a container of the pod failed, not for the first time, and is not started again for a while."""
    for row in pod.get("status", {}).get("containerStatuses") or []:
        state = row.get("state", {})
        # The end is shown for a moment before the back-off is; after a first one there is none.
        if state.get("waiting", {}).get("reason") == "CrashLoopBackOff" or ("terminated" in state and row["restartCount"] > 0):
            return True
    return False


def finished(found: Object | None) -> str | None:
    """Condition: a Job is complete or has failed."""
    if found is None:
        return "it does not exist"
    done = {row["type"] for row in found.get("status", {}).get("conditions") or [] if row["status"] == "True"}
    if done & {"Complete", "Failed"}:
        return None
    status = found.get("status", {})
    return f"{status.get('active', 0)} pods active, {status.get('ready', 0)} ready, not complete"


def deleted(found: Object | None) -> str | None:
    """Condition: the object is gone."""
    if found is None:
        return None
    finalizers = found["metadata"].get("finalizers") or found.get("spec", {}).get("finalizers")
    return "it is still there" + (f", held by {', '.join(finalizers)}" if finalizers else "")


@lru_cache(maxsize=8)
def _dynamic(api: ApiClient) -> DynamicClient:
    # The library's default is a file in /tmp that another checkout's cluster at the same address would share.
    name = re.sub(r"\W+", "-", api.configuration.host.partition("//")[2])
    return DynamicClient(api, cache_file=str(Paths.current().state / f"discovery-{name}.json"))


def _resource(api: ApiClient, kind: str) -> Resource:
    version, _, short = kind.rpartition("/")
    if not version:
        if short not in KINDS:
            raise UsageError(f"kind {kind!r} needs its group and version in front", fix=f'"GROUP/VERSION/{kind}"')
        version = KINDS[short]
    try:
        resource: Resource = _dynamic(api).resources.get(api_version=version, kind=short)
    except ResourceNotFoundError:
        raise NotFound("kind", f"{version}/{short}", fix="kubectl api-resources") from None
    return resource


def _title(kind: str, name: str, namespace: str | None) -> str:
    return f"{kind.rpartition('/')[2].lower()} {f'{namespace}/' if namespace else ''}{name}"


@contextmanager
def _explained(action: str) -> Iterator[None]:
    """Turn the client's errors into the lab's: the API server's own words, and what to type next."""
    try:
        yield
    except (DynamicApiError, ApiException) as error:
        raise CommandFailed(["api", *action.split()], error.status or 1, _message(error)) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise LabError(f"the API server did not answer ({action}): {error}", fix="lab status") from error


def _message(error: Exception) -> str:
    body = getattr(error, "body", None) or ""
    try:
        return str(yaml.safe_load(body)["message"])
    except (yaml.YAMLError, TypeError, KeyError):
        return str(body or error)
