"""Images that cannot be had."""

from __future__ import annotations

from typing import Any

from labs.parity.expect import Text
from labs.parity.pods import LOOP, event, pod, waiting
from labs.parity.rows import Topic
from labs.parity.stage import Stage, condition

topic = Topic("kubelet_images", "kubelet", "Images that cannot be had")
SOURCE = "03-image-pull.txt"
NOWHERE = "registry.example.invalid/team/app:1"


def unknown(stage: Stage) -> Any:
    return pod(stage, "unknown", LOOP, image=NOWHERE)


@topic.row(
    "an image nobody has: what the container waits for in the end",
    real={"reason": "ImagePullBackOff", "message": Text(f'Back-off pulling image "{NOWHERE}": ErrImagePull: .*')},
    source=SOURCE, within=40,
)  # fmt: skip
def pull_back_off(stage: Stage) -> Any:
    return waiting(unknown(stage))


@topic.row("the pod meanwhile", real={"phase": "Pending", "PodReadyToStartContainers": "True"}, source=SOURCE, within=20)
def pod_of_an_unknown_image(stage: Stage) -> Any:
    found = unknown(stage)
    return {"phase": found["status"].get("phase"),
            "PodReadyToStartContainers": condition(found, "PodReadyToStartContainers").get("status")}  # fmt: skip


@topic.row(
    "its events",
    real={"Pulling": f'Pulling image "{NOWHERE}"', "Failed": Text(f'Failed to pull image "{NOWHERE}": .*'),
          "BackOff": f'Back-off pulling image "{NOWHERE}"'},
    source=SOURCE, within=40,
)  # fmt: skip
def events_of_a_failed_pull(stage: Stage) -> Any:
    unknown(stage)
    return {reason: event(stage, "unknown", reason) for reason in ("Pulling", "Failed", "BackOff")}


@topic.row(
    "the words in which the pull failed", real=Text('failed to pull and unpack image ".*": failed to resolve .*'),
    source=SOURCE, within=20,
    differs="there is no registry to ask: the message lists the images this backend can run instead",
)  # fmt: skip
def words_of_a_failed_pull(stage: Stage) -> Any:
    unknown(stage)
    return event(stage, "unknown", "Failed").partition(f'"{NOWHERE}": ')[2]


@topic.row(
    "an image name that is none",
    real={"reason": "InvalidImageName", "message": Text('Failed to apply default image tag .*couldn\'t parse image name .*')},
    source=SOURCE, within=20,
)  # fmt: skip
def malformed_name(stage: Stage) -> Any:
    return waiting(pod(stage, "malformed", LOOP, image="Team/App:1:2"))


@topic.row(
    "an image that is not on the node under imagePullPolicy Never",
    real={"reason": "ErrImageNeverPull",
          "message": 'Container image "local/nosuch:1" is not present with pull policy of Never'},
    source=SOURCE, within=20,
)  # fmt: skip
def never_pulled(stage: Stage) -> Any:
    return waiting(pod(stage, "never", LOOP, image="local/nosuch:1", imagePullPolicy="Never"))
