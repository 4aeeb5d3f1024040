"""A proxy's settings, from the environment the injector gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from labs.pods.mesh_standin import request_log
from labs.wire.addresses import to_loopback
from labs.wire.linkerd import identity_of

PREFIX = "LINKERD2_PROXY_"


class Settings(NamedTuple):
    """``host`` is the pod's wire address, ``cluster_proxy`` the cluster's forward proxy, the way to the control plane."""

    host: str
    namespace: str
    pod: str
    service_account: str
    folder: str
    token_file: str
    anchors: str
    identity_address: str
    destination_address: str
    inbound_ports: tuple[int, ...]
    opaque_ports: tuple[int, ...]
    default_policy: str
    gateway: bool
    cluster_proxy: tuple[str, int]
    access_log: str = ""

    @property
    def identity(self) -> str:
        return identity_of(self.service_account, self.namespace)

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Settings:
        """Raises KeyError or ValueError, naming the variable, when the injector's environment is missing."""
        scheme, _, address = env["HTTP_PROXY"].rstrip("/").partition("://")
        host, _, port = address.rpartition(":")
        if scheme != "http" or not host or not port.isdecimal():
            raise ValueError(f"expected HTTP_PROXY as http://HOST:PORT; found {env['HTTP_PROXY']!r}")
        return cls(
            host=to_loopback(env["BIND_ADDRESS"]),
            namespace=env["_pod_ns"],
            pod=env["_pod_name"],
            service_account=env["_pod_sa"],
            folder=env[PREFIX + "IDENTITY_DIR"],
            token_file=env[PREFIX + "IDENTITY_TOKEN_FILE"],
            anchors=env[PREFIX + "IDENTITY_TRUST_ANCHORS"],
            identity_address=env[PREFIX + "IDENTITY_SVC_ADDR"],
            destination_address=env[PREFIX + "DESTINATION_SVC_ADDR"],
            inbound_ports=_ports(env[PREFIX + "INBOUND_PORTS"]),
            opaque_ports=_ports(env[PREFIX + "INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION"]),
            default_policy=env[PREFIX + "INBOUND_DEFAULT_POLICY"],
            gateway=PREFIX + "INBOUND_GATEWAY_SUFFIXES" in env,
            cluster_proxy=(host, int(port)),
            access_log=request_log.style(env.get(PREFIX + "ACCESS_LOG", "")),
        )


def _ports(listed: str) -> tuple[int, ...]:
    return tuple(int(port) for port in listed.split(",") if port)
