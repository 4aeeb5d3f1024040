"""Only ``labs.waiting`` has loops that look, sleep and give up at a deadline: everything else calls it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from labs.config import ROOT

CLOCKS = {"monotonic", "perf_counter", "time"}
EXCEPTIONS = {
    "labs/waiting.py": "the place",
    "labs/embedded/service_proxy/edge.py": "not a deadline: it sleeps until a packet is due",
    "labs/pods/mesh_standin/proxy.py": "the image of the pods has labs.pods and labs.wire only",
    "labs/pods/roundtrip/client.py": "the image of the pods has labs.pods and labs.wire only",
    "labs/pods/roundtrip/watch.py": "it asks at a steady pace, whatever the answer; and it is in the image of the pods",
}
"""Modules with such a loop, and why."""


def calls(node: ast.AST, names: set[str]) -> bool:
    """Whether ``node`` contains a call of a function or method with one of ``names``."""
    found = (row.func for row in ast.walk(node) if isinstance(row, ast.Call))
    return any((isinstance(f, ast.Attribute) and f.attr in names) or (isinstance(f, ast.Name) and f.id in names) for f in found)


def readings(loop: ast.AST) -> set[str]:
    """The names that ``loop`` gives to what a clock said."""
    targets: list[ast.expr] = []
    for node in ast.walk(loop):
        if isinstance(node, ast.Assign) and calls(node.value, CLOCKS):
            targets += node.targets
        elif isinstance(node, ast.NamedExpr) and calls(node.value, CLOCKS):
            targets.append(node.target)
    return {target.id for target in targets if isinstance(target, ast.Name)}


def deadline_loops(text: str) -> Iterator[int]:
    """The lines of the loops of ``text`` that compare a clock with something and sleep."""
    for loop in ast.walk(ast.parse(text)):
        if not isinstance(loop, ast.While | ast.For | ast.AsyncFor):
            continue
        now = readings(loop)
        for compare in (node for node in ast.walk(loop) if isinstance(node, ast.Compare)):
            by_name = any(isinstance(node, ast.Name) and node.id in now for node in ast.walk(compare))
            if (by_name or calls(compare, CLOCKS)) and calls(loop, {"sleep"}):
                yield loop.lineno
                break


def modules() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "labs").rglob("*.py"))}


def test_waiting_is_in_one_place() -> None:
    found = {f"{name}:{line}" for name, text in modules().items() if name not in EXCEPTIONS for line in deadline_loops(text)}
    assert found == set(), "use attempts, async_attempts or wait_until of labs.waiting"


def test_every_exception_is_one() -> None:
    texts = modules()
    assert [name for name in EXCEPTIONS if not list(deadline_loops(texts[name]))] == []


@pytest.mark.parametrize(
    "loop",
    [
        "while not ready() and time.monotonic() < deadline:\n    time.sleep(0.1)",
        "while True:\n    if ready() or monotonic() > deadline:\n        break\n    sleep(0.1)",
        "while not ready():\n    if loop.time() - started > 20:\n        raise TimeoutError\n    await asyncio.sleep(0.1)",
        "while not ready():\n    if (now := time.monotonic()) and now > deadline:\n        break\n    time.sleep(0.1)",
        "while True:\n    spent = time.monotonic() - started\n    if spent >= timeout:\n        return\n    time.sleep(0.1)",
        "for pause in pauses:\n    if time.time() > deadline:\n        break\n    time.sleep(pause)",
    ],
)
def test_a_planted_loop_is_seen(loop: str) -> None:
    body = "\n".join(f"    {line}" for line in loop.splitlines())
    assert list(deadline_loops(f"async def wait():\n{body}\n")) == [2]


@pytest.mark.parametrize(
    "loop",
    [
        "while not ready():\n    time.sleep(0.1)",
        "for _ in attempts(20):\n    if ready():\n        break",
        "while chunk := read():\n    seen.append((time.monotonic(), chunk))",
    ],
)
def test_other_loops_are_not(loop: str) -> None:
    assert list(deadline_loops(loop)) == []
