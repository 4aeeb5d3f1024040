"""Extended resources of the node: what plugins offer, what is healthy, who holds what (``model.DeviceManager``).

The rules, and the texts of the errors, are those of the kubelet's device manager; nothing here knows what a GPU is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from labs.embedded.node.devices.ledger import Ledger
from labs.embedded.node.devices.plugin import Plugin, PluginError
from labs.embedded.node.model import Allocation, DeviceError, PodRecord
from labs.wire.deviceplugin import HEALTHY, UNHEALTHY

log = logging.getLogger(__name__)


class Resource:
    """One resource name: the devices its plugin listed last, and the plugins connected for it (the newest one is asked)."""

    def __init__(self) -> None:
        self.devices: dict[str, str] = {}
        """Device id to health as the plugin reported it; kept while the plugin is away."""
        self.plugins: list[Plugin] = []

    @property
    def plugin(self) -> Plugin | None:
        return self.plugins[-1] if self.plugins else None

    def take(self, plugin: Plugin) -> None:
        """Add a newly connected plugin: the grace of one that stopped before no longer counts."""
        self.plugins = [*(known for known in self.plugins if not known.stopped), plugin]

    @property
    def offered(self) -> set[str]:
        """Devices that may be allocated: healthy ones whose plugin is connected."""
        if self.plugin is None or self.plugin.stopped:
            return set()
        return {device for device, health in self.devices.items() if health == HEALTHY}


class Devices:
    """All device plugins of one node."""

    def __init__(self, checkpoint: Path) -> None:
        self.ledger = Ledger(checkpoint)
        # After a restart the resources are known, with no device until their plugins register again.
        self._resources = {name: Resource() for name in self.ledger.resources}
        self._callbacks: list[Callable[[], None]] = []
        self._watches: set[asyncio.Task[None]] = set()
        # One admission at a time, as in the kubelet: two pods must not be promised the same device while a plugin is asked.
        self._admission = asyncio.Lock()

    # For pods.

    def manages(self, resource: str) -> bool:
        return resource in self._resources

    async def allocate(
        self, pod: PodRecord, container: str, resource: str, count: int, reusable: Sequence[str] = ()
    ) -> Allocation:
        """See ``model.DeviceManager``."""
        async with self._admission:
            try:
                return await self._allocate(pod.uid, container, resource, count, reusable)
            except PluginError as error:
                raise DeviceError(str(error)) from error

    async def pre_start(self, pod: PodRecord, container: str) -> None:
        """Call before each start of a container: plugins may want to reset its devices.

        Raises:
            DeviceError: a plugin refused or is gone; the container waits with CreateContainerConfigError and this message.
        """
        for held in self.ledger.container(pod.uid, container):
            resource = self._resources.get(held.resource)
            if resource is None or resource.plugin is None:
                raise DeviceError(f"endpoint not found in cache for a registered resource: {held.resource}")
            try:
                await resource.plugin.pre_start(held.device_ids)
            except PluginError as error:
                raise DeviceError(str(error)) from error

    def release(self, pod_uid: str) -> None:
        self.ledger.drop(pod_uid)

    def health(self, resource: str, device_ids: Sequence[str]) -> dict[str, str]:
        """By device id. As in the kubelet: a device keeps its health while its plugin is away, one not listed is Healthy."""
        known = self._resources[resource].devices if resource in self._resources else {}
        return {device: HEALTHY if known.get(device, HEALTHY) == HEALTHY else UNHEALTHY for device in device_ids}

    # For the node's status.

    def capacity(self) -> dict[str, int]:
        """Devices by resource: all that plugins listed, none once a plugin has been away for five minutes."""
        return {name: 0 if self._gone(resource) else len(resource.devices) for name, resource in self._resources.items()}

    def allocatable(self) -> dict[str, int]:
        return {name: len(resource.offered) for name, resource in self._resources.items()}

    def offered(self) -> dict[str, list[str]]:
        """Ids of the devices that may be allocated, by resource."""
        return {name: sorted(resource.offered) for name, resource in self._resources.items()}

    def on_change(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    # For plugins.

    async def connect(self, resource: str, socket: Path) -> None:
        """A plugin registered: dial it, then follow its devices in the background.

        Raises:
            PluginError: it cannot be dialled, or is connected already.
        """
        known = self._resources.get(resource)
        if known and any(plugin.socket == socket and not plugin.stopped for plugin in known.plugins):
            raise PluginError(f"device plugin already connected: {socket}")
        plugin = Plugin(resource, socket)
        try:
            await plugin.connect()
        except PluginError:
            await plugin.stop()
            raise
        self._resources.setdefault(resource, Resource()).take(plugin)
        self.ledger.know(self._resources)
        watch = asyncio.create_task(self._watch(plugin))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def close(self) -> None:
        """Disconnect all plugins; they notice when their streams end."""
        for watch in list(self._watches):
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def _watch(self, plugin: Plugin) -> None:
        resource = self._resources[plugin.resource]
        try:
            async for devices in plugin.devices():
                resource.devices = devices
                self._changed()
        except PluginError as error:
            log.warning("%s: ListAndWatch ended: %s", plugin.resource, error)
        finally:
            await plugin.stop()
            # The last one stays, stopped, to measure its five minutes of grace.
            if len(resource.plugins) > 1:
                resource.plugins.remove(plugin)
            self._changed()

    async def _allocate(self, pod_uid: str, container: str, name: str, count: int, reusable: Sequence[str]) -> Allocation:
        held = self.ledger.get(pod_uid, container, name)
        if held and len(held.device_ids) != count:
            changed = f"from {len(held.device_ids)} to {count}"
            raise DeviceError(f'pod "{pod_uid}" container "{container}" changed request for resource "{name}" {changed}')
        resource = self._resources.get(name)
        if resource is None or resource.plugin is None:
            raise DeviceError(f"cannot allocate unregistered device {name}")
        if not resource.offered:
            raise DeviceError(f"no healthy devices present; cannot allocate unhealthy devices {name}")
        if held is None:
            chosen = await self._choose(resource, name, count, reusable)
            held = await resource.plugin.allocate(chosen)
            self.ledger.put(pod_uid, container, held)
        elif not resource.offered.issuperset(held.device_ids):
            raise DeviceError(f"previously allocated devices are no longer healthy; cannot allocate unhealthy devices {name}")
        return held

    async def _choose(self, resource: Resource, name: str, count: int, reusable: Sequence[str]) -> list[str]:
        """Which ``count`` devices to give: reusable ones, then the plugin's preference, then in order of their ids."""
        again = sorted(resource.offered.intersection(reusable))[:count]
        return again + await self._choose_free(resource, name, count - len(again)) if len(again) < count else again

    async def _choose_free(self, resource: Resource, name: str, count: int) -> list[str]:
        free = resource.offered - self.ledger.in_use(name)
        if len(free) < count:
            found = f"Requested: {count}, Available: {len(free)}"
            raise DeviceError(f"requested number of devices unavailable for {name}. {found}")
        assert resource.plugin is not None
        preferred = await resource.plugin.preferred(free, count) if count < len(free) else []
        wanted = [device for device in preferred if device in free]
        return [*wanted, *sorted(free.difference(wanted))][:count]

    def _gone(self, resource: Resource) -> bool:
        return resource.plugin is None or resource.plugin.expired

    def _changed(self) -> None:
        for callback in self._callbacks:
            callback()
