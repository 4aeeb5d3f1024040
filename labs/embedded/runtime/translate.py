"""Translates the kubelet's requests into the shim's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from labs.embedded.namespaces import identity
from labs.embedded.runtime import images, spec
from labs.embedded.runtime.images import Image
from labs.embedded.runtime.shim import rights
from labs.wire.cri import cri_pb2 as pb

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SYS_CHROOT",
    "MKNOD",
    "AUDIT_WRITE",
    "SETFCAP",
]
"""A container's default capabilities: Docker's and containerd's set."""
ALL = "ALL"
MOST_PROCESSES = 4096
"""Limit of one container, so that an endlessly forking program leaves the machine usable."""
PROPAGATION = {
    pb.PROPAGATION_PRIVATE: "private",
    pb.PROPAGATION_HOST_TO_CONTAINER: "slave",
    pb.PROPAGATION_BIDIRECTIONAL: "shared",
}


class Unsupported(Exception):
    """The pod asks for something that this runtime does not support; the message names the field."""


def sandbox(id: str, config: pb.PodSandboxConfig, node: str) -> spec.Sandbox:
    """The sandbox ``config`` asks for.

    Raises:
        Unsupported: it asks for its own user namespace.
    """
    options = config.linux.security_context.namespace_options
    if options.HasField("userns_options") and options.userns_options.mode == pb.POD:
        raise Unsupported("spec.hostUsers: false: the lab's user namespace has no further users to give to a pod")
    return spec.Sandbox(
        id,
        hostname=config.hostname or node,
        host_network=options.network == pb.NODE,
        host_pid=options.pid == pb.NODE,
        host_ipc=options.ipc == pb.NODE,
        shared_pid=options.pid == pb.POD,
        sysctls=dict(config.linux.sysctls),
    )


@dataclass(frozen=True)
class Translation:
    """A container to create: its configuration, its image, the sandbox it joins."""

    id: str
    config: pb.ContainerConfig
    pod: pb.PodSandboxConfig
    sandbox: spec.Sandbox
    image: Image

    @property
    def _security(self) -> pb.LinuxContainerSecurityContext:
        return self.config.linux.security_context

    def container(self) -> spec.Container:
        """The container as the shim gets it."""
        security = self._security
        return spec.Container(
            self.id,
            self.sandbox,
            self.argv(),
            self._environment(),
            cwd=self.config.working_dir or "/",
            user=self.user(),
            log=str(Path(self.pod.log_directory, self.config.log_path)) if self.config.log_path else "",
            tty=self.config.tty,
            stdin=self.config.stdin,
            stdin_once=self.config.stdin_once,
            mounts=(*self.image.mounts(), *map(_mount, self.config.mounts)),
            files=self._files(),
            hidden=images.hidden(),
            readonly_root=security.readonly_rootfs,
            readonly_paths=tuple(security.readonly_paths),
            masked_paths=tuple(security.masked_paths),
            devices=tuple(spec.Mount(device.host_path, device.container_path) for device in self.config.devices),
            privileged=security.privileged,
            capabilities=capabilities(security.capabilities),
            no_new_privileges=security.no_new_privs,
            processes=MOST_PROCESSES,
        )

    def argv(self) -> list[str]:
        """The program and its arguments, by the rule that images and pods share.

        Raises:
            Unsupported: neither names a program.
        """
        config, image = self.config, self.image
        command = list(config.command) or list(image.entrypoint)
        arguments = list(config.args) or ([] if config.command else list(image.command))
        if not command + arguments:
            raise Unsupported("no command specified: neither the image's row nor the pod names one")
        return command + arguments

    def user(self) -> spec.User:
        security = self._security
        uid = security.run_as_user.value if security.HasField("run_as_user") else self.image.user
        gid = security.run_as_group.value if security.HasField("run_as_group") else 0
        groups = tuple(security.supplemental_groups) if identity.knows_many() else ()
        return spec.User(uid, gid, groups)

    def _environment(self) -> dict[str, str]:
        home = "/root" if self.user().uid == 0 else "/"
        given = {pair.key: os.fsdecode(pair.value) for pair in self.config.envs}
        return {"PATH": PATH, "HOSTNAME": self.sandbox.hostname, "HOME": home} | self.image.env | given

    def _files(self) -> dict[str, str]:
        user = self.user()
        return {
            "/etc/hostname": f"{self.sandbox.hostname}\n",
            "/etc/resolv.conf": resolv_conf(self.pod.dns_config),
            "/etc/passwd": _accounts("{name}:x:{id}:{id}:{name}:{home}:/bin/sh", user.uid),
            "/etc/group": _accounts("{name}:x:{id}:", user.gid),
        }


def _accounts(form: str, mine: int) -> str:
    """Users or groups for the container: only the usual ones, not the machine's."""
    names = {0: ("root", "/root"), 1: ("daemon", "/usr/sbin"), 65534: ("nobody", "/")}
    if mine not in names:
        names[mine] = ("app", "/")
    return "".join(form.format(id=id, name=name, home=home) + "\n" for id, (name, home) in sorted(names.items()))


def resolv_conf(dns: pb.DNSConfig) -> str:
    """The resolver's configuration file."""
    lines = [f"nameserver {server}" for server in dns.servers]
    lines += [f"search {' '.join(dns.searches)}"] if dns.searches else []
    lines += [f"options {' '.join(dns.options)}"] if dns.options else []
    return "".join(line + "\n" for line in lines)


def _mount(mount: pb.Mount) -> spec.Mount:
    if mount.image.image:
        raise Unsupported(f"volume at {mount.container_path}: an image is a row in a table here and has no files to mount")
    return spec.Mount(mount.host_path, mount.container_path, mount.readonly, PROPAGATION[mount.propagation])


def capabilities(asked: pb.Capability) -> tuple[str, ...]:
    """The default ones, without those dropped, with those added."""
    add, drop = ([_plain(name) for name in names] for names in (asked.add_capabilities, asked.drop_capabilities))
    usual = [] if ALL in drop else [name for name in CAPABILITIES if name not in drop]
    added = _all() if ALL in add else add
    return tuple(f"CAP_{name}" for name in dict.fromkeys([*usual, *added]))


def _plain(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def _all() -> list[str]:
    return list(rights.CAPABILITIES)
