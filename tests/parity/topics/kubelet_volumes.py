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


def config_map(context: ParityContext, name: str, **data: str) -> str:
    found: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    context.once(f"configmap {name}", lambda: context.apply(space(context), found))
    return name


def env_from(kind: str, name: str, key: str) -> list[Object]:
    return [{"name": "VALUE", "valueFrom": {f"{kind}KeyRef": {"name": name, "key": key}}}]


@topic.row(
    "env from a ConfigMap that does not exist",
    real={"reason": "CreateContainerConfigError", "message": 'configmap "nothing" not found'},
    source=SOURCE,
    within=20,
)
def env_without_config_map(context: ParityContext) -> Any:
    return waiting(pod(context, "env-cm", LOOP, env=env_from("configMap", "nothing", "key")))


@topic.row(
    "env from a key that the ConfigMap lacks",
    real=containing("couldn't find key nokey in ConfigMap", "/there"),
    source=SOURCE,
    within=20,
)
def env_without_key(context: ParityContext) -> Any:
    config_map(context, "there", key="value")
    return waiting(pod(context, "env-key", LOOP, env=env_from("configMap", "there", "nokey"))).get("message")


@topic.row(
    "env from a Secret that does not exist",
    real={"reason": "CreateContainerConfigError", "message": 'secret "nothing" not found'},
    source=SOURCE,
    within=20,
)
def env_without_secret(context: ParityContext) -> Any:
    return waiting(pod(context, "env-secret", LOOP, env=env_from("secret", "nothing", "key")))


def without_volume(context: ParityContext) -> Object:
    volume = {"volumes": [{"name": "v", "configMap": {"name": "nothing"}}]}
    return pod(context, "volume-cm", POLITE, spec=volume, volumeMounts=[{"name": "v", "mountPath": "/v"}])


@topic.row(
    "a volume from a ConfigMap that does not exist: what the container waits for, and the sandbox",
    real={"reason": "ContainerCreating", "PodReadyToStartContainers": "False"},
    source=SOURCE,
    within=20,
)
def volume_without_config_map(context: ParityContext) -> Any:
    found = without_volume(context)
    sandbox = condition(found, "PodReadyToStartContainers").get("status")
    return {"reason": waiting(found).get("reason"), "PodReadyToStartContainers": sandbox}


@topic.row(
    "its event",
    real='MountVolume.SetUp failed for volume "v" : configmap "nothing" not found',
    source=SOURCE,
    within=20,
)
def failed_mount(context: ParityContext) -> Any:
    without_volume(context)
    return event(context, "volume-cm", "FailedMount")


@topic.row("seconds until a pod runs after its missing ConfigMap is created", real=Between(0, 25, "s"), source=SOURCE)
def runs_once_it_exists(context: ParityContext) -> Any:
    import time

    pod(context, "patient", POLITE, env=env_from("configMap", "later", "key"))
    until(lambda: pod(context, "patient"), lambda found: bool(waiting(found)), 20)
    config_map(context, "later", key="value")
    begun = time.monotonic()
    until(lambda: pod(context, "patient"), lambda found: kube.ready(found) is None, 40)
    return time.monotonic() - begun


def updated(context: ParityContext) -> str:
    """A pod that mounts a ConfigMap as a folder and as a single file (subPath) and has it in its environment, after a change."""
    name = "updated"

    def make() -> None:
        config_map(context, "changing", key="old")
        mounts = [{"name": "v", "mountPath": "/folder"}, {"name": "v", "mountPath": "/single", "subPath": "key"}]
        spec = {"volumes": [{"name": "v", "configMap": {"name": "changing"}}]}
        pod(context, name, POLITE, spec=spec, volumeMounts=mounts, env=env_from("configMap", "changing", "key"))
        kube.wait(context.api(), "Pod", name, space(context), kube.ready, timeout=30)
        kube.patch(context.api(), "ConfigMap", "changing", space(context), {"data": {"key": "new"}})

    context.once("updated", make)
    return name


@topic.row("a mounted ConfigMap after a change: the file in the folder", real="new", source=SOURCE, within=90)
def mounted_folder_changes(context: ParityContext) -> Any:
    return shell_in(context, "exec", updated(context), "--", "cat", "/folder/key")[1].strip()


@topic.row("the same ConfigMap in the environment", real="old", source=SOURCE)
def environment_does_not_change(context: ParityContext) -> Any:
    return shell_in(context, "exec", updated(context), "--", "sh", "-c", "echo $VALUE")[1].strip()


@topic.row("a file mounted by subPath, once the folder has changed", real="old", source=SOURCE)
def single_file_does_not_change(context: ParityContext) -> Any:
    until(lambda: mounted_folder_changes(context), lambda found: found == "new", 90, every=2)
    return shell_in(context, "exec", updated(context), "--", "cat", "/single")[1].strip()
