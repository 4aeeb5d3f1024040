"""``Lab``: a session with what a notebook asks of it: queries, charts, load, failures, experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, overload

import pandas as pd

from labs import kube, topology
from labs.clusters.base import Cluster
from labs.errors import LabError
from labs.faults import lifecycle
from labs.faults.experiments import layers
from labs.faults.experiments.hypothesis import Hypothesis
from labs.faults.experiments.result import Experiment
from labs.faults.experiments.run import Length
from labs.faults.experiments.run import run as run_experiment
from labs.faults.injectors.simulated_gpu import serving_gpus
from labs.journal import Injection
from labs.session import Session
from labs.telemetry import capacity, footprint, mesh_cost, questions, slo, timeline
from labs.telemetry.charts import Chart, Panel, draw
from labs.telemetry.job_load import JobLoad
from labs.telemetry.load import Load
from labs.telemetry.load_plan import LoadPlan
from labs.telemetry.load_result import LoadResult
from labs.telemetry.pod_load import PodLoad
from labs.telemetry.prometheus import seconds
from labs.telemetry.sampling import Sampling

Source = pd.DataFrame | str | Mapping[str, str]
USERS = topology.primary("users").name
"""The cluster that questions go to unless they name another one."""
GPUS = topology.primary("gpus").name


class Lab(Session):
    """The running lab of this checkout: ``.app`` and ``.gpu`` are its main clusters, ``.clusters`` all of them by name."""

    @property
    def app(self) -> Cluster:
        """The cluster where users arrive."""
        return self.primary("users")

    @property
    def gpu(self) -> Cluster:
        """The cluster where the GPUs are."""
        return self.primary("gpus")

    # Telemetry

    def query(self, promql: str, cluster: str = USERS, last: str | float = "5m", step: str | float | None = None) -> pd.DataFrame:
        """The series of ``promql`` over the last while: indexed by time (UTC), a column per series. See ``Prometheus.query``."""
        return self.prometheus(cluster).query(promql, last=last, step=step)

    def wait_until(self, promql: str, cluster: str = USERS, timeout: float = 60) -> pd.Series:
        """Wait until ``promql`` has a result: a comparison has one once it is true. ``timeout`` in seconds.

        Raises:
            TimedOut: it did not come true in time.
        """
        return self.prometheus(cluster).wait_until(promql, timeout=timeout)

    def chart(
        self,
        source: Source,
        *,
        title: str,
        unit: str = "",
        reading: str = "",
        cluster: str = USERS,
        last: str | float = "5m",
        faults: bool = True,
    ) -> Chart:
        """Draw a frame indexed by time, a query, or several (``{"running": promql, …}``: a line each).

        ``reading`` is the sentence under the chart; ``faults`` shades when one was active.
        """
        frame = source if isinstance(source, pd.DataFrame) else self._asked(source, cluster, last)
        panel = Panel(frame, title, unit)
        return draw([panel], title=title, reading=reading, windows=self.windows() if faults else ())

    def _asked(self, source: str | Mapping[str, str], cluster: str, last: str | float) -> pd.DataFrame:
        if isinstance(source, str):
            return self.query(source, cluster=cluster, last=last)
        frames = {name: self.query(promql, cluster=cluster, last=last) for name, promql in source.items()}
        named = [f.set_axis([name], axis=1) if f.shape[1] == 1 else f.add_prefix(f"{name} ") for name, f in frames.items()]
        return pd.concat(named, axis=1).sort_index()

    def timeline(self, last: str | float = "3m", *, since: float | None = None, reading: str = "") -> Chart:
        """GPU, model server, mesh and Kubernetes over the same span; ``since`` (Unix time, s) instead of ``last``."""
        span = timeline.span(since) if since is not None else last
        panels = timeline.panels(self.servers, span)
        panels.append(self._events(seconds(span)))
        return draw(panels, title="The same minutes on every layer", reading=reading, windows=self.windows())

    def _events(self, last: float) -> Panel:
        end = pd.Timestamp.now("UTC").floor("s")
        places = [(cluster.api, namespace) for cluster in self.clusters.values() for namespace in timeline.EVENT_NAMESPACES]
        try:
            events = [event for api, namespace in places for event in kube.select(api, "Event", namespace)]
        except LabError as error:
            return timeline.unavailable_panel(timeline.EVENTS, error)
        return timeline.events_panel(events, end - pd.Timedelta(seconds=last), end)

    def ask(self, title: str, *, last: str | float = "3m") -> Chart:
        """Put one of the questions in ``lab.questions()`` to Prometheus: prints its PromQL, and draws the answer.

        Raises:
            NotFound: there is no such question; the message lists those there are.
        """
        question = questions.find(title)
        print(f"# PromQL, cluster {question.cluster}\n{question.promql}")
        return self.chart(
            question.promql,
            title=question.title,
            unit=question.unit,
            reading=question.reading,
            cluster=question.cluster,
            last=last,
        )

    def questions(self) -> pd.DataFrame:
        """The questions that ``lab.ask`` knows: a row each, with the PromQL behind it."""
        rows = {q.title: {"unit": q.unit, "cluster": q.cluster, "promql": q.promql} for q in questions.QUESTIONS.values()}
        return pd.DataFrame.from_dict(rows, orient="index")

    def burn(self, title: str) -> pd.DataFrame:
        """How fast an objective's error budget burns now, a row per window; 1 would use it up exactly by the end of the period.

        Raises:
            NotFound: there is no such objective; the message lists those there are.
        """
        objective = slo.find(title)
        return slo.burn(objective, self.prometheus(objective.cluster))

    def sampling(self, look: Callable[[], Mapping[str, float]], every: float = 0.5) -> Sampling:
        """Call ``look`` every so many seconds while a ``with`` block runs; its ``.frame`` has a row per look."""
        return Sampling(look, every)

    def capacity(self, loads: Mapping[str, LoadResult], *, cluster: str = GPUS, title: str = "", reading: str = "") -> Chart:
        """What the model servers delivered against what each of these loads asked for, and where the queue began.

        Raises:
            UsageError: nothing of a load was answered.
        """
        found = {name: capacity.measure(load, self.prometheus(cluster)) for name, load in loads.items()}
        return capacity.draw(found, title=title, reading=reading)

    def footprint_chart(self) -> Chart:
        """What the lab's processes hold of this machine's memory."""
        return footprint.chart(self.backend.status()["children"])

    # Load

    @overload
    def load(
        self, target: str, *, rps: float, seconds: float, wait: Literal[True] = True, inside: str = "", **options: Any
    ) -> LoadResult: ...

    @overload
    def load(
        self, target: str, *, rps: float, seconds: float, wait: Literal[False], inside: str = "", **options: Any
    ) -> Load: ...

    def load(
        self, target: str, *, rps: float, seconds: float, wait: bool = True, inside: str = "", **options: Any
    ) -> LoadResult | Load:
        """Send ``rps`` requests a second for ``seconds`` from a Job, whether or not answers come.

        ``target`` is ``"chat"``, ``"model"`` (through the link), ``"model-server"`` (with ``cluster="gpu"``) or a URL;
        ``options`` are those of ``LoadPlan``. With ``inside="NAMESPACE/DEPLOYMENT"`` a running pod sends them (it has
        the lab's image): they begin sooner, and have that pod's identity.
        With ``wait=False`` it returns the running load: ``with lab.load(…, wait=False) as load: …``, then ``load.result()``.
        """
        plan = LoadPlan(target, rps, seconds, **options)
        cluster = self.cluster(plan.cluster)
        running: Load = PodLoad(cluster, plan, self.windows, inside) if inside else JobLoad(cluster.api, plan, self.windows)
        return running.result() if wait else running

    def mesh_cost(self, *, rps: float = 100, seconds: float = 2, rounds: int = 4) -> mesh_cost.MeshCost:
        """What the mesh adds to a call, and what its proxies need: see notebook 13, whose programs it asks.

        Raises:
            NotFound, TimedOut: they are not there, or Prometheus does not know them.
        """
        return mesh_cost.measure(self.clusters, self.servers, rps=rps, seconds=seconds, rounds=rounds)

    def mesh_rates(self, *, connections: int = 16, seconds: float = 3) -> pd.Series[float]:
        """Answers per second without a mesh and on each way through it; drawn by ``mesh_cost.rates``."""
        return mesh_cost.saturate(self.clusters, connections=connections, seconds=seconds)

    # Faults

    def fault(self, name: str, **parameters: Any) -> lifecycle.FaultContext:
        """A failure that is active inside a ``with`` block and healed when the block ends. ``lab fault list`` lists them.

        Raises:
            NotFound, UsageError: an unknown name or parameter; nothing was changed.
        """
        fault, complete = lifecycle.prepare(self, name, parameters)
        return lifecycle.FaultContext(self, fault, complete)

    def experiment(
        self,
        fault: lifecycle.FaultContext,
        load: Mapping[str, Any] | Load | None = None,
        hypothesis: Hypothesis | None = None,
        *,
        steady: float = 10,
        seconds: float = 20,
        recovery: float = 20,
    ) -> Experiment:
        """Steady state, failure, recovery under one load: does the hypothesis hold? The phases are in seconds.

        ``lab.experiment(lab.fault("gpu-overheat"))`` is enough. ``load`` has the words of ``LoadPlan`` (by default
        ``{"target": "chat", "rps": 6}``), or is one that runs already and goes on afterwards; a hypothesis is made by
        ``lab.hypothesis(…)``.
        """
        length = Length(steady, seconds, recovery)
        if isinstance(load, Load):
            return run_experiment(self, fault, load, hypothesis or Hypothesis(), length)
        words: dict[str, Any] = {"target": "chat", "rps": 6, "seconds": length.total} | dict(load or {})
        return run_experiment(self, fault, LoadPlan(**words), hypothesis or Hypothesis(), length)

    def hypothesis(self, claim: str, answered: float = 0.99, quick: float = 0.95, within: float = 4.0) -> Hypothesis:
        """What should be true of the requests while something is broken; ``answered`` and ``quick`` are shares from 0 to 1.

        Raises:
            UsageError: a share is none, or ``within`` (seconds) is not above 0.
        """
        return Hypothesis(claim, answered, quick, within)

    def snapshot(self, before: pd.DataFrame | None = None) -> pd.DataFrame:
        """A few numbers from every layer, now; with an earlier snapshot, also which of them moved."""
        return layers.snapshot(self.servers, before)

    def active_faults(self) -> list[Injection]:
        """The failures that are active now, the oldest first."""
        return self.journal.active()

    def heal(self) -> list[Injection]:
        """Heal every active failure and return them."""
        return lifecycle.heal_all(self)

    def serving_gpus(self) -> pd.DataFrame:
        """The GPUs that model servers use: a row each with ``pod``, ``node`` and ``gpu`` (index on the node)."""
        return serving_gpus(self)
