"""Load: an open-loop generator run as a Job (in the app cluster unless told otherwise), its records as a DataFrame.

Latency counts from the *intended* send time, so a server that stalls cannot hide the requests that would have come meanwhile.
The records: ``labs/pods/loadgen/README.md``.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import pandas as pd

from labs import config, kube
from labs import process_owner as owner
from labs.errors import LabError, UsageError
from labs.telemetry.charts import Chart, Panel, draw
from labs.telemetry.windows import Window

NAMESPACE = "shop"
CONTAINER = "loadgen"
STARTUP = 60.0
"""Seconds the Job's pod may take to start and to end, apart from the load itself."""
OWNER = "boring-ops-lab/owner"
"""Annotation of a load's Job: the process that began it."""
KEEP = 900
"""Seconds a finished Job stays, should nobody fetch its result."""
ARRIVALS = ("poisson", "constant", "ramp", "burst")
TIMES = ("intended", "sent", "first_byte", "end")
DURATIONS = ("latency", "ttft", "tpot", "lag", "model_seconds")

TARGETS: dict[str, tuple[str, ...]] = {
    "chat": ("--url", "http://chat.shop.svc.cluster.local:8080", "--chat"),
    "model": ("--url", "http://model-server-gpu.ml.svc.cluster.local:8000"),
    "model-server": ("--url", "http://model-server.ml.svc.cluster.local:8000"),
}
"""Names a learner may use for a target: the chat; the model server through the link; the model server of the same cluster."""


@dataclass(frozen=True)
class LoadPlan:
    """What to send: ``rps`` requests a second for ``seconds``, whether or not answers come.

    ``target`` is a name in ``TARGETS`` or the base URL of an OpenAI API. ``arrivals``: a name in ``ARRIVALS``; a ramp ends at
    ``rps``. ``users`` makes it a closed loop: so many wait for their answers, and ``rps`` says nothing. Lengths in tokens,
    ``prompt_tokens`` and ``answer_tokens``, are ``"200"``, ``"uniform:50:400"`` or ``"lognormal:200:0.8"``. ``slo``, such as
    ``"ttft=0.5,tpot=0.05"`` in seconds, counts goodput. ``timeout`` in seconds, from the intended time. ``cluster`` is where the
    load comes from.
    """

    target: str
    rps: float
    seconds: float
    arrivals: str = "poisson"
    stream: bool = False
    timeout: float = 10.0
    max_tokens: int = 128
    seed: int = 1
    users: int = 0
    prompt_tokens: str = ""
    answer_tokens: str = ""
    slo: str = ""
    cluster: str = "app"

    def check(self) -> None:
        """Refuse a plan that cannot run.

        Raises:
            UsageError: it says which word is off.
        """
        if self.target not in TARGETS and not self.target.startswith("http://"):
            raise UsageError(f"no load target {self.target!r}", fix=f"{', '.join(TARGETS)}, or a URL that begins with http://")
        for name in ("rps", "seconds", "timeout", "max_tokens"):
            if not getattr(self, name) > 0:
                raise UsageError(f"expected {name} above 0; found {getattr(self, name)!r}")
        if self.arrivals not in ARRIVALS:
            raise UsageError(f"expected arrivals to be one of {', '.join(ARRIVALS)}; found {self.arrivals!r}")

    def limits(self) -> dict[str, float]:
        """The limits of ``slo`` in seconds, by the column of the records that each is for."""
        parts = [part.partition("=") for part in self.slo.split(",") if part]
        return {name: float(value) for name, _, value in parts}

    def arguments(self) -> list[str]:
        """The load generator's command line."""
        words = ["loadgen", *TARGETS.get(self.target, ("--url", self.target))]
        options: dict[str, object] = {
            "rps": self.rps, "seconds": self.seconds, "arrivals": self.arrivals, "timeout": self.timeout,
            "max-tokens": self.max_tokens, "seed": self.seed,
        }  # fmt: skip
        rest = {
            "users": self.users, "prompt-tokens": self.prompt_tokens, "answer-tokens": self.answer_tokens, "slo": self.slo,
        }  # fmt: skip
        options |= {name: value for name, value in rest.items() if value}
        words += [word for name, value in options.items() for word in (f"--{name}", str(value))]
        return [*words, "--stream"] if self.stream else words


