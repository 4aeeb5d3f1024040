"""docker, kind, k3d and kubectl for tests: one program under four names, with an engine that is a JSON file.

What it prints was recorded from Docker 20.10 and 28.2, kind 0.33 and k3d 5.8. It takes the command lines that the lab may use
and refuses every other, as the real ones would. Behaviour comes from the file's ``mode``: ``absent``, ``denied``, ``small``
(engines), ``fail`` and ``hang`` (beginnings of command lines that fail, or that never end after they made their containers),
``pulling`` (k3d's helper is there, and the nodes' image never comes).
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import sys
import tarfile
import time
from typing import Any

STATE = os.environ["FAKE_TOOLS"]
ABSENT = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
DENIED = (
    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: "
    'Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.50/version": dial unix /var/run/docker.sock: connect: permission denied'
)
VERSION = {"Client": {"Version": "28.2.2", "ApiVersion": "1.50"}, "Server": {"Version": "28.2.2", "Os": "linux", "Arch": "amd64"}}
INFO = {"NCPU": 2, "CgroupVersion": "2", "OperatingSystem": "Docker Desktop", "OSType": "linux", "Architecture": "x86_64"}
KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters:
- name: {key}
  cluster: {{server: 'https://127.0.0.1:4{port}', certificate-authority-data: '{name}'}}
contexts:
- name: {key}
  context: {{cluster: {key}, user: {user}}}
current-context: {key}
users:
- name: {user}
  user: {{client-key-data: '{name}'}}
"""
NODES = {
    "kind": {"control-plane": ["control-plane"], "worker": ["worker", "worker2"]},
    "k3d": {"server": ["server-0"], "agent": ["agent-0", "agent-1"]},
}


class Engine:
    """The JSON file, held while one command looks at it or changes it."""

    def __enter__(self) -> Engine:
        self.file = open(STATE, "r+")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        self.data = json.load(self.file)
        return self

    def __exit__(self, *_: object) -> None:
        self.file.seek(0)
        self.file.truncate()
        json.dump(self.data, self.file)
        self.file.close()


