# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container images of the control plane and containerd's store with them unpacked.

The store is on the node's volume, and an engine copies all that is below /var of an image into each new volume. So the
layers themselves stay outside, once, in /kind/images/layers, and the store's snapshots are links to them: the program
that is kubelet, kubectl and kubeadm for the node is the very file that runs in the pods.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from recipe import Recipe

CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SNAPSHOTS = "io.containerd.snapshotter.v1.overlayfs/snapshots"

# In a mount and process namespace of its own: nothing of it stays, however it ends. Arguments: rootfs, store, images,
# the program that packs layers, the directory for answers.
ENTER = r"""
set -eu
mount --make-rprivate /
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
mount -t tmpfs tmpfs "$1/dev"
for device in null zero urandom; do touch "$1/dev/$device"; mount --bind "/dev/$device" "$1/dev/$device"; done
mount --bind "$2" "$1/var/lib/containerd"
mount --bind "$3" "$1/kind/images"
mkdir "$1/run/answers"
mount --bind "$5" "$1/run/answers"
cp "$4" "$1/run/images"
exec chroot "$1" /bin/bash -euo pipefail -c "$6"
"""

DIGESTS = r"""
cd /kind/images/layers
for layer in *; do
  bash /run/images layer "$layer" >/run/layer
  echo "$layer $(sha256sum </run/layer | cut -d' ' -f1) $(stat --format %s /run/layer)"
  rm /run/layer
done >/run/answers/layers
"""

# The plug-ins left out need kernel modules or say that they are not configured; the store does not differ.
UNPACK = r"""
containerd --log-level error >/run/answers/containerd.log 2>&1 &
for try in $(seq 100); do ctr version >/dev/null 2>&1 && break; sleep 0.1; done
bash /run/images import overlayfs >/run/answers/import.log
# The end of a lease, waited for, is the end of all that nothing refers to any more: of the layers' archives.
ctr -n k8s.io leases delete --sync "$(ctr -n k8s.io leases create)" >/dev/null
ctr -n k8s.io images list -q | sort >/run/answers/names
kill %1
wait %1 || true
"""


@dataclass(frozen=True)
class Image:
    name: str
    layers: tuple[str, ...]
    entrypoint: str