def objects(plan: LoadPlan, name: str) -> list[kube.Object]:
    """The Job that runs ``plan``, its namespace, and the service account that is its identity in the mesh."""
    labels = {"app.kubernetes.io/name": "loadgen", "app.kubernetes.io/part-of": "boring-ops-lab"}
    container = {
        "name": CONTAINER, "image": config.lab_image(), "imagePullPolicy": "IfNotPresent", "args": plan.arguments(),
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }  # fmt: skip
    template = {
        # Without a mesh nobody reads the annotation.
        "metadata": {"labels": labels, "annotations": {"linkerd.io/inject": "enabled"}},
        "spec": {"restartPolicy": "Never", "serviceAccountName": "loadgen", "containers": [container]},
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "loadgen", "namespace": NAMESPACE, "labels": labels}},
        {
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "spec": {
                "backoffLimit": 0, "ttlSecondsAfterFinished": KEEP, "template": template,
                "activeDeadlineSeconds": int(plan.seconds + plan.timeout + STARTUP),
            },
        },
    ]  # fmt: skip


class RunningLoad:
    """Load on its way. As a context manager: left in order it waits for the end, left by an error it stops the load."""

    def __init__(self, api: kube.ApiClient, plan: LoadPlan, windows: Callable[[], Sequence[Window]]) -> None:
        plan.check()
        self.plan = plan
        self.name = f"load-{secrets.token_hex(3)}"
        self._api, self._windows = api, windows
        self._result: LoadResult | None = None
        made = objects(plan, self.name)
        made[-1]["metadata"]["annotations"] = {OWNER: json.dumps(owner.this_process())}
        kube.apply(api, made)

    def result(self) -> LoadResult:
        """Wait until the load has ended, fetch its records and remove its Job.

        Raises:
            TimedOut: it did not end in time; the message says what its Job waits for.
            LabError: the generator itself failed; the message has the end of its log.
        """
        if self._result is None:
            timeout = self.plan.seconds + self.plan.timeout + STARTUP
            kube.wait(self._api, "Job", self.name, NAMESPACE, self._lacks, timeout=timeout)
            text = self._log()
            if self._exit_code() != 0:
                raise LabError(f"load {self.name} failed: {text[-1500:]}", fix=f"kubectl -n {NAMESPACE} describe job {self.name}")
            self._result = LoadResult(text, self.plan, self._windows)
            self.stop()
        return self._result

    def so_far(self, since: float | None = None) -> LoadResult:
        """The requests that have ended until now; the load goes on. Those on their way are missing, the slowest among them.

        ``since``: only those that should have been sent from then on (Unix time in seconds).
        """
        whole, _, _ = self._log().rpartition("\n")  # the last line may be half written
        result = LoadResult(whole, self.plan, self._windows)
        if since is not None:
            result.records = result.records.loc[pd.Timestamp(since, unit="s", tz="UTC") :]
        return result

    def stop(self) -> None:
        """End the load now and remove its Job; harmless if it has ended."""
        kube.delete(self._api, "Job", self.name, NAMESPACE)

    def _lacks(self, job: kube.Object | None) -> str | None:
        """Condition: the generator has ended. Its proxy, its pod and its Job follow one after the other, within seconds."""
        return None if self._exit_code() is not None else kube.finished(job)

    def _exit_code(self) -> int | None:
        """That of the generator; None as long as it runs."""
        containers = [row for pod in self._pods() for row in pod["status"].get("containerStatuses", [])]
        ended = (row["state"].get("terminated", {}) for row in containers if row["name"] == CONTAINER)
        return next((state["exitCode"] for state in ended if state), None)

    def _pods(self) -> list[kube.Object]:
        return kube.select(self._api, "Pod", NAMESPACE, labels=f"batch.kubernetes.io/job-name={self.name}")

    def _log(self) -> str:
        pods = self._pods()
        if not pods:
            raise LabError(f"load {self.name} never had a pod", fix=f"kubectl -n {NAMESPACE} describe job {self.name}")
        return kube.logs(self._api, NAMESPACE, pods[0]["metadata"]["name"], CONTAINER)

    def __enter__(self) -> RunningLoad:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.result()
        else:
            self.stop()

    def __repr__(self) -> str:
        offered = f"{self.plan.users} users" if self.plan.users else f"{self.plan.rps:g} requests/s"
        return f"<load {self.name}: {offered} to {self.plan.target} for {self.plan.seconds:g} s>"


