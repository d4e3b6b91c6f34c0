# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds Kubernetes' own tests and the images that they run, from Go modules and Debian packages alone.

The programs are compiled from the module k8s.io/kubernetes that the recipe of the node image pins, and from modules that it
requires. Results are kept under ${XDG_CACHE_HOME:-~/.cache}/nodeforge.kic/conformance, named by all that goes into them; what
Go fetched and compiled is shared with the builder of the node image.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..builder import FILES
from ..hosts.disk import mirror

RECIPE = Path(__file__).parent / "recipe"
MODULE = "k8s.io/kubernetes"
SUITE = "trixie"

PROGRAMS = {
    "e2e.test": f"{MODULE}/test/e2e",
    "ginkgo": "github.com/onsi/ginkgo/v2/ginkgo",
    "agnhost": f"{MODULE}/test/images/agnhost",
    "nnp": f"{MODULE}/test/images/nonewprivs",
    "sample-apiserver": "k8s.io/sample-apiserver",
}
"""What is compiled, each of one package."""

PACKAGES = ("bash-static", "bind9-dnsutils", "busybox-static", "curl", "iproute2", "netcat-openbsd", "nginx", "passwd")
"""What tests call in the containers of agnhost, besides agnhost and the essential packages; and what stands for nginx."""

UNPACKED = ("usr/share/doc/*", "usr/share/info/*", "usr/share/locale/*", "usr/share/man/*")
"""Patterns of files of the packages that no test reads."""

ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]


@dataclass(frozen=True)
class Image:
    """An image of the tests: the layers that it is made of here, and its configuration."""

    made_of: str
    """What a person should know about it: where it differs from the one that Kubernetes publishes."""
    layers: tuple[str, ...]
    config: dict[str, Any] = field(default_factory=dict)


_AGNHOST = {"Entrypoint": ["/agnhost"], "Cmd": ["pause"]}
_SAMPLE = {"Entrypoint": ["/sample-apiserver"]}
_NGINX = {"Cmd": ["nginx", "-g", "daemon off;"]}

IMAGES = {
    "APIServer": Image("sample-apiserver of the pinned release in place of 1.29", ("sample-apiserver",), _SAMPLE),
    "Agnhost": Image("agnhost of the pinned module, on Debian in place of Alpine", ("debian", "agnhost"), _AGNHOST),
    "AgnhostPrev": Image("the same as Agnhost", ("debian", "agnhost"), _AGNHOST),
    "BusyBox": Image("busybox-static of Debian, with bash as its shell", ("busybox",), {"Cmd": ["sh"]}),
    "JessieDnsutils": Image("bind9-dnsutils of Debian 13 in place of Debian 8", ("debian",), {"Cmd": ["bash"]}),
    "Nautilus": Image(
        "its files of the pinned module, on our Agnhost",
        ("debian", "agnhost", "nautilus"),
        {**_AGNHOST, "Cmd": ["test-webserver"]},
    ),
    "Nginx": Image("nginx of Debian", ("debian",), _NGINX),
    "NginxNew": Image("the same as Nginx", ("debian",), _NGINX),
    "Nonewprivs": Image("nnp of the pinned module, on our BusyBox", ("busybox", "nonewprivs"), {"Cmd": ["nnp"]}),
}
"""The images that are made, by the names that they have in test/utils/image/manifest.go."""


def cache() -> Path:
    """Where all builders keep their results."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nodeforge.kic"


def obstacle() -> str | None:
    """Why the images cannot be built on this machine; None where they can."""
    if os.geteuid() != 0:
        return "building the images of the conformance tests takes root"
    missing = shutil.which("mmdebstrap", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None
    return "the conformance tests need, on Debian: apt-get install mmdebstrap" if missing else None


@dataclass(frozen=True)
class Suite:
    """Kubernetes' tests, ready to run."""

    version: str
    test: Path
    """The program that holds the tests."""
    ginkgo: Path
    """The program that runs them in several processes."""
    kubectl: Path
    archive: Path
    """All images, as one docker archive."""
    names: dict[str, str]
    """The full name of each image that the tests know, by its name in their source."""


