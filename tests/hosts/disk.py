# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disk of the tests' host: Debian 13 with systemd as PID 1, control groups of version 2, podman, docker and a user.

Built from Debian's packages by mmdebstrap, and kept under ${XDG_CACHE_HOME:-~/.cache}/nodeforge.kic/hosts by what it is
made from. The directory debian13 says what is on it. The node image lies in the stores of root's and the user's podman and
docker: to load it on the emulated host would take minutes. Another disk is bare: it has neither engine nor image, and this machine's
settings for package registries.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .registries import furnish

RECIPE = Path(__file__).parent / "debian13"
IMAGES = Path(__file__).parents[2] / "roles" / "kic_image" / "files"
SUITE = "trixie"
DISK_BYTES = 16 << 30
"""Of which the file takes what is used."""
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "ssh": "openssh-client",
}
"""What it takes, and Debian's package of each."""


class HostError(Exception):
    """The host cannot be made or does not answer; the message says why."""


def obstacle() -> str | None:
    """Why this machine cannot run the host; None where it can."""
    if platform.machine() != "x86_64":
        return f"the test host is built for x86_64, this machine is {platform.machine()}"
    if os.geteuid() != 0:
        return "building the test host takes root"
    missing = sorted(package for program, package in PROGRAMS.items() if _program(program) is None)
    return f"the test host needs, on Debian: apt-get install {' '.join(missing)}" if missing else None


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def cache() -> Path:
    """Where the results are kept."""
    return _caches() / "hosts"


def _caches() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "nodeforge.kic"


def digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(hashlib.sha256(part).digest())
    return found.hexdigest()[:16]


def node_archive(make: bool) -> Path | None:
    """The archive of the node image in the cache of the role kic_image, in a directory that is named by all that goes
    into it. Where it is missing it is made, which takes minutes, or None."""
    builder: list[str | Path] = [
        sys.executable,
        "-B",
        IMAGES / "node_image",
        f"--recipe={IMAGES}",
        f"--cache={_caches() / 'image'}",
    ]
    plan = json.loads(run([*builder, "plan"]).stdout)
    if plan["missing"]:
        if not make:
            return None
        run([*builder, "archive"])
    return Path(plan["archive"])


def _recipe_key(archive: Path | None) -> str:
    """Key of the disk: the recipe, the way it is built, and the node image."""
    sources = (Path(__file__), Path(__file__).with_name("registries.py"))
    parts = [*(path.read_bytes() for path in sources), archive.parent.name.encode() if archive else b""]
    for path in sorted(RECIPE.rglob("*")):
        # What "warm" does is no part of the disk, but of the saved state.
        if path.is_file() and path.name != "warm":
            parts += [
                str(path.relative_to(RECIPE)).encode(),
                path.read_bytes(),
                oct(path.stat().st_mode & 0o777).encode(),
            ]
    return digest(*parts)


def run(command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; HostError with its words where it fails."""
    program = _program(str(command[0]))
    if program is None:
        raise HostError(f"{command[0]} is not installed")
    done = subprocess.run(
        [program, *(str(part) for part in command[1:])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    if done.returncode != 0:
        raise HostError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done


def mirror() -> list[str]:
    """The Debian mirror that this machine is set up for; none on another distribution (mmdebstrap has its own)."""
    if _program("apt-get") is None:
        return []
    answer = run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"])
    lines = [line.split("|", 2) for line in answer.stdout.splitlines()]
    return [address for origin, label, address in lines if origin == label == "Debian"][:1]


def build_disk(archive: Path | None, bare: bool = False) -> Path:
    """The directory with ``disk``, ``kernel``, ``initrd`` and ``key``; built where it is missing (one to two minutes).

    The image of ``archive`` is in the stores of its engines; a ``bare`` one has none.
    """
    target = cache() / f"{'bare' if bare else 'disk'}-{_recipe_key(None if bare else archive)}"
    if target.exists():
        return target
    work = cache() / f"{target.name}.{os.getpid()}"
    root = work / "root"
    work.mkdir(parents=True)
    try:
        lists = ("packages",) if bare else ("packages", "engine-packages")
        packages = ",".join(word for name in lists for word in (RECIPE / name).read_text().split())
        command: list[str | Path] = ["mmdebstrap", "--mode=root", "--variant=apt", "--format=directory"]
        command += ["--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Languages none"]
        command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")]
        # Compressing costs more here than it saves in the one read that follows.
        command += ["--essential-hook=mkdir -p $1/etc/initramfs-tools/conf.d"]
        command += [
            "--essential-hook=echo COMPRESS=zstd COMPRESSLEVEL=1 | tr ' ' '\\n' >$1/etc/initramfs-tools/conf.d/kic"
        ]
        run([*command, f"--include={packages},zstd", SUITE, root, *mirror()])
        shutil.copytree(RECIPE / "files", root, dirs_exist_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", work / "key"])
        shutil.copy(work / "key.pub", root / "tmp/key.pub")
        shutil.copy(RECIPE / "setup", root / "tmp/setup")
        run(["chroot", root, "/tmp/setup"])
        (root / "tmp/setup").unlink()
        if bare:
            furnish(root, SUITE, mirror())
        elif archive is not None:
            # In namespaces of its own, so that no mount, process or packet filter is left, whatever happens.
            alone = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child"]
            run([*alone, RECIPE / "fill-stores", root, archive], env={"PATH": os.defpath + ":/usr/sbin:/sbin"})
        for name, found in (("kernel", "vmlinuz-*"), ("initrd", "initrd.img-*")):
            (source,) = (root / "boot").glob(found)
            shutil.copy(source, work / name)
        with (work / "disk").open("wb") as disk:
            disk.truncate(DISK_BYTES)
        run(["mke2fs", "-q", "-t", "ext4", "-F", "-d", root, work / "disk"])
        shutil.rmtree(root)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target
