"""The node agent's side of the device-plugin API (v1beta1) and the pod-resources API (v1)."""

from labs.embedded.node.devices.manager import Devices
from labs.embedded.node.devices.service import DeviceService

__all__ = ["DeviceService", "Devices"]
