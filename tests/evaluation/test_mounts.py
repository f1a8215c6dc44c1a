"""On a network file system the index lies elsewhere: in a private folder of this machine's temporary storage."""

import os
import stat
from collections import namedtuple
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import psutil
import pytest

from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.mounts import is_network, kind_of, on_network

# As psutil's.
Partition = namedtuple("Partition", ["device", "mountpoint", "fstype", "opts"])

TABLE = [
    ("/", "ext4"),
    ("/proc", "proc"),
    ("/home", "autofs"),
    ("/home", "nfs4"),
    ("/home/me/scratch", "xfs"),
    ("/home/me/scratch/deep/drive", "fuse.sshfs"),
    ("/data", "lustre"),
    ("/data", "tmpfs"),
]


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/", "ext4"),
        ("/home", "nfs4"),
        ("/home/me", "nfs4"),
        ("/home/me/scratch", "xfs"),
        ("/home/me/scratch/deep", "xfs"),
        ("/home/me/scratch/deep/drive/store", "fuse.sshfs"),
        # Names that only begin alike.
        ("/home2/me", "ext4"),
        ("/home/me/scratch2", "nfs4"),
        # The last of several mounts on one point hides the others.
        ("/data/store", "tmpfs"),
    ],
)
def test_the_deepest_and_last_mount_holds_a_folder(folder: str, kind: str) -> None:
    assert kind_of(PurePosixPath(folder), TABLE) == kind


def test_without_a_mount_nothing_is_known() -> None:
    assert kind_of(PurePosixPath("/store"), []) == ""
    assert kind_of(PurePosixPath("/store"), [("/other", "nfs")]) == ""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "NFS4", "cifs", "smb3", "lustre", "fuse.sshfs", "fuse", "9p", "gpfs"])
def test_what_is_reached_over_a_network(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "apfs", "fuseblk", "NTFS", ""])
def test_what_is_local(kind: str) -> None:
    assert not is_network(kind)


def mounted(monkeypatch: pytest.MonkeyPatch, mounts: Sequence[tuple[Path, str]]) -> None:
    """Make this machine's table of mounts a made-up one."""
    table = [Partition("/dev/sda1", "/", "ext4", "rw"), *(Partition("host:/x", str(p), k, "rw") for p, k in mounts)]

    def partitions(all: bool = False) -> list[Partition]:
        return table if all else table[:1]

    monkeypatch.setattr(psutil, "disk_partitions", partitions)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine's temporary storage, and a store's folder that lies on NFS through a link."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    (tmp_path / "nfs").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "nfs")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    mounted(monkeypatch, [(tmp_path / "nfs", "nfs4")])
    return folder


def private(folder: Path) -> bool:
    return stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_link_is_followed_to_where_it_lies(tmp_path: Path, temporary: Path) -> None:
    assert on_network(tmp_path / "nfs" / "store")
    assert on_network(tmp_path / "linked" / "store")
    assert not on_network(tmp_path / "store")


def test_the_index_of_a_local_store_lies_in_it(tmp_path: Path, temporary: Path) -> None:
    with PredictionStore(tmp_path / "store") as store:
        assert store.index.folder == tmp_path / "store" / "index"
    assert list(temporary.iterdir()) == []


def test_the_index_of_a_store_on_nfs_lies_in_local_storage_and_is_found_again(tmp_path: Path, temporary: Path) -> None:
    with PredictionStore(tmp_path / "nfs" / "store") as store:
        (folder,) = temporary.iterdir()
        assert store.index.folder == folder / "index"
        assert private(folder)
        assert private(folder / "index")
        store.index.set("a", "b")
        assert store.warnings == []
    assert not (tmp_path / "nfs" / "store" / "index").exists()
    assert (tmp_path / "nfs" / "store" / "blocks").is_dir()
    with PredictionStore(tmp_path / "linked" / "store") as store:
        assert store.index.get("a") == "b"
    with PredictionStore(tmp_path / "nfs" / "other") as store:
        assert store.index.get("a") is None
    assert len(list(temporary.iterdir())) == 2


@pytest.mark.parametrize("planted", ["open to others", "a link", "a dangling link", "a file"])
def test_a_folder_that_others_could_have_planted_is_not_used(tmp_path: Path, temporary: Path, planted: str) -> None:
    with PredictionStore(tmp_path / "nfs" / "store"):
        (folder,) = temporary.iterdir()
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    if planted == "open to others":
        folder.mkdir()
        folder.chmod(0o770)
    elif planted == "a link":
        folder.symlink_to(elsewhere)
    elif planted == "a dangling link":
        folder.symlink_to(tmp_path / "nowhere")
    else:
        folder.touch()
    with PredictionStore(tmp_path / "nfs" / "store") as store:
        store.index.set("a", "b")
        assert store.index.get("a") == "b"
        used = store.index.folder
        assert len(store.warnings) == 1
    assert used.parent not in (folder, elsewhere)
    assert used.parent.parent == temporary
    assert private(used.parent)
    assert "is not a private folder of yours" in store.warnings[0]


def test_a_folder_of_somebody_else_is_not_used(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody = os.getuid() + 1
    # By the name that ours would have, if we were they.
    monkeypatch.setattr(os, "getuid", lambda: somebody)
    with PredictionStore(tmp_path / "nfs" / "store") as store:
        assert len(store.warnings) == 1
        assert f"xfer-bench-{somebody}-" not in str(store.index.folder)
        assert private(store.index.folder.parent)
