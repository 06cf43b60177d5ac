"""Bring Docker's images into containerd."""

from __future__ import annotations

import subprocess

from tools.cluster.control_plane import ClusterError
from tools.cluster.node.layout import Layout
from tools.cluster.node.pause import pause_archive
from tools.cluster.node.requirements import IMPORTED
from tools.images.build import naming


def import_images(layout: Layout) -> None:
    """Import the images of the product, the test broker and the test store, and the sandbox's.

    Layers that images share are written and read once, as all come in one archive.

    Raises:
        ClusterError: docker or containerd fails; has the messages.
    """
    _import(layout, pause_archive())
    names = naming()
    command = ["docker", "save", *(names.of(name) for name in IMPORTED)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as saving:  # noqa: S603 - argv is ours
        done = subprocess.run(  # noqa: S603 - argv is ours
            _importer(layout), stdin=saving.stdout, capture_output=True, check=False
        )
    if saving.returncode or done.returncode:
        raise ClusterError(f"images cannot be imported: {done.stderr.decode()[-2000:]}")


def _import(layout: Layout, archive: bytes) -> None:
    done = subprocess.run(  # noqa: S603 - argv is ours
        _importer(layout), input=archive, capture_output=True, check=False
    )
    if done.returncode:
        raise ClusterError(f"an image cannot be imported: {done.stderr.decode()[-2000:]}")


def _importer(layout: Layout) -> list[str]:
    return ["ctr", f"--address={layout.socket}", "--namespace=k8s.io", "images", "import", "-"]
