"""The Open Inference Protocol, version 2, over HTTP, for the classifier.

The protocol: https://github.com/kserve/open-inference-protocol. One model: a tensor ``text`` (BYTES, shape [n]) goes in, ``team``
(BYTES, [n]) and ``probability`` (FP64, [n, teams]) come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from labs.pods.model_server.classifier import Classifier
from labs.wire.json_body import BadBody, read_json

MODEL = "runbook-triage"
VERSION = "1"
OUTPUTS = ("team", "probability")

Json = dict[str, Any]


class InvalidRequest(ValueError):
    """The request does not follow the protocol, or is not for this model."""


@dataclass(frozen=True)
class InferenceRequest:
    """Texts to classify, and which outputs to return."""

    id: str | None
    texts: list[str]
    outputs: tuple[str, ...]


def parse(body: Any) -> InferenceRequest:
    """The request in a decoded JSON ``body``.

    Raises:
        InvalidRequest: the message says what was expected and what was found.
    """
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise InvalidRequest("expected an object with inputs, a list of one tensor named text")
    wanted = body.get("outputs") or [{"name": name} for name in OUTPUTS]
    names = tuple(output.get("name") for output in wanted) if _objects(wanted) else ()
    if not names or not set(names) <= set(OUTPUTS):
        raise InvalidRequest(f"expected outputs to name some of {', '.join(OUTPUTS)}; found {wanted!r}"[:300])
    id = body.get("id")
    if id is not None and not isinstance(id, str):
        raise InvalidRequest(f"expected id to be a string; found {id!r}"[:300])
    return InferenceRequest(id, _texts(inputs[0]), names)


def _objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _texts(tensor: Json) -> list[str]:
    found = (tensor.get("name"), tensor.get("datatype"))
    if found != ("text", "BYTES"):
        raise InvalidRequest(f"expected the tensor text of datatype BYTES; found {found[0]!r} of {found[1]!r}"[:300])
    data, shape = tensor.get("data"), tensor.get("shape")
    if not isinstance(data, list) or not all(isinstance(text, str) for text in data):
        raise InvalidRequest("expected data to be a flat list of strings")
    if shape != [len(data)]:
        raise InvalidRequest(f"expected shape to be [{len(data)}], the number of strings in data; found {shape!r}"[:300])
    return data


def infer(classifier: Classifier, request: InferenceRequest) -> Json:
    """The answer's body. Tensors are flat, row after row."""
    rows = [classifier.probabilities(text) for text in request.texts]
    n, labels = len(rows), classifier.labels
    tensors: dict[str, Json] = {
        "team": {"shape": [n], "datatype": "BYTES", "data": [max(row, key=row.__getitem__) for row in rows]},
        "probability": {
            "shape": [n, len(labels)],
            "datatype": "FP64",
            "data": [row[label] for row in rows for label in labels],
            "parameters": {"labels": ",".join(labels)},
        },
    }
    outputs = [{"name": name, **tensors[name]} for name in request.outputs]
    return {"model_name": MODEL, "model_version": VERSION, "outputs": outputs} | ({"id": request.id} if request.id else {})


@dataclass(frozen=True)
class InferenceProtocol:
    """The handlers under ``/v2``. The classifier needs no GPU: it is ready as soon as the process is."""

    classifier: Classifier

    def routes(self) -> list[web.RouteDef]:
        model = f"/v2/models/{MODEL}"
        paths = [model, f"{model}/versions/{VERSION}"]
        return [
            web.get("/v2", self.server),
            web.get("/v2/health/live", self.live),
            web.get("/v2/health/ready", self.ready),
            *(web.get(path, self.model) for path in paths),
            *(web.get(f"{path}/ready", self.model_ready) for path in paths),
            *(web.post(f"{path}/infer", self.infer) for path in paths),
        ]

    async def server(self, _: web.Request) -> web.Response:
        return web.json_response({"name": "boring-ops-lab", "version": VERSION, "extensions": []})

    async def live(self, _: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def ready(self, _: web.Request) -> web.Response:
        return web.json_response({"ready": True})

    async def model_ready(self, _: web.Request) -> web.Response:
        return web.json_response({"name": MODEL, "ready": True})

    async def model(self, _: web.Request) -> web.Response:
        teams = len(self.classifier.labels)
        body = {
            "name": MODEL,
            "versions": [VERSION],
            "platform": "boring-ops-lab_naive-bayes",
            "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [
                {"name": "team", "datatype": "BYTES", "shape": [-1]},
                {"name": "probability", "datatype": "FP64", "shape": [-1, teams]},
            ],
        }
        return web.json_response(body)

    async def infer(self, http: web.Request) -> web.Response:
        try:
            return web.json_response(infer(self.classifier, parse(await read_json(http, typed=False))))
        except BadBody as error:
            answer = web.json_response({"error": str(error)}, status=error.status)
            answer.force_close()
            return answer
        except InvalidRequest as error:
            return web.json_response({"error": str(error)}, status=400)
