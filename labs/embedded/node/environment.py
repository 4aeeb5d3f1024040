"""A container's environment variables, in the kubelet's order of precedence."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labs import config
from labs.embedded import plan
from labs.embedded.node import downward, env_file
from labs.embedded.node.context import PodContext
from labs.embedded.node.expansion import expand
from labs.embedded.node.model import ContainerRecord, Node, Object, PodRecord
from labs.embedded.node.rootfs import PathMap
from labs.embedded.node.sources import MissingSource, Sources, data_of
from labs.paths import Paths
from labs.wire.network import VARIABLE

MARK = "LAB_CONTAINER_ID"
"""The variable by which the fork server finds the owner of an orphaned process."""
PROXY = "linkerd-proxy"


def base(node: Node, pod: PodRecord, container: ContainerRecord) -> dict[str, str]:
    """The backend's own variables for every container; the pod's override them."""
    names = {record.name for record in pod.containers.values()}
    meshed = PROXY in names and container.name != PROXY
    return {
        "PATH": os.pathsep.join(_path(container)),
        "PYTHONPATH": str(config.ROOT),
        "PYTHONUNBUFFERED": "1",
        "LANG": "C.UTF-8",
        "HOME": str(container.root),
        "TMPDIR": str(container.root / "tmp"),
        "HOSTNAME": pod.pod["spec"].get("hostname") or pod.name,
        MARK: container.container_id,
        "CONTAINER_ROOT": str(container.root),
        "BIND_ADDRESS": node.network.bind(pod.ip, behind_proxy=meshed),
        VARIABLE: node.network.name,
        "HTTP_PROXY": node.cluster.proxy_url,
        "http_proxy": node.cluster.proxy_url,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def _path(container: ContainerRecord) -> list[str]:
    # What a device plugin mounts into /usr/bin comes first, since it would hide the image's own.
    own = str(container.root / "usr" / "bin")
    return [own, str(Path(sys.executable).parent), str(Paths.current().bin), os.environ.get("PATH", os.defpath)]


def service_variables(services: list[Object]) -> dict[str, str]:
    """The Docker-links style variables of ``services``, with addresses that can be dialled here."""
    found: dict[str, str] = {}
    for service in services:
        prefix = service["metadata"]["name"].upper().replace("-", "_")
        host = plan.network().dial(service["spec"]["clusterIP"])
        ports = service["spec"].get("ports", [])
        if not ports:
            continue
        found |= {f"{prefix}_SERVICE_HOST": host, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
        for port in ports:
            if port.get("name"):
                found[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
        protocol = ports[0].get("protocol", "TCP").lower()
        found[f"{prefix}_PORT"] = f"{protocol}://{host}:{ports[0]['port']}"
        for port in ports:
            protocol = port.get("protocol", "TCP")
            link = f"{prefix}_PORT_{port['port']}_{protocol}"
            found[link] = f"{protocol.lower()}://{host}:{port['port']}"
            found |= {f"{link}_PROTO": protocol.lower(), f"{link}_PORT": str(port["port"]), f"{link}_ADDR": host}
    return found


def api_server_service(node: Node) -> Object:
    """The Service ``kubernetes`` as every pod sees it: the API server itself, on a port that needs no root."""
    port = {"name": "https", "port": plan.API_PORT, "protocol": "TCP"}
    return {"metadata": {"name": "kubernetes"}, "spec": {"clusterIP": node.cluster.advertised, "ports": [port]}}


@dataclass(frozen=True)
class Environment:
    """The variables of one container."""

    variables: dict[str, str]
    """Those of its spec and of Services, which ``$(NAME)`` may refer to. ``BIND_ADDRESS`` is the backend's one addition."""
    process: dict[str, str]
    """All that its processes see, including the backend's and a device plugin's."""