class Builder:
    """Makes the parts of a Suite; ``program`` is the builder of the node image."""

    def __init__(self, program: Any) -> None:
        self._program = program
        self._cache = program.cache.Cache(cache() / "conformance")
        go = cache() / "image" / "go"
        folders = {"GOPATH": go / "path", "GOMODCACHE": go / "mod", "GOCACHE": go / "build"}
        self._environment = {**os.environ, **program.programs.ENVIRONMENT, **{k: str(v) for k, v in folders.items()}}
        self._recipe = program.recipe.Recipe.load(FILES)
        self._environment["GOARCH"] = self._recipe.architecture
        self._flags = self._recipe.linker_flags("kubernetes")
        self._programs = program.recipe.digest(
            PROGRAMS,
            self._flags,
            program.recipe.tree_digest(RECIPE, ["go.mod", "go.sum"]),
            self._go("env", "GOVERSION"),
            self._recipe.architecture,
            program.recipe.code_digest("programs"),
        )
        self._images = program.recipe.digest(
            self._programs, program.recipe.code_digest("archive"), Path(__file__).read_text()
        )

    def suite(self) -> Suite:
        """All parts; what is missing is made: four minutes, or ten where the node image was not compiled here."""
        names = self._names()
        made = {name: self._part(name, self._programs, partial(self._compile, name)) / name for name in PROGRAMS}
        system = self._part("debian", self._images, self._debian)
        archive = self._part("images", self._images, lambda work: self._archive(work, system, made, names))
        self._clean()
        return Suite(
            self._recipe.version("kubernetes"),
            made["e2e.test"],
            made["ginkgo"],
            self._kubectl(),
            archive / "images.tar",
            names,
        )

    def _part(self, name: str, key: str, make: Callable[[Path], None]) -> Path:
        """The directory with a result, which ``make`` fills where it is missing."""
        with self._cache.make(name, key) as work:
            if work is not None:
                make(work)
        found: Path = self._cache.path(name, key)
        return found

    def _clean(self) -> None:
        """Remove what nothing has requested for a month."""
        for path in self._cache.directory.glob("*/*"):
            if path.is_dir() and not path.suffix and time.time() - path.stat().st_mtime > self._program.cache.UNUSED:
                shutil.rmtree(path)

    def _go(self, *arguments: str) -> str:
        done = subprocess.run(
            ["go", *arguments], cwd=RECIPE, env=self._environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout.strip()

    def _compile(self, name: str, work: Path) -> None:
        """Leave a program in ``work``; on two processors at most, as another test may run next to it."""
        command = ("test", "-c") if name == "e2e.test" else ("build",)
        self._go(*command, "-p=2", "-ldflags", self._flags, "-o", str(work / name), PROGRAMS[name])

    def _kubectl(self) -> Path:
        """The program of the node image, which is kubectl by that name."""
        builder = self._program.main.Builder(self._recipe, self._program.cache.Cache(cache() / "image"), "go")
        program: Path = builder.make("kubernetes") / "program"

        def link(work: Path) -> None:
            (work / "kubectl").symlink_to(program)

        return self._part("kubectl", program.parent.name, link) / "kubectl"

    def _names(self) -> dict[str, str]:
        """The images that the tests know, from the table in their source."""
        self._go("mod", "download", MODULE)
        text = (self._sources() / "test/utils/image/manifest.go").read_text()
        registries = dict(re.findall(r'^\t\t(\w+): +"(\S+)",$', text, re.MULTILINE))
        found = re.findall(r'configs\[(\w+)\] += Config\{list\.(\w+), "(\S+)", "(\S+)"\}', text)
        return {name: f"{registries[registry]}/{image}:{tag}" for name, registry, image, tag in found}

    def _sources(self) -> Path:
        return Path(self._go("list", "-m", "-f", "{{.Dir}}", MODULE))

    def _debian(self, work: Path) -> None:
        """Leave the tree ``rootfs`` of Debian's packages in ``work``. Needs root."""
        rootfs = work / "rootfs"
        command = ["mmdebstrap", "--mode=root", "--variant=essential", "--format=directory"]
        command += ["--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Languages none"]
        command += [f"--dpkgopt=path-exclude=/{pattern}" for pattern in UNPACKED]
        command += [f"--include={','.join(PACKAGES)}", SUITE, str(rootfs), *mirror()]
        subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": str(self._program.base.EPOCH)}, check=True)
        for name in ("var/cache", "var/log", "var/lib/apt", "tmp", "run", "dev"):
            shutil.rmtree(rootfs / name)
            (rootfs / name).mkdir()
        (rootfs / "tmp").chmod(0o1777)
        (rootfs / "var/log/nginx").mkdir()
        # A user and a group of the image, by which tests of supplemental groups know it.
        for words in (
            ["useradd", "--uid=1000", "--no-create-home", "user-defined-in-image"],
            ["groupadd", "--gid=50000", "group-defined-in-image"],
            ["usermod", "--append", "--groups=group-defined-in-image", "user-defined-in-image"],
        ):
            subprocess.run(["chroot", str(rootfs), *words], check=True)

    def _archive(self, work: Path, system: Path, made: dict[str, Path], names: dict[str, str]) -> None:
        """Leave ``images.tar`` in ``work``: the images share their layers."""
        program, sources = self._program.archive, self._sources() / "test/images"
        entry = program.Entry
        busybox = system / "rootfs/usr/bin/busybox"
        applets = subprocess.run([str(busybox), "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        contents = {
            "debian": program.walk(system / "rootfs"),
            "agnhost": [
                entry("agnhost", source=made["agnhost"]),
                entry("agnhost-2", link="agnhost"),
                entry("uploads", mode=0o40755),
                *(entry(name, source=sources / "agnhost/porter" / name) for name in ("localhost.crt", "localhost.key")),
            ],
            "busybox": [
                entry("bin/busybox", source=busybox),
                # The shell of Debian's BusyBox drops variables whose names are not identifiers, such as data-1; that of the
                # image that Kubernetes publishes keeps them, as bash does.
                entry("bin/bash", source=system / "rootfs/usr/bin/bash-static"),
                entry("bin/sh", link="bash"),
                *(entry(f"bin/{name}", link="busybox") for name in applets if name not in ("busybox", "bash", "sh")),
                entry("etc/passwd", content=b"root:x:0:0:root:/root:/bin/sh\n"),
                entry("etc/group", content=b"root:x:0:\n"),
                entry("root", mode=0o40700),
                entry("tmp", mode=0o41777),
            ],
            # It runs as root whoever starts it, where a pod allows that.
            "nonewprivs": [entry("usr/local/bin/nnp", content=made["nnp"].read_bytes(), mode=0o4755)],
            "sample-apiserver": [
                entry("sample-apiserver", source=made["sample-apiserver"]),
                entry("tmp", mode=0o41777),
            ],
            "nautilus": [
                entry(name, source=sources / "nautilus/html" / name) for name in ("nautilus.jpg", "data.json")
            ],
        }
        layers = {
            name: program.write_layer(entries, work / f"{name}.tar.gz", name) for name, entries in contents.items()
        }
        configs, manifest = {}, []
        for name, image in IMAGES.items():
            value = {
                "architecture": self._recipe.architecture,
                "os": "linux",
                "config": {"Env": ENVIRONMENT, **image.config},
                "rootfs": {"type": "layers", "diff_ids": [layers[layer].digest for layer in image.layers]},
            }
            data = json.dumps(value, sort_keys=True).encode()
            file = f"{self._program.recipe.digest(value)}.json"
            configs[file] = data
            files = [layers[layer].path.name for layer in image.layers]
            manifest.append({"Config": file, "RepoTags": [names[name]], "Layers": files})
        _write(program, work / "images.tar", manifest, configs, [layer.path for layer in layers.values()])


def _write(program: Any, path: Path, manifest: list[Any], configs: dict[str, bytes], layers: list[Path]) -> None:
    """Write a docker archive; the files of the layers go into it."""
    with tarfile.open(path, "w") as archive:
        program.add(archive, program.Entry("manifest.json", content=json.dumps(manifest).encode()))
        for name, content in configs.items():
            program.add(archive, program.Entry(name, content=content))
        for layer in layers:
            program.add(archive, program.Entry(layer.name, source=layer))
            layer.unlink()
