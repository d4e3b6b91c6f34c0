# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file system from Debian packages, without what a node never uses."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from recipe import Recipe

# A date that files and accounts carry in place of today's: 2026-01-01.
EPOCH = 1767225600


def mirror() -> list[str]:
    """The Debian mirror that this machine is set up for; none on another distribution (mmdebstrap then has its own)."""
    try:
        answer = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        ).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return []
    for line in answer.splitlines():
        origin, label, address = line.split("|", 2)
        if origin == label == "Debian":
            return [address]
    return []


def bootstrap(recipe: Recipe, work: Path) -> None:
    """Leaves the tree `rootfs` in work. Needs root."""
    rootfs = work / "rootfs"
    values = recipe.values
    command = ["mmdebstrap", "--mode=root", "--variant=essential", "--format=directory"]
    command += ["--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Languages none"]
    command += [f"--dpkgopt=path-exclude=/{pattern}" for pattern in values["unpacked"]]
    command += [f"--dpkgopt=path-include=/{pattern}" for pattern in values["kept"]]
    command += ["--include=" + ",".join(values["packages"]), values["suite"], str(rootfs), *mirror()]
    subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)}, check=True)
    trim(rootfs, values["plugins"])


def trim(rootfs: Path, plugins: list[str]) -> None:
    """Brings the tree of packages to the places and the size of a node's."""
    # Package lists, caches and logs are of the bootstrap; locks and old copies of dpkg's lists with them.
    for name in ("var/cache", "var/log", "var/lib/apt", "var/backups", "var/tmp", "tmp", "run", "dev", "boot", "media"):
        shutil.rmtree(rootfs / name)
        (rootfs / name).mkdir()
    for name in ("tmp", "var/tmp"):
        (rootfs / name).chmod(0o1777)
    for path in (rootfs / "var/lib/dpkg").glob("*-old"):
        path.unlink()

    # What dpkg knows is a fact of the image, not of the volume that /var becomes; and 4 MB in 700 files less to copy
    # into each node's volume.
    moved = rootfs / "usr/lib/nodeforge.kic/dpkg"
    moved.parent.mkdir()
    shutil.move(str(rootfs / "var/lib/dpkg"), moved)
    (rootfs / "var/lib/dpkg").symlink_to("/usr/lib/nodeforge.kic/dpkg")

    # kubelet's world looks for plug-ins in /opt/cni/bin, Debian's in /usr/lib/cni.
    target = rootfs / "opt/cni/bin"
    target.mkdir(parents=True)
    for plugin in plugins:
        shutil.move(str(rootfs / "usr/lib/cni" / plugin), target / plugin)
    shutil.rmtree(rootfs / "usr/lib/cni")
    (rootfs / "usr/lib/cni").symlink_to("/opt/cni/bin")

    for name in ("kind/images", "etc/kubernetes/manifests", "etc/cni/net.d", "var/lib/containerd", "var/lib/kubelet"):
        (rootfs / name).mkdir(parents=True, exist_ok=True)
    (rootfs / "etc/machine-id").write_text("", encoding="ascii")
    (rootfs / "etc/resolv.conf").unlink(missing_ok=True)
    (rootfs / "etc/hostname").unlink(missing_ok=True)
    default = rootfs / "etc/systemd/system/default.target"
    default.unlink(missing_ok=True)
    default.symlink_to("/usr/lib/systemd/system/multi-user.target")
