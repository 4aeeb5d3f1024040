"""The checks that ``linkerd check`` runs on the cluster and the control plane; ``check_catalogue`` has their order."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable

import yaml

from labs.mesh.linkerd_cli.checking import Check, CheckError, Look, Skip
from labs.mesh.linkerd_cli.cluster import find, items
from labs.mesh.linkerd_cli.commands.install import CRD_KIND, GATEWAY_API_CRD
from labs.mesh.linkerd_cli.manifests import FOLDER, VERSION, crds
from labs.wire import linkerd
from labs.wire.kube_api import KubeApi, Object

LINKERD = "linkerd"
MINIMUM_KUBERNETES = (1, 23)
WEBHOOK = "linkerd-proxy-injector-webhook-config"
WEBHOOKS = "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
Addresses = Callable[[KubeApi], Awaitable[Iterable[tuple[str, str]]]]
COMPONENTS = tuple(row["name"] for row in yaml.safe_load((FOLDER / "components.yaml").read_text()))


async def can_query(api: KubeApi) -> None:
    await api.request("GET", "/version")


async def is_recent(api: KubeApi) -> None:
    version = await api.request("GET", "/version")
    found = int(version["major"]), int("".join(filter(str.isdigit, version["minor"])))
    if found < MINIMUM_KUBERNETES:
        raise CheckError(f"Kubernetes is on version {found}, but version {MINIMUM_KUBERNETES} or more recent is required")


async def has_gateway_api(api: KubeApi) -> None:
    await _crds_exist(api, [GATEWAY_API_CRD])


async def namespace_is_free(api: KubeApi) -> None:
    if await find(api, "namespaces", None, LINKERD):
        raise CheckError(f"The {LINKERD!r} namespace already exists")


def can_create(resource: str, group: str = "", namespace: str | None = LINKERD) -> Look:
    async def look(api: KubeApi) -> None:
        if not await allowed(api, "create", resource, group, namespace):
            raise CheckError(f"not authorized to create {resource}")

    return look


async def allowed(api: KubeApi, verb: str, resource: str, group: str, namespace: str | None) -> bool:
    """Whether the API server allows this command's user to do it."""
    attributes = {"verb": verb, "resource": resource, "group": group, "namespace": namespace or ""}
    review = await api.create(
        "authorization.k8s.io/v1/selfsubjectaccessreviews",
        None,
        {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}},
    )
    return bool(review["status"]["allowed"])


async def values(api: KubeApi) -> Object:
    """The values that ``linkerd install`` stored.

    Raises:
        CheckError: there is no such ConfigMap.
    """
    config = await find(api, "configmaps", LINKERD, "linkerd-config")
    if config is None:
        raise CheckError('configmaps "linkerd-config" not found')
    found: Object = yaml.safe_load(config["data"]["values"])
    return found


async def config_exists(api: KubeApi) -> None:
    await values(api)


async def replica_sets_ready(api: KubeApi) -> None:
    found = await items(api, "apps/v1/deployments", LINKERD, labelSelector=linkerd.CONTROL_PLANE_NS)
    missing = {f"linkerd-{name}" for name in COMPONENTS} - {item["metadata"]["name"] for item in found}
    if missing:
        raise CheckError(f"missing Deployments: {', '.join(sorted(missing))}")
    for item in found:
        wanted, ready = item["spec"]["replicas"], item.get("status", {}).get("readyReplicas", 0)
        if ready < wanted:
            raise CheckError(f"{item['metadata']['name']} has {ready} of {wanted} replicas ready")


async def no_unschedulable(api: KubeApi) -> None:
    for pod in await items(api, "pods", LINKERD):
        for condition in pod.get("status", {}).get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                raise CheckError(f"{pod['metadata']['name']}: {condition.get('message', condition.get('reason', ''))}")


async def pods_ready(api: KubeApi) -> None:
    pods = await items(api, "pods", LINKERD, labelSelector=linkerd.CONTROL_PLANE_COMPONENT)
    for component in COMPONENTS:
        own = [pod for pod in pods if pod["metadata"]["labels"][linkerd.CONTROL_PLANE_COMPONENT] == component]
        if not any(is_ready(pod) for pod in own):
            raise CheckError(f'No running pods for "linkerd-{component}"')


def is_ready(pod: Object) -> bool:
    return any(row["type"] == "Ready" and row["status"] == "True" for row in pod.get("status", {}).get("conditions", []))


def networks_contain(what: str, addresses: Addresses) -> Check:
    """``clusterNetworks`` must include the addresses; the mesh would treat others as outside the cluster."""

    async def look(api: KubeApi) -> None:
        stored = await values(api)
        networks = [ipaddress.ip_network(text.strip()) for text in stored["clusterNetworks"].split(",")]
        for name, address in await addresses(api):
            first = ipaddress.ip_network(address).network_address
            if not any(first in network for network in networks):
                raise CheckError(f"the Linkerd clusterNetworks [{stored['clusterNetworks']}] do not include {name} ({address})")

    return Check(f"cluster networks contains all {what}", look, "l5d-cluster-networks-" + what.rpartition(" ")[2].lower())


