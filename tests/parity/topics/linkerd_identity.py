"""Names, certificates, and which caller a server sees."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.parity import demo
from tests.parity.context import ParityContext, events
from tests.parity.expect import Between, Text, including
from tests.parity.rows import Topic

topic = Topic("linkerd_identity", "linkerd", "Identity")
CALLS = "10-incluster-http.txt"
CERTIFICATE = "75-identity.txt"
SPOOF = "experiments/11-identity.txt"


def shown(context: ParityContext) -> dict[str, str]:
    """``linkerd identity`` of the server: what stands after each label."""
    namespace = demo.meshed(context)
    text = context.once("identity", lambda: context.linkerd("identity", "-n", namespace, "-l", "app=server").text)
    pairs = [line.strip().partition(":") for line in text.splitlines() if ":" in line]
    return {name.strip(): value.strip() for name, _, value in reversed(pairs)}


def told(context: ParityContext, namespace: str, service: str, **request: Any) -> str | None:
    """The caller's identity as the server was told it."""
    (answer,) = demo.ask(context, namespace, demo.url(service, demo.meshed(context)), **request)
    return demo.seen(answer).get("l5d-client-id")


@topic.row(
    "the caller's name that a meshed server sees when a meshed client calls (l5d-client-id)",
    real="client.NAMESPACE.serviceaccount.identity.linkerd.cluster.local",
    source=CALLS,
)
def client_id(context: ParityContext) -> Any:
    namespace = demo.meshed(context)
    return (told(context, namespace, "server") or "").replace(namespace, "NAMESPACE")


@topic.row("the same for a client without a proxy", real=None, source=CALLS)
def no_client_id(context: ParityContext) -> Any:
    return told(context, demo.plain(context), "server")


@topic.row("the same when the client itself sends l5d-client-id: evil", real="client", source=SPOOF)
def spoofed(context: ParityContext) -> Any:
    found = told(context, demo.meshed(context), "server", headers={"l5d-client-id": "evil.example"}) or ""
    return found.partition(".")[0]


@topic.row("a client without a proxy sends l5d-client-id: evil", real=None, source=SPOOF)
def spoofed_from_outside(context: ParityContext) -> Any:
    return told(context, demo.plain(context), "server", headers={"l5d-client-id": "evil.example"})


@topic.row(
    "subject and DNS name of the server's certificate",
    source=CERTIFICATE,
    real={
        "Subject": Text(r"CN=server\..*\.serviceaccount\.identity\.linkerd\.cluster\.local"),
        "DNS": Text(r"server\..*\.serviceaccount\.identity\.linkerd\.cluster\.local"),
    },
)
def names(context: ParityContext) -> Any:
    found = shown(context)
    return {name: found.get(name) for name in ("Subject", "DNS")}


@topic.row(
    "issuer and key", real={"Issuer": "CN=identity.linkerd.cluster.local", "Public Key Algorithm": "ECDSA"}, source=CERTIFICATE
)
def issuer(context: ParityContext) -> Any:
    found = shown(context)
    return {name: found.get(name) for name in ("Issuer", "Public Key Algorithm")}


@topic.row("hours from Not Before to Not After", real=Between(24, 24.1, "h"), source=SPOOF)
def lifetime(context: ParityContext) -> Any:
    found = shown(context)
    begin, end = (datetime.strptime(found[name], "%b %d %H:%M:%S %Y %Z") for name in ("Not Before", "Not After"))
    return (end - begin).total_seconds() / 3600


@topic.row(
    "the event on the ServiceAccount",
    source="26-events.txt",
    within=5,
    real=Text(r"issued certificate for server\..* until [-0-9]+ [:0-9]+ \+0000 UTC: [0-9a-f]+"),
)
def issued_event(context: ParityContext) -> Any:
    found = events(context, demo.meshed(context), "server")
    return next((event["message"] for event in found if event["reason"] == "IssuedLeafCertificate"), None)


@topic.row(
    "what the proxy reports about its certificate",
    real=including("identity_cert_expiration_timestamp_seconds"),
    source="11-metrics-incluster-inbound-server.prom",
)
def expiry_is_measured(context: ParityContext) -> Any:
    text = context.linkerd("diagnostics", "proxy-metrics", "-n", demo.meshed(context), "deploy/server").text
    return sorted({line.split()[0].partition("{")[0] for line in text.splitlines() if line.startswith("identity_cert")})
