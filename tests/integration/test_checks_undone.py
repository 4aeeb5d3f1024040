"""Every check of a notebook fails when its step is undone, says what it found, and passes when the step is done again.

Undoing is written as the learner would type it; the clusters are brought to the end of a notebook by the notebooks' own steps.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from labs import config
from labs.course.catchup import notebooks_before, run_steps
from labs.course.checks import Result, run_one, select
from labs.course.execute import kernel_environment
from labs.course.gameday import leaderboard, mystery
from labs.course.notebook_lab import NotebookLab, open_lab
from labs.course.notebooks import find

pytestmark = [pytest.mark.integration, pytest.mark.course, pytest.mark.timeout(600)]
TO_FAIL = 45
"""Seconds until a check must have noticed: an endpoint, an allocatable count or a mirror takes a few."""
TO_PASS = 90
"""Seconds until all is well again: a rollout of the model server with its proxy is the longest."""


@dataclass(frozen=True)
class Row:
    """Shell lines that undo a step and do it again, and what each check must then say it found (a regular expression)."""

    undo: str
    redo: str
    found: dict[str, str]


APPLY = "kubectl --context gpu apply -k"
MODEL = "kubectl --context gpu -n ml"
HOARDER = '{"spec": {"containers": [{"name": "h", "image": "busybox:1", "resources": {"limits": {"nvidia.com/gpu": "9"}}}]}}'

BEFORE_THE_MESH = [
    Row(
        "kubectl --context app delete deployment hello",
        "kubectl --context app create deployment hello --image=busybox:1 --replicas=4 -- sleep 3600",
        {"01.2": "there is no hello in default"},
    ),
    Row(
        "kubectl --context app cordon app-worker",
        "kubectl --context app uncordon app-worker",
        {"01.3": "cordoned: app-worker"},
    ),
    Row(
        f"kubectl --context gpu run hoarder --image=busybox:1 --restart=Never --overrides='{HOARDER}'",
        "kubectl --context gpu delete pod hoarder --grace-period=1",
        {"02.3": "Pending: hoarder"},
    ),
    Row(
        f"{MODEL} scale deployment model-server --replicas=0",
        f"{MODEL} scale deployment model-server --replicas=2",
        {"03.1": "model-server has 0 ready pods", "03.2": "0 model servers and 8 GPUs", "03.3": r"http://127\..*: "},
    ),
    Row(
        f"{MODEL} scale deployment model-server --replicas=1",
        f"{MODEL} scale deployment model-server --replicas=2",
        {"03.1": "model-server has 1 ready pods", "03.2": "1 model servers and 8 GPUs"},
    ),
    Row(
        "kubectl --context gpu -n monitoring delete deployment prometheus",
        f"{APPLY} $LAB_MANIFESTS/prometheus-gpu",
        {"03.2": "Prometheus of cluster gpu"},
    ),
    Row(
        "kubectl --context gpu -n gpu-system delete daemonset gpu-simulator",
        f"{APPLY} ../clusters/manifests/gpu-simulator",
        {"02.1": 'daemonsets.apps "gpu-simulator" not found', "02.2": "gpu-worker 0, gpu-worker2 0"},
    ),
]

POLICY = "../clusters/manifests/model-policy"
DENY = "config.linkerd.io/default-inbound-policy"
RESTART = f"{MODEL} rollout restart deployment model-server; {MODEL} rollout status deployment model-server --timeout=90s"
OPEN = (
    f"kubectl --context gpu delete -f {POLICY}/server.yaml -f {POLICY}/allow-callers.yaml; "
    f"kubectl --context gpu annotate namespace ml {DENY}-; {RESTART}"
)
ROOTS = "kubectl --context app -n linkerd patch configmap linkerd-identity-trust-roots --type=json -p"
ANCHORS = "/data/ca-bundle.crt"

WITH_THE_MESH = [
    Row(
        "kubectl --context gpu -n linkerd scale deployment linkerd-destination --replicas=0",
        "kubectl --context gpu -n linkerd scale deployment linkerd-destination --replicas=1",
        {"04.1": "gpu: linkerd-destination has 0 ready pods"},
    ),
    Row(
        f'{ROOTS} \'[{{"op": "copy", "from": "{ANCHORS}", "path": "/data/kept"}},'
        f' {{"op": "replace", "path": "{ANCHORS}", "value": "another"}}]\'',
        f'{ROOTS} \'[{{"op": "move", "from": "/data/kept", "path": "{ANCHORS}"}}]\'',
        {"04.3": "they differ"},
    ),
    Row(
        f"kubectl --context gpu annotate namespace ml linkerd.io/inject-; {RESTART}",
        f"kubectl --context gpu annotate namespace ml linkerd.io/inject=enabled; {RESTART}",
        {"04.2": "without a ready proxy: model-server-"},
    ),
    Row(
        "kubectl --context gpu -n linkerd-multicluster scale deployment linkerd-gateway --replicas=0",
        "kubectl --context gpu -n linkerd-multicluster scale deployment linkerd-gateway --replicas=1",
        {"05.1": "linkerd-gateway has 0 ready pods", "05.4": "the chat answered 50[234]", "06.3": "the chat answered 50[234]"},
    ),
    Row(
        f"{MODEL} label service model-server mirror.linkerd.io/exported-",
        f"{MODEL} label service model-server mirror.linkerd.io/exported=true",
        {"05.2": "no mirrored service in ml|^model-server-flat-gpu$"},
    ),
    Row(
        "kubectl --context app -n shop delete deployment chat",
        "kubectl --context app apply -k ../clusters/manifests/chat",
        {"05.3": "no pod with app.kubernetes.io/name=chat in shop"},
    ),
    Row(
        OPEN,
        f"kubectl --context gpu apply -f {POLICY}/server.yaml -f {POLICY}/allow-callers.yaml; "
        f"kubectl --context gpu annotate namespace ml {DENY}=deny; {RESTART}",
        {"06.1": "status 200", "06.2": '"model-callers" not found', "06.4": "deny: ml, model-server-"},
    ),
    Row(
        f"kubectl --context gpu apply -f {POLICY}/allow-chat.yaml",
        f"kubectl --context gpu apply -f {POLICY}/allow-callers.yaml",
        {"06.2": "chat.shop", "06.3": "the chat answered"},
    ),
    Row(
        f"kubectl --context gpu apply -f {POLICY}/allow-gateway.yaml",
        f"kubectl --context gpu apply -f {POLICY}/allow-callers.yaml",
        {"06.5": "the chat 403, the visitor 403"},
    ),
    Row(
        "lab fault inject gpu-xid79",
        "lab fault heal --all",
        {"08.1": "active: gpu-xid79", "08.2": r"gpu-worker2? 3", "08.3": "model-server has 1 ready pods"},
    ),
    Row(
        "lab fault inject gateway-down",
        "lab fault heal --all",
        {"08.1": "active: gateway-down", "08.4": "the chat answered 50[234]"},
    ),
]

COST = "kubectl --context app -n cost"
WITH_COST = [
    Row(
        f"{COST} delete deployment asker",
        "kubectl --context app apply -f ../clusters/manifests/mesh-cost/askers.yaml",
        {"13.1": "app: no pod with app=asker in cost"},
    ),
    Row(
        "kubectl --context gpu -n cost label service echo-flat mirror.linkerd.io/exported-",
        "kubectl --context gpu -n cost label service echo-flat mirror.linkerd.io/exported=remote-discovery",
        {"13.2": "^echo-gpu through the gateway$"},
    ),
]

ANSWERS = "kubectl --context app -n resilience"
WITH_RESILIENCE = [
    Row(
        f"{ANSWERS} delete deployment answers answers-v2",
        "kubectl --context app apply -k ../clusters/manifests/answers; "
        "kubectl --context app apply -f ../clusters/manifests/answers/caller.yaml",
        {"09.1": "no pod with app=answers in resilience", "09.4": "status 50[234]|no answer"},
    ),
    Row(
        "kubectl --context gpu -n resilience label service answers mirror.linkerd.io/exported-",
        "kubectl --context gpu -n resilience label service answers mirror.linkerd.io/exported=true",
        {"09.2": "missing: answers-gpu$"},
    ),
    Row(
        f"{ANSWERS} annotate service answers balancer.linkerd.io/failure-accrual-",
        f"{ANSWERS} annotate service answers balancer.linkerd.io/failure-accrual=consecutive",
        {"09.3": "no annotation"},
    ),
]

LOADED = """python - <<'END'
import labs
lab = labs.open()
for gpus, rps in ((1, 14), (2, 20)):
    lab.gpu.kubectl("-n", "ml", "scale", "deployment", "model-server", f"--replicas={gpus}")
    lab.wait_until('count(up{job="ready-endpoints"}) == ' + str(gpus), cluster="gpu")
    lab.load("model", rps=rps, seconds=10, arrivals="constant", answer_tokens="64")
