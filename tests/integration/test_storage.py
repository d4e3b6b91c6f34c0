# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes of an engine whose storage is on btrfs, whose files have no device's number by which kubelet would find theirs."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Client, Play, have_image
from .dockerd import Daemon


@dataclass(frozen=True)
class Btrfs:
    """A file system in a file."""

    folder: Path
    device: str


@pytest.fixture
def btrfs(tmp_path: Path) -> Iterator[Btrfs]:
    """One that is mounted, of 8 GiB, of which is taken what is used."""
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("no btrfs here; on Debian: apt-get install btrfs-progs")
    disk, folder = tmp_path / "disk", tmp_path / "btrfs"
    with disk.open("wb") as stream:
        stream.truncate(8 << 30)
    folder.mkdir()
    subprocess.run(["mkfs.btrfs", "--quiet", str(disk)], check=True, capture_output=True)
    if subprocess.run(["mount", "-o", "loop", str(disk), str(folder)], check=False).returncode != 0:
        pytest.skip("this machine mounts no file as btrfs")
    try:
        source = ["findmnt", "--noheadings", "--output", "SOURCE", str(folder)]
        yield Btrfs(folder, subprocess.run(source, capture_output=True, text=True, check=True).stdout.strip())
    finally:
        subprocess.run(["umount", "--recursive", str(folder)], check=True)
        disk.unlink()


def kubelet_complains(client: Client, node: str) -> str:
    """What kubelet says of file systems that it cannot make out (cadvisor, fs/fs.go)."""
    journal = (
        "journalctl --unit kubelet --no-pager | grep -i 'btrfs mountpoint IDs\\|failed to get rootfs info' || true"
    )
    return client.out("exec", node, "sh", "-c", journal)


@pytest.mark.full("a whole cluster; a node on this file system is in the quick set")
def test_cluster_on_podman(environment: dict[str, str], play: Play, btrfs: Btrfs, tmp_path: Path) -> None:
    """From an empty store to Ready: a privileged node sees the device."""
    run = Path(tempfile.mkdtemp(prefix="kictest-", dir="/run"))
    store = f'[storage]\ndriver = "overlay"\ngraphroot = "{btrfs.folder}/store"\nrunroot = "{run}"\n'
    (tmp_path / "storage.conf").write_text(store)
    there = {"CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf")}
    podman, name = Client({**environment, **there}), "kictest-btrfs"
    asked: dict[str, Any] = {"kic_engine": "podman", "kic_cluster_name": name}
    try:
        image = have_image(play, process_env=there, kic_engine="podman")
        kubeconfig = str(tmp_path / "kubeconfig")
        play(
            ROOT / "playbooks" / "site.yml",
            process_env=there,
            kic_image_name=image,
            kic_cluster_kubeconfig=kubeconfig,
            **asked,
        )
        node = f"{name}-control-plane-1"
        podman.run("exec", node, "kubectl", "wait", "--for=condition=Ready", f"node/{node}", "--timeout=5s")
        assert podman.out("exec", node, "stat", "--format=%F", btrfs.device) == "block special file"
        assert kubelet_complains(podman, node) == ""
    finally:
        play(ROOT / "playbooks" / "teardown.yml", process_env=there, **asked)
        shutil.rmtree(run, ignore_errors=True)


@pytest.mark.full("a docker and a file system of its own")
def test_node_on_docker(play: Play, run_module: Callable[..., dict[str, Any]], btrfs: Btrfs) -> None:
    """A node that is not privileged, as docker's are where the machine withholds a capability, is given the device."""
    with Daemon.running(btrfs.folder / "store") as daemon:
        there = {"DOCKER_HOST": daemon.endpoint}
        image = have_image(play, process_env=there, kic_engine="docker")
        name, common = "kictest-btrfs", {"engine": "docker", "process_env": there}
        for module, params in (("oci_network", {"subnet6": "none"}), ("oci_volume", {})):
            assert not run_module(module, name=name, **params, **common).get("failed")
        made = run_module("kic_node", name=name, image=image, network=name, **common)
        assert not made.get("failed"), made["msg"]
        assert daemon.client.out("exec", name, "stat", "--format=%F", btrfs.device) == "block special file"
        host = json.loads(daemon.client.out("container", "inspect", name))[0]["HostConfig"]
        noted = [item["value"] for item in made["node"]["adaptations"] if item["option"] == "devices"]
        assert noted == ([] if host["Privileged"] else [btrfs.device])
        assert run_module("kic_node", name=name, image=image, network=name, **common)["changed"] is False
        assert run_module("kic_node", name=name, state="absent", **common)["changed"]
