"""Writes mirrors: creates, updates and deletes Services and Endpoints until they are as wanted; keeps the Link's status."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

from labs.pods.mesh_standin import federation
from labs.pods.mesh_standin import mirror_objects as objects
from labs.wire import linkerd
from labs.wire.kube_api import ApiError, KubeApi, Object

log = logging.getLogger(__name__)
MANAGER = "service-mirror"
SKIPPED = "ServiceMirroringSkipped"
Key = tuple[str, str]
Wanted = list[tuple[Object, Object, Object | None]]
"""Per mirror: the remote Service, the local Service, the local Endpoints (None for a flat one, which has none)."""
Federated = list[tuple[Object, Object]]
"""The remote member, and the local Service for all members."""


def key_of(item: Object) -> Key:
    return item["metadata"]["namespace"], item["metadata"]["name"]


class MirrorWriter:
    """For one Link. ``count`` is the number of mirrors after the last pass."""

    def __init__(self, api: KubeApi, link: Object, namespace: str) -> None:
        self._api = api
        self._link = link
        self._namespace = namespace
        self._cluster: str = link["spec"]["targetClusterName"]
        self._written: dict[tuple[str, Key], Object] = {}
        self._status: dict[str, list[Object]] = link.get("status") or {}
        self._told: set[Key] = set()
        self.count = 0

    async def reconcile(self, wanted: Wanted, federated: Federated, skipped: list[Object], alive: bool) -> None:
        """One pass. A refused write is logged and tried again on the next pass; the other mirrors go on."""
        for remote, service, endpoints in wanted:
            await self._apply("services", service, f"service mirror for {'/'.join(key_of(remote))}")
            if endpoints:
                await self._apply("endpoints", endpoints, f"endpoints for {'/'.join(key_of(remote))}")
            elif ("endpoints", key_of(service)) in self._written:
                await self._delete("endpoints", key_of(service))
        await self._apply("endpoints", objects.probe_endpoints(self._link, self._namespace, alive=alive), "probe endpoints")
        await self._remove_others({key_of(service) for _, service, _ in wanted})
        await self._federate(federated)
        await self._write_status(wanted, federated, skipped)
        for remote in skipped:
            await self._tell_skipped(remote)
        self.count = len(wanted)

    async def remove_all(self) -> None:
        """The Link is gone: so are its mirrors, and its members of federated Services."""
        await self._remove_others(set())
        await self._federate([])
        self.count = 0

    async def _apply(self, resource: str, item: Object, what: str) -> None:
        if self._written.get((resource, key_of(item))) == item:
            return
        log.info("Writing %s", what)
        try:
            await self._api.apply(resource, *key_of(item), item, manager=MANAGER)
        except ApiError as error:
            log.error("Writing %s failed: %s", what, error)
            return
        self._written[(resource, key_of(item))] = item

    async def _remove_others(self, keep: set[Key]) -> None:
        selector = f"{linkerd.MIRRORED_SERVICE}=true,{linkerd.MIRROR_CLUSTER}={self._cluster}"
        # Deleting a Service takes its Endpoints along.
        for item in (await self._api.list("services", labelSelector=selector))["items"]:
            key = key_of(item)
            if key in keep:
                continue
            log.info("Deleting mirrored service %s/%s", *key)
            await self._delete("services", key)
            await self._delete("endpoints", key)

    async def _federate(self, federated: Federated) -> None:
        """Update this link's members in every federated Service; delete those left without a member."""
        for _, service in federated:
            await self._apply("services", service, f"federated service {'/'.join(key_of(service))}")
        keep = {key_of(service) for _, service in federated}
        for item in (await self._api.list("services", labelSelector=f"{linkerd.MIRRORED_SERVICE}=true"))["items"]:
            members = federation.remote_members(item)
            others = [member for member in members if not member.endswith(f"@{self._cluster}")]
            if members == others or key_of(item) in keep:
                continue
            if others or linkerd.LOCAL_DISCOVERY in item["metadata"]["annotations"]:
                annotations = {linkerd.REMOTE_DISCOVERY: ",".join(others) or None}
                await self._api.patch("services", *key_of(item), {"metadata": {"annotations": annotations}})
                self._written.pop(("services", key_of(item)), None)
            else:
                await self._delete("services", key_of(item))

    async def _delete(self, resource: str, key: Key) -> None:
        self._written.pop((resource, key), None)
        try:
            await self._api.delete(resource, *key)
        except ApiError as error:
            if error.code != 404:
                raise

    async def _write_status(self, wanted: Wanted, federated: Federated, skipped: list[Object]) -> None:
        time = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        rows = [objects.status_entry(remote, local["metadata"]["name"], time) for remote, local, _ in wanted]
        for remote in skipped:
            name = objects.mirror_name(remote["metadata"]["name"], self._cluster)
            rows.append(objects.status_entry(remote, name, time, _problem(remote)))
        members = [objects.status_entry(remote, local["metadata"]["name"], time) for remote, local in federated]
        status = {"mirrorServices": rows, "federatedServices": members}
        status = {key: [_keep_transition_time(row, self._status.get(key) or []) for row in rows] for key, rows in status.items()}
        if status == self._status:
            return
        name = self._link["metadata"]["name"]
        log.info("patching link status %s/%s", self._namespace, name)
        await self._api.patch(linkerd.LINKS, self._namespace, name, {"status": status}, sub="status")
        self._status = status

    async def _tell_skipped(self, remote: Object) -> None:
        """An event on the Link, once per Service."""
        if key_of(remote) in self._told:
            return
        self._told.add(key_of(remote))
        meta = self._link["metadata"]
        time = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        involved = {"apiVersion": linkerd.LINK_VERSION, "kind": "Link", "namespace": self._namespace}
        await self._api.create(
            "events",
            self._namespace,
            {
                "metadata": {"generateName": f"{meta['name']}.", "namespace": self._namespace},
                "involvedObject": involved | {"name": meta["name"], "uid": meta["uid"]},
                "reason": SKIPPED,
                "message": _problem(remote)[1],
                "type": "Warning",
                "count": 1,
                "source": {"component": linkerd.SERVICE_MIRROR},
                "firstTimestamp": time,
                "lastTimestamp": time,
            },
        )


def _problem(remote: Object) -> tuple[str, str]:
    namespace, name = key_of(remote)
    return SKIPPED, f"Skipping mirroring of service {namespace}/{name}: namespace {namespace} does not exist"


def _keep_transition_time(row: Object, before: list[Object]) -> Object:
    """``row`` with the time it already had, unless its condition changed since."""

    def without_time(entry: Object) -> Any:
        return entry | {"conditions": [{**condition, "lastTransitionTime": ""} for condition in entry["conditions"]]}

    return next((entry for entry in before if without_time(entry) == without_time(row)), row)