async def build(context: PodContext, container: ContainerRecord, paths: PathMap) -> Environment:
    """All variables of ``container``, references resolved and mounted paths rewritten.

    Raises:
        MissingSource: a ConfigMap, Secret, key or file that is not optional is missing.
    """
    services, pod = context.services, context.record
    own = base(services.node, pod, container)
    linked = await services.sources.services(pod.namespace) if pod.pod["spec"].get("enableServiceLinks", True) else []
    known = {"BIND_ADDRESS": own["BIND_ADDRESS"]} | service_variables([*linked, api_server_service(services.node)])
    for source in container.spec.get("envFrom", []):
        found = await _from_whole(source, pod, services.sources)
        known |= {name: paths.rewrite(value) for name, value in found.items()}
    for entry in container.spec.get("env", []):
        if "valueFrom" in entry:
            value = await _from_reference(entry, context, container)
            known |= {} if value is None else {entry["name"]: paths.rewrite(value)}
        else:
            known[entry["name"]] = expand(paths.rewrite(entry.get("value", "")), known)
    given = {
        name: paths.rewrite(value)
        for allocation in pod.allocations.get(container.name, [])
        for name, value in allocation.env.items()
    }
    return Environment(known, own | given | _proxies(known) | known)


def _proxies(known: Mapping[str, str]) -> dict[str, str]:
    # Programs disagree about the case of these; setting one of a pair means both.
    return {name.lower(): known[name] for name in ("HTTP_PROXY", "NO_PROXY") if name in known}


async def _from_whole(source: Object, pod: PodRecord, sources: Sources) -> dict[str, str]:
    resource = "configmaps" if "configMapRef" in source else "secrets"
    reference = source.get("configMapRef") or source.get("secretRef")
    if reference is None:
        raise MissingSource(f"the embedded backend does not know envFrom with {_names(source)}")
    try:
        data = await data_of(sources, resource, pod.namespace, reference["name"])
    except MissingSource:
        if reference.get("optional"):
            return {}
        raise
    return {source.get("prefix", "") + key: value.decode(errors="replace") for key, value in data.items()}


async def _from_reference(entry: Object, context: PodContext, container: ContainerRecord) -> str | None:
    """The value of one variable; None if the reference is optional and its target is missing."""
    source, pod, services = entry["valueFrom"], context.record, context.services
    if "fieldRef" in source:
        return downward.field(source["fieldRef"]["fieldPath"], services.node, pod)
    if "resourceFieldRef" in source:
        return downward.resource_field(source["resourceFieldRef"], pod, container, services.allocatable())
    if "fileKeyRef" in source:
        return _from_file(source["fileKeyRef"], context)
    if "configMapKeyRef" in source:
        return await _from_key(source["configMapKeyRef"], "configmaps", "ConfigMap", context)
    if "secretKeyRef" in source:
        return await _from_key(source["secretKeyRef"], "secrets", "Secret", context)
    raise MissingSource(f"the embedded backend does not know env {entry['name']} with valueFrom {_names(source)}")


async def _from_key(reference: Object, resource: str, kind: str, context: PodContext) -> str | None:
    namespace = context.record.namespace
    try:
        data = await data_of(context.services.sources, resource, namespace, reference["name"])
        if reference["key"] not in data:
            raise MissingSource(f"couldn't find key {reference['key']} in {kind} {namespace}/{reference['name']}")
    except MissingSource:
        if reference.get("optional"):
            return None
        raise
    return data[reference["key"]].decode(errors="replace")


def _from_file(reference: Object, context: PodContext) -> str | None:
    name = reference["volumeName"]
    if not any(row["name"] == name for row in context.record.pod["spec"].get("volumes", [])):
        raise MissingSource(f'cannot find the volume "{name}" referenced by FileKeyRef')
    volume = context.volumes.path(name)
    path = volume / reference["path"]
    if not path.resolve().is_relative_to(volume.resolve()):
        raise MissingSource(f"expected {reference['path']} in volume {name}; found a path that leads out of the volume")
    try:
        value = env_file.read(path).get(reference["key"])
    except FileNotFoundError:
        value = None
    except (env_file.EnvFileError, OSError, UnicodeError) as error:
        raise MissingSource(f"couldn't parse env file: {error}") from error
    if not value and not reference.get("optional"):
        raise MissingSource(f'environment variable key "{reference["key"]}" not found in file "{reference["path"]}"')
    return value or None


def _names(source: Object) -> str:
    return ", ".join(sorted(source)) or "nothing"