END"""
WITH_CAPACITY = [
    Row(
        f"{MODEL} scale deployment model-server --replicas=1",
        f"{MODEL} scale deployment model-server --replicas=2",
        {"10.1": "model-server has 1 ready pods"},
    ),
    Row(
        "kubectl --context gpu -n monitoring rollout restart deployment prometheus; "
        "kubectl --context gpu -n monitoring rollout status deployment prometheus --timeout=60s",
        LOADED,
        {"10.2": "never just one model server ready|0 waited", "10.3": "never two model servers|0 tokens"},
    ),
]

SEED = 8
"""Of a game in which the gateway goes away: quick to make and to heal."""
BOARD = "../report/leaderboard.jsonl"
WITH_A_GAME = [
    Row(
        "lab fault inject link-latency latency=700",
        "lab fault heal --all",
        {"11.1": "still active: link-latency", "12.2": "still active: link-latency"},
    ),
    Row(
        "lab fault inject bad-rollout",
        "lab fault heal --all",
        {"11.1": "still active: bad-rollout", "11.2": "model-server runs with model-server --max-model-len=64"},
    ),
    Row(
        f"{MODEL} scale deployment model-server --replicas=1",
        f"{MODEL} scale deployment model-server --replicas=2",
        {"11.2": "model-server has 1 ready pods"},
    ),
    Row(
        "kubectl --context gpu -n linkerd-multicluster scale deployment linkerd-gateway --replicas=0",
        "kubectl --context gpu -n linkerd-multicluster scale deployment linkerd-gateway --replicas=1",
        {"11.3": "the chat answered 50[234]"},
    ),
    Row(f"mv {BOARD} {BOARD}.kept", f"mv {BOARD}.kept {BOARD}", {"12.1": "no game was played to the end"}),
    Row(
        f'mv {BOARD} {BOARD}.kept; sed \'s/"points": [0-9]*/"points": 40/\' {BOARD}.kept > {BOARD}',
        f"mv {BOARD}.kept {BOARD}",
        {"12.1": "the best, by .*, scored 40 points"},
    ),
]


def shell(lines: str) -> None:
    """Run what a learner's ``%%bash`` cell would."""
    done = subprocess.run(
        ["bash", "-euc", lines], cwd=config.NOTEBOOKS, env=kernel_environment(), capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr


def look(lab: NotebookLab, id: str, within: float) -> Result:
    (check,) = select(id)
    return run_one(lab, dataclasses.replace(check, within=within))


def fails(lab: NotebookLab, id: str, found: str) -> None:
    """The check fails before long, with what was found and what to type; it does not wait for what will not come."""
    deadline = time.monotonic() + TO_FAIL
    while True:
        result = look(lab, id, 0)
        if not result.passed and re.search(found, result.found):
            break
        assert time.monotonic() < deadline, f"{id}: passed {result.passed}, found {result.found!r}, not {found!r}"
        time.sleep(0.5)
    assert result.hint


def undone_and_redone(lab: NotebookLab, row: Row) -> None:
    for id in row.found:
        assert look(lab, id, TO_PASS).passed, f"{id} must pass before its step is undone"
    try:
        shell(row.undo)
        for id, found in row.found.items():
            fails(lab, id, found)
    finally:
        shell(row.redo)
    for id in row.found:
        result = look(lab, id, TO_PASS)
        assert result.passed, f"{id} after {row.redo!r}: {result.found}"


def caught_up(number: str) -> NotebookLab:
    for notebook in notebooks_before(number):
        outcome = run_steps(notebook, lambda _index, _count: None)
        assert not outcome.error, outcome.error
    return open_lab()


@pytest.fixture(scope="module")
def lab(lab_up: None) -> Iterator[NotebookLab]:
    """The clusters as after notebook 03; what would be in other tests' way is removed afterwards."""
    yield caught_up("04")
    shell("kubectl --context app delete deployment hello --ignore-not-found")


@pytest.fixture(scope="module")
def meshed(lab: NotebookLab) -> Iterator[NotebookLab]:
    """The clusters as after notebook 06."""
    yield caught_up("07")
    shell(f"lab fault heal --all; kubectl --context app delete -f {POLICY}/visitor.yaml --wait=false")
    shell(f"kubectl --context gpu delete -f {POLICY}/numbers.yaml -f {POLICY}/flat.yaml; {OPEN}")


@pytest.mark.parametrize("row", BEFORE_THE_MESH, ids=lambda row: "+".join(row.found))
def test_before_the_mesh(lab: NotebookLab, row: Row) -> None:
    undone_and_redone(lab, row)


def test_a_node_that_is_silent_is_not_ready(lab: NotebookLab) -> None:
    (agent,) = [child["pid"] for child in lab.backend.status()["children"] if child["name"] == "app/app-worker2"]
    os.kill(agent, signal.SIGSTOP)
    try:
        fails(lab, "01.1", "not Ready: app-worker2")
    finally:
        os.kill(agent, signal.SIGCONT)
    assert look(lab, "01.1", TO_PASS).passed


@pytest.mark.parametrize("row", WITH_THE_MESH, ids=lambda row: "+".join(row.found))
def test_with_the_mesh(meshed: NotebookLab, row: Row) -> None:
    undone_and_redone(meshed, row)


@pytest.fixture(scope="module")
def resilient(meshed: NotebookLab) -> Iterator[NotebookLab]:
    """The clusters as after notebook 09."""
    outcome = run_steps(find("09"), lambda _index, _count: None)
    assert not outcome.error, outcome.error
    yield meshed
    shell("for context in app gpu; do kubectl --context $context delete namespace resilience --wait=false; done")


@pytest.mark.parametrize("row", WITH_RESILIENCE, ids=lambda row: "+".join(row.found))
def test_with_resilience(resilient: NotebookLab, row: Row) -> None:
    undone_and_redone(resilient, row)


@pytest.fixture(scope="module")
def loaded(resilient: NotebookLab) -> NotebookLab:
    """The clusters as after notebook 10, which is about what was measured."""
    shell(LOADED)
    return resilient


@pytest.mark.parametrize("row", WITH_CAPACITY, ids=lambda row: "+".join(row.found))
def test_with_capacity(loaded: NotebookLab, row: Row) -> None:
    undone_and_redone(loaded, row)


@pytest.fixture(scope="module")
def measured(meshed: NotebookLab) -> Iterator[NotebookLab]:
    """The clusters as after the steps of notebook 13."""
    outcome = run_steps(find("13"), lambda _index, _count: None)
    assert not outcome.error, outcome.error
    yield meshed
    gone = "delete namespace cost cost-plain --ignore-not-found --wait=false"
    shell(f"for context in app gpu; do kubectl --context $context {gone}; done")


@pytest.mark.parametrize("row", WITH_COST, ids=lambda row: "+".join(row.found))
def test_with_the_cost(measured: NotebookLab, row: Row) -> None:
    undone_and_redone(measured, row)


@pytest.fixture(scope="module")
def played(meshed: NotebookLab) -> Iterator[NotebookLab]:
    """The clusters as after notebooks 11 and 12: an incident and a game are over. The leaderboard is put back afterwards."""
    board = leaderboard.FILE.read_text() if leaderboard.FILE.exists() else ""
    shell("lab fault inject link-latency; lab fault inject bad-rollout; lab fault heal --all")
    right = mystery.draw(mystery.possible(meshed, 1), SEED)
    game = meshed.game_day(level=1, player="test", seed=SEED)
    game.start(steady=3)
    game.diagnose(right.fault.layer, right.fault.object, right.right_letter)
    yield meshed
    leaderboard.FILE.write_text(board)


@pytest.mark.parametrize("row", WITH_A_GAME, ids=lambda row: "+".join(row.found))
def test_with_a_game(played: NotebookLab, row: Row) -> None:
    undone_and_redone(played, row)
