"""A load that runs as a separate Job."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence

from labs import kube
from labs import process_owner as owner
from labs.errors import LabError, TimedOut
from labs.paths import Paths
from labs.telemetry.load import Load
from labs.telemetry.load_plan import LoadPlan
from labs.telemetry.load_result import LoadResult
from labs.telemetry.windows import Window
from labs.waiting import attempts
from labs.wire import linkerd

NAMESPACE = "shop"
CONTAINER = "loadgen"
STARTUP_TIMEOUT = 60.0
"""Seconds the Job's pod may take to start and to end, in addition to the load itself."""
OWNER = "boring-ops-lab/owner"
"""Annotation on a load's Job: the process that started it."""
KEEP = 900
"""Seconds that a finished Job is kept if nobody fetches its result."""
LABELS = {"app.kubernetes.io/name": "loadgen", "app.kubernetes.io/part-of": "boring-ops-lab"}


def objects(plan: LoadPlan, name: str) -> list[kube.Object]:
    """The Job that runs ``plan``, its namespace, and the service account that gives it its identity in the mesh."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "loadgen", "namespace": NAMESPACE, "labels": LABELS}},
        _job(plan, name),
    ]


def _job(plan: LoadPlan, name: str) -> kube.Object:
    template = {
        # Without a mesh nothing reads the annotation.
        "metadata": {"labels": LABELS, "annotations": {linkerd.INJECT: "enabled"}},
        "spec": {"restartPolicy": "Never", "serviceAccountName": "loadgen", "containers": [_container(plan)]},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": LABELS},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": KEEP,
            "template": template,
            "activeDeadlineSeconds": int(plan.seconds + plan.timeout + STARTUP_TIMEOUT),
        },
    }


def _container(plan: LoadPlan) -> kube.Object:
    return {
        "name": CONTAINER,
        "image": Paths.current().image(),
        "imagePullPolicy": "IfNotPresent",
        "args": plan.arguments(),
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


class JobLoad(Load):
    """Creates the Job, which starts sending once its pod runs."""

    def __init__(self, api: kube.ApiClient, plan: LoadPlan, windows: Callable[[], Sequence[Window]]) -> None:
        super().__init__(plan, f"load-{secrets.token_hex(3)}", windows)
        self._api = api
        made = objects(plan, self.name)
        made[-1]["metadata"]["annotations"] = {OWNER: json.dumps(owner.this_process())}
        kube.apply(api, made)

    def wait_until_running(self, timeout: float = STARTUP_TIMEOUT) -> None:
        for _ in attempts(timeout):
            if any(pod["status"].get("phase") in ("Running", "Succeeded") for pod in self._pods()):
                return
        raise TimedOut(f"load {self.name} is not running after {timeout:g} s", fix=self._describe())

    def result(self) -> LoadResult:
        if self._result is None:
            timeout = self.plan.seconds + self.plan.timeout + STARTUP_TIMEOUT
            kube.wait(self._api, "Job", self.name, NAMESPACE, self._lacks, timeout=timeout)
            output = self._output()
            if self._exit_code() != 0:
                raise LabError(f"load {self.name} failed: {output[-1500:]}", fix=self._describe())
            self._result = LoadResult(output, self.plan, self._windows)
            self.stop()
        return self._result

    def stop(self) -> None:
        kube.delete(self._api, "Job", self.name, NAMESPACE)

    def _lacks(self, job: kube.Object | None) -> str | None:
        """Condition: the generator has ended. Its proxy, pod and Job end one after the other within the next seconds."""
        return None if self._exit_code() is not None else kube.finished(job)

    def _exit_code(self) -> int | None:
        """The generator's exit code; None while it runs."""
        containers = [row for pod in self._pods() for row in pod["status"].get("containerStatuses", [])]
        ended = (row["state"].get("terminated", {}) for row in containers if row["name"] == CONTAINER)
        return next((state["exitCode"] for state in ended if state), None)

    def _pods(self) -> list[kube.Object]:
        return kube.select(self._api, "Pod", NAMESPACE, labels=f"batch.kubernetes.io/job-name={self.name}")

    def _output(self) -> str:
        pods = self._pods()
        if not pods:
            raise LabError(f"load {self.name} has no pod", fix=self._describe())
        return kube.logs(self._api, NAMESPACE, pods[0]["metadata"]["name"], CONTAINER)

    def _describe(self) -> str:
        return f"kubectl -n {NAMESPACE} describe job {self.name}"


def stop_orphans(api: kube.ApiClient) -> list[str]:
    """Stop the loads whose owner has exited, such as a restarted kernel, and return their names."""
    stopped = []
    for job in kube.select(api, "Job", NAMESPACE, labels="app.kubernetes.io/name=loadgen"):
        held = job["metadata"].get("annotations", {}).get(OWNER)
        if held and owner.is_gone(json.loads(held)):
            kube.delete(api, "Job", job["metadata"]["name"], NAMESPACE)
            stopped.append(job["metadata"]["name"])
    return stopped
