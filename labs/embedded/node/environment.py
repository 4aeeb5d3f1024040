"""A container's environment variables, in the kubelet's order of precedence."""

from __future__ import annotations

import base64
import binascii
import os
import sys
from collections.abc import Mapping
from decimal import ROUND_CEILING
from pathlib import Path

from labs import config
from labs.embedded.node import quantity
from labs.embedded.node.expansion import expand
from labs.embedded.node.model import ContainerRecord, Node, Object, PodRecord
from labs.embedded.node.rootfs import PathMap
from labs.embedded.node.sources import MissingSource, Sources
from labs.wire.addresses import shadow, wire

MARK = "LAB_CONTAINER_ID"
"""By this variable the fork server knows whose an orphaned process is."""
PROXY = "linkerd-proxy"
API_PORT = "6443"


def base(node: Node, pod: PodRecord, container: ContainerRecord) -> dict[str, str]:
    """What the backend itself gives every container; the pod's own variables come on top."""
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
        "BIND_ADDRESS": shadow(pod.ip) if meshed else wire(pod.ip),
        "HTTP_PROXY": node.proxy_url,
        "http_proxy": node.proxy_url,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def _path(container: ContainerRecord) -> list[str]:
    # What a device plugin mounts into /usr/bin comes first, as it would cover the image's own.
    own = str(container.root / "usr" / "bin")
    return [own, str(Path(sys.executable).parent), str(config.BIN), os.environ.get("PATH", os.defpath)]


def service_variables(services: list[Object]) -> dict[str, str]:
    """The Docker-links style variables of ``services``, with addresses that can be dialled here."""
    found: dict[str, str] = {}
    for service in services:
        prefix = service["metadata"]["name"].upper().replace("-", "_")
        host = wire(service["spec"]["clusterIP"])
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


async def build(
    node: Node, pod: PodRecord, container: ContainerRecord, sources: Sources, paths: PathMap, allocatable: Mapping[str, str]
) -> dict[str, str]:
    """All variables of ``container``, references resolved and mounted paths rewritten.

    Raises:
        MissingSource: a ConfigMap, Secret or key that is not optional is missing.
    """
    variables = base(node, pod, container)
    if pod.pod["spec"].get("enableServiceLinks", True):
        variables |= service_variables(await sources.services(pod.namespace))
    variables |= {"KUBERNETES_SERVICE_HOST": node.api_host, "KUBERNETES_SERVICE_PORT": API_PORT}
    for allocation in pod.allocations.get(container.name, []):
        variables |= {name: paths.rewrite(value) for name, value in allocation.env.items()}
    for source in container.spec.get("envFrom", []):
        variables |= {name: paths.rewrite(value) for name, value in (await _from_whole(source, pod, sources)).items()}
    for entry in container.spec.get("env", []):
        if "valueFrom" in entry:
            value = await _from_reference(entry["valueFrom"], node, pod, container, sources, allocatable)
            if value is not None:
                variables[entry["name"]] = paths.rewrite(value)
        else:
            variables[entry["name"]] = expand(paths.rewrite(entry.get("value", "")), variables)
        _mirror_proxy(entry["name"], variables)
    return variables


def _mirror_proxy(name: str, variables: dict[str, str]) -> None:
    # Programs disagree about the case of these; whoever sets one of a pair means both.
    if name in ("HTTP_PROXY", "NO_PROXY") and name in variables:
        variables[name.lower()] = variables[name]


async def _from_whole(source: Object, pod: PodRecord, sources: Sources) -> dict[str, str]:
    resource = "configmaps" if "configMapRef" in source else "secrets"
    reference = source.get("configMapRef") or source["secretRef"]
    try:
        data = await data_of(sources, resource, pod.namespace, reference["name"])
    except MissingSource:
        if reference.get("optional"):
            return {}
        raise
    return {source.get("prefix", "") + key: value.decode(errors="replace") for key, value in data.items()}


async def _from_reference(
    source: Object, node: Node, pod: PodRecord, container: ContainerRecord, sources: Sources, allocatable: Mapping[str, str]
) -> str | None:
    if "fieldRef" in source:
        return field(source["fieldRef"]["fieldPath"], node, pod)
    if "resourceFieldRef" in source:
        return resource_field(source["resourceFieldRef"], pod, container, allocatable)
    resource = "configmaps" if "configMapKeyRef" in source else "secrets"
    reference = source.get("configMapKeyRef") or source["secretKeyRef"]
    try:
        data = await data_of(sources, resource, pod.namespace, reference["name"])
        if reference["key"] not in data:
            kind = "ConfigMap" if resource == "configmaps" else "Secret"
            raise MissingSource(f"couldn't find key {reference['key']} in {kind} {pod.namespace}/{reference['name']}")
    except MissingSource:
        if reference.get("optional"):
            return None
        raise
    return data[reference["key"]].decode(errors="replace")


async def data_of(sources: Sources, resource: str, namespace: str, name: str) -> dict[str, bytes]:
    """The keys of a ConfigMap or Secret with their decoded values.

    Raises:
        MissingSource: there is no such object.
    """
    found = await sources.get(resource, namespace, name)
    if resource == "configmaps":
        plain = {key: value.encode() for key, value in found.get("data", {}).items()}
        return plain | {key: _decode(value) for key, value in found.get("binaryData", {}).items()}
    return {key: _decode(value) for key, value in found.get("data", {}).items()}


def _decode(value: str) -> bytes:
    try:
        return base64.b64decode(value)
    except binascii.Error as error:  # the API server checks this: something is very wrong
        raise MissingSource(f"illegal base64 data: {error}") from error


def field(path: str, node: Node, pod: PodRecord) -> str:
    """The value of a downward-API field.

    Raises:
        MissingSource: the kubelet knows no such field.
    """
    metadata, spec = pod.pod["metadata"], pod.pod["spec"]
    simple = {
        "metadata.name": pod.name, "metadata.namespace": pod.namespace, "metadata.uid": pod.uid,
        "spec.nodeName": node.name, "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.hostIP": node.address, "status.hostIPs": node.address, "status.podIP": pod.ip, "status.podIPs": pod.ip,
    }  # fmt: skip
    if path in simple:
        return simple[path]
    for kind in ("labels", "annotations"):
        if path == f"metadata.{kind}":
            return "\n".join(f'{key}="{_escape(value)}"' for key, value in sorted(metadata.get(kind, {}).items()))
        if path.startswith(f"metadata.{kind}['") and path.endswith("']"):
            return metadata.get(kind, {}).get(path[len(f"metadata.{kind}['") : -2], "")
    raise MissingSource(f"unsupported fieldPath: {path}")


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def resource_field(reference: Object, pod: PodRecord, container: ContainerRecord, allocatable: Mapping[str, str]) -> str:
    """A container's request or limit in units of the divisor, rounded up; a missing limit is the node's whole."""
    record = pod.containers.get(reference.get("containerName", container.name), container)
    kind, _, resource = reference["resource"].partition(".")
    resources = record.spec.get("resources", {})
    value = resources.get(kind, {}).get(resource)
    if value is None:
        value = allocatable.get(resource, "0") if kind == "limits" else "0"
    divisor = quantity.parse(reference.get("divisor") or "1") or quantity.parse("1")
    return str(int((quantity.parse(value) / divisor).to_integral_value(ROUND_CEILING)))
