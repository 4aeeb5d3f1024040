"""The gRPC service of images."""

from __future__ import annotations

import os
import time
from pathlib import Path

import grpc

from labs.embedded.node.images import InvalidImageName, normalize
from labs.embedded.runtime.calls import Context
from labs.embedded.runtime.images import Image, ImageTable
from labs.embedded.runtime.statistics import number
from labs.wire.cri import cri_pb2 as pb
from labs.wire.cri import cri_pb2_grpc as rpc


class ImageService(rpc.ImageServiceServicer):
    """Rows of the table; there is nothing to pull."""

    def __init__(self, table: ImageTable, state: Path) -> None:
        self._table = table
        self._state = state

    def ListImages(self, request: pb.ListImagesRequest, context: Context) -> pb.ListImagesResponse:
        wanted = request.filter.image.image
        found = [image for image in [self._find(wanted)] if image] if wanted else self._table.all()
        return pb.ListImagesResponse(images=[_describe(image) for image in found])

    def ImageStatus(self, request: pb.ImageStatusRequest, context: Context) -> pb.ImageStatusResponse:
        image = self._find(request.image.image)
        return pb.ImageStatusResponse(image=_describe(image, request.image.image) if image and image.is_present else None)

    def PullImage(self, request: pb.PullImageRequest, context: Context) -> pb.PullImageResponse:
        name = request.image.image
        image = self._find(name)
        if image is None:
            context.abort(grpc.StatusCode.NOT_FOUND, self._table.pull_error(name))
        if not image.is_present:
            context.abort(grpc.StatusCode.UNAVAILABLE, f"the program of image {name!r} is missing: {image.entrypoint[:1]}")
        return pb.PullImageResponse(image_ref=image.id)

    def RemoveImage(self, request: pb.RemoveImageRequest, context: Context) -> pb.RemoveImageResponse:
        return pb.RemoveImageResponse()

    def ImageFsInfo(self, request: pb.ImageFsInfoRequest, context: Context) -> pb.ImageFsInfoResponse:
        disk = os.statvfs(self._state)
        usage = pb.FilesystemUsage(
            timestamp=time.time_ns(),
            fs_id=pb.FilesystemIdentifier(mountpoint=str(self._state)),
            used_bytes=number((disk.f_blocks - disk.f_bfree) * disk.f_frsize),
            inodes_used=number(disk.f_files - disk.f_ffree),
        )
        return pb.ImageFsInfoResponse(image_filesystems=[usage], container_filesystems=[usage])

    def _find(self, name: str) -> Image | None:
        try:
            return self._table.find(name)
        except InvalidImageName:
            return None


def _describe(image: Image, name: str = "") -> pb.Image:
    tag = normalize(name) if name and not name.startswith("sha256:") else normalize(image.repository)
    return pb.Image(
        id=image.id,
        repo_tags=[tag],
        repo_digests=[image.reference],
        size=sum(Path(path).stat().st_size for path in image.files.values() if Path(path).exists()) + 1,
        uid=pb.Int64Value(value=image.user),
        spec=pb.ImageSpec(image=image.id),
        pinned=True,
    )
