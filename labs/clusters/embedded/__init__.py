"""The embedded backend: real Kubernetes control planes, nodes and pods as processes. Thin; see ``labs.embedded``."""

from labs.clusters.embedded.backend import Embedded, require_linux

__all__ = ["Embedded", "require_linux"]
