"""Certificates of the mesh that are no longer believed: an issuer that ran out, clusters that trust different anchors."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass

from labs import config, kube
from labs.errors import NotFound
from labs.faults.injectors.base import Injector, Memory, Pods, Scene, Target, Where
from labs.mesh import certificates
from labs.mesh.certificates import Authority

NAMESPACE = "linkerd"
COMPONENTS = ("linkerd-identity", "linkerd-proxy-injector")
"""They read the issuer and the anchors when they start."""
KEYS = (("crt.pem", "key.pem"), ("tls.crt", "tls.key"))
"""The issuer's Secret as Linkerd writes it itself, and as cert-manager does (kubernetes.io/tls)."""
EXPIRED = dt.timedelta(seconds=-1)


@dataclass(frozen=True)
class ForeignAnchor(Injector):
    """Replace a cluster's issuer, then the pods of one workload, so that they ask for certificates.

    With ``expired`` the new issuer comes from the lab's own anchor and has run out: nobody gets a certificate. Without it the
    cluster gets an anchor of its own: everybody gets one, and the other cluster believes none of them.
    """

    cluster: str
    namespace: str
    labels: str
    owner: str
    expired: bool = False

    @property
    def _secret(self) -> Target:
        return Target(self.cluster, "Secret", "linkerd-identity-issuer", NAMESPACE)

    @property
    def _roots(self) -> Target:
        return Target(self.cluster, "ConfigMap", "linkerd-identity-trust-roots", NAMESPACE)

    def resolve(self, scene: Scene, where: Where) -> Where:
        self._secret.require(scene, "lab goto 05")
        self._roots.require(scene, "lab goto 05")
        return {}

    def touches(self, where: Where) -> frozenset[str]:
        return frozenset({f"the identities of cluster {self.cluster}", f"{self.cluster} pods of {self.owner}"})

    def remember(self, scene: Scene, where: Where) -> Memory:
        return {"issuer": self._secret.require(scene)["data"], "anchors": self._roots.require(scene)["data"]}

    def inject(self, scene: Scene, where: Where) -> None:
        names = next(pair for pair in KEYS if pair[0] in self._secret.require(scene)["data"])
        anchor = self._lab_anchor() if self.expired else certificates.make_anchor()
        issuer = certificates.make_issuer(anchor, *([EXPIRED] if self.expired else []))
        pair = (issuer.certificate_pem, issuer.key_pem)
        self._write(scene, {name: _encoded(text) for name, text in zip(names, pair, strict=True)}, None)
        if not self.expired:
            self._write(scene, None, {"ca-bundle.crt": anchor.certificate_pem})
        self._restart_components(scene)
        self._restart_workload(scene)

    def heal(self, scene: Scene, where: Where, memory: Memory) -> None:
        if self.remember(scene, where) == memory:
            return
        self._write(scene, memory["issuer"], memory["anchors"])
        self._restart_components(scene)
        for component in COMPONENTS:
            Target(self.cluster, "Deployment", component, NAMESPACE).wait(scene)
        if self.expired:
            self._replace_stuck(scene)
        else:
            self._restart_workload(scene)
        Target(self.cluster, "Deployment", self.owner, self.namespace).wait(scene)

    def _lab_anchor(self) -> Authority:
        folder = config.STATE / "certs"
        found = certificates.load(folder / "ca.crt", folder / "ca.key")
        if found is None:
            raise NotFound("trust anchor", str(folder / "ca.crt"), fix="lab goto 05")
        return found

    def _write(self, scene: Scene, issuer: Memory | None, anchors: Memory | None) -> None:
        for target, data in ((self._secret, issuer), (self._roots, anchors)):
            if data is not None:
                kube.patch(scene.api(self.cluster), target.kind, target.name, target.namespace, {"data": data})

    def _restart_components(self, scene: Scene) -> None:
        for component in COMPONENTS:
            pods = Pods(self.cluster, NAMESPACE, f"linkerd.io/control-plane-component={component.removeprefix('linkerd-')}")
            pods.replace(scene)
        # It puts the anchors into new pods; linkerd-identity may never be ready with what it was given.
        Target(self.cluster, "Deployment", "linkerd-proxy-injector", NAMESPACE).wait(scene)

    def _restart_workload(self, scene: Scene) -> None:
        """Have pods ask for certificates: one of them if nobody gets any, for the others live on with theirs for a day."""
        workload = Pods(self.cluster, self.namespace, self.labels)
        names = workload.names(scene)
        workload.delete(scene, names[:1] if self.expired else names)

    def _replace_stuck(self, scene: Scene) -> None:
        """Pods without a certificate ask again ever more rarely; new ones ask at once."""
        workload = Pods(self.cluster, self.namespace, self.labels)
        workload.delete(scene, workload.names(scene, lacking=kube.ready))


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
