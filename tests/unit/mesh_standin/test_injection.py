"""What the webhook makes of a pod."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from labs.pods.mesh_standin.injection import Injection, wants_injection
from tests.unit.mesh_standin import objects

ENABLED = {"linkerd.io/inject": "enabled"}
INJECTION = Injection("boring-ops-lab/mesh-standin:dev", "stand-in", "linkerd", "-----BEGIN CERTIFICATE-----\n")


def injected(pod: dict[str, Any], namespace: dict[str, Any]) -> dict[str, Any]:
    """The pod after the patch (which only adds or replaces whole fields)."""
    result = copy.deepcopy(pod)
    for step in INJECTION.patch(pod, namespace, ("Deployment", "server")):
        parent = result
        *path, last = step["path"].strip("/").split("/")
        for key in path:
            parent = parent[key]
        parent[last] = step["value"]
    return result


def env_of(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def test_the_proxy_is_the_first_native_sidecar() -> None:
    pod = objects.pod(meshed=False)
    pod["spec"]["initContainers"] = [{"name": "setup"}]
    spec = injected(pod, objects.namespace(**ENABLED))["spec"]
    proxy, setup = spec["initContainers"]
    assert (proxy["name"], proxy["restartPolicy"], setup["name"]) == ("linkerd-proxy", "Always", "setup")
    assert env_of(proxy)["LINKERD2_PROXY_INBOUND_PORTS"] == "8080"
    assert [port["name"] for port in proxy["ports"]] == ["linkerd-admin"]


def test_the_app_goes_through_the_proxy_but_the_proxy_does_not() -> None:
    spec = injected(objects.pod(meshed=False), objects.namespace(**ENABLED))["spec"]
    assert env_of(spec["containers"][0])["HTTP_PROXY"] == "http://$(BIND_ADDRESS):4140"
    assert "HTTP_PROXY" not in env_of(spec["initContainers"][0])


def test_an_app_that_chose_its_http_proxy_keeps_it() -> None:
    pod = objects.pod(meshed=False)
    pod["spec"]["containers"][0]["env"] = [{"name": "http_proxy", "value": "http://mine:1"}]
    assert injected(pod, objects.namespace(**ENABLED))["spec"]["containers"][0]["env"] == [
        {"name": "http_proxy", "value": "http://mine:1"}
    ]


def test_labels_annotations_and_token() -> None:
    namespace = objects.namespace(**ENABLED, **{"config.linkerd.io/skip-outbound-ports": "25"})
    pod = injected(objects.pod(meshed=False), namespace)
    assert (
        pod["metadata"]["labels"]
        | {
            "linkerd.io/control-plane-ns": "linkerd",
            "linkerd.io/proxy-deployment": "server",
            "linkerd.io/workload-ns": "demo",
            "app": "server",
        }
        == pod["metadata"]["labels"]
    )
    assert pod["metadata"]["annotations"]["config.linkerd.io/skip-outbound-ports"] == "25"
    assert pod["metadata"]["annotations"]["linkerd.io/proxy-version"] == "stand-in"
    token = pod["spec"]["volumes"][-1]["projected"]["sources"][0]["serviceAccountToken"]
    assert (token["audience"], token["expirationSeconds"]) == ("identity.l5d.io", 86400)


def test_the_default_policy_of_the_namespace_reaches_the_proxy() -> None:
    namespace = objects.namespace(**ENABLED, **{"config.linkerd.io/default-inbound-policy": "deny"})
    proxy = injected(objects.pod(meshed=False), namespace)["spec"]["initContainers"][0]
    assert env_of(proxy)["LINKERD2_PROXY_INBOUND_DEFAULT_POLICY"] == "deny"


def test_a_gateway_has_the_proxys_port() -> None:
    pod = objects.pod(meshed=False, annotations={"config.linkerd.io/enable-gateway": "true"})
    proxy = injected(pod, objects.namespace(**ENABLED))["spec"]["initContainers"][0]
    assert [(port["name"], port["containerPort"]) for port in proxy["ports"]] == [
        ("linkerd-proxy", 4143),
        ("linkerd-admin", 4191),
    ]
    assert "LINKERD2_PROXY_INBOUND_GATEWAY_SUFFIXES" in env_of(proxy)


@pytest.mark.parametrize(
    ("of_pod", "of_namespace", "wanted"),
    [
        (None, None, False),
        (None, "enabled", True),
        ("enabled", None, True),
        ("disabled", "enabled", False),
        ("enabled", "disabled", True),
        ("nonsense", "enabled", False),
    ],
)
def test_the_pods_annotation_wins_over_the_namespaces(of_pod: str | None, of_namespace: str | None, wanted: bool) -> None:
    pod = objects.pod(meshed=False, annotations={"linkerd.io/inject": of_pod} if of_pod else {})
    namespace = objects.namespace(**({"linkerd.io/inject": of_namespace} if of_namespace else {}))
    assert wants_injection(pod, namespace)[0] is wanted


def test_what_has_a_proxy_gets_no_second_one() -> None:
    namespace = objects.namespace(**ENABLED)
    assert wants_injection(injected(objects.pod(meshed=False), namespace), namespace) == (
        False,
        "pod has a 3rd party proxy or initContainer already injected",
    )
