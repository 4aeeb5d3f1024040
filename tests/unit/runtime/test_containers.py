"""What a container finds around it, and what becomes of it."""

from __future__ import annotations

import os
from pathlib import Path

import grpc
import pytest

from labs import config
from labs.wire.cri import cri_pb2 as pb
from tests.support.waiting import eventually
from tests.unit.runtime.conftest import RANGE, TestNode, needs_namespaces

pytestmark = needs_namespaces
USER = pb.LinuxContainerConfig(security_context=pb.LinuxContainerSecurityContext(run_as_user=pb.Int64Value(value=1234)))


def security(**fields: object) -> pb.LinuxContainerConfig:
    return pb.LinuxContainerConfig(security_context=pb.LinuxContainerSecurityContext(**fields))  # type: ignore[arg-type]


def test_name_resolver_directory_variables_and_exit_code(node: TestNode) -> None:
    script = 'hostname; cat /etc/hostname; cat /etc/resolv.conf; pwd; echo "$WORD $HOSTNAME"; exit 3'
    container = node.run("sh", "-c", script, working_dir="/a/b", envs=[pb.KeyValue(key="WORD", value=b"it's")])
    assert node.output(container).splitlines() == [
        "pod",
        "pod",
        "nameserver 10.96.0.10",
        "search default.svc",
        "options ndots:5",
        "/a/b",
        "it's pod",
    ]
    status = node.status(container)
    assert (status.exit_code, status.reason) == (3, "Error")
    assert 0 < status.created_at <= status.started_at <= status.finished_at


def test_the_machine_is_read_only_and_homes_and_keys_are_hidden(node: TestNode, tmp_path: Path) -> None:
    script = (
        f"ls -d {config.ROOT} {Path.home()}/.cache 2>&1; cat /etc/shadow; ls -A /etc/ssh; grep -c . /etc/passwd;"
        "echo x > /etc/lab-was-here && rm /usr/share/dict; touch /usr/lab-was-here /var/lab-was-here && echo written"
    )
    lines = node.sh(script).splitlines()
    assert all("No such file" in line or line in ("4", "3", "written") or "cannot" in line for line in lines), lines
    assert "written" in lines
    assert not [path for path in ("/etc", "/usr", "/var") if Path(path, "lab-was-here").exists()]


def test_each_container_has_its_own_files_and_processes(node: TestNode) -> None:
    pod = node.sandbox()
    sandbox = node.run_sandbox(pod)
    first = node.run("sh", "-c", "touch /tmp/mine; exec sleep 60", pod=pod, sandbox=sandbox)
    eventually(lambda: node.exec(first, "cat", "/tmp/mine").exit_code == 0)
    said = node.sh("ls /tmp; echo $$; cat /proc/[0-9]*/cmdline | tr '\\0' ' '", pod=pod, sandbox=sandbox)
    assert said.splitlines()[0] == "1", "an empty /tmp, and a first process of its own"
    assert "sleep 60" not in said


