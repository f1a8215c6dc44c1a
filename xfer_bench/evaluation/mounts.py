"""Which kind of file system a folder lies on."""

from collections.abc import Iterable
from pathlib import Path, PurePath

# SQLite's locks and shared memory cannot be trusted on these. Whatever runs through FUSE is one of them in practice.
_NETWORK = frozenset(
    {
        "9p",
        "afpfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "orangefs",
        "panfs",
        "pvfs2",
        "smb2",
        "smb3",
        "smbfs",
        "webdav",
        "wekafs",
    }
)


def on_network(folder: Path) -> bool:
    """Whether the folder lies on a network file system, as far as the system tells."""
    import psutil

    mounts = [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    return is_network(kind_of(folder.resolve(), mounts))


def kind_of(folder: PurePath, mounts: Iterable[tuple[str, str]]) -> str:
    """The type of the file system that an absolute path lies on, by (mount point, type); empty when none holds it.

    The deepest mount point wins, and of several mounts on the same point the last one.
    """
    holding = [(len(PurePath(point).parts), kind) for point, kind in mounts if folder.is_relative_to(point)]
    deepest = max((depth for depth, _ in holding), default=0)
    return next((kind for depth, kind in reversed(holding) if depth == deepest), "")


def is_network(kind: str) -> bool:
    """Whether a file system of this type is reached over a network."""
    return kind.lower() in _NETWORK or kind.lower().startswith("fuse.")
