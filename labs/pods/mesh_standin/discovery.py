"""Envoy's configuration, handed to it over a Unix socket: REST discovery (xDS v3) whose answers wait for a change.

Not discovery files: Envoy uses one inotify instance per file, and Linux gives a user 128 of them for everything.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping

from labs.pods.mesh_standin import small_http
from labs.pods.mesh_standin.envoy_types import Message
from labs.pods.mesh_standin.small_http import Answer, Request

SOCKET = "discovery.sock"
HOLD = 20.0
"""Seconds an unchanged answer is held back before Envoy is told "not modified" and asks again."""
PATHS = {
    "/v3/discovery:clusters": "clusters",
    "/v3/discovery:listeners": "listeners",
    "/v3/discovery:routes": "routes",
    "/v3/discovery:secrets": "secrets",
}
BACKLOG = 64


class Discovery:
    """The current resources of each kind by name; kept as JSON text, which takes the least memory."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._resources: dict[str, dict[str, str]] = {kind: {} for kind in PATHS.values()}

    def set(self, kind: str, resources: Mapping[str, Message]) -> None:
        """Replace all resources of one kind; answer requests that wait for one that changed."""
        texts = {name: json.dumps(resource) for name, resource in resources.items()}
        with self._news:
            if self._resources[kind] != texts:
                self._resources[kind] = texts
                self._news.notify_all()

    def get(self, kind: str) -> list[Message]:
        with self._news:
            return [json.loads(text) for text in self._resources[kind].values()]

    def answer(self, kind: str, names: list[str], version: str, hold: float = HOLD) -> tuple[str, str] | None:
        """Version and JSON list of the resources asked for (all where ``names`` is empty) once they differ from ``version``;
        None if they have not within ``hold`` seconds."""

        def is_news() -> bool:
            return self._version(kind, names) != version

        with self._news:
            if not self._news.wait_for(is_news, hold):
                return None
            return self._version(kind, names), f"[{', '.join(self._chosen(kind, names))}]"

    def _chosen(self, kind: str, names: list[str]) -> list[str]:
        known = self._resources[kind]
        return [known[name] for name in names if name in known] if names else list(known.values())

    def _version(self, kind: str, names: list[str]) -> str:
        # Python's own hash, different in each process: Envoy never outlives this one.
        return f"{hash(tuple(self._chosen(kind, names))):x}"

    def serve(self, path: str = SOCKET) -> None:
        """Serve in daemon threads from now on, for processes of this user."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(BACKLOG)
        small_http.serve(listener, self._respond, "discovery")

    def _respond(self, request: Request) -> Answer:
        if request.target not in PATHS:
            return Answer(404, f"there are {', '.join(PATHS)}\n".encode())
        asked = json.loads(request.body, object_hook=_without_node)
        request.body.clear()  # 100 KB that are not needed while the answer waits
        found = self.answer(PATHS[request.target], asked.get("resource_names", []), asked.get("version_info", ""))
        if found is None:
            return Answer(304)
        text = f'{{"version_info": "{found[0]}", "type_url": {json.dumps(asked["type_url"])}, "resources": {found[1]}}}'
        return Answer(200, text.encode(), "application/json")


def _without_node(item: Message) -> Message | None:
    """A DiscoveryRequest without its node, in which Envoy lists every extension it was built with, each time."""
    return {key: value for key, value in item.items() if key != "node"} if "type_url" in item else None
