"""A pod's volumes as folders on the node, and their content kept up to date."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from labs.embedded import shared_memory
from labs.embedded.node import atomic_writer, downward
from labs.embedded.node.expansion import expand_all
from labs.embedded.node.model import ContainerRecord, Node, Object, PodRecord
from labs.embedded.node.sources import MissingSource, Sources, data_of

DEFAULT_MODE = 0o644
TOKEN_SHARE = 0.8
"""A token is renewed after this share of its life, as the kubelet does."""
TOKEN_MAX_AGE = 24 * 3600.0


OPEN_MODE = 0o777
"""Mode of an emptyDir and of the folders made for a subPath, as a kubelet makes them."""
STICKY_MODE = 0o1777


class MountError(Exception):
    """A volume cannot be set up; the message is that of the FailedMount event."""


class Volumes:
    """The volumes of one pod, in ``directory/volumes``."""

    def __init__(self, node: Node, pod: PodRecord, sources: Sources, allocatable: Mapping[str, str]) -> None:
        self._node = node
        self._pod = pod
        self._sources = sources
        self._allocatable = allocatable
        self._tokens: dict[str, tuple[float, bytes]] = {}
        self.in_memory = shared_memory.folder(node.name) / pod.uid

    def path(self, volume: str) -> Path:
        """Where the volume named ``volume`` is."""
        spec = next(item for item in self._pod.pod["spec"].get("volumes", []) if item["name"] == volume)
        if "hostPath" in spec:
            return self._node.host_path(spec["hostPath"]["path"])
        return self._pod.directory / "volumes" / volume

    async def set_up(self) -> None:
        """Make or refresh every volume.

        Raises:
            MountError: one of them cannot be made.
        """
        for volume in self._pod.pod["spec"].get("volumes", []):
            try:
                await self._set_up_one(volume)
            except (MissingSource, OSError) as error:
                raise MountError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error

    async def refresh(self) -> None:
        """Bring ConfigMap, Secret, projected and downward-API volumes up to date.

        Raises:
            MountError: a source has gone since.
        """
        if any(set(volume) & {"configMap", "secret", "projected", "downwardAPI"} for volume in self._specs()):
            await self.set_up()

    def mounts(self, container: ContainerRecord) -> list[tuple[str, Path]]:
        """(path in the container, what it links to) for each mount, device plugins' mounts included.

        Raises:
            MountError: a subPath that does not exist.
        """
        found = [(mount["mountPath"], self._source(container, mount)) for mount in container.spec.get("volumeMounts", [])]
        for allocation in self._pod.allocations.get(container.name, []):
            found += [(target, self._node.host_path(source)) for target, source in allocation.mounts]
        return found

    def _specs(self) -> list[Object]:
        volumes: list[Object] = self._pod.pod["spec"].get("volumes", [])
        return volumes

    def _source(self, container: ContainerRecord, mount: Object) -> Path:
        volume = self.path(mount["name"])
        sub = sub_path(mount, container.variables)
        if not sub:
            return volume
        source = volume / sub
        failed = f'failed to prepare subPath for volumeMount "{mount["name"]}" of container "{container.name}"'
        # A program of the pod may have put a link there that leads outside.
        if not source.resolve().is_relative_to(volume.resolve()):
            raise MountError(failed)
        if not (volume / atomic_writer.DATA).exists():
            make_open(source, volume)
            return source
        if not source.exists():
            raise MountError(failed)
        # A copy: a subPath mount never changes while the container lives.
        copy: Path = container.directory / "subpaths" / mount["name"] / sub
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, copy, dirs_exist_ok=True) if source.is_dir() else shutil.copy2(source, copy)
        return copy

    async def _set_up_one(self, volume: Object) -> None:
        path = self.path(volume["name"])
        if "hostPath" in volume:
            return self._host_path(path, volume["hostPath"])
        if "emptyDir" in volume:
            return self._empty_dir(path, volume["emptyDir"])
        path.mkdir(parents=True, exist_ok=True)
        if "projected" in volume:
            spec = volume["projected"]
            files: dict[str, atomic_writer.File] = {}
            for source in spec.get("sources") or []:
                files |= await self._project(volume["name"], source, spec.get("defaultMode", DEFAULT_MODE))
        else:
            files = await self._plain(volume)
        atomic_writer.write(path, files)

    def _host_path(self, path: Path, spec: Object) -> None:
        host_path(path, spec.get("type", ""))
        if path == self._node.host_path("/tmp"):
            path.chmod(STICKY_MODE)

    def _empty_dir(self, path: Path, spec: Object) -> None:
        """A world-writable folder; with ``medium: Memory`` a link to one below ``/dev/shm``."""
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        made = self.in_memory / path.name if spec.get("medium") == "Memory" else path
        if made != path:
            shared_memory.make(self.in_memory.parent)
            shared_memory.make(self.in_memory)
            path.unlink(missing_ok=True)
            path.symlink_to(made)
        made.mkdir(exist_ok=True)
        made.chmod(spec.get("mode", OPEN_MODE))

    def remove(self) -> None:
        """Free what the volumes of a pod that has ended hold outside its own folder."""
        shutil.rmtree(self.in_memory, ignore_errors=True)

    async def _plain(self, volume: Object) -> dict[str, atomic_writer.File]:
        if "configMap" in volume:
            return await self._keys("configmaps", volume["configMap"]["name"], volume["configMap"])
        if "secret" in volume:
            return await self._keys("secrets", volume["secret"]["secretName"], volume["secret"])
        if "downwardAPI" in volume:
            return self._downward(volume["downwardAPI"], volume["downwardAPI"].get("defaultMode", DEFAULT_MODE))
        kind = next(key for key in volume if key != "name")
        raise MissingSource(f"the embedded backend has no {kind} volumes")

    async def _project(self, name: str, source: Object, mode: int) -> dict[str, atomic_writer.File]:
        if "serviceAccountToken" in source:
            spec = source["serviceAccountToken"]
            return {spec["path"]: atomic_writer.File(await self._token(f"{name}/{spec['path']}", spec), 0o600)}
        if "downwardAPI" in source:
            return self._downward(source["downwardAPI"], mode)
        for key, resource in (("configMap", "configmaps"), ("secret", "secrets")):
            if key in source:
                return await self._keys(resource, source[key]["name"], {"defaultMode": mode} | source[key])
        raise MissingSource(f"the embedded backend cannot project {', '.join(source)}")

    async def _keys(self, resource: str, name: str, spec: Object) -> dict[str, atomic_writer.File]:
        mode = spec.get("defaultMode", DEFAULT_MODE)
        try:
            data = await data_of(self._sources, resource, self._pod.namespace, name)
            if "items" not in spec:
                return {key: atomic_writer.File(value, mode) for key, value in data.items()}
            missing = [item["key"] for item in spec["items"] if item["key"] not in data]
            if missing and not spec.get("optional"):
                kind = "configmap" if resource == "configmaps" else "secret"
                raise MissingSource(
                    f"{kind} references non-existent {'config' if kind == 'configmap' else kind} key: {missing[0]}"
                )
        except MissingSource:
            if spec.get("optional"):
                return {}
            raise
        present = [item for item in spec["items"] if item["key"] in data]
        return {item["path"]: atomic_writer.File(data[item["key"]], item.get("mode", mode)) for item in present}

    def _downward(self, spec: Object, mode: int) -> dict[str, atomic_writer.File]:
        files = {}
        for item in spec.get("items") or []:
            if "fieldRef" in item:
                text = downward.field(item["fieldRef"]["fieldPath"], self._node, self._pod)
            else:
                container = self._pod.containers[item["resourceFieldRef"]["containerName"]]
                text = downward.resource_field(item["resourceFieldRef"], self._pod, container, self._allocatable)
            files[item["path"]] = atomic_writer.File(text.encode(), item.get("mode", mode))
        return files

    async def _token(self, key: str, spec: Object) -> bytes:
        renew_at, token = self._tokens.get(key, (0.0, b""))
        if time.time() < renew_at:
            return token
        metadata, account = self._pod.pod["metadata"], self._pod.pod["spec"].get("serviceAccountName", "default")
        reference = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        request: Object = {"expirationSeconds": spec.get("expirationSeconds", 3600), "boundObjectRef": reference}
        if spec.get("audience"):
            request["audiences"] = [spec["audience"]]
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": request}
        status = await self._sources.token(self._pod.namespace, account, body)
        life = datetime.fromisoformat(status["expirationTimestamp"]).timestamp() - time.time()
        words: str = status["token"]
        token = words.encode()
        self._tokens[key] = (time.time() + min(life * TOKEN_SHARE, TOKEN_MAX_AGE), token)
        return token


def sub_path(mount: Object, variables: Mapping[str, str]) -> str:
    """The folder below its volume that ``mount`` asks for, or empty.

    Raises:
        MountError: a variable is not set, or the path would lead out of the volume.
    """
    path: str = mount.get("subPath", "")
    if "subPathExpr" in mount:
        path, missing = expand_all(mount["subPathExpr"], variables)
        if missing:
            raise MountError(f'missing value for "{missing[0]}"')
    if path.startswith("/"):
        raise MountError(f"error SubPath `{path}` must not be an absolute path")
    if ".." in path.split("/"):
        raise MountError(f"unable to provision SubPath `{path}`: must not contain '..'")
    return path


def make_open(path: Path, top: Path) -> None:
    """Make the missing folders of ``path`` below ``top``, world-writable."""
    for folder in [*reversed([item for item in path.parents if item.is_relative_to(top)]), path]:
        if not folder.exists():
            folder.mkdir()
            folder.chmod(OPEN_MODE)


def host_path(path: Path, kind: str) -> None:
    """Check or make what represents a path of the node, as hostPath's ``type`` asks.

    Raises:
        MissingSource: it is missing and the type does not allow creating it.
    """
    if kind == "FileOrCreate":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    elif kind in ("", "DirectoryOrCreate", "Directory"):
        # Directory too: the node's own folders (/var/lib/kubelet/…) exist on every real node.
        if not path.exists():
            path.mkdir(parents=True)
    elif not path.exists():
        raise MissingSource(f"hostPath type check failed: {path} is not a {kind.lower()}")
