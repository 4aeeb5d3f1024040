"""``linkerd-proxy-injector``: the mutating webhook that puts a proxy into pods."""

from __future__ import annotations

import base64
import datetime
import json
import logging
import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from labs.pods.mesh_standin import events, service
from labs.pods.mesh_standin.default_policy import cluster_default_policy
from labs.pods.mesh_standin.injection import Injection, wants_injection
from labs.wire import certificates, linkerd
from labs.wire.addresses import to_loopback
from labs.wire.certificates import Validity
from labs.wire.kube_api import ApiError, KubeApi, in_cluster

log = logging.getLogger(__name__)

Object = dict[str, Any]
PORT = 8443
LIFETIME, CLOCK_SKEW = datetime.timedelta(days=365), datetime.timedelta(minutes=5)
COMPONENT = "linkerd-proxy-injector"
CONFIGURATION = "linkerd-proxy-injector-webhook-config"
WEBHOOKS = "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
OWNERS = {"ReplicaSet": "apps/v1/replicasets", "Job": "batch/v1/jobs"}
"""Controllers that usually have a controller themselves (Deployment, CronJob)."""


@dataclass
class Injector:
    """Answers AdmissionReviews about new pods."""

    api: KubeApi
    injection: Injection

    async def review(self, request: web.Request) -> web.Response:
        """POST an ``admission.k8s.io/v1`` AdmissionReview: always allowed, patched where injection is wanted."""
        asked = (await request.json())["request"]
        pod = asked["object"]
        namespace = await self.api.get("namespaces", None, asked["namespace"])
        answer: Object = {"uid": asked["uid"], "allowed": True}
        wanted, why_not = wants_injection(pod, namespace)
        owner = await self._owner(pod, asked["namespace"]) if wanted else None
        if wanted:
            patch = self.injection.patch(pod, namespace, (owner["kind"], owner["name"]) if owner else None)
            answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        log.info("pod %s in %s: %s", _name(pod), asked["namespace"], "injected" if wanted else why_not)
        if owner and not asked.get("dryRun"):
            await self._announce(owner)
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})

    async def _owner(self, pod: Object, namespace: str) -> Object | None:
        """The topmost controller of a pod as an object reference, followed through ReplicaSets and Jobs."""
        owner = _controller(pod)
        if owner and owner["kind"] in OWNERS:
            try:
                owner = _controller(await self.api.get(OWNERS[owner["kind"]], namespace, owner["name"])) or owner
            except ApiError as error:
                log.warning("could not look up the owner of %s: %s", _name(pod), error)
        return {"namespace": namespace} | {k: owner[k] for k in ("apiVersion", "kind", "name", "uid")} if owner else None

    async def _announce(self, owner: Object) -> None:
        try:
            await events.emit(self.api, owner, "Injected", "Linkerd sidecar proxy injected", component=COMPONENT)
        except ApiError as error:  # the pod matters more than the event
            log.warning("could not record the event: %s", error)


def _controller(item: Object) -> Object | None:
    return next((ref for ref in item["metadata"].get("ownerReferences") or () if ref.get("controller")), None)


def _name(pod: Object) -> str:
    metadata: dict[str, str] = pod["metadata"]
    return metadata.get("name") or metadata.get("generateName", "") + "…"


def configuration(url: str, certificate: str, owner: Object) -> Object:
    """The MutatingWebhookConfiguration that sends new pods to ``url``; it is deleted with ``owner``, the mesh's namespace."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {
            "name": CONFIGURATION,
            "labels": {
                linkerd.CONTROL_PLANE_COMPONENT: "proxy-injector",
                linkerd.CONTROL_PLANE_NS: owner["metadata"]["name"],
            },
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Namespace", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
            ],
        },
        "webhooks": [
            {
                "name": linkerd.INJECTOR_WEBHOOK,
                "namespaceSelector": {
                    "matchExpressions": [
                        {"key": linkerd.ADMISSION_WEBHOOKS, "operator": "NotIn", "values": ["disabled"]},
                        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "cert-manager"]},
                    ]
                },
                "clientConfig": {"url": url, "caBundle": base64.b64encode(certificate.encode()).decode()},
                "failurePolicy": "Ignore",
                "timeoutSeconds": 10,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "NoneOnDryRun",
                "rules": [
                    {
                        "operations": ["CREATE"],
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "resources": ["pods"],
                        "scope": "Namespaced",
                    }
                ],
            }
        ],
    }


def server_certificate(host: str) -> tuple[str, ssl.SSLContext]:
    """A server context for the address ``host``, and the authority (PEM) that vouches for it; both are valid for a year.

    The keys live in this process only: new ones are made at each start, and the webhook configuration follows.
    """
    validity = Validity.lasting(LIFETIME, CLOCK_SKEW)
    authority, key = certificates.make_authority(COMPONENT, validity), certificates.new_key()
    leaf = authority.leaf(key.public_key(), certificates.name(COMPONENT), validity, hosts=[host], usages=[certificates.SERVER])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile("w") as file:  # ssl reads keys from files only; 0600 and gone at once
        file.write(certificates.to_pem(leaf) + certificates.key_to_pem(key))
        file.flush()
        context.load_cert_chain(file.name)
    return certificates.to_pem(authority.certificate), context


async def serve() -> None:
    """Register the webhook, then answer until SIGTERM.

    Raises:
        ApiError: Service ``linkerd-proxy-injector`` does not exist, or the role does not allow the registration.
    """
    namespace = os.environ.get("LINKERD_NAMESPACE", "linkerd")
    injection = Injection(
        image=os.environ.get("PROXY_IMAGE", "boring-ops-lab/mesh-standin:dev"),
        version=os.environ.get("LINKERD_VERSION", "stand-in"),
        control_namespace=namespace,
        anchors=Path(service.anchors_path()).read_text(),
        default_policy=cluster_default_policy(os.environ),
    )
    async with KubeApi(in_cluster(), user_agent=COMPONENT) as api:
        host = to_loopback((await api.get("services", namespace, COMPONENT))["spec"]["clusterIP"])
        authority, context = server_certificate(host)
        owner = await api.get("namespaces", None, namespace)
        body = configuration(f"https://{host}:{PORT}/", authority, owner)
        await api.apply(WEBHOOKS, None, CONFIGURATION, body, manager=COMPONENT)
        application = service.application()
        application.router.add_post("/", Injector(api, injection).review)
        await service.run(application, PORT, context)
