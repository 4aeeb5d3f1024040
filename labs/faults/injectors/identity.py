"""Mesh certificates that are no longer trusted: an expired issuer, or clusters with different trust anchors."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass

from labs import kube
from labs.errors import LabError, NotFound
from labs.faults.injectors.base import Injector, Parameters, Pods, SavedState, Target
from labs.mesh import certificates
from labs.mesh.certificates import Authority
from labs.paths import Paths
from labs.session import Session
from labs.topology import PlacedByRole, Role
from labs.wire import linkerd

NAMESPACE = "linkerd"
COMPONENTS = ("linkerd-identity", "linkerd-proxy-injector")
"""They read the issuer and the anchors only when they start."""
KEYS = (("crt.pem", "key.pem"), ("tls.crt", "tls.key"))
"""The keys of the issuer's Secret: those that Linkerd writes, and those that cert-manager writes (kubernetes.io/tls)."""
EXPIRED = dt.timedelta(seconds=-1)


@dataclass(frozen=True)
class ForeignAnchor(PlacedByRole, Injector):
    """Replace a cluster's issuer, then the pods of one workload, so that they request certificates.

    With ``expired``, the lab's own anchor signs the new issuer, which has already expired: no pod gets a certificate. Without it,
    the cluster gets a different anchor: every pod gets a certificate, and the other cluster trusts none of them.
    """

    role: Role
    namespace: str
    labels: str
    owner: str
    expired: bool = False

    @property
    def _secret(self) -> Target:
        return Target(self.role, "Secret", "linkerd-identity-issuer", NAMESPACE)

    @property
    def _roots(self) -> Target:
        return Target(self.role, "ConfigMap", "linkerd-identity-trust-roots", NAMESPACE)

    def resolve(self, session: Session, parameters: Parameters) -> Parameters:
        _keys_of(self._secret.require(session, "lab goto 05"))
        self._roots.require(session, "lab goto 05")
        return {}

    def affected_resources(self, parameters: Parameters) -> frozenset[str]:
        return frozenset({f"the identities of cluster {self.cluster}", f"{self.cluster} pods of {self.owner}"})

    def capture_state(self, session: Session, parameters: Parameters) -> SavedState:
        return {"issuer": self._secret.require(session)["data"], "anchors": self._roots.require(session)["data"]}

    def inject(self, session: Session, parameters: Parameters) -> None:
        names = _keys_of(self._secret.require(session))
        anchor = self._lab_anchor() if self.expired else certificates.make_anchor()
        issuer = certificates.make_issuer(anchor, *([EXPIRED] if self.expired else []))
        pair = (issuer.certificate_pem, issuer.key_pem)
        self._write(session, {name: _encoded(text) for name, text in zip(names, pair, strict=True)}, None)
        if not self.expired:
            self._write(session, None, {"ca-bundle.crt": anchor.certificate_pem})
        self._restart_components(session)
        self._restart_workload(session)

    def heal(self, session: Session, parameters: Parameters, saved_state: SavedState) -> None:
        if self.capture_state(session, parameters) == saved_state:
            return
        self._write(session, saved_state["issuer"], saved_state["anchors"])
        self._restart_components(session)
        for component in COMPONENTS:
            Target(self.role, "Deployment", component, NAMESPACE).wait(session)
        if self.expired:
            self._replace_stuck(session)
        else:
            self._restart_workload(session)
        Target(self.role, "Deployment", self.owner, self.namespace).wait(session)

    def _lab_anchor(self) -> Authority:
        folder = Paths.current().certificates
        found = certificates.load(folder / "ca.crt", folder / "ca.key")
        if found is None:
            raise NotFound("trust anchor", str(folder / "ca.crt"), fix="lab goto 05")
        return found

    def _write(self, session: Session, issuer: SavedState | None, anchors: SavedState | None) -> None:
        for target, data in ((self._secret, issuer), (self._roots, anchors)):
            if data is not None:
                kube.patch(session.api(self.cluster), target.kind, target.name, target.namespace, {"data": data})

    def _restart_components(self, session: Session) -> None:
        for component in COMPONENTS:
            pods = Pods(self.role, NAMESPACE, f"{linkerd.CONTROL_PLANE_COMPONENT}={component.removeprefix('linkerd-')}")
            pods.replace(session)
        # The injector puts the anchors into new pods; linkerd-identity may never become ready with this issuer.
        Target(self.role, "Deployment", "linkerd-proxy-injector", NAMESPACE).wait(session)

    def _restart_workload(self, session: Session) -> None:
        """Make pods request certificates: one pod if none will get any (the others keep theirs for a day), otherwise all."""
        workload = Pods(self.role, self.namespace, self.labels)
        names = workload.names(session)
        workload.delete(session, names[:1] if self.expired else names)

    def _replace_stuck(self, session: Session) -> None:
        """Pods without a certificate retry with a growing back-off; new pods ask immediately."""
        workload = Pods(self.role, self.namespace, self.labels)
        workload.delete(session, workload.names(session, lacking=kube.ready))


def _keys_of(secret: kube.Object) -> tuple[str, str]:
    """The keys under which this Secret holds the certificate and its private key.

    Raises:
        LabError: it has neither of the known pairs.
    """
    data: dict[str, str] = secret.get("data") or {}
    for pair in KEYS:
        if set(pair) <= set(data):
            return pair
    known = " or ".join(" and ".join(pair) for pair in KEYS)
    raise LabError(
        f"expected {known} in the secret of the mesh's issuer; found {', '.join(sorted(data)) or 'nothing'}",
        fix=f"kubectl -n {NAMESPACE} describe secret linkerd-identity-issuer",
    )


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