def test_mounts_are_at_their_true_paths(node: TestNode, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    deep = pb.Mount(container_path="/var/run/secrets/here", host_path=str(tmp_path), readonly=True)
    file = pb.Mount(container_path="/usr/share/x y/one", host_path=str(tmp_path / "token"))
    script = "cat /run/secrets/here/token '/usr/share/x y/one'; touch /var/run/secrets/here/no; echo more >> '/usr/share/x y/one'"
    assert "secretsecret" in node.sh(script, mounts=[file, deep])
    assert (tmp_path / "token").read_text() == "secretmore\n"
    assert not (tmp_path / "no").exists()


def test_a_read_only_root(node: TestNode) -> None:
    said = node.sh("touch /x; touch /etc/x; touch /usr/x; touch /dev/shm/x && echo ok", linux=security(readonly_rootfs=True))
    assert said.count("Read-only file system") == 3
    assert said.endswith("ok")


def test_another_user(node: TestNode) -> None:
    script = "id -u; touch /tmp/x; stat -c %u /tmp/x; grep CapEff /proc/self/status"
    assert node.sh(script, linux=USER).split() == ["1234", "1234", "CapEff:", "0000000000000000"]
    assert node.exec(node.run("sleep", "60", linux=USER), "id", "-u").stdout == b"1234\n"


def test_capabilities(node: TestNode) -> None:
    def effective(**fields: object) -> int:
        return int(node.sh("grep CapEff /proc/self/status", linux=security(**fields)).split()[1], 16)

    usual = effective()
    assert usual >> 21 & 1 == 0, "CAP_SYS_ADMIN is not among the usual ones"
    assert effective(capabilities=pb.Capability(drop_capabilities=["ALL"])) == 0
    assert effective(capabilities=pb.Capability(drop_capabilities=["ALL"], add_capabilities=["NET_ADMIN"])) == 1 << 12
    assert effective(privileged=True) > usual


def test_chown_succeeds_for_whoever_has_but_one_user(node: TestNode) -> None:
    assert node.sh("touch /tmp/x && chown 1000:1000 /tmp/x && chgrp 7 /tmp/x && echo ok") == "ok"


def test_no_new_privileges(node: TestNode) -> None:
    assert node.sh("grep NoNewPrivs /proc/self/status", linux=security(no_new_privs=True)).split()[1] == "1"


def test_a_program_that_is_not_there(node: TestNode) -> None:
    pod = node.sandbox()
    container = node.create(node.run_sandbox(pod), pod, "no-such-program")
    with pytest.raises(grpc.RpcError, match="executable file not found in \\$PATH"):
        node.start(container)
    status = node.status(container)
    assert (status.state, status.exit_code, status.reason) == (pb.CONTAINER_EXITED, 128, "StartError")


def test_exec(node: TestNode) -> None:
    container = node.run("sleep", "60", envs=[pb.KeyValue(key="A", value=b"b")])
    done = node.exec(container, "sh", "-c", "echo $A; echo err >&2; exit 4")
    assert (done.stdout, done.stderr, done.exit_code) == (b"b\n", b"err\n", 4)
    big = node.exec(container, "sh", "-c", "head -c 1000000 /dev/zero")
    assert len(big.stdout) == 1_000_000
    with pytest.raises(grpc.RpcError, match="timed out after 1 s"):
        node.exec(container, "sh", "-c", "sleep 61", timeout=1)
    eventually(lambda: b"sleep 61" not in node.exec(container, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout)


def test_who_ignores_sigterm_is_killed_after_his_grace(node: TestNode) -> None:
    polite = node.run("sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done")
    stubborn = node.run("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done")
    for container in (polite, stubborn):
        eventually(Path(node.status(container).log_path).read_text)
    node.stop(polite, 30)
    assert node.status(polite).exit_code == 5
    node.stop(stubborn, 1)
    assert node.status(stubborn).exit_code == 137


def test_memory_is_limited(node: TestNode) -> None:
    resources = pb.LinuxContainerResources(memory_limit_in_bytes=32 << 20)
    script = "x=$(head -c 100000000 /dev/zero | tr '\\0' a); sleep 60"
    status = node.ended(node.run("sh", "-c", script, linux=pb.LinuxContainerConfig(resources=resources)))
    assert (status.exit_code, status.reason) == (137, "OOMKilled")


def test_what_a_container_uses(node: TestNode) -> None:
    script = "head -c 300000 /dev/zero > /var/tmp/file; while :; do :; done"
    container = node.run("sh", "-c", script)

    def used() -> pb.ContainerStats:
        stats: pb.ContainerStats = node.runtime.ContainerStats(pb.ContainerStatsRequest(container_id=container)).stats
        return stats

    eventually(used, holds=lambda stats: stats.cpu.usage_core_nano_seconds.value > 200_000_000)
    eventually(used, holds=lambda stats: 300_000 <= stats.writable_layer.used_bytes.value < 1_000_000)
    assert 0 < used().memory.working_set_bytes.value < 50_000_000
    (pod,) = node.runtime.ListPodSandboxStats(pb.ListPodSandboxStatsRequest()).stats
    assert [stats.attributes.id for stats in pod.linux.containers] == [container]
    assert pod.linux.network.default_interface.name == "eth0"


def test_containers_of_one_pid_namespace_see_each_other_and_end_alone(node: TestNode) -> None:
    pod = node.sandbox(pid=pb.POD)
    sandbox = node.run_sandbox(pod)
    stray = node.run("sh", "-c", "setsid sleep 62 & sleep 61", pod=pod, sandbox=sandbox)
    other = node.run("sleep", "63", pod=pod, sandbox=sandbox)
    everyone = ("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    seen = eventually(lambda: node.exec(other, *everyone).stdout, holds=lambda text: b"sleep 62" in text)
    assert b"sleep 61" in seen
    node.stop(stray, 0)
    eventually(lambda: b"sleep 62" not in node.exec(other, *everyone).stdout)
    assert node.status(other).state == pb.CONTAINER_RUNNING


def test_host_network_is_the_labs(node: TestNode) -> None:
    pod = node.sandbox(network=pb.NODE)
    sandbox = node.run_sandbox(pod)
    assert "10.16.0.11" in node.sh("cat /proc/net/fib_trie", pod=pod, sandbox=sandbox)
    status = node.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox)).status
    assert not status.network.ip


def test_addresses_are_given_back_and_their_end_is_said(node: TestNode) -> None:
    sandboxes = []
    with pytest.raises(grpc.RpcError, match=f"addresses of {RANGE} on node n1 are in use") as caught:
        for number in range(16):
            sandboxes.append(node.run_sandbox(node.sandbox(f"pod-{number}")))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(sandboxes) == 13
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=sandboxes[0]))
    node.run_sandbox(node.sandbox("again"))


def test_what_is_unknown_is_refused_by_name(node: TestNode) -> None:
    pod = node.sandbox(userns_options=pb.UserNamespace(mode=pb.POD))
    with pytest.raises(grpc.RpcError, match="hostUsers"):
        node.run_sandbox(pod)
    with pytest.raises(grpc.RpcError, match=r"it can run: .*busybox"):
        node.images.PullImage(pb.PullImageRequest(image=pb.ImageSpec(image="nginx:1")))
    with pytest.raises(grpc.RpcError, match="no container 'x'"):
        node.status("x")


def test_logs_go_on_in_a_new_file(node: TestNode) -> None:
    container = node.run("sh", "-c", "i=0; while sleep 0.1; do i=$((i+1)); echo line $i; done")
    log = Path(node.status(container).log_path)
    eventually(lambda: "line 1" in log.read_text())
    os.rename(log, log.with_suffix(".old"))
    node.runtime.ReopenContainerLog(pb.ReopenContainerLogRequest(container_id=container))
    eventually(lambda: log.exists() and log.read_text())
