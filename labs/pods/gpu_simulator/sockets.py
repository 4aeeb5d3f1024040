"""Where the work socket is: on the node, in every container that has a GPU, and in the simulator's own container."""

from __future__ import annotations

FOLDER_IN_CONTAINER = "/run/gpu-simulator"
FOLDER_ON_NODE = "/var/run/gpu-simulator"
NAME = "gpu.sock"
WORK_SOCKET = f"{FOLDER_IN_CONTAINER}/{NAME}"

STATE_FOLDER = "/var/lib/gpu-simulator"
"""On the node and in the simulator's container: what outlives the process, and the program below."""
SMI_NAME = "nvidia-smi"
SMI_ON_NODE = f"{STATE_FOLDER}/{SMI_NAME}"
SMI_IN_CONTAINER = f"/usr/bin/{SMI_NAME}"
"""Not below /run, which many nodes mount noexec."""