async def node_ranges(api: KubeApi) -> Iterable[tuple[str, str]]:
    return [(node["metadata"]["name"], cidr) for node in await items(api, "nodes") for cidr in node["spec"].get("podCIDRs", [])]


async def pod_addresses(api: KubeApi) -> Iterable[tuple[str, str]]:
    pods = await items(api, "pods")
    return [
        (f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}", pod["status"]["podIP"])
        for pod in pods
        if pod["status"].get("podIP") and not pod["spec"].get("hostNetwork")
    ]


async def service_addresses(api: KubeApi) -> Iterable[tuple[str, str]]:
    services = await items(api, "services")
    return [
        (f"svc {item['metadata']['namespace']}/{item['metadata']['name']}", item["spec"]["clusterIP"])
        for item in services
        if item["spec"].get("clusterIP") not in (None, "", "None")
    ]


async def namespace_exists(api: KubeApi) -> None:
    if await find(api, "namespaces", None, LINKERD) is None:
        raise CheckError(f'namespaces "{LINKERD}" not found')


def exist(resource: str, kind: str, namespace: str | None = None) -> Look:
    prefix = "linkerd-linkerd-" if namespace is None else "linkerd-"

    async def look(api: KubeApi) -> None:
        names = {item["metadata"]["name"] for item in await items(api, resource, namespace)}
        if missing := sorted({f"{prefix}{component}" for component in COMPONENTS} - names):
            raise CheckError(f"missing {kind}: {', '.join(missing)}")

    return look


async def crds_exist(api: KubeApi) -> None:
    await _crds_exist(api, [crd["metadata"]["name"] for crd in crds()])


async def _crds_exist(api: KubeApi, names: Iterable[str]) -> None:
    there = {item["metadata"]["name"] for item in await items(api, CRD_KIND)}
    if missing := sorted(set(names) - there):
        raise CheckError(f"missing CustomResourceDefinitions: {', '.join(missing)}")


async def webhook_exists(api: KubeApi) -> None:
    if await find(api, WEBHOOKS, None, WEBHOOK) is None:
        raise CheckError(f"missing MutatingWebhookConfigurations: {WEBHOOK}")


async def webhook_injects(api: KubeApi) -> None:
    """A pod created as a dry run must come back with a proxy."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "linkerd-check-", "annotations": {linkerd.INJECT: "enabled"}},
        "spec": {"containers": [{"name": "app", "image": "busybox:1"}]},
    }
    made = await api.request("POST", "/api/v1/namespaces/default/pods", pod, params={"dryRun": "All"})
    names = [row["name"] for row in made["spec"].get("initContainers", []) + made["spec"]["containers"]]
    if "linkerd-proxy" not in names:
        raise CheckError(
            "a pod that asks for a proxy is created without one: the proxy injector did not answer (failurePolicy is Ignore)"
        )


async def is_standin(api: KubeApi) -> None:
    raise CheckError(f"this is the lab's stand-in for {VERSION}, not Linkerd itself", warning=True)


async def control_plane_version(api: KubeApi) -> None:
    await values(api)


async def versions_match(api: KubeApi) -> None:
    found = (await values(api))["linkerdVersion"]
    if found != VERSION:
        raise CheckError(f"control plane running {found} but cli running {VERSION}", warning=True)


def proxies_ready(namespace: str | None) -> Check:
    """Every proxy (in ``namespace``, or anywhere) must be ready."""

    async def look(api: KubeApi) -> None:
        pods = [pod for pod in await items(api, "pods", namespace) if proxy_status(pod)]
        if not pods:
            raise CheckError('No "linkerd-proxy" containers found' + (f' in the "{namespace}" namespace' if namespace else ""))
        if bad := [name_of(pod) for pod in pods if not (proxy_status(pod) or {}).get("ready")]:
            raise CheckError(f'The "linkerd-proxy" container in the following pods is not ready:\n{_bullets(bad)}')

    return Check("data plane proxies are ready", look, "l5d-data-plane-ready", retry=True)


def name_of(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _bullets(names: Iterable[str]) -> str:
    return "\n".join(f"* {name}" for name in names)


def proxy_status(pod: Object) -> Object | None:
    """The container status of the pod's proxy; "not ready" if it has no status yet; None if the pod has no proxy.

    Also None for pods that have ended or are being deleted.
    """
    spec, status = pod["spec"], pod.get("status", {})
    ended = status.get("phase") in ("Succeeded", "Failed") or pod["metadata"].get("deletionTimestamp")
    if ended or not any(row["name"] == "linkerd-proxy" for row in spec.get("initContainers", []) + spec["containers"]):
        return None
    rows = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    return next((row for row in rows if row["name"] == "linkerd-proxy"), {"ready": False})


async def extension_namespaces(api: KubeApi) -> None:
    names: dict[str, list[str]] = {}
    for item in await items(api, "namespaces", labelSelector=linkerd.EXTENSION):
        names.setdefault(item["metadata"]["labels"][linkerd.EXTENSION], []).append(item["metadata"]["name"])
    if double := [f"{extension}: {', '.join(found)}" for extension, found in names.items() if len(found) > 1]:
        raise CheckError(f"extensions with more than one namespace:\n{_bullets(double)}")
    if not names:
        raise Skip
