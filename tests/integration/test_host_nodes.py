# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes on the virtual host, as somebody has them who installed the collection and reaches the host by ssh.

Here is what this machine has not: control groups of version 2, systemd, crun, a new podman and all privileges; and an
ordinary user of it can have nodes. It is emulated, so everything takes ten times as long.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ..hosts.machine import BOOT_SECONDS, Host
from .conftest import Played
from .stranger import Project, make_project

LIMITS = {"memory": "2g", "cpus": 1.5, "pids_limit": 3000}
SEEN_LIMITS = [str(2 << 30), "150000 100000", "3000"]
"""What the kernel says of them: memory.max, cpu.max and pids.max."""


ONE_NODE = """\
- name: A node of an ordinary user
  hosts: testhost
  gather_facts: false
  become: true
  become_user: dev
  become_method: ansible.builtin.sudo
  roles:
    - role: nodeforge.kic.kic_node
"""
ONE_MODULE = """\
- name: The same node, without the look that the role begins with
  hosts: testhost
  gather_facts: false
  become: true
  become_user: dev
  become_method: ansible.builtin.sudo
  tasks:
    - name: Start it
      nodeforge.kic.kic_node:
        name: "{{ kic_node_name }}"
        state: started
        wait_timeout: 900
"""
DELEGATION = """\
- name: Controllers of an ordinary user
  hosts: testhost
  gather_facts: false
  tasks:
    - name: Have them
      nodeforge.kic.cgroup_delegation:
        user: dev
        linger: true
"""
WITHDRAWAL = (
    "mkdir -p /etc/systemd/system/user@.service.d;"
    "printf '[Service]\\nDelegate=\\nDelegate=pids memory\\n' >/etc/systemd/system/user@.service.d/50-seed.conf;"
    "systemctl daemon-reload; systemctl restart user@1000.service"
)
AS_USER = "export XDG_RUNTIME_DIR=/run/user/$UID; cd; "
"""How a user of the host begins who comes by ssh, whether or not a session was made of it."""


@pytest.fixture(scope="module")
def project(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Somebody's project with the built collection."""
    made = make_project(tmp_path_factory.mktemp("project"), environment)
    for name, text in (("node.yml", ONE_NODE), ("start.yml", ONE_MODULE), ("delegation.yml", DELEGATION)):
        (made.folder / name).write_text(text)
    return made


def on(host: Host, project: Project, playbook: str, *arguments: str, ok: bool = True, **variables: Any) -> Played:
    """Run a playbook of the project, or one of the collection by its name, against the host."""
    inventory = project.folder / "testhost.yml"
    inventory.write_text(json.dumps(host.inventory(kic_engine="podman")))
    return project.play(playbook, "-i", str(inventory), *arguments, ok=ok, kic_hosts="testhost", **variables)


def seen_limits(host: Host, user: str, name: str) -> list[str]:
    """The limits in the node's own control group, as the host's kernel has them: the node sees its own root there."""
    script = (
        f"group=/sys/fs/cgroup$(podman inspect --format '{{{{.State.CgroupPath}}}}' {name});"
        " cat $group/memory.max $group/cpu.max $group/pids.max"
    )
    return host.ssh(AS_USER + script, user=user).splitlines()


def reboot(host: Host) -> None:
    """Boot the host anew, and wait until it is another boot that answers."""
    before = host.ssh("cat /proc/sys/kernel/random/boot_id")
    host.ssh("systemctl reboot", check=False)
    deadline = time.monotonic() + BOOT_SECONDS
    while host.ssh("cat /proc/sys/kernel/random/boot_id", check=False) in ("", before):
        assert time.monotonic() < deadline, "the host did not boot again"
        time.sleep(0.5)


def test_controller_withdrawn_after_the_look(testhost: Host, project: Project, node_image: str) -> None:
    """The seed's story, the hard way. The node dies and its volume stays; who withholds the controller is named; it is
    repaired, and the same play goes on with that volume. The repair outlives a boot."""
    name = "kictest-withdrawn"
    volume = f"{AS_USER} podman volume inspect --format '{{{{.CreatedAt}}}}' {name}"
    asked: dict[str, Any] = {f"kic_node_{key}": LIMITS[key] for key in ("memory", "pids_limit")}
    asked.update(kic_node_name=name, kic_node_image=node_image, kic_node_wait_timeout=900)
    # Debian's own delegation has what a node can not do without.
    testhost.ssh("loginctl enable-linger dev; systemctl start user@1000.service")
    assert len(on(testhost, project, "node.yml", kic_node_state="present", **asked).changed) == 3
    made = testhost.ssh(volume, user="dev")

    testhost.ssh(WITHDRAWAL)
    # First what the look says that the role begins with; then what comes of a start before which nobody looks.
    for playbook in ("node.yml", "start.yml"):
        refused = on(testhost, project, playbook, ok=False, **asked)
        (failed,) = [task["result"] for task in refused.tasks if task["status"] == "failed"]
        assert failed["diagnosis"]["id"] == "controller_withheld", refused.text
        for word in ("controller cpu ", "user@1000.service withholds", "50-seed.conf"):
            assert word in failed["diagnosis"]["cause"]
        assert "cgroup_delegation -a user=dev" in failed["diagnosis"]["fix"]
        assert "already exists" not in refused.text
        assert testhost.ssh(volume, user="dev") == made
    assert "UserNS: cpu controller needs to be delegated" in failed["diagnosis"]["output"]

    assert on(testhost, project, "delegation.yml").changed
    # The limit of processors is set while it runs: it is an update of podman's.
    asked["kic_node_cpus"] = LIMITS["cpus"]
    started = on(testhost, project, "node.yml", **asked)
    (node,) = started.results("kic_node")
    assert (node["node"]["systemd_state"], node["node"]["failed_units"]) == ("running", [])
    assert testhost.ssh(volume, user="dev") == made
    assert seen_limits(testhost, "dev", name) == SEEN_LIMITS
    assert on(testhost, project, "node.yml", **asked).changed == []

    reboot(testhost)
    (again,) = on(testhost, project, "delegation.yml").results("cgroup_delegation")
    assert again["changed"] is False and again["delegation"]["manager_running"] is True
    assert all(item["delegated"] for item in again["delegation"]["controllers"])
    assert len(on(testhost, project, "node.yml", kic_node_state="absent", **asked).changed) == 3
