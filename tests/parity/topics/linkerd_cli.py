"""The ``linkerd`` command: what it prints, in which form, and how it exits."""

from __future__ import annotations

from typing import Any

import yaml

from tests.parity import demo, mesh
from tests.parity.context import ParityContext, Ran
from tests.parity.expect import Text, containing, including
from tests.parity.rows import Topic

topic = Topic("linkerd_cli", "linkerd", "The command")
CHECK = "01-linkerd-check-app.txt"
CHECK_JSON = "01-linkerd-check-app.json"


def typed(context: ParityContext, *words: str, cluster: str = "app") -> Ran:
    mesh.installed(context)
    return context.linkerd(*words, cluster=cluster)


@topic.row("check: exit code and last line", real=(0, "Status check results are √"), source=CHECK)
def check(context: ParityContext) -> Any:
    ran = typed(context, "check")
    return ran.code, ran.last_line


@topic.row(
    "check -o json: categories",
    source=CHECK_JSON,
    real=[
        "kubernetes-api",
        "kubernetes-version",
        "gateway-api-crd",
        "linkerd-existence",
        "linkerd-config",
        "linkerd-identity",
        "linkerd-webhooks-and-apisvc-tls",
        "linkerd-version",
        "control-plane-version",
        "linkerd-control-plane-proxy",
        "linkerd-extension-checks",
    ],
    differs="no linkerd-control-plane-proxy: the control plane's pods have no proxies here",
)
def check_categories(context: ParityContext) -> Any:
    names = [row["categoryName"] for row in typed(context, "check", "-o", "json").json()["categories"]]
    own = {"linkerd-multicluster", "linkerd-viz", "linkerd-viz-data-plane"}
    return [name for name in names if name not in own]


@topic.row(
    "check -o json: top-level fields, and fields of a check",
    source=CHECK_JSON,
    real={"fields": ["categories", "success"], "of a check": ["description", "result"]},
)
def check_json(context: ParityContext) -> Any:
    found = typed(context, "check", "-o", "json").json()
    return {"fields": sorted(found), "of a check": sorted(found["categories"][0]["checks"][0])}


@topic.row(
    "check -o json: checks of linkerd-identity",
    source=CHECK_JSON,
    real=[
        "certificate config is valid",
        "trust anchors are using supported crypto algorithm",
        "trust anchors are within their validity period",
        "trust anchors are valid for at least 60 days",
        "issuer cert is using supported crypto algorithm",
        "issuer cert is within its validity period",
        "issuer cert is valid for at least 60 days",
        "issuer cert is issued by the trust anchor",
    ],
)
def check_identity(context: ParityContext) -> Any:
    found = typed(context, "check", "-o", "json").json()["categories"]
    return [check["description"] for row in found if row["categoryName"] == "linkerd-identity" for check in row["checks"]]


@topic.row(
    "check -o json: webhooks that are checked",
    source=CHECK_JSON,
    real=including("proxy-injector", "sp-validator", "policy-validator"),
    differs="sp-validator and policy-validator do not exist here",
)
def check_webhooks(context: ParityContext) -> Any:
    found = typed(context, "check", "-o", "json").json()["categories"]
    rows = [
        check["description"] for row in found if row["categoryName"].startswith("linkerd-webhooks") for check in row["checks"]
    ]
    return sorted({row.split()[0] for row in rows})


@topic.row("check --pre where Linkerd is installed: exit code", real=1, source="00-check-pre-app.txt")
def check_pre(context: ParityContext) -> Any:
    return typed(context, "check", "--pre").code


@topic.row(
    "check --proxy: exit code, and the category it adds", source="01c-linkerd-check-proxy.txt", real=(0, "linkerd-data-plane")
)
def check_proxy(context: ParityContext) -> Any:
    demo.meshed(context)
    ran = typed(context, "check", "--proxy", "-n", demo.meshed(context))
    return ran.code, "linkerd-data-plane" if "\nlinkerd-data-plane\n" in ran.text else "none"


@topic.row(
    "version",
    source="documented: linkerd2/cli/cmd/version.go",
    real=Text("Client version: edge-26.8.3\nServer version: edge-26.8.3\n"),
    differs="both lines say that this is the stand-in",
)
def version(context: ParityContext) -> Any:
    return typed(context, "version").text


@topic.row(
    "an unknown sub-command: exit code and message",
    source="documented: linkerd2/cli/cmd/root.go",
    real=(1, containing('unknown command "frobnicate" for "linkerd"')),
)
def unknown_command(context: ParityContext) -> Any:
    ran = typed(context, "frobnicate")
    return ran.code, ran.text


@topic.row(
    "identity -l app=server: headings",
    source="75-identity.txt",
    real=[Text(r"POD server-.* \(1 of 2\)"), Text(r"POD server-.* \(2 of 2\)")],
)
def identity(context: ParityContext) -> Any:
    text = typed(context, "identity", "-n", demo.meshed(context), "-l", "app=server").text
    return [line for line in text.splitlines() if line.startswith("POD ")]


