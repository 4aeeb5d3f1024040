"""Records in the interface's terms."""

from __future__ import annotations

from labs.embedded.namespaces import identity
from labs.embedded.runtime.records import Container, Sandbox
from labs.wire.cri import cri_pb2 as pb


def sandbox_state(sandbox: Sandbox) -> pb.PodSandboxState:
    return pb.SANDBOX_READY if sandbox.ready else pb.SANDBOX_NOTREADY


def sandbox_row(sandbox: Sandbox) -> pb.PodSandbox:
    """For lists."""
    row = pb.PodSandbox(id=sandbox.id, metadata=sandbox.config.metadata, state=sandbox_state(sandbox), created_at=sandbox.created)
    row.labels.update(sandbox.config.labels)
    row.annotations.update(sandbox.config.annotations)
    return row


def sandbox_status(sandbox: Sandbox) -> pb.PodSandboxStatus:
    status = pb.PodSandboxStatus(
        id=sandbox.id, metadata=sandbox.config.metadata, state=sandbox_state(sandbox), created_at=sandbox.created
    )
    status.labels.update(sandbox.config.labels)
    status.annotations.update(sandbox.config.annotations)
    if sandbox.addresses:
        status.network.ip = sandbox.addresses[0]
        status.network.additional_ips.extend(pb.PodIP(ip=address) for address in sandbox.addresses[1:])
    status.linux.namespaces.options.CopyFrom(sandbox.config.linux.security_context.namespace_options)
    return status


def container_row(container: Container) -> pb.Container:
    """For lists."""
    row = pb.Container(
        id=container.id,
        pod_sandbox_id=container.sandbox,
        metadata=container.config.metadata,
        image=container.config.image,
        image_ref=container.image,
        image_id=container.image_id,
        state=container.state,
        created_at=container.created,
    )
    row.labels.update(container.config.labels)
    row.annotations.update(container.config.annotations)
    return row


def container_status(container: Container, log: str) -> pb.ContainerStatus:
    config = container.config
    status = pb.ContainerStatus(
        id=container.id,
        metadata=config.metadata,
        state=container.state,
        created_at=container.created,
        started_at=container.started,
        finished_at=container.finished,
        exit_code=container.code,
        image=config.image,
        image_ref=container.image,
        image_id=container.image_id,
        reason=container.reason if container.finished else "",
        message=container.message,
        mounts=config.mounts,
        log_path=log,
        stop_signal=config.stop_signal,
    )
    status.labels.update(config.labels)
    status.annotations.update(config.annotations)
    status.resources.linux.CopyFrom(config.linux.resources)
    groups = [container.gid, *container.groups] if identity.knows_many() else [container.gid]
    status.user.linux.uid, status.user.linux.gid = container.uid, container.gid
    status.user.linux.supplemental_groups.extend(groups)
    return status


def has_labels(labels: object, wanted: object) -> bool:
    """Whether the map ``labels`` has every pair of the map ``wanted``."""
    return all(labels.get(key) == value for key, value in wanted.items())  # type: ignore[attr-defined]
