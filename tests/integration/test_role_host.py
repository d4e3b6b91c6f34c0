# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role kic_host: what is refused on this machine, and a virtual one that lacks much and is given it, and freed of it."""

from __future__ import annotations

import pwd
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._host.delegation import CONTROLLERS, cgroup_mode
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.record import MODULE_FILE, SYSCTL_FILE

from ..hosts.machine import Host
from .conftest import OUTERMOST, Play, Played
from .test_delegation import AS_DEV, SNAPSHOT
from .test_documentation import block

ROOT: dict[str, Any] = {"kic_hosts": "testhost", "kic_host_engine": "podman"}
WITHHOLD = r"""
set -e
install -d /etc/systemd/system/user@.service.d
printf '[Service]\nDelegate=\nDelegate=pids memory\n' >/etc/systemd/system/user@.service.d/50-seed.conf
systemctl daemon-reload
sed -i /^dev:/d /etc/subuid /etc/subgid
echo ci:100000:65536 >>/etc/subuid
printf old:165536:10 >>/etc/subgid
chmod u-s /usr/bin/newgidmap
"""
STATE = f"""{SNAPSHOT}; stat --format '%a %n' /usr/bin/new?idmap
sysctl fs.inotify kernel.keys net.ipv4.ip_unprivileged_port_start; find /var/lib/nodeforge.kic -name '*.json' || true"""


def outcome(played: Played) -> list[tuple[Any, ...]]:
    """What each task of a play changed, or in check mode would: its name, actions and diff."""
    found = []
    for task in played.tasks:
        result = task["result"]
        if result.get("changed"):
            found.append((task["task"], result.get("actions"), result.get("diff")))
    return found


def failed(played: Played) -> dict[str, Any]:
    """The result of the task that ended a play."""
    found: dict[str, Any] = [task["result"] for task in played.tasks if task["status"] == "failed"][-1]
    return found


@pytest.mark.parametrize(
    ("user", "condition"), [("", "cgroup_not_unified"), ("kictest-nobody-here", "user_unknown")], ids=["v1", "unknown"]
)
def test_refused_here(play: Play, user: str, condition: str) -> None:
    """On control groups of version 1 a user is refused with the reason, and one that is not there as such; nothing is made."""
    if cgroup_mode() == "v2":
        pytest.skip("this machine has control groups of version 2; what is refused needs version 1 or hybrid ones")
    variables: dict[str, Any] = {
        "kic_host_user": user or pwd.getpwuid(1).pw_name,
        "ansible_become_method": "ansible.builtin.su",
    }
    played = play("host.yml", ok=False, **variables)
    found = failed(played)
    assert found["diagnosis"]["id"] == condition, played.text
    assert played.changed == []


