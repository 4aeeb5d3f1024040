"""Images that are not available."""

from __future__ import annotations

from typing import Any

from tests.parity.context import ParityContext, condition
from tests.parity.expect import Text
from tests.parity.pods import LOOP, event, pod, waiting
from tests.parity.rows import Topic

topic = Topic("kubelet_images", "kubelet", "Images that are not available")
SOURCE = "03-image-pull.txt"
NOWHERE = "registry.example.invalid/team/app:1"


def unknown(context: ParityContext) -> Any:
    return pod(context, "unknown", LOOP, image=NOWHERE)


@topic.row(
    "an image that does not exist: what the container finally waits for",
    real={"reason": "ImagePullBackOff", "message": Text(f'Back-off pulling image "{NOWHERE}": ErrImagePull: .*')},
    source=SOURCE,
    within=40,
)
def pull_back_off(context: ParityContext) -> Any:
    return waiting(unknown(context))


@topic.row("the pod meanwhile", real={"phase": "Pending", "PodReadyToStartContainers": "True"}, source=SOURCE, within=20)
def pod_of_an_unknown_image(context: ParityContext) -> Any:
    found = unknown(context)
    return {
        "phase": found["status"].get("phase"),
        "PodReadyToStartContainers": condition(found, "PodReadyToStartContainers").get("status"),
    }


@topic.row(
    "its events",
    real={
        "Pulling": f'Pulling image "{NOWHERE}"',
        "Failed": Text(f'Failed to pull image "{NOWHERE}": .*'),
        "BackOff": f'Back-off pulling image "{NOWHERE}"',
    },
    source=SOURCE,
    within=40,
)
def events_of_a_failed_pull(context: ParityContext) -> Any:
    unknown(context)
    return {reason: event(context, "unknown", reason) for reason in ("Pulling", "Failed", "BackOff")}


@topic.row(
    "the error message of the failed pull",
    real=Text('failed to pull and unpack image ".*": failed to resolve .*'),
    source=SOURCE,
    within=20,
    differs="there is no registry to ask: the message lists the images this backend can run instead",
)
def words_of_a_failed_pull(context: ParityContext) -> Any:
    unknown(context)
    return event(context, "unknown", "Failed").partition(f'"{NOWHERE}": ')[2]


@topic.row(
    "an invalid image name",
    real={"reason": "InvalidImageName", "message": Text("Failed to apply default image tag .*couldn't parse image name .*")},
    source=SOURCE,
    within=20,
)
def malformed_name(context: ParityContext) -> Any:
    return waiting(pod(context, "malformed", LOOP, image="Team/App:1:2"))


@topic.row(
    "an image that is not on the node under imagePullPolicy Never",
    real={"reason": "ErrImageNeverPull", "message": 'Container image "local/nosuch:1" is not present with pull policy of Never'},
    source=SOURCE,
    within=20,
)
def never_pulled(context: ParityContext) -> Any:
    return waiting(pod(context, "never", LOOP, image="local/nosuch:1", imagePullPolicy="Never"))
