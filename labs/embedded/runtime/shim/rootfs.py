"""A container's file system: the machine's programs under folders of its own, the kubelet's mounts at their true paths."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from labs.embedded.namespaces import syscalls
from labs.embedded.namespaces.syscalls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT
from labs.embedded.runtime.spec import Container, Mount

LAYERED = ("bin", "etc", "lib", "lib32", "lib64", "libx32", "opt", "sbin", "srv", "usr", "var")
"""Folders of the machine for which a container has its own writable layer; those that are links stay links."""
BOUND = ("nix", "gnu")
"""Where distributions with a nearly empty ``/usr`` keep everything."""
OWN = ("dev", "home", "mnt", "proc", "root", "run", "sys", "tmp")
"""Folders that start empty."""
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
KEPT_FLAGS = {os.ST_NOSUID: MS_NOSUID, os.ST_NODEV: MS_NODEV, os.ST_NOEXEC: MS_NOEXEC}
"""A mount from outside a user namespace keeps these: a remount that forgets one is refused."""
SYS_OPEN_TREE, SYS_MOVE_MOUNT = 428, 429
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH = 1, 4


class RootBuilder:
    """Builds one container's root in ``base``, a folder on the node's tmpfs, and makes it this process's root."""

    def __init__(self, container: Container, base: Path, shared_memory: Path) -> None:
        self._container = container
        self._base = base
        self._root = base / "root"
        self._memory = shared_memory
        self._layers = [name for name in LAYERED if Path("/", name).is_dir() and not Path("/", name).is_symlink()]

    def enter(self) -> None:
        """Do everything, up to changing into ``/`` of the new root.

        Raises:
            OSError: the kernel refuses a step; the message names it.
        """
        shared = self._take_shared()
        syscalls.mount("none", "/", flags=MS_REC | syscalls.MS_SLAVE)
        self._make_folders()
        for mount in self._container.mounts:
            self._prepare(mount.target, is_folder=os.path.isdir(mount.source))
        syscalls.mount(str(self._root), str(self._root), flags=MS_BIND)
        self._stack_layers()
        os.chdir(self._root)
        self._mount_kernel()
        self._mount_devices()
        self._hide()
        for mount in sorted(self._container.mounts, key=lambda mount: mount.target.rstrip("/").count("/")):
            self._bind(mount, shared.get(mount.target))
        self._restrict()
        _pivot()

    def _take_shared(self) -> dict[str, int]:
        """Hold bidirectional mounts by descriptor while everything else stops being shared."""
        found = {}
        for mount in self._container.mounts:
            if mount.propagation == "shared":
                flags = ctypes.c_uint(OPEN_TREE_CLONE | AT_RECURSIVE | os.O_CLOEXEC)
                fd = syscalls.libc.syscall(ctypes.c_long(SYS_OPEN_TREE), AT_FDCWD, os.fsencode(mount.source), flags)
                found[mount.target] = syscalls.check(fd, f"open_tree {mount.source}")
        return found

    def _make_folders(self) -> None:
        for name in self._layers:
            for folder in (self._base / "upper" / name, self._base / "work" / name, self._root / name):
                folder.mkdir(parents=True, exist_ok=True)
        for name in OWN:
            (self._root / name).mkdir(exist_ok=True)
        (self._root / "tmp").chmod(0o1777)
        (self._root / "root").chmod(0o700)
        for name in LAYERED:
            if Path("/", name).is_symlink():
                (self._root / name).symlink_to(os.readlink(f"/{name}"))
        for name in BOUND:
            if Path("/", name).is_dir():
                self._container_bind(f"/{name}")
        for path, content in self._container.files.items():
            place = self._prepare(path, is_folder=False)
            place.unlink()
            place.write_text(content)

    def _container_bind(self, path: str) -> None:
        target = self._root / path.lstrip("/")
        target.mkdir(exist_ok=True)
        syscalls.mount(path, str(target), flags=MS_BIND | MS_REC)
        _make_readonly(str(target))

    def _stack_layers(self) -> None:
        os.chdir(self._base)  # relative paths: a mount's options are short, and commas in a path would end them
        for name in self._layers:
            options = f"lowerdir=/{name},upperdir=upper/{name},workdir=work/{name},userxattr"
            syscalls.mount("overlay", f"root/{name}", "overlay", data=options)

    def _prepare(self, path: str, *, is_folder: bool) -> Path:
        """Make ``path`` a mount point, with the container's own folders above it, before or after the layers are there."""
        parts = self._resolve(path)
        place = self._root.joinpath(*parts)
        if parts[0] in self._layers and not os.path.ismount(self._root / parts[0]):
            place = self._base.joinpath("upper", *parts)
        if is_folder:
            place.mkdir(parents=True, exist_ok=True)
        elif not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)  # a link that leads nowhere here
            place.touch()
        return place

    def _resolve(self, path: str) -> list[str]:
        """The path's parts, with links of the machine followed inside the container: ``/var/run/x`` is ``/run/x``."""
        done: list[str] = []
        todo = [part for part in path.split("/") if part not in ("", ".")]
        for _ in range(256):
            if not todo:
                break
            part = todo.pop(0)
            if part == "..":
                del done[-1:]
                continue
            here = self._root.joinpath(*done, part)
            machine = Path("/", *done, part)
            link = (
                here if here.is_symlink() else machine if machine.is_symlink() and done[:1] and done[0] in self._layers else None
            )
            if link is None or not todo:
                done.append(part)
                continue
            target = os.readlink(link)
            if target.startswith("/"):
                done = []
            todo = [word for word in target.split("/") if word not in ("", ".")] + todo
        return done or ["."]

    def _mount_kernel(self) -> None:
        syscalls.mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        try:
            syscalls.mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        except OSError:  # the network is the machine's or the pod's, and the kernel wants its owner
            syscalls.mount("/sys", "sys", flags=MS_BIND | MS_REC)
        if not self._container.privileged:
            _make_readonly("sys")

    def _mount_devices(self) -> None:
        syscalls.mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=64k")
        for name in DEVICES:
            self._device(Mount(f"/dev/{name}", f"/dev/{name}"))
        for device in self._container.devices:
            self._device(device)
        for name, target in DEVICE_LINKS.items():
            os.symlink(target, f"dev/{name}")
        os.mkdir("dev/pts")
        syscalls.mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
        os.symlink("pts/ptmx", "dev/ptmx")
        os.mkdir("dev/shm")
        syscalls.mount(str(self._memory), "dev/shm", flags=MS_BIND)

    def _device(self, device: Mount) -> None:
        target = self._root / device.target.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
        syscalls.mount(device.source, str(target), flags=MS_BIND)

    def _hide(self) -> None:
        for path in self._container.hidden:
            inside = self._root / path.lstrip("/")
            if inside.is_dir() and not inside.is_symlink():
                syscalls.mount("tmpfs", str(inside), "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
            elif inside.is_file():
                syscalls.mount("/dev/null", str(inside), flags=MS_BIND)

    def _bind(self, mount: Mount, tree: int | None) -> None:
        place = str(self._prepare(mount.target, is_folder=os.path.isdir(mount.source)))
        if tree is not None:
            arguments = (tree, b"", AT_FDCWD, os.fsencode(place), ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH))
            syscalls.check(syscalls.libc.syscall(ctypes.c_long(SYS_MOVE_MOUNT), *arguments), f"move_mount {place}")
            os.close(tree)
        else:
            syscalls.mount(mount.source, place, flags=MS_BIND | MS_REC)
            if mount.propagation == "private":
                syscalls.mount("none", place, flags=MS_PRIVATE | MS_REC)
        if mount.readonly:
            _make_readonly(place)

    def _restrict(self) -> None:
        for path in self._container.masked_paths:
            place = path.lstrip("/")
            if os.path.isdir(place):
                syscalls.mount("tmpfs", place, "tmpfs", MS_RDONLY)
            elif os.path.exists(place):
                syscalls.mount("/dev/null", place, flags=MS_BIND)
        for path in self._container.readonly_paths:
            if os.path.exists(path.lstrip("/")):
                syscalls.mount(path.lstrip("/"), path.lstrip("/"), flags=MS_BIND | MS_REC)
                _make_readonly(path.lstrip("/"))
        if self._container.readonly_root:
            for name in [*self._layers, "."]:
                _make_readonly(name)


def _make_readonly(place: str) -> None:
    """Make the mount ``place`` read-only, but not those below it."""
    found = os.statvfs(place).f_flag
    kept = sum(flag for bit, flag in KEPT_FLAGS.items() if found & bit)
    syscalls.mount("none", place, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | kept)


def _pivot() -> None:
    """Make the current directory the root, and detach the old one."""
    syscalls.pivot_root(".", ".")
    syscalls.umount(".")
    os.chdir("/")


def remove_trees(folders: Iterable[Path]) -> None:
    """Remove containers' leftover files, whatever their modes."""
    for folder in folders:
        for path, _, _ in os.walk(folder):
            os.chmod(path, 0o700)
        _remove(folder)


def _remove(folder: Path) -> None:
    for path, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(path, name))
        for name in folders:
            full = os.path.join(path, name)
            (os.unlink if os.path.islink(full) else os.rmdir)(full)
    if folder.exists():
        os.rmdir(folder)
