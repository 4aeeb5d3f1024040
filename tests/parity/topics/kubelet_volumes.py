"""ConfigMaps and Secrets as environment and files; what is missing, what is updated."""

from __future__ import annotations

from typing import Any

from labs import kube
from tests.parity.context import Object, ParityContext, condition, until
from tests.parity.expect import Between, containing
from tests.parity.pods import LOOP, POLITE, event, pod, shell_in, space, waiting
from tests.parity.rows import Topic

topic = Topic("kubelet_volumes", "kubelet", "Configuration and volumes")
SOURCE = "07-config-volumes-env.txt"


def config_map(stage: ParityContext, name: str, **data: str) -> str:
    found: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    stage.once(f"configmap {name}", lambda: stage.apply(space(stage), found))
    return name


def env_from(kind: str, name: str, key: str) -> list[Object]:
    return [{"name": "VALUE", "valueFrom": {f"{kind}KeyRef": {"name": name, "key": key}}}]


@topic.row(
    "env from a ConfigMap that does not exist",
    real={"reason": "CreateContainerConfigError", "message": 'configmap "nothing" not found'},
    source=SOURCE,
    within=20,
)
def env_without_config_map(stage: ParityContext) -> Any:
    return waiting(pod(stage, "env-cm", LOOP, env=env_from("configMap", "nothing", "key")))


@topic.row(
    "env from a key that the ConfigMap lacks",
    real=containing("couldn't find key nokey in ConfigMap", "/there"),
    source=SOURCE,
    within=20,
)
def env_without_key(stage: ParityContext) -> Any:
    config_map(stage, "there", key="value")
    return waiting(pod(stage, "env-key", LOOP, env=env_from("configMap", "there", "nokey"))).get("message")


@topic.row(
    "env from a Secret that does not exist",
    real={"reason": "CreateContainerConfigError", "message": 'secret "nothing" not found'},
    source=SOURCE,
    within=20,
)
def env_without_secret(stage: ParityContext) -> Any:
    return waiting(pod(stage, "env-secret", LOOP, env=env_from("secret", "nothing", "key")))


def without_volume(stage: ParityContext) -> Object:
    volume = {"volumes": [{"name": "v", "configMap": {"name": "nothing"}}]}
    return pod(stage, "volume-cm", POLITE, spec=volume, volumeMounts=[{"name": "v", "mountPath": "/v"}])


@topic.row(
    "a volume from a ConfigMap that does not exist: what the container waits for, and the sandbox",
    real={"reason": "ContainerCreating", "PodReadyToStartContainers": "False"},
    source=SOURCE,
    within=20,
)
def volume_without_config_map(stage: ParityContext) -> Any:
    found = without_volume(stage)
    sandbox = condition(found, "PodReadyToStartContainers").get("status")
    return {"reason": waiting(found).get("reason"), "PodReadyToStartContainers": sandbox}


@topic.row(
    "its event",
    real='MountVolume.SetUp failed for volume "v" : configmap "nothing" not found',
    source=SOURCE,
    within=20,
)
def failed_mount(stage: ParityContext) -> Any:
    without_volume(stage)
    return event(stage, "volume-cm", "FailedMount")


@topic.row("seconds until a pod runs after its missing ConfigMap is created", real=Between(0, 25, "s"), source=SOURCE)
def runs_once_it_exists(stage: ParityContext) -> Any:
    import time

    pod(stage, "patient", POLITE, env=env_from("configMap", "later", "key"))
    until(lambda: pod(stage, "patient"), lambda found: bool(waiting(found)), 20)
    config_map(stage, "later", key="value")
    begun = time.monotonic()
    until(lambda: pod(stage, "patient"), lambda found: kube.ready(found) is None, 40)
    return time.monotonic() - begun


def updated(stage: ParityContext) -> str:
    """A pod that mounts a ConfigMap as a folder and as a single file (subPath) and has it in its environment, after a change."""
    name = "updated"

    def make() -> None:
        config_map(stage, "changing", key="old")
        mounts = [{"name": "v", "mountPath": "/folder"}, {"name": "v", "mountPath": "/single", "subPath": "key"}]
        spec = {"volumes": [{"name": "v", "configMap": {"name": "changing"}}]}
        pod(stage, name, POLITE, spec=spec, volumeMounts=mounts, env=env_from("configMap", "changing", "key"))
        kube.wait(stage.api(), "Pod", name, space(stage), kube.ready, timeout=30)
        kube.patch(stage.api(), "ConfigMap", "changing", space(stage), {"data": {"key": "new"}})

    stage.once("updated", make)
    return name


@topic.row("a mounted ConfigMap after a change: the file in the folder", real="new", source=SOURCE, within=90)
def mounted_folder_changes(stage: ParityContext) -> Any:
    return shell_in(stage, "exec", updated(stage), "--", "cat", "/folder/key")[1].strip()


@topic.row("the same ConfigMap in the environment", real="old", source=SOURCE)
def environment_does_not_change(stage: ParityContext) -> Any:
    return shell_in(stage, "exec", updated(stage), "--", "sh", "-c", "echo $VALUE")[1].strip()


@topic.row("a file mounted by subPath, once the folder has changed", real="old", source=SOURCE)
def single_file_does_not_change(stage: ParityContext) -> Any:
    until(lambda: mounted_folder_changes(stage), lambda found: found == "new", 90, every=2)
    return shell_in(stage, "exec", updated(stage), "--", "cat", "/single")[1].strip()
