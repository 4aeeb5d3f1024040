"""The files of an embedded lab, regenerated from its record whenever that changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

import yaml

from labs import config, errors, kubectl, manifests, record, waiting
from labs.embedded import pki, plan, programs, shared_memory
from labs.paths import Paths
from labs.record import Record
from labs.steps import Progress
from labs.wire import run_folder

PROMETHEUS = config.CLUSTERS / "embedded" / "prometheus"


def prepare(wanted: Record) -> None:
    """Write ``.lab`` as ``wanted`` describes it: record, keys (kept when they exist), kubeconfig, manifests, tools."""
    paths = Paths.current()
    for folder in (paths.state, paths.logs, paths.bin, paths.state / "etcd"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    make_run_dir()
    link_state()
    record.write(wanted)
    pki.ensure()
    pki.write_kubeconfigs()
    kubectl.write_link()
    programs.link_prometheus()
    manifests.write_workloads(wanted.specs())
    for cluster in plan.clusters():
        write_prometheus(cluster)


def make_run_dir() -> None:
    """Make the folder of the lab's Unix sockets.

    Raises:
        MachineError: its name belongs to another user.
    """
    try:
        run_folder.make(Paths.current().run_dir())
    except PermissionError as error:
        raise errors.MachineError(str(error), fix="set XDG_CACHE_HOME to a folder with a shorter path") from error


def link_state() -> None:
    """Make the link that ``Paths.plain_state`` may name."""
    paths = Paths.current()
    link = paths.plain_state()
    if link != paths.state and not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(paths.state)


def remove() -> None:
    """Remove all files of the lab."""
    shutil.rmtree(Paths.current().state, ignore_errors=True)
    shutil.rmtree(Paths.current().run_dir(), ignore_errors=True)
    shared_memory.remove_all()


def write_prometheus(cluster: plan.ClusterPlan) -> None:
    """``.lab/manifests/prometheus-CLUSTER`` with the API server's address: kubernetes.default.svc does not resolve here."""
    generator = {"name": "prometheus-api", "behavior": "replace", "files": ["kubeconfig"]}
    manifests.kustomize(
        f"prometheus-{cluster.name}",
        [PROMETHEUS],
        files={"kubeconfig": yaml.safe_dump(_pod_kubeconfig(cluster), sort_keys=False)},
        namespace="monitoring",
        configMapGenerator=[generator],
    )


def _pod_kubeconfig(cluster: plan.ClusterPlan) -> dict[str, object]:
    """For a pod of ``cluster``: its files lie in the folder of its service account."""
    name, user = "this-cluster", "prometheus"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "clusters": [{"name": name, "cluster": {"server": cluster.server, "certificate-authority": "ca.crt"}}],
        "users": [{"name": user, "user": {"tokenFile": "token"}}],
    }


def wait_for_none(missing: Callable[[], Sequence[str]], timeout: float, progress: Progress) -> None:
    """Poll until ``missing()`` is empty, reporting what is missing.

    Raises:
        TimedOut: after ``timeout`` seconds, naming what is still missing.
    """
    left: Sequence[str] = ()
    for _ in waiting.attempts(timeout):
        left = missing()
        if not left:
            return
        progress.note("waiting for " + ", ".join(left))
    raise errors.TimedOut(f"still waiting for {', '.join(left)} after {timeout:.0f} s", fix="lab status; lab logs NAME")
