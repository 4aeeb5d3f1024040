"""The kubelet API of one node: what ``kubectl logs``, ``exec`` and ``top`` reach through the API server."""

from labs.embedded.node.server.app import KubeletServer

__all__ = ["KubeletServer"]
