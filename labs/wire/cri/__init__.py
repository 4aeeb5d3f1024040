"""The container runtime interface of Kubernetes (``runtime.v1``) as protobuf modules."""

VERSION = "v1"
