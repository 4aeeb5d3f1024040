"""Whatever the destination service may say, what we write is a configuration Envoy takes."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import threading

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labs.pods.mesh_standin.certificates import new_request
from labs.pods.mesh_standin.envoy_config import EnvoyConfig, bootstrap
from labs.pods.mesh_standin.envoy_types import Message, discovered
from labs.pods.mesh_standin.proxy_config import ServicePort, Update
from labs.wire.certificates import to_pem
from tests.unit.mesh_standin.control_plane import new_issuer

needs_envoy = pytest.mark.skipif(shutil.which("envoy") is None, reason="no envoy on the PATH")


def secrets() -> tuple[str, str, str]:
    """A certificate chain, its key, and the trust anchor."""
    issuer = new_issuer()
    key, csr = new_request("server")
    leaf = issuer.sign(x509.load_pem_x509_csr(csr.encode()), "server", datetime.datetime.now(datetime.UTC))
    return to_pem(leaf, *issuer.chain), key, to_pem(*issuer.chain)


*CERTIFICATE, ANCHORS = secrets()
NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,12}[a-z0-9])?", fullmatch=True)
IDENTITIES = st.one_of(st.just("*"), NAMES.map(lambda n: f"*.{n}"), NAMES.map(lambda n: f"{n}.demo.serviceaccount"))
CIDRS = st.sampled_from(["10.0.0.0/8", "10.10.1.0/24", "192.168.0.0/16", "0.0.0.0/0", "::/0", "fd00::/8"])
REFS = st.fixed_dictionaries({"group": st.just("policy.linkerd.io"), "kind": st.just("server"), "name": NAMES})
AUTHORIZATIONS = st.fixed_dictionaries(
    {"ref": REFS, "networks": st.lists(CIDRS, max_size=3), "identities": st.none() | st.lists(IDENTITIES, max_size=3)}
)
PATHS = st.from_regex(r"/([a-z]{1,8}/?){0,3}", fullmatch=True)
VALUES = st.fixed_dictionaries({"name": NAMES, "value": NAMES, "regex": st.booleans()})
MATCHES = st.fixed_dictionaries(
    {"path_type": st.sampled_from(["Exact", "PathPrefix", "RegularExpression"]), "path": PATHS},
    optional={
        "method": st.sampled_from(["GET", "POST"]),
        "headers": st.lists(VALUES, max_size=2),
        "query": st.lists(VALUES, max_size=2),
        "host": st.one_of(NAMES, NAMES.map(lambda name: f"*.{name}")),
    },
)
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
HEADERS = st.sampled_from(["host", "x-a", "x-b", "server"])
CHANGES = st.fixed_dictionaries(
    {
        "remove": st.lists(HEADERS, max_size=2),
        "append": st.lists(st.tuples(HEADERS, TEXTS).map(list), max_size=2),
    }
)
REDIRECTS = st.fixed_dictionaries(
    {"status": st.sampled_from([301, 302, 307])},
    optional={"scheme": st.sampled_from(["http", "https"]), "host": NAMES, "port": st.integers(1, 65535), "path": PATHS},
)
CHANGED = st.fixed_dictionaries({}, optional={"request": CHANGES, "response": CHANGES})
FILTERS = CHANGED | st.fixed_dictionaries(
    {"redirect": REDIRECTS | st.fixed_dictionaries({"status": st.just(308), "prefix": PATHS})}
)
ROUTES = st.fixed_dictionaries(
    {"ref": REFS, "matches": st.lists(MATCHES, max_size=3), "authorizations": st.lists(AUTHORIZATIONS, max_size=3)},
    optional={"filters": FILTERS},
)
INBOUND = st.lists(
    st.fixed_dictionaries(
        {
            "port": st.sampled_from([4143, 8000, 8080, 9090]),
            "server": REFS,
            "opaque": st.booleans(),
            "authorizations": st.lists(AUTHORIZATIONS, max_size=3),
            "routes": st.lists(ROUTES, min_size=1, max_size=3),
        }
    ),
    max_size=3,
    unique_by=lambda port: port["port"],
)
ADDRESSES = st.integers(1, 250).map(lambda n: f"10.10.1.{n}")
ENDPOINTS = st.fixed_dictionaries(
    {"address": ADDRESSES, "port": st.integers(1, 65535), "identity": st.none() | NAMES, "labels": st.just({})}
)
RATES = st.fixed_dictionaries({"threshold": st.floats(0, 1), "window": st.just(10.0), "min_requests": st.integers(0, 9)})
ACCRUALS = st.fixed_dictionaries(
    {"max_failures": st.integers(0, 9), "min_penalty": st.just(1.0), "max_penalty": st.just(60.0), "jitter": st.floats(0, 1)},
    optional={"success_rate": RATES},
)
POLICIES = st.fixed_dictionaries({}, optional={"request_timeout": st.floats(0.1, 9), "idle_timeout": st.floats(0.1, 9)})
BACKENDS = st.fixed_dictionaries(
    {"namespace": st.just("demo"), "name": NAMES, "port": st.just(80), "weight": st.integers(0, 3)},
    optional={"error": st.just("Service not found x"), "filters": FILTERS},
)
OUTBOUND_ROUTES = st.fixed_dictionaries(
    {
        "ref": st.fixed_dictionaries({"group": st.just("policy.linkerd.io"), "namespace": st.just("demo"), "name": NAMES}),
        "clients": st.none() | st.just("demo"),
        "matches": st.lists(MATCHES, max_size=3),
        "backends": st.lists(BACKENDS, min_size=1, max_size=2),
        "policy": POLICIES,
    },
    optional={"filters": FILTERS},
)
SERVICES = st.lists(
    st.fixed_dictionaries(
        {
            "namespace": st.sampled_from(["demo", "ml"]),
            "name": NAMES,
            "port": st.sampled_from([80, 8000]),
            "cluster_ip": st.just("None"),
            "remote_authority": st.none() | st.just("server.demo.svc.cluster.local"),
            "endpoints": st.lists(ENDPOINTS, max_size=3),
        },
        optional={"policy": POLICIES, "accrual": ACCRUALS, "routes": st.lists(OUTBOUND_ROUTES, max_size=2)},
    ),
    max_size=4,
    unique_by=lambda service: (service["namespace"], service["name"], service["port"]),
)
UPDATES = st.fixed_dictionaries({"inbound": INBOUND, "services": SERVICES})


def config(update: Update) -> EnvoyConfig:
    found = EnvoyConfig("127.99.9.9", "demo", "server.demo.serviceaccount", ("127.99.0.1", 3128))
    found.set_certificate(*CERTIFICATE)
    found.apply(update)
    return found


def validate(known: EnvoyConfig) -> subprocess.CompletedProcess[str]:
    """Let Envoy judge everything as static resources: its validation asks no discovery service."""
    routes = {route["name"]: route for route in known.discovery.get("routes")}
    listeners = known.discovery.get("listeners")
    for listener in listeners:
        for chain in listener["filter_chains"]:
            for item in chain["filters"]:
                if rds := item["typed_config"].pop("rds", None):
                    item["typed_config"]["route_config"] = without_type(routes[rds["route_config_name"]])
    resources = {"clusters": known.discovery.get("clusters"), "listeners": listeners, "secrets": known.discovery.get("secrets")}
    whole = bootstrap("server", ANCHORS)
    resources["secrets"] += whole["static_resources"]["secrets"]
    whole["static_resources"] = {kind: [*map(without_type, r)] for kind, r in resources.items()}
    del whole["dynamic_resources"]
    text = json.dumps(whole).replace(json.dumps(discovered()), "{}")
    text = text.replace('{"name": "identity", "sds_config": {}}', '{"name": "identity"}')
    command = ["envoy", "--mode", "validate", "--config-yaml", text, "--log-level", "error"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def without_type(resource: Message) -> Message:
    return {key: value for key, value in resource.items() if key != "@type"}


@needs_envoy
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(UPDATES)
def test_envoy_takes_every_configuration(update: Update) -> None:
    done = validate(config(update))
    assert done.returncode == 0, done.stderr


@needs_envoy
def test_the_validation_sees_a_broken_cluster() -> None:
    known = config({"inbound": [], "services": []})
    known.discovery.set("clusters", {"broken": {"name": "broken", "type": "NO_SUCH_TYPE"}})
    assert validate(known).returncode != 0


@settings(max_examples=30)
@given(UPDATES)
def test_applying_the_same_again_is_no_news(update: Update) -> None:
    known = config(update)
    answers = {kind: known.discovery.answer(kind, [], "") for kind in ("clusters", "routes", "listeners", "secrets")}
    known.apply(update)
    for kind, answer in answers.items():
        assert answer is not None
        assert known.discovery.answer(kind, [], answer[0], hold=0) is None


def test_a_waiting_envoy_is_answered_when_there_is_news() -> None:
    known = config({"inbound": [], "services": []})
    first = known.discovery.answer("routes", ["outbound"], "")
    assert first is not None
    service: ServicePort = {
        "namespace": "demo",
        "name": "server",
        "port": 80,
        "cluster_ip": "None",
        "remote_authority": None,
        "endpoints": [],
    }
    threading.Timer(0.05, known.apply, [{"services": [service]}]).start()
    second = known.discovery.answer("routes", ["outbound"], first[0], hold=5)
    assert second is not None and len(json.loads(second[1])[0]["virtual_hosts"]) == 2
