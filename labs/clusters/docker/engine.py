"""The Docker engine, through its own command: whether it is usable, and the lab's network."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labs import config, errors, shell, topology

NETWORK = "boring-ops-lab"
"""All clusters are on this Docker network, so that their nodes reach each other."""
PART_OF = "app.kubernetes.io/part-of"
CHECKOUT = "boring-ops-lab/checkout"
"""Label of the network: the checkout whose lab it is. A cluster is ours if its nodes are on it and that is our checkout."""
MEMORY_NEEDED = 3.5
"""GiB for six nodes with Kubernetes alone: 0.5 to 0.65 per control plane and about 0.4 per worker were seen on kind."""
GIB = 1024**3
SAVE_PLATFORM_API = (1, 48)
"""From this version of the engine's API on, ``docker image save`` takes ``--platform`` (Docker 28)."""
MTU = "com.docker.network.driver.mtu"


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers. ``architecture`` as images name it (amd64), ``memory`` in bytes, ``api`` as negotiated."""

    version: str
    api: tuple[int, ...]
    architecture: str
    system: str
    cpus: int
    memory: int
    cgroup: int

    @property
    def platform(self) -> str:
        return f"linux/{self.architecture}"


def docker(*args: str, input: str | None = None, timeout: float = 60) -> str:
    """Run the ``docker`` command, with ``input`` on its standard input, and return what it printed; ``timeout`` in seconds.

    Raises:
        EngineUnusable: there is no such command, no engine answers, or it does not let this user in.
        CommandFailed: docker refused, in its own words.
    """
    try:
        return shell.run(["docker", *args], input=input, timeout=timeout)
    except errors.NotFound as error:
        raise errors.EngineUnusable(
            "expected the command docker; it is not installed", fix="install Docker, or: lab up --backend embedded"
        ) from error
    except errors.TimedOut as error:
        raise errors.EngineUnusable(f"the Docker engine does not answer: {error.message}", fix="restart Docker") from error
    except errors.CommandFailed as error:
        raise _explained(error) from error


def _explained(error: errors.CommandFailed) -> errors.LabError:
    text = error.output.lower()
    if "permission denied" in text and "docker" in text:
        fix = "sudo usermod -aG docker $USER, log in again (or, on a managed machine: lab up --backend embedded)"
        return errors.EngineUnusable("a Docker engine is running, but does not let this user connect", fix=fix)
    # Docker before 29 asks "Is the docker daemon running?"; newer ones say they failed to connect to the API.
    if "docker daemon" in text or "failed to connect to the docker api" in text or "docker desktop is unable to start" in text:
        fix = "start Docker Desktop (Linux: sudo systemctl start docker), or: lab up --backend embedded"
        return errors.EngineUnusable("no Docker engine answers", fix=fix)
    return error


def engine(timeout: float = 20) -> Engine:
    """The engine that the ``docker`` command reaches.

    Raises:
        EngineUnusable: see ``docker``.
    """
    said = json.loads(docker("version", "--format", "{{json .}}", timeout=timeout))
    info = json.loads(docker("info", "--format", "{{json .}}", timeout=timeout))
    server, client = said["Server"], said["Client"]
    return Engine(
        version=server["Version"],
        api=tuple(int(part) for part in (client.get("ApiVersion") or client["APIVersion"]).split(".")),
        architecture=server["Arch"],
        system=info.get("OperatingSystem", ""),
        cpus=int(info["NCPU"]),
        memory=int(info["MemTotal"]),
        cgroup=int(info.get("CgroupVersion") or 1),
    )


def require_engine() -> Engine:
    """The engine, if it is large enough for the default clusters.

    Raises:
        EngineUnusable: there is none, or it has less memory than the clusters need.
    """
    found = engine()
    if found.memory < MEMORY_NEEDED * GIB:
        raise errors.EngineUnusable(
            f"expected {MEMORY_NEEDED} GiB of memory for the Docker engine; found {found.memory / GIB:.1f} GiB",
            fix="Docker Desktop: Settings, Resources, Memory (6 GiB is comfortable); or: lab up --backend embedded",
        )
    return found


# The network


def network_checkout() -> str | None:
    """The checkout that the lab's network belongs to, "" if it carries no label; None if there is no such network."""
    rows = docker("network", "ls", "--format", "{{.Name}}\t{{.Label " + json.dumps(CHECKOUT) + "}}").splitlines()
    owners = {name: checkout for name, _, checkout in (row.partition("\t") for row in rows)}
    return owners.get(NETWORK)


def require_own_network() -> None:
    """Go on if the lab's network is absent or ours.

    Raises:
        OtherLabRunning: another checkout's lab has it.
        NameTaken: something else is called so.
    """
    checkout = network_checkout()
    if checkout == "":
        raise errors.NameTaken(f"a Docker network {NETWORK} exists that is not the lab's", fix=f"docker network rm {NETWORK}")
    if checkout not in (None, str(config.ROOT)):
        raise errors.OtherLabRunning(f"the lab of {checkout} has clusters on this machine", fix=f"cd {checkout} && lab down")


def create_network() -> None:
    """Make the lab's network, harmless if it is there.

    Raises:
        MachineError: the engine gave it addresses that the clusters use inside.
    """
    if network_checkout() is None:
        # A network of one's own does not inherit the engine's MTU, which matters behind a VPN; kind does the same for its own.
        mtu = docker("network", "inspect", "bridge", "--format", "{{index .Options " + json.dumps(MTU) + "}}").strip()
        options = ["--opt", f"{MTU}={mtu}"] if mtu.isdigit() else []
        labels = ["--label", f"{PART_OF}=boring-ops-lab", "--label", f"{CHECKOUT}={config.ROOT}"]
        docker("network", "create", "--driver", "bridge", *options, *labels, NETWORK)
    _require_apart(json.loads(docker("network", "inspect", NETWORK)))


def _require_apart(networks: list[dict[str, Any]]) -> None:
    subnets = [row["Subnet"] for network in networks for row in network["IPAM"]["Config"] or [] if ":" not in row["Subnet"]]
    for spec in topology.declared():
        for own in (spec.pod_range, spec.service_range):
            taken = [subnet for subnet in subnets if own.overlaps(ipaddress.IPv4Network(subnet))]
            if taken:
                raise errors.MachineError(
                    f"Docker gave the network {NETWORK} the range {taken[0]}, which overlaps {own} of cluster {spec.name}",
                    fix='"default-address-pools" in Docker\'s daemon.json: a range outside 10.0.0.0/8, then restart Docker',
                )


def remove_network() -> None:
    """Remove the lab's network if it is ours; harmless if it is gone."""
    if network_checkout() == str(config.ROOT):
        docker("network", "rm", NETWORK)


def remove_volumes(labels: Iterable[str]) -> None:
    """Remove the volumes that carry one of ``labels``."""
    for label in labels:
        if names := docker("volume", "ls", "--quiet", "--filter", f"label={label}").split():
            docker("volume", "rm", *names)


def has_image(image: str) -> bool:
    return bool(docker("image", "ls", "--quiet", image).strip())
