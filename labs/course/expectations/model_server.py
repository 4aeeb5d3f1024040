"""Notebook 03: the model server answers, and Prometheus sees it and its GPUs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from labs.course.checks import Finding, check
from labs.course.expectations.cluster_objects import deployments_available

if TYPE_CHECKING:
    from labs.lab import Lab


@check("03.1", "two model servers are ready in namespace ml", hint="kubectl --context gpu -n ml get pods", within=60)
def model_server_is_ready(lab: Lab) -> Finding:
    return deployments_available(lab.gpu, "ml", "model-server", pods=2)


@check("03.2", "Prometheus of the gpu cluster scrapes the model servers and all GPUs", hint="run step 3 again", within=60)
def prometheus_sees_them(lab: Lab) -> Finding:
    servers = lab.query('count(up{job="model-server"} == 1)', cluster=lab.gpu.name, last="5s")
    gpus = lab.query("count(DCGM_FI_DEV_GPU_UTIL)", cluster=lab.gpu.name, last="5s")
    counts = [0 if frame.empty else int(frame.iloc[-1].iloc[0]) for frame in (servers, gpus)]
    return Finding(counts == [2, 8], f"{counts[0]} model servers and {counts[1]} GPUs")


@check(
    "03.3", "the model server lists its model (before notebook 06 closes the door)", hint="lab url ml/model-server --cluster gpu"
)
def model_is_listed(lab: Lab) -> Finding:
    url = lab.url("ml/model-server", cluster=lab.gpu.name) + "/v1/models"
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            names = [row["id"] for row in json.load(response)["data"]]
    except (urllib.error.URLError, OSError) as error:
        return Finding(False, f"{url}: {error}")
    return Finding(bool(names), ", ".join(names) or "an empty list")
