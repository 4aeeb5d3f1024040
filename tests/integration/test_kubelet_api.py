"""What kubectl and a stranger get from the kubelet API of a running node."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator

import pytest

from labs import kubectl as kubectl_program
from labs.embedded import pki, plan
from labs.embedded.node.model import find_node
from labs.paths import Paths
from tests.support.lab import new_namespace
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

Kubectl = Callable[..., str]
NODE = find_node("app", "app-worker")
TALKER = "echo out; echo err >&2; i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo line $i; sleep 0.3; done; exec sleep 600"


def pod(name: str, script: str, restart: str = "Always") -> str:
    container = {"name": "main", "image": "busybox:1", "command": ["sh", "-c", script]}
    spec = {"restartPolicy": restart, "terminationGracePeriodSeconds": 1, "containers": [container]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def raw(namespace: str, *args: str, input: str = "") -> subprocess.CompletedProcess[str]:
    """kubectl with its exit code and both outputs apart."""
    command = [
        kubectl_program.program(),
        f"--kubeconfig={Paths.current().kubeconfig}",
        "--context=app",
        f"--namespace={namespace}",
        *args,
    ]
    return subprocess.run(command, input=input, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def talker(kubectl: Kubectl) -> Iterator[str]:
    """The namespace of a Ready pod ``talker``, which nobody changes."""
    with new_namespace(kubectl) as namespace:
        kubectl("app", "apply", "-n", namespace, "-f", "-", input=pod("talker", TALKER))
        kubectl("app", "wait", "-n", namespace, "pod/talker", "--for=condition=Ready", "--timeout=50s")
        yield namespace


@pytest.mark.parametrize("code", [0, 7, 137])
def test_exec_passes_streams_and_exit_code(talker: str, code: int) -> None:
    end = "kill -9 $$" if code == 137 else f"exit {code}"
    done = raw(talker, "exec", "-i", "talker", "--", "sh", "-c", f"cat; echo err >&2; {end}", input="hello\n")
    assert done.returncode == code
    assert done.stdout == "hello\n"
    assert done.stderr == "err\n" + (f"command terminated with exit code {code}\n" if code else "")


def test_exec_of_what_is_not_there(talker: str) -> None:
    done = raw(talker, "exec", "talker", "--", "nosuchcmd")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: Internal error occurred: Internal error occurred: error executing command in container:"
    )
    assert done.stderr.endswith('exec: "nosuchcmd": executable file not found in $PATH\n')


def test_logs(talker: str) -> None:
    # The two streams are two pipes: what came first in the program may come second in the log.
    whole = eventually(lambda: raw(talker, "logs", "talker").stdout, holds=lambda text: "line 3\n" in text)
    assert sorted(whole.splitlines()) == ["err", "line 1", "line 2", "line 3", "out"]
    last = raw(talker, "logs", "talker", "--tail=2", "--timestamps").stdout.splitlines()
    assert [line.split(" ", 1)[1] for line in last] == ["line 2", "line 3"]
    assert raw(talker, "logs", "talker", "--tail=0").stdout == ""
    refused = raw(talker, "logs", "talker", "--previous")
    words = 'Error from server (BadRequest): previous terminated container "main" in pod "talker" not found\n'
    assert (refused.returncode, refused.stderr) == (1, words)


def test_follow_ends_with_the_container_and_previous_shows_it(kubectl: Kubectl, namespace: str) -> None:
    kubectl("app", "apply", "-n", namespace, "-f", "-", input=pod("crash", "echo run; sleep 2; echo end; exit 3"))
    kubectl("app", "wait", "-n", namespace, "pod/crash", "--for=jsonpath={.status.phase}=Running", "--timeout=50s")
    followed = raw(namespace, "logs", "-f", "crash")
    assert (followed.returncode, followed.stdout) == (0, "run\nend\n")
    previous = eventually(lambda: raw(namespace, "logs", "crash", "--previous"), holds=lambda done: done.returncode == 0)
    assert previous.stdout.startswith("run\n")


def test_port_forward_says_what_to_use(talker: str) -> None:
    done = raw(talker, "port-forward", "pod/talker", "18080:80")
    assert done.returncode == 1
    assert "lab url" in done.stderr


def test_a_client_without_certificate_is_refused(lab_up: None) -> None:
    context = ssl.create_default_context(cafile=pki.folder("app") / "ca.crt")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(context)


def test_a_certificate_of_somebody_else_is_forbidden(lab_up: None) -> None:
    keys = pki.folder("app")
    context = ssl.create_default_context(cafile=keys / "ca.crt")
    context.load_cert_chain(keys / "admin.crt", keys / "admin.key")
    assert b" 403 " in ask(context)
    context.load_cert_chain(keys / "kubelet-client.crt", keys / "kubelet-client.key")
    assert b" 200 " in ask(context)


def ask(context: ssl.SSLContext) -> bytes:
    """The first line of the node's answer to ``GET /healthz``."""
    plain = socket.create_connection((NODE.address, plan.KUBELET_PORT), timeout=10)
    with context.wrap_socket(plain, server_hostname=NODE.address) as secure:
        secure.sendall(b"GET /healthz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
        answer = secure.recv(4096)
    if not answer:
        raise ConnectionError("closed without an answer")
    return answer.splitlines()[0]
