"""The issuer's certificate expires, or comes from another anchor; then everything is restored."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from labs import kube
from labs.errors import NotFound
from labs.mesh import certificates
from labs.mesh.certificates import Authority
from labs.mesh.choice import mesh_for
from tests.parity import demo
from tests.parity.context import Object, ParityContext, Ran, required, until
from tests.parity.expect import Text, containing
from tests.parity.rows import Topic

topic = Topic("linkerd_certificates", "linkerd", "Certificates that are no longer trusted", ordered=True, alone=True)
EXPIRED = "documented: linkerd.io/2-edge/tasks/replacing_expired_certificates"
CHECKED = "documented: linkerd2/pkg/healthcheck/healthcheck.go"
SIGNED = "documented: linkerd2/pkg/identity/service.go and linkerd2/controller/cmd/identity/main.go"
AUTOMATIC = "documented: linkerd.io/2-edge/features/automatic-mtls"
NAMESPACE = "linkerd"
ISSUER = ("Secret", "linkerd-identity-issuer", NAMESPACE)
IDENTITY = ("Deployment", "linkerd-identity", NAMESPACE)
PODS = "linkerd.io/control-plane-component=identity"
KEYS = (("crt.pem", "key.pem"), ("tls.crt", "tls.key"))
"""The Secret as Linkerd writes it itself, and as cert-manager does."""
STARTS_WITHIN = 30.0
"""Seconds until the new identity service has said something, however busy the machine is."""
UNREADY = 3.0
"""Seconds after which one that could start would be ready."""
PENDING = 5.0
"""Seconds after which a pod that gets a certificate would run."""


def seen(context: ParityContext) -> dict[str, Any]:
    """All that these rows ask, observed at once, so that the mesh is whole again before the first of them is answered."""
    return context.once("untrusted issuers", lambda: observe(context))


def observe(context: ParityContext) -> dict[str, Any]:
    namespace = demo.meshed(context)
    demo.status(context, namespace, demo.url("server", namespace))
    found: dict[str, Any] = {}
    with issuer_put_back(context):
        put(context, certificates.make_issuer(certificates.make_anchor()))
        found["foreign"] = context.linkerd("check", "-o", "json", "--wait", "1s")
        put(context, certificates.make_issuer(own_anchor(context), dt.timedelta(seconds=-1)))
        found["expired"] = context.linkerd("check", "-o", "json", "--wait", "1s")
        restart_identity(context)
        found["log"] = until(lambda: identity_log(context), lambda text: "has expired" in text, STARTS_WITHIN)
        found["ready"] = until(lambda: ready_identities(context), bool, UNREADY)
        found["calls"] = [answer["status"] for answer in demo.ask(context, namespace, demo.url("server", namespace), times=20)]
        context.apply(namespace, *demo.client("uncertified"))
        found["new pod"] = until(lambda: phase(context, "uncertified"), lambda seen: seen == "Running", PENDING)
    found["healed"] = until(lambda: phase(context, "uncertified"), lambda seen: seen == "Running", 60)
    return found


@contextmanager
def issuer_put_back(context: ParityContext) -> Iterator[None]:
    before = required(kube.get(context.api(), *ISSUER), "the issuer's Secret")["data"]
    try:
        yield
    finally:
        kube.patch(context.api(), *ISSUER, {"data": before})
        restart_identity(context)
        kube.wait(context.api(), *IDENTITY, kube.rolled_out, timeout=90)


def own_anchor(context: ParityContext) -> Authority:
    """The lab's own trust anchor, with its key.

    Raises:
        NotFound: the mesh was installed with certificates that the lab has not made.
    """
    (made,) = [row for row in mesh_for(context.backend.can).make_certificates() if row.name == "ca"]
    found = certificates.load(made.certificate, made.key)
    if found is None:
        raise NotFound("trust anchor", str(made.certificate), fix="lab goto 05")
    return found


def put(context: ParityContext, issuer: Authority) -> None:
    """Write an issuer into the Secret."""
    names = next(pair for pair in KEYS if pair[0] in required(kube.get(context.api(), *ISSUER), "the issuer's Secret")["data"])
    texts = (issuer.certificate_pem, issuer.key_pem)
    data = {name: base64.b64encode(text.encode()).decode() for name, text in zip(names, texts, strict=True)}
    kube.patch(context.api(), *ISSUER, {"data": data})


def restart_identity(context: ParityContext) -> None:
    """New pods: a crashed container would be restarted at ever longer intervals."""
    for pod in kube.select(context.api(), "Pod", NAMESPACE, labels=PODS):
        kube.delete(context.api(), "Pod", pod["metadata"]["name"], NAMESPACE, grace=0)


def ready_identities(context: ParityContext) -> int:
    ready: int = required(kube.get(context.api(), *IDENTITY), "linkerd-identity")["status"].get("readyReplicas", 0)
    return ready


def identity_log(context: ParityContext) -> str:
    return context.kubectl("logs", "-n", NAMESPACE, "-l", PODS, "-c", "identity", "--tail=20").text


def phase(context: ParityContext, name: str) -> str | None:
    found = demo.pods(context, demo.meshed(context), name)
    return found[0]["status"].get("phase") if found else None


def judged(ran: Ran, description: str) -> Object:
    """Exit code of ``linkerd check -o json``, and what it says of one of its checks."""
    checks = [check for row in json.loads(ran.text)["categories"] for check in row["checks"]]
    (found,) = [check for check in checks if check["description"] == description] or [{}]
    return {"exit code": ran.code, "result": found.get("result"), "error": found.get("error")}


@topic.row(
    "the issuer has expired: linkerd check of 'issuer cert is within its validity period'",
    source=EXPIRED,
    real={"exit code": 1, "result": "error", "error": Text(r"issuer certificate is not valid anymore\. Expired on 20\S+Z")},
)
def check_of_an_expired_issuer(context: ParityContext) -> Any:
    return judged(seen(context)["expired"], "issuer cert is within its validity period")


@topic.row("checks of linkerd-identity after that one, which is fatal", real=[], source=CHECKED)
def check_ends_there(context: ParityContext) -> Any:
    categories = json.loads(seen(context)["expired"].text)["categories"]
    (checks,) = [row["checks"] for row in categories if row["categoryName"] == "linkerd-identity"]
    names = [check["description"] for check in checks]
    return names[names.index("issuer cert is within its validity period") + 1 :]


@topic.row("linkerd-identity starts with an expired issuer: ready pods", real=0, source=SIGNED)
def identity_does_not_start(context: ParityContext) -> Any:
    return seen(context)["ready"]


@topic.row(
    "its log",
    source=SIGNED,
    real=containing("failed to verify issuer credentials", "x509: certificate has expired or is not yet valid"),
)
def log_of_identity(context: ParityContext) -> Any:
    return seen(context)["log"]


@topic.row("20 calls between pods that already have certificates", real=[200] * 20, source=AUTOMATIC)
def traffic_goes_on(context: ParityContext) -> Any:
    return seen(context)["calls"]


@topic.row(f"a new meshed pod after {PENDING:g} s", real="Pending", source=SIGNED)
def new_pod_waits(context: ParityContext) -> Any:
    return seen(context)["new pod"]


@topic.row(
    "an issuer from another trust anchor: linkerd check of 'issuer cert is issued by the trust anchor'",
    source=CHECKED,
    real={"exit code": 1, "result": "error", "error": containing("x509: certificate signed by unknown authority")},
)
def check_of_a_foreign_issuer(context: ParityContext) -> Any:
    return judged(seen(context)["foreign"], "issuer cert is issued by the trust anchor")


@topic.row("the issuer is restored: the same pod", real="Running", source=SIGNED)
def pod_is_certified(context: ParityContext) -> Any:
    return seen(context)["healed"]


@topic.row("linkerd check after that: exit code", real=0, source=CHECKED)
def check_is_well_again(context: ParityContext) -> Any:
    seen(context)
    return context.linkerd("check", "--wait", "60s").code