def stop_orphans(api: kube.ApiClient) -> list[str]:
    """End the loads of processes that are gone: a kernel that was restarted. Their names."""
    stopped = []
    for job in kube.select(api, "Job", NAMESPACE, labels="app.kubernetes.io/name=loadgen"):
        held = job["metadata"].get("annotations", {}).get(OWNER)
        if held and owner.is_gone(json.loads(held)):
            kube.delete(api, "Job", job["metadata"]["name"], NAMESPACE)
            stopped.append(job["metadata"]["name"])
    return stopped


class LoadResult:
    """What came of a load.

    ``records``: a row per request, indexed by its intended send time (UTC), in order; durations in seconds.
    """

    def __init__(self, text: str, plan: LoadPlan, windows: Callable[[], Sequence[Window]] = lambda: ()) -> None:
        self.plan, self._windows = plan, windows
        lines = _lines(text)
        self.totals: dict[str, Any] = next((line for line in lines if line["kind"] == "summary"), {})
        self.records = _records([line for line in lines if line["kind"] == "request"])

    def summary(self) -> pd.DataFrame:
        """One row: rates, errors, and the percentiles of the latency in ms, timeouts counted with the timeout's value."""
        records = self.records
        row: dict[str, float] = {
            "requests": len(records),
            "offered/s": float("nan") if self.plan.users else float(self.totals.get("offered_rps", self.plan.rps)),
            "achieved/s": float(self.totals.get("achieved_rps", float("nan"))),
            "errors %": 100 * float((~records["ok"]).mean()) if len(records) else float("nan"),
        }
        if "goodput" in self.totals:
            row |= {"good/s": self.totals["goodput"]["rps"], "good %": 100 * (self.totals["goodput"]["share"] or 0)}
        for column, name in (("latency", ""), ("ttft", "ttft ")):
            if records[column].notna().any():
                row |= {f"{name}p{p} ms": 1000 * float(records[column].quantile(p / 100)) for p in (50, 95, 99)}
        return pd.DataFrame([row], index=pd.Index([self.plan.target], name="target")).round(1)

    def plot(self, *, title: str = "", reading: str = "") -> Chart:
        """Every request by its intended send time and latency, failed ones apart, with the faults of that time shaded."""
        latency, ok = self.records["latency"], self.records["ok"]
        frame = pd.DataFrame({"answered": latency.where(ok), "failed": latency.where(~ok)})
        offered = f"{self.plan.users} users who wait" if self.plan.users else f"{self.plan.rps:g} requests/s offered"
        heading = title or f"{self.plan.target}: {offered}"
        panel = Panel(frame, "latency from the intended send time", "s", points=True, empty="no request was sent")
        return draw([panel], title=heading, reading=reading, windows=self._windows())

    def _repr_html_(self) -> str:
        return self.summary().to_html(border=0)

    def __repr__(self) -> str:
        return self.summary().to_string()


def _lines(text: str) -> list[dict[str, Any]]:
    # What else a log holds (a proxy's notes, a warning on stderr) is no record.
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"kind"')]


def _records(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = ["id", *TIMES, *DURATIONS, "status", "ok", "error", "cluster", "pod", "node", "gpu", "tokens"]
    frame = pd.DataFrame(rows, columns=[*columns, *({"itl"} if rows and "itl" in rows[0] else ())])
    for name in TIMES:
        frame[name] = pd.to_datetime(frame[name].astype("float64"), unit="s", utc=True)
    frame = frame.astype({name: "float64" for name in DURATIONS} | {"ok": "bool"})
    return frame.sort_values("intended").set_index("intended")
