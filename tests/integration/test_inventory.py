# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin on real nodes: they are found, and plain tasks run inside them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT, Client

INSIDE = """\
- name: Plain tasks inside nodes
  hosts: kic_state_running
  tasks:
    - name: Write a file
      ansible.builtin.copy:
        content: "{{ kic.role }} of {{ kic.cluster }}"
        dest: /etc/kictest
        mode: "0644"

    - name: Restart a service
      ansible.builtin.systemd_service:
        name: dbus.service
        state: restarted
"""


@pytest.fixture(scope="module")
def cluster(
    plain_image: str, module_unique: Callable[[str], str], run_module: Callable[..., dict[str, Any]]
) -> list[str]:
    """The names of a cluster of two nodes that run and one that is stopped, the first one being the cluster's too."""
    name = module_unique("inv")
    names = [name, f"{name}-web", f"{name}-off"]
    for node in names:
        made = run_module(
            "kic_node",
            name=node,
            cluster=name,
            role="web-server",
            image=plain_image,
            memory="256m",
            volume="none",
            state="present" if node.endswith("-off") else "started",
        )
        assert made["changed"] is True, made
    return names


@pytest.fixture
def source(tmp_path: Path, cluster: list[str]) -> Path:
    """The configuration of the inventory."""
    path = tmp_path / "lab.kic.yml"
    path.write_text(yaml.safe_dump({"plugin": "nodeforge.kic.nodes", "engine": "podman", "clusters": cluster[:1]}))
    return path


def run(environment: dict[str, str], *argv: str | Path) -> str:
    """The standard output of a command that has to succeed."""
    done = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.full("half a minute for two nodes; what is listed of them has unit tests")
def test_list(environment: dict[str, str], source: Path, cluster: list[str], podman: Client) -> None:
    """ansible-inventory shows the nodes of the cluster, and no others, by what they are."""
    found = json.loads(run(environment, "ansible-inventory", "-i", source, "--list", "--export"))
    name, web, off = cluster
    safe = name.replace("-", "_")
    hosts = found["_meta"]["hostvars"]
    assert set(hosts) == set(cluster)
    assert set(found["kic"]["hosts"]) == set(found[f"kic_cluster_{safe}"]["hosts"]) == set(cluster)
    assert set(found["kic_role_web_server"]["hosts"]) == set(cluster)
    assert set(found["kic_state_running"]["hosts"]) == {name, web}
    address = podman.out("inspect", "--format", "{{.NetworkSettings.IPAddress}}", web)
    assert "kic" in hosts[web] and address in json.dumps(hosts[web])
    assert off not in found["kic_state_running"]["hosts"]


@pytest.mark.full("forty seconds; what is listed has unit tests, and the role that makes a machine is in the quick set")
def test_tasks_inside(
    environment: dict[str, str], source: Path, cluster: list[str], podman: Client, tmp_path: Path
) -> None:
    """Facts, files and services, through the connection plugin that the inventory names."""
    play = tmp_path / "inside.yml"
    play.write_text(INSIDE)
    # A test environment of its own: it has the connection plugins, and takes half a minute to make the first time.
    run(environment, ROOT / "tools" / "env", "collections", "ansible-playbook", "-i", source, play)
    for node in cluster[:2]:
        assert podman.out("exec", node, "cat", "/etc/kictest") == f"web-server of {cluster[0]}"
