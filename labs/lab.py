"""``Lab``: the one object a notebook holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import pandas as pd

from labs import config, kube
from labs.clusters import backends
from labs.clusters.base import Backend, Cluster
from labs.errors import LabError, NotFound, NotRunning, UsageError
from labs.faults import session
from labs.faults.experiments import planes
from labs.faults.experiments.hypothesis import Hypothesis
from labs.faults.experiments.result import Experiment
from labs.faults.experiments.run import Bench, Length
from labs.faults.experiments.run import run as run_experiment
from labs.faults.injectors.base import Scene
from labs.faults.injectors.cards import serving_gpus
from labs.faults.journal import Injection, Journal
from labs.mesh.base import Mesh
from labs.mesh.choice import mesh_for
from labs.telemetry import capacity, footprint, mesh_cost, questions, slo, story
from labs.telemetry.charts import Chart, Panel, draw
from labs.telemetry.load import LoadPlan, LoadResult, RunningLoad, stop_orphans
from labs.telemetry.pod_load import PodLoad
from labs.telemetry.prometheus import Prometheus, seconds
from labs.telemetry.sampling import Sampling
from labs.telemetry.windows import Window

if TYPE_CHECKING:
    from labs.course.checks import Report
    from labs.course.control_room.room import ControlRoom
    from labs.course.gameday.game import GameDay
    from labs.course.gameday.incident import Incident

Source = pd.DataFrame | str | Mapping[str, str]


class Lab:
    """The running lab of this checkout: ``.app`` and ``.gpu`` are its clusters, ``.clusters`` all of them by name."""

    def __init__(self, backend: Backend, journal: Journal | None = None) -> None:
        self.backend = backend
        self.clusters: dict[str, Cluster] = backend.clusters()
        self.journal = journal or Journal()
        self._prometheus: dict[str, Prometheus] = {}

    @classmethod
    def open(cls) -> Lab:
        """Find the running lab, and set KUBECONFIG, PATH and LAB_MANIFESTS for the ``%%bash`` cells that follow.

        A failure that a kernel left when it was restarted is healed, and a load is stopped.

        Raises:
            NotRunning: none is up.
        """
        backend = backends.current()
        if not config.KUBECONFIG.exists():
            raise NotRunning("no lab is up in this checkout", fix="lab up")
        backend.status()
        lab = cls(backend)
        set_environment(lab)
        show_captions()
        for injection in session.heal_orphans(lab.scene, lab.journal):
            print(f"healed what an earlier kernel left: {injection.title}")
        for name in stop_orphans(lab.app.api):
            print(f"stopped what an earlier kernel left: {name}")
        return lab

    @property
    def app(self) -> Cluster:
        """The cluster where users arrive."""
        return self.cluster("app")

    @property
    def gpu(self) -> Cluster:
        """The cluster where the GPUs are."""
        return self.cluster("gpu")

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name.

        Raises:
            NotFound: there is none; the message lists those there are.
        """
        if name not in self.clusters:
            raise NotFound("cluster", name, list(self.clusters))
        return self.clusters[name]

    @property
    def mesh(self) -> Mesh:
        """The mesh of this backend."""
        return mesh_for(self.backend.can)

    def url(self, service: str, cluster: str, port: int | str | None = None) -> str:
        """A URL this machine can open for ``"NAMESPACE/SERVICE"``; ``port`` is a number or a name, the first if None."""
        namespace, slash, name = service.partition("/")
        if not (namespace and slash and name):
            raise UsageError(f"expected NAMESPACE/SERVICE; found {service!r}", fix='lab.url("shop/chat", cluster="app")')
        return self.backend.service_url(self.cluster(cluster).name, namespace, name, port)

    # Telemetry

    def prometheus(self, cluster: str = "app") -> Prometheus:
        """The Prometheus of a cluster."""
        if cluster not in self._prometheus:
            self._prometheus[cluster] = Prometheus(self.url("monitoring/prometheus", cluster), cluster)
        return self._prometheus[cluster]

    def prometheus_servers(self) -> dict[str, Prometheus]:
        """All of them, by cluster."""
        return {name: self.prometheus(name) for name in self.clusters}

    def query(self, promql: str, cluster: str = "app", last: str | float = "5m", step: str | float | None = None) -> pd.DataFrame:
        """The series of ``promql`` over the last while: indexed by time (UTC), a column per series. See ``Prometheus.query``."""
        return self.prometheus(cluster).query(promql, last=last, step=step)

    def wait_until(self, promql: str, cluster: str = "app", timeout: float = 60) -> pd.Series:
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
        cluster: str = "app",
        last: str | float = "5m",
        faults: bool = True,
    ) -> Chart:
        """Draw a frame indexed by time, a query, or several (``{"running": promql, …}``: a line each).

        ``reading`` is the one sentence that stands under the chart; ``faults`` shades when one was in force.
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

    def story(self, last: str | float = "3m", *, since: float | None = None, reading: str = "") -> Chart:
        """GPU, model server, mesh and Kubernetes over the same span; ``since`` (Unix time, s) instead of ``last``."""
        span = story.span(since) if since is not None else last
        panels = story.panels(self.prometheus_servers(), span)
        panels.append(self._events(seconds(span)))
        return draw(panels, title="The same minutes on every plane", reading=reading, windows=self.windows())

    def _events(self, last: float) -> Panel:
        end = pd.Timestamp.now("UTC").floor("s")
        places = [(cluster.api, namespace) for cluster in self.clusters.values() for namespace in story.EVENT_NAMESPACES]
        try:
            events = [event for api, namespace in places for event in kube.select(api, "Event", namespace)]
        except LabError as error:
            return story.silent_plane(story.EVENTS, error)
        return story.events_panel(events, end - pd.Timedelta(seconds=last), end)

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

    def capacity(self, loads: Mapping[str, LoadResult], *, cluster: str = "gpu", title: str = "", reading: str = "") -> Chart:
        """What the model servers gave against what was asked of them in each of these loads, and where the queue began.

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
    ) -> RunningLoad: ...

    def load(
        self, target: str, *, rps: float, seconds: float, wait: bool = True, inside: str = "", **options: Any
    ) -> LoadResult | RunningLoad:
        """Send ``rps`` requests a second for ``seconds`` from a Job, whether or not answers come.

        ``target`` is ``"chat"``, ``"model"`` (through the link), ``"model-server"`` (with ``cluster="gpu"``) or a URL;
        ``options`` are those of ``LoadPlan``. With ``inside="NAMESPACE/DEPLOYMENT"`` a pod that runs already sends them (it has
        the lab's image): they begin sooner, and have that pod's identity.
        With ``wait=False`` it returns the running load: ``with lab.load(…, wait=False) as load: …``, then ``load.result()``.
        """
        plan = LoadPlan(target, rps, seconds, **options)
        cluster = self.cluster(plan.cluster)
        running = PodLoad(cluster, plan, self.windows, inside) if inside else RunningLoad(cluster.api, plan, self.windows)
        return running.result() if wait else running

    def mesh_cost(self, *, rps: float = 100, seconds: float = 2, rounds: int = 4) -> mesh_cost.MeshCost:
        """What the mesh adds to a call, and what its proxies need: see notebook 13, whose programs it asks.

        Raises:
            NotFound, TimedOut: they are not there, or Prometheus does not know them.
        """
        return mesh_cost.measure(self.clusters, self.prometheus_servers(), rps=rps, seconds=seconds, rounds=rounds)

    def mesh_rates(self, *, connections: int = 16, seconds: float = 3) -> pd.Series[float]:
        """Answers per second without a mesh and on each way through it; drawn by ``mesh_cost.rates``."""
        return mesh_cost.saturate(self.clusters, connections=connections, seconds=seconds)

    # Faults

    def fault(self, name: str, **where: Any) -> session.FaultSession:
        """A failure for the time of a ``with`` block, healed on leaving it. What is known: ``lab fault list``.

        Raises:
            NotFound, UsageError: the name or the place is off; nothing was changed.
        """
        fault, place = session.prepare(self.scene, self.journal, name, where)
        return session.FaultSession(self.scene, self.journal, fault, place)

    @property
    def scene(self) -> Scene:
        """The lab as injectors see it."""
        return Scene(self.backend, self.clusters)

    def experiment(
        self,
        fault: session.FaultSession,
        load: Mapping[str, Any] | RunningLoad | None = None,
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
        bench = Bench(self.scene, self.prometheus_servers(), self.windows)
        if isinstance(load, RunningLoad):
            return run_experiment(bench, fault, load, hypothesis or Hypothesis(), length)
        words: dict[str, Any] = {"target": "chat", "rps": 6, "seconds": length.total} | dict(load or {})
        return run_experiment(bench, fault, LoadPlan(**words), hypothesis or Hypothesis(), length)

    def hypothesis(self, claim: str, answered: float = 0.99, quick: float = 0.95, within: float = 4.0) -> Hypothesis:
        """What should be true of the requests while something is broken; ``answered`` and ``quick`` are shares from 0 to 1.

        Raises:
            UsageError: a share is none, or ``within`` (seconds) is not above 0.
        """
        return Hypothesis(claim, answered, quick, within)

    def glance(self, before: pd.DataFrame | None = None) -> pd.DataFrame:
        """A few numbers of every plane, now; with an earlier glance also which of them moved."""
        return planes.glance(self.prometheus_servers(), before)

    def active_faults(self) -> list[Injection]:
        """The failures in force now, the oldest first."""
        return self.journal.active()

    def heal(self) -> list[Injection]:
        """Heal every failure in force and return them."""
        return session.heal_all(self.scene, self.journal)

    def windows(self) -> Sequence[Window]:
        """When faults were in force, for charts."""
        return [injection.window() for injection in self.journal.all()]

    def serving_gpus(self) -> pd.DataFrame:
        """The cards that model servers use: a row each with ``pod``, ``node`` and ``gpu`` (index on the node)."""
        return serving_gpus(self.scene)

    # The course

    def control_room(self) -> ControlRoom:
        """A panel with both clusters live, a card per GPU, and controls for load and failures; ``.close()`` ends it."""
        from labs.course.control_room.room import ControlRoom

        return ControlRoom.open(self)

    def game_day(self, level: int = 1, player: str = "anonymous", seed: int | None = None) -> GameDay:
        """A mystery failure to be found: ``game.start()``, ``game.page()``, ``game.hint()``, ``game.diagnose(…)``.

        Raises:
            UsageError: there is no such level.
        """
        from labs.course.gameday.game import GameDay

        return GameDay(self, level, player, seed)

    def incident(self) -> Incident:
        """One long incident with two causes, to be debugged: ``incident.start()``, ``incident.page()``, ``incident.close()``."""
        from labs.course.gameday.incident import Incident

        return Incident(self)

    def leaderboard(self, *files: str) -> pd.DataFrame:
        """The games of this machine, or of the files an instructor has collected; the best first."""
        from labs.course.gameday import leaderboard

        return leaderboard.read(files)

    def check(self, id: str) -> Report:
        """Look whether the steps of a notebook (``"05"``) or one of them (``"05.2"``) were really done.

        Raises:
            CheckFailed: what was expected, what was found, what to try.
        """
        from labs.course.checks import run_check

        return run_check(self, id)

    def __repr__(self) -> str:
        return f"<lab on backend {self.backend.name}: clusters {', '.join(self.clusters)}>"


def set_environment(lab: Lab) -> None:
    """What ``%%bash`` cells need: this lab's kubeconfig, its tools first on the PATH, the manifests of this backend.

    And ``LAB_GPU_API_SERVER``, at which the app cluster reaches the gpu cluster's API server (``linkerd multicluster link``).
    """
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    first = str(config.BIN)
    os.environ["PATH"] = os.pathsep.join([first, *(part for part in path if part != first)])
    lab.mesh.install_cli(config.BIN)
    os.environ["KUBECONFIG"] = str(config.KUBECONFIG)
    os.environ["LAB_MANIFESTS"] = str(config.STATE / "manifests")
    os.environ["LAB_GPU_API_SERVER"] = lab.backend.api_server("gpu")


def show_captions() -> None:
    """In a notebook, put a chart's sentence and table under the picture."""
    from labs.course import display

    display.register(Chart)