@OUTERMOST
@pytest.mark.full("eight minutes in the virtual machine; a withheld controller is repaired there in the quick set")
def test_a_user_from_nothing(play: Play, testhost: Host) -> None:
    """The seed's story: refused with its reason, prepared as foretold, then accepted; a second run does nothing; absent."""
    inventory = ("-i", str(testhost.folder / "inventory.yml"))
    testhost.ssh(WITHHOLD)
    before = testhost.ssh(STATE)
    documented = testhost.folder / "documented.yml"
    documented.write_text("---\n" + block("- name: A machine on which dev").replace("hosts: ci", "hosts: testhost"))
    asked: dict[str, Any] = {**ROOT, "kic_host_lowest_port": 80}
    node: dict[str, Any] = {
        "kic_hosts": "testhost",
        "test_user": "dev",
        "test_become": "ansible.builtin.sudo",
        "kic_engine": "podman",
        "test_role": "nodeforge.kic.kic_node",
        "kic_node_name": "refused",
        "kic_node_image": "localhost/busybox:latest",
    }

    refused = play("rootless.yml", *inventory, ok=False, **node)
    diagnosis = failed(refused)["diagnosis"]
    assert diagnosis["id"] == "controller_withheld" and refused.changed == []
    for word in ("controller cpu ", "user@1000.service withholds", "50-seed.conf"):
        assert word in diagnosis["cause"]
    assert "nodeforge.kic" in diagnosis["fix"]
    assert testhost.ssh(STATE) == before

    # There is no mirror of packages behind this machine: what would be installed is foretold.
    testhost.ssh("mv /usr/bin/pasta /usr/bin/pasta.hidden")
    checked = play(documented, "--check", "--diff", *inventory, **asked)
    testhost.ssh("mv /usr/bin/pasta.hidden /usr/bin/pasta")
    (planned,) = [task["result"]["msg"] for task in checked.tasks if task["task"].endswith("would be installed")]
    assert planned == "passt" and testhost.ssh(STATE) == before
    done = play(documented, "--diff", *inventory, **asked)
    assert [item for item in outcome(checked) if "packages" not in item[0]] == outcome(done)
    assert len(done.changed) == 4, done.text
    again = play(documented, *inventory, **asked)
    assert again.changed == []
    print(f"first run {done.seconds:.1f} s, second {again.seconds:.1f} s with {len(again.tasks)} tasks")

    assert testhost.ssh("tail -n 1 /etc/subuid; tail -n 1 /etc/subgid").split() == [
        "dev:165536:65536",
        "dev:100000:65536",
    ]
    assert "65536" in testhost.ssh(f"{AS_DEV} podman unshare cat /proc/self/uid_map", user="dev")
    shown = testhost.ssh(
        "sysctl -n fs.inotify.max_user_instances kernel.keys.maxkeys net.ipv4.ip_unprivileged_port_start"
    )
    assert shown.split() == ["512", "2000", "80"]
    assert testhost.ssh(f"cat {MODULE_FILE}").splitlines()[1:] and testhost.ssh(f"cat {SYSCTL_FILE}")
    (facts,) = again.results("oci_engine_info")
    assert facts["engine_facts"]["rootless"] is True
    assert set(facts["host"]["user"]["controllers"]) == set(CONTROLLERS)

    accepted = play("rootless.yml", "--check", *inventory, **node)
    assert accepted.changed != []

    # Root's own nodes on the same machine: the unit that brings their containers back.
    rootful: dict[str, Any] = {**ROOT, "kic_host_lowest_port": 80}
    foretold = play("host.yml", "--check", "--diff", *inventory, **rootful)
    assert outcome(foretold) == outcome(play("host.yml", "--diff", *inventory, **rootful)) != []
    assert testhost.ssh("systemctl is-enabled podman-restart.service") == "enabled"

    gone: dict[str, Any] = {**asked, "kic_host_user": "dev", "kic_host_state": "absent"}
    foretold = play("host.yml", "--check", "--diff", *inventory, **gone)
    assert outcome(foretold) == outcome(play("host.yml", "--diff", *inventory, **gone)) != []
    assert testhost.ssh(STATE) == before


@OUTERMOST
@pytest.mark.full("some minutes in the virtual machine; each cause has a unit test")
def test_a_user_on_a_guarded_machine(play: Play, testhost: Host) -> None:
    """What hardening takes from an ordinary user: a kernel that gives no user namespaces is named with its setting; a /proc that
    shows only their own processes hides nothing that is needed; where another user's Ansible becomes them, setfacl is missing."""
    inventory = ("-i", str(testhost.folder / "inventory.yml"))
    node: dict[str, Any] = {
        "kic_hosts": "testhost",
        "test_user": "dev",
        "test_become": "ansible.builtin.sudo",
        "kic_engine": "podman",
        "test_role": "nodeforge.kic.kic_node",
        "kic_node_name": "guarded",
        "kic_node_image": "localhost/busybox:latest",
        # Next to other work an emulated machine is silent for minutes.
        "ansible_ssh_timeout": 180,
    }
    testhost.ssh("loginctl enable-linger dev; systemctl start user@1000.service")
    before = testhost.ssh("sysctl -n user.max_user_namespaces")
    testhost.ssh("sysctl -w user.max_user_namespaces=0")
    refused = play("rootless.yml", *inventory, ok=False, **node)
    testhost.ssh(f"sysctl -w user.max_user_namespaces={before}")
    diagnosis = failed(refused)["diagnosis"]
    assert diagnosis["id"] == "user_namespaces" and refused.changed == [], refused.text
    assert "sysctl -w user.max_user_namespaces=65536" in diagnosis["fix"]

    testhost.ssh("mount -o remount,hidepid=2 /proc")
    accepted = play("rootless.yml", "--check", *inventory, **node)
    assert accepted.changed != [], accepted.text

    testhost.ssh(
        "! command -v setfacl && useradd --create-home --shell /bin/bash ann && cp -r /root/.ssh /home/ann"
        " && chown -R ann: /home/ann/.ssh && echo 'ann ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ann"
    )
    testhost.ssh("mount -o remount,hidepid=0 /proc")
    asked: dict[str, Any] = {**ROOT, "kic_host_user": "dev", "ansible_user": "ann", "ansible_ssh_timeout": 180}
    # As Ansible is by itself; said as an extra variable it would also be the look's own.
    foretold = play("host.yml", "--check", *inventory, process_env={"ANSIBLE_PIPELINING": "false"}, **asked)
    (planned,) = [task["result"]["msg"] for task in foretold.tasks if task["task"].endswith("would be installed")]
    assert planned == "acl", foretold.text
