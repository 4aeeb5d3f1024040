"""The device-plugin and pod-resources APIs of Kubernetes as protobuf modules, for the node agent and the GPU plugin."""

VERSION = "v1beta1"
"""What a plugin puts in ``RegisterRequest.version``."""
HEALTHY = "Healthy"
UNHEALTHY = "Unhealthy"
