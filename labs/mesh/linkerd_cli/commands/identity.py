"""``linkerd identity``: the certificate that a pod's proxy really presents, taken from a TLS handshake with it."""

from __future__ import annotations

import asyncio
import ssl

import click
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID

from labs.embedded import plan
from labs.errors import LabError
from labs.mesh.certificates import common_name
from labs.mesh.linkerd_cli import resources
from labs.mesh.linkerd_cli.checks_control_plane import proxy_status
from labs.mesh.linkerd_cli.cluster import Target, find, items
from labs.wire.kube_api import KubeApi, Object

TIMEOUT = 5.0
"""Seconds for one handshake."""


@click.command()
@click.argument("pod", required=False)
@click.option("-n", "--namespace", default="default")
@click.option("-l", "--selector", help="Label selector of pods.")
@click.pass_obj
def identity(target: Target, pod: str | None, namespace: str, selector: str | None) -> None:
    """Show the certificates of meshed pods: POD, deploy/NAME, or those of a selector."""
    if bool(pod) == bool(selector):
        raise click.UsageError("Provide either a pod name or a selector, but not both")

    async def work(api: KubeApi) -> list[tuple[str, x509.Certificate]]:
        found = await meshed_pods(api, namespace, pod, selector)
        return [(item["metadata"]["name"], await certificate_of(api, item)) for item in found]

    found = target.run(work)
    for number, (name, certificate) in enumerate(found, 1):
        click.echo(f"\nPOD {name} ({number} of {len(found)})\n\n{describe(certificate)}")


async def meshed_pods(api: KubeApi, namespace: str, name: str | None, selector: str | None) -> list[Object]:
    if selector is None and name and "/" in name:
        asked = resources.parse([name])
        owner = await find(api, asked.kind.path, namespace, asked.name or "")
        if owner is None:
            raise LabError(f'{asked.kind.name} "{asked.name}" not found in the namespace {namespace}')
        selector = ",".join(f"{key}={value}" for key, value in owner["spec"]["selector"]["matchLabels"].items())
    if selector is not None:
        found = await items(api, "pods", namespace, labelSelector=selector)
    else:
        one = await find(api, "pods", namespace, name or "")
        found = [one] if one else []
    meshed = [pod for pod in found if (proxy_status(pod) or {}).get("ready")]
    if not meshed:
        raise LabError(f"no ready pod with a linkerd-proxy among the {len(found)} chosen in the namespace {namespace}")
    return meshed


async def certificate_of(api: KubeApi, pod: Object) -> x509.Certificate:
    """The leaf certificate that the pod's proxy presents, verified with the cluster's trust anchors.

    Raises:
        LabError: no port of the pod speaks the mesh's TLS, or its certificate is not signed by a trust anchor.
    """
    roots = await find(api, "configmaps", "linkerd", "linkerd-identity-trust-roots")
    if roots is None:
        raise LabError("Linkerd is not installed in this cluster")
    context = ssl.create_default_context(cadata=roots["data"]["ca-bundle.crt"])
    # The name in the certificate is what the caller wants to know, so it cannot be checked.
    context.check_hostname = False
    address, problem = plan.network().dial(pod["status"]["podIP"]), "it declares no port"
    for port in mesh_ports(pod):
        try:
            async with asyncio.timeout(TIMEOUT):
                _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=server_name(pod))
        except (OSError, TimeoutError) as error:
            problem = f"port {port}: {error or 'no answer in time'}"
            continue
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return x509.load_der_x509_certificate(der)
    raise LabError(f"pod {pod['metadata']['name']} shows no mesh certificate: {problem}")


def server_name(pod: Object) -> str:
    """The mesh identity of a pod, from its ServiceAccount."""
    account = pod["spec"].get("serviceAccountName", "default")
    return f"{account}.{pod['metadata']['namespace']}.serviceaccount.identity.linkerd.cluster.local"


def mesh_ports(pod: Object) -> list[int]:
    """Ports on which the proxy may speak TLS: those that the app declares, or a gateway's own; never the admin port."""
    containers = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
    rows = [port for container in containers for port in container.get("ports", []) if port.get("name") != "linkerd-admin"]
    return [row["containerPort"] for row in rows if row.get("protocol", "TCP") == "TCP"]


def describe(certificate: x509.Certificate) -> str:
    """The certificate's text, in the form Linkerd prints."""
    lines = [
        "Certificate:",
        "    Data:",
        "        Version: 3 (0x2)",
        f"        Serial Number: {certificate.serial_number} ({certificate.serial_number:#x})",
        "    Signature Algorithm: ECDSA-SHA256",
        f"        Issuer: CN={common_name(certificate.issuer)}",
        "        Validity",
        f"            Not Before: {certificate.not_valid_before_utc:%b %e %H:%M:%S %Y} UTC",
        f"            Not After : {certificate.not_valid_after_utc:%b %e %H:%M:%S %Y} UTC",
        f"        Subject: CN={common_name(certificate.subject)}".rstrip("="),
        *_public_key(certificate),
        *_extensions(certificate),
    ]
    return "\n".join(lines) + "\n"


def _public_key(certificate: x509.Certificate) -> list[str]:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return []
    numbers = key.public_numbers()
    lines = [
        "        Subject Public Key Info:",
        "            Public Key Algorithm: ECDSA",
        f"                Public-Key: ({key.key_size} bit)",
    ]
    for name, number in (("X", numbers.x), ("Y", numbers.y)):
        lines.append(f"                {name}:")
        lines += [f"                    {row}" for row in _hex_rows(number.to_bytes(key.key_size // 8, "big"))]
    return [*lines, "                Curve: P-256"]


def _hex_rows(content: bytes) -> list[str]:
    """Fifteen bytes per row, separated by colons."""
    rows = [content[start : start + 15] for start in range(0, len(content), 15)]
    return [row.hex(":") + (":" if number < len(rows) - 1 else "") for number, row in enumerate(rows)]


def _extensions(certificate: x509.Certificate) -> list[str]:
    lines = ["        X509v3 extensions:"]
    for extension in certificate.extensions:
        if extension.oid == ExtensionOID.SUBJECT_ALTERNATIVE_NAME and isinstance(extension.value, x509.SubjectAlternativeName):
            names = [f"DNS:{name}" for name in extension.value.get_values_for_type(x509.DNSName)]
            lines += ["            X509v3 Subject Alternative Name:", f"                {', '.join(names)}"]
        if isinstance(extension.value, x509.AuthorityKeyIdentifier) and extension.value.key_identifier:
            keyid = extension.value.key_identifier.hex(":").upper()
            lines += ["            X509v3 Authority Key Identifier:", f"                keyid:{keyid}"]
    return lines
