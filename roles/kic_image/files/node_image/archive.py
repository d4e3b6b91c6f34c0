# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the image: one docker archive with its own configuration, whose digest is the image's id in every engine.

Layers stand in the order of how often they change: the system, the programs, containerd's store, the recipe's files.
"""

from __future__ import annotations

import concurrent.futures
import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base import EPOCH
from recipe import Recipe

PROGRAMS = "/kind/images/layers/kubernetes/usr/local/bin/kubernetes"


@dataclass(frozen=True)
class Entry:
    """One name of a layer: a file of this machine, or content, or the target of a link."""

    name: str
    source: Path | None = None
    content: bytes = b""
    link: str = ""
    mode: int = 0o644


@dataclass(frozen=True)
class Layer:
    path: Path
    digest: str
    history: str


class HashingWriter(io.RawIOBase):
    """Hands on what is written and takes its digest."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.hash.update(data)
        self.target.write(data)
        return len(data)


def walk(root: Path, prefix: str = "", without: tuple[str, ...] = ()) -> list[Entry]:
    """All that is below root, without the names below `without`, which are as in the image."""
    found = []
    for directory, directories, files in os.walk(root):
        for name in directories + files:
            path = Path(directory, name)
            inside = str(Path(prefix, path.relative_to(root)))
            if not any(inside == left or inside.startswith(left + "/") for left in without):
                found.append(Entry(inside, source=path))
    return found


def write_layer(entries: list[Entry], path: Path, history: str) -> Layer:
    names = {entry.name for entry in entries}
    parents = {str(parent) for name in names for parent in Path(name).parents} - names - {"."}
    with path.open("wb") as file, gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
        writer = HashingWriter(packed)
        with tarfile.open(fileobj=writer, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            # A directory that a lower layer holds is named again, since engines give one that is not named any mode.
            for entry in sorted(
                [*entries, *(Entry(name, mode=0o40755) for name in parents)], key=lambda entry: entry.name
            ):
                add(archive, entry)
    return Layer(path, "sha256:" + writer.hash.hexdigest(), history)


def add(archive: tarfile.TarFile, entry: Entry) -> None:
    if entry.source is not None:
        if stat.S_ISSOCK(entry.source.lstat().st_mode):
            # What made it is gone.
            return
        information = archive.gettarinfo(str(entry.source), arcname=entry.name)
        if stat.S_ISREG(entry.source.lstat().st_mode) and os.listxattr(entry.source):
            raise RuntimeError(f"{entry.source} has extended attributes, which this writer does not keep")
        information.mtime = min(int(information.mtime), EPOCH)
    else:
        information = tarfile.TarInfo(entry.name)
        information.mtime = EPOCH
        information.mode = entry.mode & 0o7777
        if entry.link:
            information.type = tarfile.SYMTYPE
            information.linkname = entry.link
            information.mode = 0o777
        elif stat.S_ISDIR(entry.mode):
            information.type = tarfile.DIRTYPE
        else:
            information.size = len(entry.content)
    # Numbers only: the names are of this machine.
    information.uname = information.gname = ""
    if entry.source is not None and information.isreg():
        with entry.source.open("rb") as file:
            archive.addfile(information, file)
    else:
        archive.addfile(information, io.BytesIO(entry.content))


def recipe_files(recipe: Recipe, tags: dict[str, str]) -> list[Entry]:
    """The recipe's own files and links; @name@ in them is the tag that kubeadm wants for the image of that name."""
    sources = recipe.files()
    for root, names in recipe.trees():
        for path in [root / name for name in names] if names is not None else root.rglob("*"):
            if path.is_file():
                sources[str(path.relative_to(root))] = path
    values = {**tags, "local-path": recipe.version("local-path")}
    found = {}
    for name, path in sources.items():
        content = path.read_bytes()
        for tag, value in values.items():
            content = content.replace(f"@{tag}@".encode(), value.encode())
        found[name] = Entry(name, content=content, mode=0o755 if path.stat().st_mode & 0o111 else 0o644)

    units = "etc/systemd/system"
    for unit in recipe.values["enabled"]:
        folder = f"/{units}" if f"{units}/{unit}" in found else "/usr/lib/systemd/system"
        name = f"{units}/multi-user.target.wants/{unit}"
        found[name] = Entry(name, link=f"{folder}/{unit}")
    for unit in recipe.values["masked"]:
        found[f"{units}/{unit}"] = Entry(f"{units}/{unit}", link="/dev/null")
    found["kind/version"] = Entry("kind/version", content=recipe.version("kubernetes").encode() + b"\n")
    return list(found.values())


def identity(image: Path) -> str:
    """The id of the image in an archive of ours, by its first member; empty where it cannot be read."""
    try:
        with tarfile.open(image, "r:") as archive:
            first = archive.next()
            content = archive.extractfile(first) if first is not None else None
            return hashlib.sha256(content.read()).hexdigest() if content is not None else ""
    except (OSError, tarfile.TarError):
        return ""


def write_image(recipe: Recipe, parts: dict[str, Path], go_version: str, work: Path) -> dict[str, object]:
    """Leaves `image.tar` in work. parts: the results of the steps base, store and of the program kubernetes."""
    tags = json.loads((parts["store"] / "tags.json").read_text(encoding="ascii"))
    linked = recipe.values["linked"]
    program = [] if linked else [Entry("usr/bin/kubernetes", source=parts["kubernetes"] / "program")]
    program += [
        Entry(f"usr/bin/{name}", link=PROGRAMS if linked else "kubernetes")
        for name in ("kubeadm", "kubelet", "kubectl")
    ]
    programs = (walk(parts["store"] / "images/layers", "kind/images/layers") if linked else []) + program
    store = walk(parts["store"] / "containerd", "var/lib/containerd")
    if linked:
        store += walk(parts["store"] / "images", "kind/images", without=("kind/images/layers",))
        key = (parts["store"] / "images/key").read_text(encoding="ascii")
        store.append(Entry("var/lib/nodeforge.kic/images", content=f"{key} overlayfs linked\n".encode()))
    contents = [
        ("system from Debian packages", walk(parts["base"] / "rootfs")),
        ("programs from Go modules", programs),
        ("containerd's store", store),
        ("recipe", recipe_files(recipe, tags)),
    ]
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        waiting = [
            pool.submit(write_layer, entries, work / f"{number}.tar.gz", history)
            for number, (history, entries) in enumerate(contents)
        ]
        layers = [future.result() for future in waiting]

    created = "2026-01-01T00:00:00Z"
    version = recipe.version("kubernetes")
    config = {
        "architecture": recipe.architecture,
        "os": "linux",
        "created": created,
        "config": {
            "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container=docker"],
            "StopSignal": "SIGRTMIN+3",
            "Labels": {
                "nodeforge.kic.image.kubernetes-version": version,
                "nodeforge.kic.image.key": recipe.image_key(go_version),
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        "history": [{"created": created, "created_by": layer.history} for layer in layers],
    }
    data = json.dumps(config, sort_keys=True).encode()
    identity = hashlib.sha256(data).hexdigest()
    reference = recipe.reference(go_version)
    manifest = [
        {"Config": f"{identity}.json", "RepoTags": [reference], "Layers": [layer.path.name for layer in layers]}
    ]
    with tarfile.open(work / "image.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, Entry(f"{identity}.json", content=data))
        add(archive, Entry("manifest.json", content=json.dumps(manifest).encode()))
        for layer in layers:
            add(archive, Entry(layer.path.name, source=layer.path))
            layer.path.unlink()
    return {"id": identity, "reference": reference}
