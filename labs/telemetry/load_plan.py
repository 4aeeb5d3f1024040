"""What a load sends: the plan, and the load generator's command line for it (flags: ``labs/pods/loadgen/README.md``)."""

from __future__ import annotations

from dataclasses import dataclass

from labs.errors import UsageError

ARRIVALS = ("poisson", "constant", "ramp", "burst")

TARGETS: dict[str, tuple[str, ...]] = {
    "chat": ("--url", "http://chat.shop.svc.cluster.local:8080", "--chat"),
    "model": ("--url", "http://model-server-gpu.ml.svc.cluster.local:8000"),
    "model-server": ("--url", "http://model-server.ml.svc.cluster.local:8000"),
}
"""Names for targets: the chat; the model server through the link; the model server in the same cluster."""


@dataclass(frozen=True)
class LoadPlan:
    """Send ``rps`` requests per second for ``seconds``, whether or not responses arrive.

    ``target`` is a name in ``TARGETS`` or the base URL of an OpenAI API. ``arrivals`` is one of ``ARRIVALS``; a ramp ends at
    ``rps``. ``users`` makes it a closed loop: that many users wait for their answers, and ``rps`` is ignored. ``prompt_tokens``
    and ``answer_tokens`` are lengths in tokens: ``"200"``, ``"uniform:50:400"`` or ``"lognormal:200:0.8"``. ``slo``, such as
    ``"ttft=0.5,tpot=0.05"`` in seconds, counts goodput. ``timeout`` is in seconds from the intended send time. ``cluster`` is
    where the load comes from.
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
        """Reject a plan that cannot run.

        Raises:
            UsageError: an option is invalid; the message names it.
        """
        if self.target not in TARGETS and not self.target.startswith("http://"):
            raise UsageError(f"no load target {self.target!r}", fix=f"{', '.join(TARGETS)}, or a URL that begins with http://")
        for name in ("rps", "seconds", "timeout", "max_tokens"):
            if not getattr(self, name) > 0:
                raise UsageError(f"expected {name} above 0; found {getattr(self, name)!r}")
        if self.arrivals not in ARRIVALS:
            raise UsageError(f"expected arrivals to be one of {', '.join(ARRIVALS)}; found {self.arrivals!r}")

    @property
    def offered(self) -> str:
        """How much it sends, as text."""
        return f"{self.users} users" if self.users else f"{self.rps:g} requests/s"

    def limits(self) -> dict[str, float]:
        """The limits of ``slo`` in seconds, by column of the records."""
        parts = [part.partition("=") for part in self.slo.split(",") if part]
        return {name: float(value) for name, _, value in parts}

    def arguments(self) -> list[str]:
        """The load generator's command line."""
        always: dict[str, object] = {
            "rps": self.rps,
            "seconds": self.seconds,
            "arrivals": self.arrivals,
            "timeout": self.timeout,
            "max-tokens": self.max_tokens,
            "seed": self.seed,
        }
        optional: dict[str, object] = {
            "users": self.users,
            "prompt-tokens": self.prompt_tokens,
            "answer-tokens": self.answer_tokens,
            "slo": self.slo,
        }
        options = always | {name: value for name, value in optional.items() if value}
        arguments = ["loadgen", *TARGETS.get(self.target, ("--url", self.target))]
        arguments += [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return [*arguments, "--stream"] if self.stream else arguments