def fail(message: str, code: int = 1) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def docker(engine: Engine, words: list[str]) -> None:
    data = engine.data
    match words:
        case ["version", "--format", "{{json .}}"]:
            print(json.dumps(VERSION | {"Client": VERSION["Client"] | {"ApiVersion": data["api"]}}))
        case ["info", "--format", "{{json .}}"]:
            print(json.dumps(INFO | {"MemTotal": (2 if "small" in data["mode"] else 8) * 1024**3}))
        case ["network", "ls", "--format", '{{.Name}}\t{{.Label "boring-ops-lab/checkout"}}']:
            for name, network in {"bridge": {"labels": {}}, **data["networks"]}.items():
                print(f"{name}\t{network['labels'].get('boring-ops-lab/checkout', '')}")
        case ["network", "inspect", "bridge", "--format", '{{index .Options "com.docker.network.driver.mtu"}}']:
            print("1450")
        case ["network", "create", "--driver", "bridge", "--opt", "com.docker.network.driver.mtu=1450", *rest]:
            *labels, name = [word for word in rest if word != "--label"]
            data["networks"][name] = {"labels": dict(label.split("=", 1) for label in labels)}
        case ["network", "inspect", name] if name in data["networks"]:
            print(json.dumps([{"Name": name, "IPAM": {"Config": [{"Subnet": data["subnet"]}, {"Subnet": "fc00:f853::/64"}]}}]))
        case ["network", "rm", name] if name in data["networks"]:
            if any(name in row["NetworkSettings"]["Networks"] for row in data["containers"].values()):
                fail(f"Error response from daemon: error while removing network: network {name} has active endpoints")
            del data["networks"][name]
        case ["volume", "ls", "--quiet", "--filter", label]:
            print("\n".join(name for name, cluster in data["volumes"].items() if label == f"label=k3d.cluster={cluster}"))
        case ["volume", "rm", *names] if names and set(names) <= set(data["volumes"]):
            for name in names:
                del data["volumes"][name]
        case ["container", "ls", "--all", "--quiet", "--no-trunc", "--filter", label]:
            key = label.removeprefix("label=")
            print("\n".join(name for name, row in data["containers"].items() if key in row["Config"]["Labels"]))
        case ["container", "inspect", *names]:
            print(json.dumps([data["containers"][name] for name in names]))
        case ["run", "--name", name, "--hostname", _, "--label", role, *rest] if rest[-1].startswith("kindest/node:"):
            cluster = option(rest[rest.index("--tty") :], "--label").partition("=")[2]
            add_container(
                engine,
                ("io.x-k8s.kind.cluster", "io.x-k8s.kind.role"),
                cluster,
                role.partition("=")[2],
                name,
                option(rest, "--net"),
            )
        case ["logs", name] if name in data["containers"]:
            print("[  OK  ] Reached target Multi-User System.")
        case ["container", "rm", "--force", "--volumes", name]:
            del data["containers"][name]
        case ["container", "start" | "stop" as verb, *names]:
            for name in names:
                data["containers"][name]["State"] = state(verb == "start")
        case ["container", "pause" | "unpause" as verb, name] if name in data["containers"]:
            before, after = ("running", "paused") if verb == "pause" else ("paused", "running")
            if data["containers"][name]["State"]["Status"] != before:
                fail(f"Error response from daemon: container {name} is not {before}")
            data["containers"][name]["State"]["Status"] = after
        case ["image", "ls", "--quiet", name]:
            print("0123456789ab" if name in data["images"] else "")
        case ["image", "save", "--platform", "linux/amd64", *rest] if data["api"] >= "1.48":
            docker(engine, ["image", "save", *rest])
        case ["image", "save", "--output", path, *names] if set(names) <= set(data["images"]) and names:
            save(path, {name: image_id(data, name) for name in names})
        case ["image", "pull", "--quiet", "--platform", "linux/amd64", name] if "offline" not in data["mode"]:
            data["images"].append(name)
        case ["image", "pull", *_]:
            fail('Error response from daemon: Get "https://registry.example/v2/": no such host')
        case ["build", "--tag", name, *_]:
            data["images"].append(name)
        case ["exec", "--interactive", name, "ctr", "image", "import", "--all-platforms", "-"] if name in data["containers"]:
            load(engine, [name], sys.stdin.buffer.read())
        case ["exec", name, "crictl", "images", "--output=json"] if name in data["containers"]:
            rows = [{"id": f"sha256:{key}", "repoTags": [tag]} for tag, key in data["held"].get(name, {}).items()]
            print(json.dumps({"images": [*rows, {"id": f"sha256:{64 * '0'}", "repoTags": []}]}))
        case ["exec", name, *_] if name in data["containers"] and data["containers"][name]["State"]["Status"] != "running":
            fail(f"Error response from daemon: container {name} is not running")
        case ["exec", name, "kubeadm", "token", "create", "--ttl", "10m"] if name.endswith("control-plane"):
            print("abcdef.0123456789abcdef")
        case ["exec", "--interactive", name, "sh", "-ec", "cat > /kind/kubeadm.conf"]:
            data["joined"][name] = sys.stdin.read()
        case ["exec", name, "kubeadm", "join", "--config", "/kind/kubeadm.conf"] if name in data["joined"]:
            if "no-join" in data["mode"]:
                fail("error execution phase kubelet-start: timed out")
        case ["exec", _, "pkill", "-STOP" | "-CONT", "-x", _] | ["exec", _, "crictl", "stop", "--timeout", "0", _]:
            pass
        case ["exec", name, "sh", "-ec", script]:
            clear, *commands = script.splitlines()
            assert clear == "tc qdisc del dev eth0 root 2>/dev/null || true"
            if commands and "no-netem" in data["mode"]:
                fail("Error: Specified qdisc kind is unknown.", 2)
            data["links"][name] = commands
        case ["exec", name, "sh", "-c", script] if name in data["containers"]:
            for command in script.split(" && "):
                _, _, replace, pods, via, address = command.split()
                assert (replace, via) == ("replace", "via")
                data["routes"].append([name, pods, address])
        case _:
            fail(f"docker: unknown command line: {words}", 125)


def image_id(data: dict[str, Any], name: str) -> str:
    """Made of its name, and of how often it was rebuilt (the test says that in ``builds``)."""
    return hashlib.sha256(f"{name} {data.get('builds', 0)}".encode()).hexdigest()


def save(path: str, ids: dict[str, str]) -> None:
    """An archive as far as the lab reads it."""
    content = json.dumps([{"Config": f"blobs/sha256/{key}", "RepoTags": [name]} for name, key in ids.items()]).encode()
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))


