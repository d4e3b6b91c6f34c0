# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters that come back: after a restart of docker's daemon, and what is said of podman where there is no systemd.

Boots of a machine are in test_host_nodes.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Client, Play, have_image
from .dockerd import Daemon
from .living import Cluster

SITE, TEARDOWN = ROOT / "playbooks" / "site.yml", ROOT / "playbooks" / "teardown.yml"


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd manages this machine")
def test_podman_without_systemd(
    run_module: Callable[..., dict[str, Any]], podman: Client, unique: Callable[[str], str], node_image: str
) -> None:
    """One warning, which names what to do, of a run that would create nodes, and not where the user asked for no boot."""
    del podman
    asked = {"name": unique("boot"), "image": node_image, "engine": "podman"}
    foretold = run_module("kic_cluster", check=True, **asked)
    (warning,) = [text for text in map(str, foretold["warnings"]) if "boots" in text]
    assert "systemd does not manage this machine" in warning and "kic_cluster_boot: false" in warning
    assert not any("boot unit" in action for action in foretold["actions"])
    quiet = run_module("kic_cluster", check=True, boot=False, **asked)
    assert "boots" not in str(quiet.get("warnings"))
    assert quiet["actions"] == foretold["actions"]


FILES = ("sh", "-c", "cd /etc/kubernetes && sha256sum admin.conf kubelet.conf pki/*.crt")
"""What identifies a cluster: its certificates, and the keys of those who ask it."""


def wait_for_api(client: Client, node: str, seconds: float = 120) -> float:
    """Wait until the API says that it is ready; how many seconds that took."""
    begin = time.monotonic()
    while client.run("exec", node, "kubectl", "get", "--raw", "/readyz", check=False).stdout.strip() != "ok":
        assert time.monotonic() - begin < seconds, client.out("ps", "--all") + client.out("logs", "--tail=30", node)
        time.sleep(0.5)
    return time.monotonic() - begin


@pytest.mark.full("a cluster and two starts of a daemon; policies and their life are unit tests")
@pytest.mark.parametrize("count", [1, 3])
def test_docker_restarts(count: int, play: Play, podman: Client, unique: Callable[[str], str], tmp_path: Path) -> None:
    """A cluster made with the defaults runs again when the daemon does, one that exists already gets that without being
    replaced, and one that was stopped stays stopped; so does one of three control planes, with all members of etcd."""
    del podman
    cluster = unique("boot")
    planes = [f"{cluster}-control-plane-{number + 1}" for number in range(count)]
    containers = sorted([*planes, *([f"{cluster}-load-balancer"] if count > 1 else [])])
    with Daemon.running(tmp_path / "docker") as daemon:
        client = daemon.client
        there = {key: client.environment[key] for key in ("DOCKER_HOST", "DOCKER_CONFIG")}
        image = have_image(play, process_env=there, kic_engine="docker")
        asked: dict[str, Any] = {
            "kic_engine": "docker",
            "kic_cluster_name": cluster,
            "kic_cluster_image": image,
            "kic_image_name": image,
            "kic_cluster_control_planes": count,
            "kic_cluster_kubeconfig": str(tmp_path / "kubeconfig"),
            "kic_cluster_network": {"pools": ["172.31.0.0/16"]},
        }

        def site(*arguments: str, **given: Any) -> list[str]:
            played = play(SITE, *arguments, process_env=there, **{**asked, **given})
            return sorted(action for result in played.results("kic_cluster") for action in result["actions"])

        def inspected() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = json.loads(client.out("container", "inspect", *containers))
            return found

        def identity() -> list[str]:
            networks = [item["NetworkSettings"]["Networks"][cluster]["IPAddress"] for item in inspected()]
            files = [client.out("exec", name, *FILES) for name in planes]
            return [*(item["Id"] for item in inspected()), *networks, *files]

        def restarted() -> None:
            daemon.stop()
            daemon.start()

        def every(words: str, more: str = "") -> list[str]:
            return [f"{words} {name}{more}" for name in containers]

        try:
            assert not any("policy" in action for action in site(kic_cluster_boot=False))
            assert {item["HostConfig"]["RestartPolicy"]["Name"] for item in inspected()} == {"no"}
            before = identity()
            policy = every("update restart policy", ": unless-stopped")
            assert site("--check") == site() == policy
            assert site() == [] and identity() == before
            restarted()
            seconds = [wait_for_api(client, name) for name in planes]
            print(f"docker: {count} control planes are ready {sum(seconds):.1f} s after the start of the daemon")
            assert identity() == before and site() == []
            living = Cluster(cluster, client, play, asked, there)
            assert living.members(planes[-1]) == set(planes)
            assert living.ready(planes[0]) == dict.fromkeys(planes, True)
            assert site(kic_cluster_state="stopped") == every("stop node")
            restarted()
            time.sleep(3)
            assert {item["State"]["Status"] for item in inspected()} == {"exited"}
            assert site() == every("start node")
            assert site(kic_cluster_boot=False) == every("update restart policy", ": no")
        finally:
            play(TEARDOWN, process_env=there, kic_cluster_name=cluster, kic_engine="docker")
