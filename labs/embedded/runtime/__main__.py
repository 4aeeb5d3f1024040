"""``python -m labs.embedded.runtime CONFIG``: the container runtime of all nodes of a lab.

CONFIG is a JSON file: ``{"streaming": path of cri-streaming's control socket, "images": [tables], "nodes": [NodeConfig]}``.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from concurrent import futures
from pathlib import Path

import grpc

from labs.embedded.runtime import limits
from labs.embedded.runtime.image_service import ImageService
from labs.embedded.runtime.images import ImageTable
from labs.embedded.runtime.node import Node, NodeConfig
from labs.embedded.runtime.service import RuntimeService
from labs.embedded.runtime.streaming import Streaming
from labs.wire.cri import cri_pb2_grpc as rpc

THREADS = 64
"""Per node. Stopping a container waits for its grace period, and all of a node's pods may stop at once."""
LARGEST_MESSAGE = 16 << 20
SYNC_TIMEOUT = 60.0
"""Seconds a shim may take to report what runs."""


def serve(node: Node, table: ImageTable, streaming: Streaming) -> grpc.Server:
    """Start to answer the node's kubelet, once the shim has reported what runs."""
    node.load()
    threading.Thread(target=node.follow_shim, daemon=True).start()
    if not node.synced.wait(SYNC_TIMEOUT):
        raise TimeoutError(f"the shim of {node.config.name} does not answer")
    pool = futures.ThreadPoolExecutor(THREADS, thread_name_prefix=node.config.name)
    server = grpc.server(pool, options=[("grpc.max_receive_message_length", LARGEST_MESSAGE)])
    rpc.add_RuntimeServiceServicer_to_server(RuntimeService(node, table, streaming), server)
    rpc.add_ImageServiceServicer_to_server(ImageService(table, node.state), server)
    os.umask(0o077)
    server.add_insecure_port(f"unix:{_short(Path(node.config.socket))}")
    server.start()
    return server


def _short(path: Path) -> str:
    """Another name for ``path``, through its folder's descriptor: a socket's address has at most 107 characters."""
    path.unlink(missing_ok=True)
    return f"/proc/self/fd/{os.open(path.parent, os.O_PATH | os.O_DIRECTORY)}/{path.name}"


def main(path: Path) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    config = json.loads(path.read_text())
    table = ImageTable([Path(more) for more in config["images"]])
    nodes = [Node(NodeConfig(**row | {"pod_ranges": tuple(row["pod_ranges"])})) for row in config["nodes"]]
    servers = [serve(node, table, Streaming(Path(config["streaming"]))) for node in nodes]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    logging.info("serving %s", ", ".join(node.config.name for node in nodes))
    limits.watch(nodes, stop)
    for server in servers:
        server.stop(grace=None)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