@topic.row(
    "authz without a policy: headings",
    source="20-policy-baseline.txt",
    real=["ROUTE", "SERVER", "AUTHORIZATION_POLICY", "SERVER_AUTHORIZATION"],
)
def authz(context: ParityContext) -> Any:
    return typed(context, "authz", "-n", demo.meshed(context), "deploy/server").text.split()


@topic.row(
    "diagnostics endpoints: headings and rows",
    source="60-flat-mode.txt",
    real={"headings": ["NAMESPACE", "IP", "PORT", "POD", "SERVICE"], "rows": 2},
)
def endpoints(context: ParityContext) -> Any:
    namespace = demo.meshed(context)
    first, *rest = typed(context, "diagnostics", "endpoints", f"server.{namespace}.svc.cluster.local:8080").text.splitlines()
    return {"headings": first.split(), "rows": len(rest)}


@topic.row("diagnostics endpoints of a Service that has none", real="No endpoints found.", source="52-gateway-down.txt")
def no_endpoints(context: ParityContext) -> Any:
    return typed(context, "diagnostics", "endpoints", f"ghost.{demo.meshed(context)}.svc.cluster.local:8080").last_line


@topic.row(
    "diagnostics policy of a pod's port: kind of the default server",
    source="20-policy-baseline.txt",
    real={"kind": "default", "name": "all-unauthenticated"},
    missing="diagnostics policy is only in the real command",
)
def diagnostics_policy(context: ParityContext) -> Any:
    namespace = demo.meshed(context)
    name = demo.pods(context, namespace, "server")[0]["metadata"]["name"]
    ran = typed(context, "diagnostics", "policy", "-n", namespace, f"po/{name}", "8080")
    labels = yaml.safe_load(ran.text)["labels"] if not ran.code else {}
    return {key: labels.get(key) for key in ("kind", "name")}


@topic.row(
    "diagnostics policy of a Service's port: kinds",
    source="30-retry-http.txt",
    real={"kind": "Service", "protocol": including("Detect")},
    missing="diagnostics policy is only in the real command",
)
def diagnostics_outbound_policy(context: ParityContext) -> Any:
    ran = typed(context, "diagnostics", "policy", "-n", demo.meshed(context), "svc/server", "8080")
    found = yaml.safe_load(ran.text) if not ran.code else {}
    kind = found.get("metadata", {}).get("Kind", {}).get("Resource", {}).get("kind")
    return {"kind": kind, "protocol": list(found.get("protocol", {}).get("Kind", {}))}


@topic.row(
    "multicluster gateways: headings", source="43-multicluster-gateways.txt", real=["CLUSTER", "ALIVE", "NUM_SVC", "LATENCY"]
)
def gateways(context: ParityContext) -> Any:
    mesh.linked(context)
    return typed(context, "multicluster", "gateways").text.splitlines()[0].split()


@topic.row("multicluster unlink of a cluster that is not linked: exit code", real=1, source="README.md")
def unlink(context: ParityContext) -> Any:
    mesh.linked(context)
    return typed(context, "multicluster", "unlink", "--cluster-name", "nowhere").code


@topic.row(
    "uninstall while an extension and meshed pods remain: exit code and complaints",
    source="documented: linkerd2/cli/cmd/uninstall.go",
    real=(
        1,
        [
            "Please uninstall the following extensions before uninstalling the control-plane:",
            "Please uninject the following pods before uninstalling the control-plane:",
        ],
    ),
)
def uninstall_too_early(context: ParityContext) -> Any:
    mesh.linked(context)
    demo.meshed(context)
    ran = typed(context, "uninstall")
    return ran.code, [line for line in ran.text.splitlines() if line.startswith("Please")]


@topic.row(
    "multicluster uninstall while a cluster is linked: exit code and complaint",
    source="documented: linkerd2/multicluster/cmd/uninstall.go",
    real=(1, containing("Please unlink the following clusters before uninstalling multicluster:", "  * gpu")),
)
def multicluster_uninstall_too_early(context: ParityContext) -> Any:
    mesh.linked(context)
    ran = typed(context, "multicluster", "uninstall")
    return ran.code, ran.text


@topic.row(
    "inject of a Deployment: the annotation",
    source="documented: linkerd2/cli/cmd/inject.go",
    real={"linkerd.io/inject": "enabled"},
)
def inject(context: ParityContext) -> Any:
    mesh.installed(context)
    namespace = demo.plain(context)
    text = context.kubectl("get", "deploy", "server", "-n", namespace, "-o", "yaml").text
    printed = context.linkerd("inject", "-", input=text).text
    return yaml.safe_load(printed)["spec"]["template"]["metadata"]["annotations"]
