# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive of an image: what is in its layers, and that the same parts make the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import socket
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

EPOCH = 1767225600
GO = "go1.26.6"


def tree(root: Path, names: list[str], when: float) -> Path:
    """A tree with files of each kind, made in the order of the names and dated."""
    root.mkdir()
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "link").symlink_to("b/one")
    (root / "a/two").chmod(0o4755)
    for path in [root, *root.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
        os.utime(path, (when, when), follow_symlinks=False)
    return root


def members(path: Path) -> dict[str, tarfile.TarInfo]:
    """The names of a layer."""
    with tarfile.open(path) as archive:
        return {member.name: member for member in archive}


def test_layer_is_deterministic(program: Any, tmp_path: Path) -> None:
    """The same content makes the same layer to the byte, whenever and in whatever order it was made."""
    first = tree(tmp_path / "first", ["b/one", "a/two", "a/c/three"], EPOCH + 1000)
    second = tree(tmp_path / "second", ["a/c/three", "a/two", "b/one"], EPOCH + 2000)
    made = [
        program.archive.write_layer(program.archive.walk(first), tmp_path / "1.tar.gz", "x"),
        program.archive.write_layer(program.archive.walk(second)[::-1], tmp_path / "2.tar.gz", "x"),
    ]
    assert made[0].digest == made[1].digest
    assert made[0].path.read_bytes() == made[1].path.read_bytes()
    (second / "a/two").write_text("TWO")
    assert (
        program.archive.write_layer(program.archive.walk(second), tmp_path / "3.tar.gz", "x").digest != made[0].digest
    )


def test_digest_is_of_the_unpacked_layer(program: Any, tmp_path: Path) -> None:
    """A layer's digest is that of the tar file inside, as image configurations name it."""
    layer = program.archive.write_layer([program.archive.Entry("a", content=b"x")], tmp_path / "l.tar.gz", "why")
    unpacked = gzip.decompress(layer.path.read_bytes())
    assert layer.digest == "sha256:" + hashlib.sha256(unpacked).hexdigest()
    assert layer.history == "why"


def test_layer_keeps_kinds_and_modes(program: Any, tmp_path: Path) -> None:
    """Files, links and directories keep kind, mode and content; names of users and new dates are left out."""
    root = tree(tmp_path / "root", ["b/one", "a/two"], EPOCH + 5000)
    os.utime(root / "b/one", (1000, 1000))
    layer = program.archive.write_layer(program.archive.walk(root, "opt/x"), tmp_path / "l.tar.gz", "")
    found = members(layer.path)
    assert list(found) == ["opt", "opt/x", "opt/x/a", "opt/x/a/two", "opt/x/b", "opt/x/b/one", "opt/x/link"]
    assert found["opt/x/a/two"].mode == 0o4755 and found["opt/x/a/two"].size == len("a/two")
    assert found["opt/x/link"].issym() and found["opt/x/link"].linkname == "b/one"
    assert found["opt"].isdir() and found["opt"].mode == 0o755
    assert (found["opt/x/b/one"].mtime, found["opt/x/a/two"].mtime) == (1000, EPOCH)
    assert {(member.uname, member.gname) for member in found.values()} == {("", "")}
    with tarfile.open(layer.path) as archive:
        content = archive.extractfile("opt/x/b/one")
        assert content is not None
        assert content.read() == b"b/one"


def test_entries_without_a_file(program: Any, tmp_path: Path) -> None:
    """Content, links and directories can be named without a file; missing parents are directories."""
    entry = program.archive.Entry
    entries = [entry("etc/x", content=b"abc", mode=0o100755), entry("y/z", link="/etc/x"), entry("tmp", mode=0o41777)]
    found = members(program.archive.write_layer(entries, tmp_path / "l.tar.gz", "").path)
    assert list(found) == ["etc", "etc/x", "tmp", "y", "y/z"]
    assert (found["etc/x"].mode, found["etc/x"].size, found["etc/x"].isreg()) == (0o755, 3, True)
    assert (found["y/z"].issym(), found["y/z"].linkname) == (True, "/etc/x")
    assert (found["tmp"].isdir(), found["tmp"].mode) == (True, 0o1777)
    assert (found["y"].isdir(), found["y"].mode) == (True, 0o755)
    assert {member.mtime for member in found.values()} == {EPOCH}


def test_walk_leaves_out(program: Any, tmp_path: Path) -> None:
    """What is left out goes with all below it, and names that only begin alike stay."""
    root = tree(tmp_path / "root", ["a/two", "a/c/three", "a/cc", "b/one"], 1)
    names = {entry.name for entry in program.archive.walk(root, "p", without=("p/a/c", "p/b/one"))}
    assert names == {"p/a", "p/a/two", "p/a/cc", "p/b", "p/link"}


def test_socket_is_left_out(program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket, whose program is gone, is no part of a layer."""
    (tmp_path / "r").mkdir()
    # The name of a socket cannot be long; that of pytest's directory is.
    monkeypatch.chdir(tmp_path / "r")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("s")
    (tmp_path / "r" / "f").write_text("x")
    assert stat.S_ISSOCK((tmp_path / "r" / "s").stat().st_mode)
    layer = program.archive.write_layer(program.archive.walk(tmp_path / "r"), tmp_path / "l.tar.gz", "")
    assert list(members(layer.path)) == ["f"]


def test_extended_attributes_are_refused(program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose attributes would be lost is an error that names it."""
    (tmp_path / "f").write_text("x")
    # Not every file system lets a test set one.
    monkeypatch.setattr(program.archive.os, "listxattr", lambda _path: ["security.capability"])
    with pytest.raises(RuntimeError, match=r"/f has extended attributes"):
        program.archive.write_layer([program.archive.Entry("f", source=tmp_path / "f")], tmp_path / "l.tar.gz", "")


TAGS = {"pause": "3.10.1", "coredns": "v1.13.1", "etcd": "3.6.6-0"}


def test_recipe_files(program: Any, roles: Path) -> None:
    """The recipe's files are in the image at their places, with tags and versions put in, and links of units."""
    files = roles / "kic_image/files"
    (files / "node/etc/tags").write_text("@pause@ @local-path@ @other@\n")
    (files / "node/usr/local/bin/tool").write_text("x")
    (files / "node/usr/local/bin/tool").chmod(0o700)
    recipe = program.recipe.Recipe.load(files)
    found = {entry.name: entry for entry in program.archive.recipe_files(recipe, TAGS)}
    assert found["etc/tags"].content.decode() == f"3.10.1 {recipe.version('local-path')} @other@\n"
    assert (found["etc/tags"].mode, found["usr/local/bin/tool"].mode) == (0o644, 0o755)
    assert found["kind/version"].content.decode() == recipe.version("kubernetes") + "\n"
    wants = "etc/systemd/system/multi-user.target.wants"
    assert found[f"{wants}/kubelet.service"].link == "/etc/systemd/system/kubelet.service", "a unit of the recipe"
    assert found[f"{wants}/containerd.service"].link == "/usr/lib/systemd/system/containerd.service", "one of a package"
    assert found["etc/systemd/system/getty.target"].link == "/dev/null"
    manifest = (files / "default-cni.yaml").read_bytes()
    assert found["kind/manifests/default-cni.yaml"].content == manifest
    assert "usr/local/lib/nodeforge.kic/network" in found
    taken = {str(path.relative_to(roles)) for path in (roles / "kic_cluster/files/node").rglob("*") if path.is_file()}
    names = {f"kic_cluster/files/node/{name}" for name in found}
    assert len(taken & names) == 3, "only what the recipe takes of another role"


def parts(root: Path) -> dict[str, Path]:
    """Results of former steps, small ones."""
    for name in (
        *("base/rootfs/usr/bin/bash", "kubernetes/program", "store/containerd/meta.db"),
        *("store/images/layers/kubernetes/usr/local/bin/kubernetes", "store/images/layers.list"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "store/images/key").write_text("abc")
    (root / "store/tags.json").write_text(json.dumps(TAGS))
    return {name: root / name for name in ("base", "store", "kubernetes")}


def write(program: Any, roles: Path, work: Path) -> dict[str, Any]:
    """Write an image of small parts; what its archive holds."""
    work.mkdir()
    recipe = program.recipe.Recipe.load(roles / "kic_image/files")
    result = program.archive.write_image(recipe, parts(work.with_name(work.name + "-parts")), GO, work)
    # Python's own needs a filter, which Debian 12's does not have yet.
    (work / "out").mkdir()
    subprocess.run(["tar", "--extract", f"--file={work}/image.tar", f"--directory={work}/out"], check=True)
    (manifest,) = json.loads((work / "out/manifest.json").read_text())
    config = (work / "out" / manifest["Config"]).read_bytes()
    layers = [work / "out" / name for name in manifest["Layers"]]
    return {
        "result": result,
        "manifest": manifest,
        "config": json.loads(config),
        "identity": hashlib.sha256(config).hexdigest(),
        "layers": layers,
        "names": [set(members(layer)) for layer in layers],
        "bytes": (work / "image.tar").read_bytes(),
        "left": sorted(path.name for path in work.iterdir()),
    }


def test_image(program: Any, roles: Path, tmp_path: Path) -> None:
    """The archive is an image that engines take: named, its id the configuration's digest, its layers as named there."""
    recipe = program.recipe.Recipe.load(roles / "kic_image/files")
    found = write(program, roles, tmp_path / "work")
    assert found["result"] == {"id": found["identity"], "reference": recipe.reference(GO)}
    assert found["manifest"]["RepoTags"] == [recipe.reference(GO)]
    assert found["manifest"]["Config"] == found["identity"] + ".json"
    digests = ["sha256:" + hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() for path in found["layers"]]
    assert found["config"]["rootfs"]["diff_ids"] == digests and len(digests) == 4
    assert len(found["config"]["history"]) == 4
    assert found["config"]["config"]["Labels"] == {
        "nodeforge.kic.image.kubernetes-version": recipe.version("kubernetes"),
        "nodeforge.kic.image.key": recipe.image_key(GO),
    }
    assert found["left"] == ["image.tar", "out"]
    system, programs, store, own = found["names"]
    assert "usr/bin/bash" in system and "kind/version" in own
    assert {"usr/bin/kubeadm", "kind/images/layers/kubernetes/usr/local/bin/kubernetes"} <= programs
    assert "usr/bin/kubernetes" not in programs
    assert {"var/lib/containerd/meta.db", "kind/images/layers.list", "var/lib/nodeforge.kic/images"} <= store
    assert not any(name.startswith("kind/images/layers/") for name in store), "each layer is in the image once"


def test_image_is_deterministic(program: Any, roles: Path, tmp_path: Path) -> None:
    """The same parts make the same image, wherever they lie."""
    one, other = write(program, roles, tmp_path / "one"), write(program, roles, tmp_path / "other")
    assert one["result"] == other["result"]
    assert one["bytes"] == other["bytes"]


def test_image_that_is_not_linked(program: Any, roles: Path, tmp_path: Path) -> None:
    """Without links the programs are in /usr/bin and the store stands alone."""
    path = roles / "kic_image/files/recipe.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "linked": False}))
    _system, programs, store, _own = write(program, roles, tmp_path / "work")["names"]
    assert {"usr/bin/kubernetes", "usr/bin/kubeadm", "usr/bin/kubelet", "usr/bin/kubectl"} <= programs
    assert not any(name.startswith("kind/images") for name in programs | store)
