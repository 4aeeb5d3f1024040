"""Where rows run: namespaces created for one run, and the commands typed in them."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from labs import kube, shell, waiting
from labs.clusters.base import Backend, Cluster
from labs.errors import CommandFailed, NotFound
from labs.paths import Paths

T = TypeVar("T")
Object = dict[str, Any]
LABEL = "boring-ops-lab/parity"
"""On every namespace of a run, so that a later run can remove what an interrupted one left behind."""
LABELS = {LABEL: "true", "app.kubernetes.io/part-of": "boring-ops-lab"}


@dataclass(frozen=True)
class Ran:
    """What a command said: ``text`` is its output, with its errors where it failed."""

    code: int
    text: str

    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def last_line(self) -> str:
        return self.text.rstrip().rpartition("\n")[2]


@dataclass
class ParityContext:
    """One run of the list: what its rows share. Safe to use from several threads."""

    backend: Backend
    token: str = field(default_factory=lambda: secrets.token_hex(2))
    _made: dict[str, Future[Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def clusters(self) -> dict[str, Cluster]:
        return self.backend.clusters()

    def once(self, key: str, make: Callable[[], T]) -> T:
        """``make()`` for the first who asks for ``key``; the others wait for it, and share its error too."""
        with self._lock:
            future = self._made.get(key)
            mine = future is None
            if future is None:
                future = self._made[key] = Future()
        if mine:
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)
                raise
        result: T = future.result()
        return result

    def api(self, cluster: str = "app") -> kube.ApiClient:
        return self.clusters[cluster].api

    def namespace(self, name: str, *, cluster: str = "app", annotations: Mapping[str, str] | None = None) -> str:
        """The run's namespace for ``name``, made on first use, ready for pods. ``name`` of both clusters is the same."""
        # Short: with a ServiceAccount it must fit into a certificate's common name of 64 characters.
        full = f"p{self.token}-{name}"

        def make() -> None:
            metadata = {"name": full, "labels": LABELS, "annotations": dict(annotations or {})}
            kube.apply(self.api(cluster), [{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}])
            # Pods are refused until the controller has made the namespace's service account.
            kube.wait(
                self.api(cluster), "ServiceAccount", "default", full, lambda found: None if found else "not there", timeout=30
            )

        self.once(f"namespace {cluster} {full}", make)
        return full

    def apply(self, namespace: str, *objects: Object, cluster: str = "app") -> None:
        kube.apply(self.api(cluster), objects, namespace)

    def kubectl(self, *args: str, cluster: str = "app", timeout: float = 60) -> Ran:
        """kubectl's exit code and output; ``timeout`` in seconds."""
        return self._run(
            [str(Paths.current().bin / "kubectl"), f"--kubeconfig={Paths.current().kubeconfig}", f"--context={cluster}", *args],
            timeout,
        )

    def linkerd(self, *args: str, cluster: str = "app", input: str | None = None, timeout: float = 120) -> Ran:
        """The ``linkerd`` command of this backend; ``input`` is what it reads from a pipe."""
        path = str(Paths.current().bin / "linkerd")
        return self._run([path, *args, f"--kubeconfig={Paths.current().kubeconfig}", f"--context={cluster}"], timeout, input)

    def _run(self, command: Sequence[str], timeout: float, input: str | None = None) -> Ran:
        try:
            return Ran(0, shell.run(command, input=input, timeout=timeout))
        except CommandFailed as error:
            return Ran(error.returncode, error.output)

    def piped(self, cluster: str, *args: str) -> None:
        """``linkerd … | kubectl apply -f -``.

        Raises:
            CommandFailed: either failed.
        """
        printed = self.linkerd(*args, cluster=cluster)
        if printed.code:
            raise CommandFailed(["linkerd", *args], printed.code, printed.text)
        self.clusters[cluster].kubectl("apply", "-f", "-", input=printed.text)

    def remove(self) -> None:
        """Delete the namespaces of this run and of interrupted ones; does not wait for their end."""
        for cluster in self.clusters:
            for found in kube.select(self.api(cluster), "Namespace", labels=f"{LABEL}=true"):
                kube.delete(self.api(cluster), "Namespace", found["metadata"]["name"])


def until(look: Callable[[], T], good: Callable[[T], bool], seconds: float, every: float = 0.3) -> T:
    """``look()`` again and again until it is good or the seconds are over; the last look either way."""
    for _ in waiting.attempts(seconds, every):
        found = look()
        if good(found):
            break
    return found


def events(context: ParityContext, namespace: str, name: str, cluster: str = "app") -> list[Object]:
    """The events about the object ``name``, the oldest first."""
    found = kube.select(context.api(cluster), "Event", namespace, fields=f"involvedObject.name={name}")
    return sorted(found, key=lambda event: str(event["metadata"]["creationTimestamp"]))


def condition(found: Object, kind: str) -> Object:
    """A condition of an object by its type; empty where there is none."""
    rows = found.get("status", {}).get("conditions") or []
    return next((row for row in rows if row["type"] == kind), {})


def required(found: Object | None, what: str) -> Object:
    if found is None:
        raise NotFound("object", what)
    return found


def named(items: Iterable[Object], name: str) -> Object:
    """The member of a list of objects that has this name; empty where there is none."""
    return next((item for item in items if item["name"] == name), {})
