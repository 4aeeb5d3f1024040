"""``linkerd check``: every line that can be √ is × when the thing is broken, and the exit code says so."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any, cast

import pytest

from labs.mesh import certificates
from labs.mesh.linkerd_cli import checks_control_plane as control
from labs.mesh.linkerd_cli import checks_identity as identity
from labs.mesh.linkerd_cli.checking import Category, Check, CheckError, Report, run_categories
from labs.wire.kube_api import ApiError, KubeApi, Object

ANCHOR = certificates.make_anchor()
ISSUER = certificates.make_issuer(ANCHOR)


class PlayedApi:
    """Answers get and list from objects by (resource, name)."""

    def __init__(self, objects: dict[tuple[str, str], Object]) -> None:
        self.objects = objects

    async def get(self, resource: str, namespace: str | None, name: str) -> Object:
        if (resource, name) not in self.objects:
            raise ApiError(404, "NotFound", f"{resource} {name!r} not found")
        return self.objects[resource, name]

    async def list(self, resource: str, namespace: str | None = None, **params: str) -> Object:
        return {"items": [item for (kind, _), item in self.objects.items() if kind == resource]}


def api(*, anchor: certificates.Authority = ANCHOR, issuer: certificates.Authority = ISSUER, **pods: Object) -> KubeApi:
    crt = base64.b64encode(issuer.certificate_pem.encode()).decode()
    objects: dict[tuple[str, str], Any] = {
        ("configmaps", "linkerd-identity-trust-roots"): {"data": {"ca-bundle.crt": anchor.certificate_pem}},
        ("secrets", "linkerd-identity-issuer"): {"data": {"crt.pem": crt}},
    }
    return cast(KubeApi, PlayedApi(objects | {("pods", name): pod for name, pod in pods.items()}))


def meshed(ready: bool) -> Object:
    return {
        "metadata": {"name": "chat-0", "namespace": "shop"},
        "spec": {"initContainers": [{"name": "linkerd-proxy"}], "containers": [{"name": "chat"}]},
        "status": {"phase": "Running", "initContainerStatuses": [{"name": "linkerd-proxy", "ready": ready}]},
    }


async def test_good_certificates_pass() -> None:
    await identity.certificate_config_valid(api())
    await identity.issuer_signed_by_anchor(api())
    await identity.issuer_within_validity(api())
    await identity.lasting(identity.anchors)(api())


async def test_an_issuer_of_another_anchor_fails() -> None:
    with pytest.raises(CheckError, match="signed by unknown authority"):
        await identity.issuer_signed_by_anchor(api(anchor=certificates.make_anchor()))


async def test_an_expired_issuer_fails() -> None:
    expired = certificates.make_issuer(ANCHOR, dt.timedelta(seconds=-1))
    with pytest.raises(CheckError, match=r"^issuer certificate is not valid anymore. Expired on 20\S+Z$"):
        await identity.issuer_within_validity(api(issuer=expired))


async def test_an_expired_anchor_fails_and_is_named() -> None:
    with pytest.raises(CheckError, match=r"^Invalid anchors:\n\t\* \d+ root.linkerd.cluster.local not valid anymore"):
        await identity.within_validity(identity.anchors)(api(anchor=certificates.make_anchor(dt.timedelta(seconds=-1))))


async def test_an_issuer_that_expires_soon_is_a_warning() -> None:
    soon = certificates.make_issuer(ANCHOR, dt.timedelta(days=59))
    with pytest.raises(CheckError, match=r"^issuer certificate will expire on 20") as caught:
        await identity.issuer_lasting(api(issuer=soon))
    assert caught.value.warning


async def test_a_proxy_that_is_not_ready_fails_and_is_named() -> None:
    look = control.proxies_ready("shop").look
    await look(api(chat=meshed(True)))
    with pytest.raises(CheckError, match="shop/chat-0"):
        await look(api(chat=meshed(False)))
    with pytest.raises(CheckError, match=r"No .* containers found"):
        await look(api())


async def run(checks: list[Check], output: str = "table") -> int:
    report = Report(output)
    await run_categories(api(), [Category("some-checks", checks), Category("later", [Check("comes after", passes)])], report, 0)
    return report.finish()


async def passes(_: KubeApi) -> None:
    return None


async def fails(_: KubeApi) -> None:
    raise CheckError("it is broken")


async def warns(_: KubeApi) -> None:
    raise CheckError("it is old", warning=True)


async def test_an_error_is_shown_with_its_hint_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run([Check("works", passes), Check("is whole", fails, "l5d-whole")]) == 1
    assert capsys.readouterr().out == (
        "some-checks\n-----------\n√ works\n× is whole\n    it is broken\n"
        "    see https://linkerd.io/2/checks/#l5d-whole for hints\n\n"
        "later\n-----\n√ comes after\n\nStatus check results are ×\n"
    )


async def test_a_warning_does_not_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run([Check("is new", warns)]) == 0
    assert "‼ is new" in capsys.readouterr().out


async def test_a_fatal_error_ends_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run([Check("is whole", fails, fatal=True)]) == 1
    assert "comes after" not in capsys.readouterr().out


async def test_json_has_linkerds_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run([Check("is whole", fails, "l5d-whole")], "json") == 1
    out = capsys.readouterr().out
    assert '"success": false' in out and '"categoryName": "some-checks"' in out and '"result": "error"' in out