def load(engine: Engine, nodes: list[str], content: bytes) -> None:
    """Into some nodes, as docker.io's where no registry is named."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        rows = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
    ids = {row["RepoTags"][0]: row["Config"][-64:] for row in rows}
    engine.data["loaded"] += [[node, " ".join(ids)] for node in nodes]
    full = {
        name if "." in name.split("/")[0] else f"docker.io/{'' if '/' in name else 'library/'}{name}": key
        for name, key in ids.items()
    }
    for node in nodes:
        engine.data["held"].setdefault(node, {}).update(full)


def state(runs: bool) -> dict[str, object]:
    return {"Status": "running" if runs else "exited", "ExitCode": 0 if runs else 137}


def make(engine: Engine, tool: str, cluster: str, network: str) -> None:
    """The containers of a new cluster."""
    keys = {"kind": ("io.x-k8s.kind.cluster", "io.x-k8s.kind.role"), "k3d": ("k3d.cluster", "k3d.role")}[tool]
    if tool == "k3d":
        engine.data["volumes"][f"k3d-{cluster}-images"] = cluster
    for role, suffixes in ({"noRole": ["tools"]} if "pulling" in engine.data["mode"] else NODES[tool]).items():
        for suffix in suffixes[:1] if cluster == "gpu-eu" else suffixes:
            add_container(engine, keys, cluster, role, f"{'k3d-' if tool == 'k3d' else ''}{cluster}-{suffix}", network)


def add_container(engine: Engine, keys: tuple[str, str], cluster: str, role: str, name: str, network: str) -> None:
    engine.data["containers"][name] = {
        "Name": f"/{name}",
        "RestartCount": 0,
        "State": state(True),
        "Config": {
            "Labels": {keys[0]: cluster, keys[1]: role},
            "Image": "kindest/node:v1.37.0@sha256:a1ed",
            "Env": ["HTTPS_PROXY=http://proxy:3128", "container=docker"],
        },
        "HostConfig": {"UsernsMode": ""},
        "NetworkSettings": {"Networks": {network: {"IPAddress": f"172.18.0.{len(engine.data['containers']) + 2}"}}},
    }


def remove(engine: Engine, cluster: str) -> None:
    for name, row in list(engine.data["containers"].items()):
        if cluster in row["Config"]["Labels"].values():
            del engine.data["containers"][name]
            engine.data["held"].pop(name, None)
    volumes = engine.data["volumes"]
    engine.data["volumes"] = {name: owner for name, owner in volumes.items() if owner != cluster}


def kubeconfig(tool: str, name: str) -> None:
    key = f"{tool}-{name}"
    print(KUBECONFIG.format(key=key, name=name, port=len(name) * 111, user=key if tool == "kind" else f"admin@{key}"))


def kind(engine: Engine, words: list[str]) -> None:
    match words:
        case ["version"]:
            print(f"kind v{engine.data['kind']} go1.26.8 linux/amd64")
        case ["create", "cluster", "--name", name, "--config", path, "--wait=120s"] if os.path.exists(path):
            print(f'Creating cluster "{name}" ...\n • Ensuring node image (kindest/node:v1.37.0) 🖼  ...', file=sys.stderr)
            make(engine, "kind", name, os.environ["KIND_EXPERIMENTAL_DOCKER_NETWORK"])
            print(f' ✓ Preparing nodes 📦 📦 📦  \nSet kubectl context to "kind-{name}"', file=sys.stderr)
        case ["delete", "cluster", "--name", name]:
            remove(engine, name)
            print(f'Deleting cluster "{name}" ...', file=sys.stderr)
        case ["get", "kubeconfig", "--name", name]:
            kubeconfig("kind", name)
        case ["load", "image-archive", "--name", name, archive] if os.path.exists(archive):
            nodes = [node for node, row in engine.data["containers"].items() if name in row["Config"]["Labels"].values()]
            with open(archive, "rb") as file:
                load(engine, nodes, file.read())
        case _:
            fail(f"ERROR: unknown command line: {words}")


def k3d(engine: Engine, words: list[str]) -> None:
    match words:
        case ["version"]:
            print("k3d version v5.8.3\nk3s version v1.31.5-k3s1 (default)")
        case ["cluster", "create", "--config", path] if os.path.exists(path):
            name = os.path.basename(path).removesuffix(".yaml")
            if any(row["Config"]["Labels"].get("k3d.cluster") == name for row in engine.data["containers"].values()):
                fail(f"FATA[0000] Failed to create cluster '{name}' because a cluster with that name already exists ")
            print("\x1b[36mINFO\x1b[0m[0000] Prep: Network                                ")
            make(engine, "k3d", name, "boring-ops-lab")
        case ["cluster", "delete", name]:
            remove(engine, name)
        case ["cluster", "start" | "stop" as verb, name]:
            for row in engine.data["containers"].values():
                if row["Config"]["Labels"].get("k3d.cluster") == name:
                    row["State"] = state(verb == "start")
        case ["kubeconfig", "get", name]:
            kubeconfig("k3d", name)
        case ["node", "create", name, "--cluster", cluster, "--role", "agent", "--wait", "--timeout", "120s"]:
            add_container(engine, ("k3d.cluster", "k3d.role"), cluster, "agent", f"k3d-{name}-0", "boring-ops-lab")
        case _:
            fail(f"FATA[0000] unknown command line: {words}")


def kubectl(engine: Engine, words: list[str]) -> None:
    context = next(word.removeprefix("--context=") for word in words if word.startswith("--context="))
    match [word for word in words if not word.startswith(("--kubeconfig", "--context"))]:
        case ["get", "--raw", "/readyz"]:
            print("ok", end="")
        case ["wait", "--for=condition=Ready", "node", "--all", _]:
            pass
        case ["get", "nodes", "--output=json"]:
            rows = [row for row in engine.data["containers"].values() if context in row["Config"]["Labels"].values()]
            print(json.dumps({"items": [kubernetes_node(context, i, row) for i, row in enumerate(rows)]}))
        case ["wait", "--for=create" | "--for=condition=Ready", node, _]:
            if node.removeprefix("node/") not in engine.data["containers"]:
                fail(f"Error from server (NotFound): {node} not found")
        case ["get", "node", _, "--output=jsonpath={.spec.taints[*].key}"]:
            print("nvidia.com/gpu" if "k3d" in words[-2] and context != "app" else "", end="")
        case ["label", "node", *_] | ["taint", "node", *_] | ["uncordon", _] | ["delete", "node", _, "--ignore-not-found"]:
            pass
        case ["drain", _, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--disable-eviction", "--timeout=60s"]:
            if "no-drain" in engine.data["mode"]:
                fail('error when waiting for pod "slow" terminating: global timeout reached: 60s')
        case ["api-resources", "--api-group=multicluster.linkerd.io", "--output=name"]:
            print("links.multicluster.linkerd.io" if engine.data["linked"] else "")
        case ["get", "links.multicluster.linkerd.io", "--all-namespaces", "--output=json"]:
            print(
                json.dumps({"items": [{"spec": {"targetClusterName": name}} for name in engine.data["linked"].get(context, [])]})
            )
        case ["apply", "-k" | "-f", path]:
            engine.data["applied"].append([context, os.path.basename(path)])
        case ["rollout", "status", deployment, namespace, _]:
            print(f"{deployment} {namespace} successfully rolled out")
        case _:
            fail(f"error: unknown command line: {words}")


def kubernetes_node(context: str, index: int, row: dict[str, object]) -> dict[str, object]:
    address = row["NetworkSettings"]["Networks"]["boring-ops-lab"]["IPAddress"]  # type: ignore[index]
    second = {"app": 10, "gpu": 20, "gpu-eu": 30}[context]
    return {
        "metadata": {"name": str(row["Name"]).lstrip("/")},
        "spec": {"podCIDR": f"10.{second}.{index}.0/24"},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    }


def main() -> None:
    tool, words = os.path.basename(sys.argv[1]), sys.argv[2:]
    line = " ".join([tool, *words])
    with Engine() as engine:
        engine.data["calls"].append([tool, *words])
        mode = engine.data["mode"]
        if tool == "docker" and ("absent" in mode or "denied" in mode):
            if words[:1] == ["version"]:
                print(json.dumps(VERSION | {"Server": None}))
            fail(ABSENT if "absent" in mode else DENIED)
        if any(line.startswith(beginning) for beginning in mode.get("fail", [])):
            fail(mode.get("says", "ERROR: failed to create cluster: boom"))
        {"docker": docker, "kind": kind, "k3d": k3d, "kubectl": kubectl}[tool](engine, words)
    if any(line.startswith(beginning) for beginning in mode.get("hang", [])):
        time.sleep(600)
