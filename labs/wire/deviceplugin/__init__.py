"""The device-plugin and pod-resources APIs of Kubernetes as protobuf modules, for both ends: node agent and GPU plugin."""

VERSION = "v1beta1"
"""What a plugin puts in ``RegisterRequest.version``."""
HEALTHY = "Healthy"
UNHEALTHY = "Unhealthy"