def wanted_tags(kubernetes: Path, version: str) -> dict[str, str]:
    """The images that this kubeadm deploys by default: {"etcd": "registry.k8s.io/etcd:3.6.6-0", …}."""
    answer = subprocess.run(
        ["kubeadm", "config", "images", "list", "--kubernetes-version", version],
        executable=str(kubernetes),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.decode()
    return {line.rsplit(":", 1)[0].rsplit("/", 1)[1]: line for line in answer.split()}


def libraries(rootfs: Path, programs: list[str]) -> set[str]:
    """Programs and all that the dynamic loader opens for them, as absolute paths in rootfs."""
    found = set(programs)
    for program in programs:
        answer = subprocess.run(
            ["chroot", str(rootfs), "ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
        found |= {word for word in answer.stdout.decode().split() if word.startswith("/")}
    return found


def copy_resolved(rootfs: Path, name: str, layer: Path) -> None:
    """Copies what a path of rootfs leads to, links followed inside rootfs, to the same path of layer."""
    source = Path(name)
    while (rootfs / source.relative_to("/")).is_symlink():
        source = Path(os.path.normpath(source.parent / (rootfs / source.relative_to("/")).readlink()))
    # /lib and /sbin are links in Debian and plain directories in a layer; both names must do.
    target = layer / re.sub(r"^/(lib\w*|s?bin)/", r"/usr/\1/", name).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(rootfs / source.relative_to("/"), target)


def make_layers(rootfs: Path, programs: dict[str, Path], layers: Path) -> None:
    def program(layer: str, name: str, source: Path) -> None:
        target = layers / layer / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
        target.chmod(0o755)

    program("kubernetes", "usr/local/bin/kubernetes", programs["kubernetes"])
    for name in (*CONTROL_PLANE, "kubectl"):
        (layers / "kubernetes/usr/local/bin" / name).symlink_to("kubernetes")
    program("etcd", "usr/local/bin/etcd", programs["etcd"])
    program("coredns", "coredns", programs["coredns"])
    program("pause", "pause", programs["pause"])
    program("local-path", "usr/local/bin/local-path-provisioner", programs["local-path"])

    # What kube-proxy calls: nft in its mode nftables, the iptables programs and their plug-ins in mode iptables.
    netfilter = layers / "netfilter"
    for name in libraries(
        rootfs,
        ["/usr/sbin/nft", "/usr/sbin/conntrack", "/usr/sbin/xtables-nft-multi", "/usr/sbin/xtables-legacy-multi"],
    ):
        copy_resolved(rootfs, name, netfilter)
    for plugins in rootfs.glob("usr/lib/*/xtables"):
        shutil.copytree(plugins, netfilter / plugins.relative_to(rootfs), symlinks=True)
    # Without it nft names a protocol by its number, and a kube-proxy that starts next to the rules of the one before takes none
    # of them for its own: it removes what leads to its services (nftElementStorage in pkg/proxy/nftables/proxier.go).
    (netfilter / "etc").mkdir()
    shutil.copy2(rootfs / "etc/protocols", netfilter / "etc/protocols")
    for family in ("iptables", "ip6tables"):
        for suffix in ("", "-save", "-restore"):
            (netfilter / f"usr/sbin/{family}{suffix}").symlink_to("xtables-nft-multi")
    for name in ("bin", "sbin", "lib", "lib64"):
        if (rootfs / name).is_symlink():
            (netfilter / name).symlink_to((rootfs / name).readlink())

    # A shell with mkdir and rm, for the scripts of the provisioner's configuration.
    program("shell", "bin/busybox", rootfs / "usr/bin/busybox")
    applets = subprocess.run([str(rootfs / "usr/bin/busybox"), "--list"], stdout=subprocess.PIPE, check=True)
    for applet in applets.stdout.decode().split():
        if applet != "busybox":
            (layers / "shell/bin" / applet).symlink_to("busybox")

    # The modes of directories go into a layer's digest; they may not follow the umask.
    for path in [layers, *layers.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


def write_oci(images: list[Image], digests: dict[str, str], sizes: dict[str, int], arch: str, target: Path) -> None:
    """Writes an OCI layout without its layers."""
    blobs = target / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(value: object, kind: str) -> dict[str, object]:
        data = json.dumps(value, sort_keys=True).encode()
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}.v1+json", "digest": f"sha256:{name}", "size": len(data)}

    manifests = []
    for image in images:
        diffs = [f"sha256:{digests[layer]}" for layer in image.layers]
        config = {
            "architecture": arch,
            "os": "linux",
            "config": {"Entrypoint": [image.entrypoint], "Env": [SEARCH_PATH]},
            "rootfs": {"type": "layers", "diff_ids": diffs},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob(config, "config"),
            "layers": [
                {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": diff, "size": sizes[layer]}
                for layer, diff in zip(image.layers, diffs)
            ],
        }
        annotations = {"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": image.name}
        manifests.append({**blob(manifest, "manifest"), "annotations": annotations})
    (target / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="ascii")
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
    (target / "index.json").write_text(json.dumps(index, sort_keys=True), encoding="ascii")


def fill_store(recipe: Recipe, rootfs: Path, programs: dict[str, Path], key: str, work: Path) -> None:
    """Leaves in work: `containerd` (the store), `images` (what goes to /kind/images) and `tags.json`. Needs root."""
    store, images, answers = work / "containerd", work / "images", work / "answers"
    for path in (store, images / "layers", answers):
        path.mkdir(parents=True)
    make_layers(rootfs, programs, images / "layers")

    def enter(script: str) -> None:
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "sh"]
        paths = [rootfs, store, images, recipe.images_script(), answers]
        subprocess.run([*command, *map(str, paths), script], check=True)

    enter(DIGESTS)
    lines = [line.split() for line in (answers / "layers").read_text(encoding="utf-8").splitlines()]
    digests = {name: value for name, value, _size in lines}
    sizes = {name: int(size) for name, _value, size in lines}
    tags = wanted_tags(programs["kubernetes"], recipe.version("kubernetes"))
    own = "localhost/nodeforge.kic"
    wanted = [
        Image(
            tags[name],
            ("kubernetes", "netfilter") if name == "kube-proxy" else ("kubernetes",),
            f"/usr/local/bin/{name}",
        )
        for name in CONTROL_PLANE
    ]
    wanted += [
        Image(tags["etcd"], ("etcd",), "/usr/local/bin/etcd"),
        Image(tags["coredns"], ("coredns",), "/coredns"),
        Image(tags["pause"], ("pause",), "/pause"),
        Image(
            f"{own}/local-path-provisioner:{recipe.version('local-path')}",
            ("local-path",),
            "/usr/local/bin/local-path-provisioner",
        ),
        Image(f"{own}/local-path-helper:v1", ("shell",), "/bin/sh"),
    ]
    write_oci(wanted, digests, sizes, recipe.architecture, images / "oci")
    (images / "layers.list").write_text(
        "".join(f"{name} {value}\n" for name, value in digests.items()), encoding="ascii"
    )
    (images / "key").write_text(key, encoding="ascii")
    enter(UNPACK)

    names = (answers / "names").read_text(encoding="utf-8").split()
    missing = {image.name for image in wanted} - set(names)
    if missing:
        raise RuntimeError(f"containerd did not import {sorted(missing)}:\n{(answers / 'import.log').read_text()}")
    if recipe.values["linked"]:
        link_snapshots(store, images / "layers")
    for path in store.glob("tmpmounts/*"):
        path.rmdir()
    (work / "tags.json").write_text(
        json.dumps({name: tag.rsplit(":", 1)[1] for name, tag in tags.items()}), encoding="ascii"
    )
    shutil.rmtree(answers)


def link_snapshots(store: Path, layers: Path) -> None:
    """Puts a link to the image's layer in the place of each unpacked snapshot, which are told apart by what they hold."""
    kept = [
        str(blob) for blob in store.glob("io.containerd.content.v1.content/blobs/*/*") if blob.stat().st_size > 1 << 20
    ]
    if kept:
        raise RuntimeError(f"containerd still keeps archives of layers: {kept}")
    contents = {listing(layer): layer.name for layer in layers.iterdir()}
    for unpacked in (store / SNAPSHOTS).glob("*/fs"):
        name = contents.get(listing(unpacked))
        if name is None:
            raise RuntimeError(f"{unpacked} is not a layer of the images")
        shutil.rmtree(unpacked)
        unpacked.symlink_to(f"/kind/images/layers/{name}")


def listing(root: Path) -> tuple[tuple[str, int], ...]:
    """Names and sizes of all below root."""
    found = [(str(path.relative_to(root)), path.lstat()) for path in root.rglob("*")]
    return tuple(sorted((name, 0 if stat.S_ISDIR(status.st_mode) else status.st_size) for name, status in found))
