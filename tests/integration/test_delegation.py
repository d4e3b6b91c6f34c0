# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cgroup_delegation: on this machine, where it is one that has nothing to delegate, and on a virtual one that has."""

from __future__ import annotations

import json
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._host.delegation import CONTROLLERS, cgroup_mode
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.delegation import DROP_IN

from ..hosts.disk import node_archive, obstacle
from ..hosts.machine import Host, booted
from .conftest import OUTERMOST, Play, Played
from .samples import differences


@pytest.fixture(scope="module")
def old_cgroups() -> str:
    """Which control groups this machine has, other than version 2 alone."""
    mode = cgroup_mode()
    if mode == "v2":
        pytest.skip("this machine has control groups of version 2; what is refused needs version 1 or hybrid ones")
    return mode


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
def test_refused_without_version_2(run_module: Callable[..., dict[str, Any]], old_cgroups: str, check: bool) -> None:
    """Version 1 and hybrid: one answer with its reason, and nothing is written; there is nothing to take back either."""
    user = pwd.getpwuid(1).pw_name
    found = run_module("cgroup_delegation", check=check, user=user)
    assert found["failed"] is True and found["diagnosis"]["id"] == "cgroup_not_unified"
    assert {"v1": "of version 1", "hybrid": "hybrid"}[old_cgroups] in found["msg"] and "become: true" in found["msg"]
    assert found["delegation"]["cgroup_mode"] == old_cgroups and found["actions"] == []
    gone = run_module("cgroup_delegation", check=check, user=user, state="absent")
    assert (gone.get("failed"), gone["changed"]) == (None, False)
    assert differences("cgroup_delegation", gone) == []
    assert not Path(DROP_IN).exists()


def test_unknown_user(run_module: Callable[..., dict[str, Any]]) -> None:
    """A user that the machine has not got is named as such, whatever its control groups are."""
    found = run_module("cgroup_delegation", user="kictest-nobody-here")
    assert found["diagnosis"]["id"] == "user_unknown" and "kictest-nobody-here" in found["msg"]


LEVELS = ("root", "user.slice", "user-1000.slice", "user@1000.service", "")
"""Where a controller can be withheld by a unit; the last is nowhere."""
UNITS = ("-.slice", "user.slice", "user-1000.slice")


def withhold(lost: dict[str, str]) -> str:
    """Shell that withholds controllers at levels, by settings of the units there, and nothing else."""
    units = "/run/systemd/system"
    lines = [f"rm -rf {units}/*.slice.d {units}/user@.service.d"]
    for level, unit in zip(LEVELS, UNITS):
        names = " ".join(name for name, where in lost.items() if where == level)
        lines += [f"mkdir -p {units}/{unit}.d", f"echo '[Slice]\nDisableControllers={names}' >{units}/{unit}.d/w.conf"]
    kept = " ".join(name for name, where in lost.items() if where != "user@1000.service")
    lines += [
        f"mkdir -p {units}/user@.service.d",
        f"echo '[Service]\nDelegate=\nDelegate={kept}' >{units}/user@.service.d/w.conf",
        "systemctl daemon-reload",
    ]
    return "\n".join(lines)


def go_through(play: Play, host: Host, cases: list[dict[str, Any]], **variables: Any) -> list[dict[str, Any]]:
    """Do one thing after another to the host; what the module said each time."""
    inventory = str(host.folder / "inventory.yml")
    played: Played = play("delegation.yml", "-i", inventory, "--diff", cases=cases, **variables)
    found = played.results("cgroup_delegation")
    assert len(found) == len(cases), played.text
    return found


@OUTERMOST
@pytest.mark.full("some two minutes in the virtual machine; one withheld controller is in the quick set")
def test_each_controller_at_each_level(play: Play, testhost: Host) -> None:
    """Each controller withheld at each level, five at a time at different ones, is named with level, unit and file."""
    count = len(CONTROLLERS)
    losses = [
        {name: LEVELS[(index + shift) % count] for index, name in enumerate(CONTROLLERS)} for shift in range(count)
    ]
    testhost.ssh("loginctl enable-linger dev; systemctl start user@1000.service")
    cases = [
        {"name": f"shift {number}", "prepare": withhold(lost), "check": True} for number, lost in enumerate(losses)
    ]
    for lost, result in zip(losses, go_through(play, testhost, cases)):
        controllers = {item["name"]: item for item in result["delegation"]["controllers"]}
        for name, level in lost.items():
            found = controllers[name]
            if level == "user@1000.service":
                expected = (level, "not_delegated", level, "/run/systemd/system/user@.service.d/w.conf")
            elif level:
                unit = dict(zip(LEVELS, UNITS))[level]
                expected = (level, "disabled_by_unit", unit, f"/run/systemd/system/{unit}.d/w.conf")
            else:
                assert found["reason"] in ("", "not_in_effect"), found
                continue
            assert (found["lost_at"], found["reason"], found["unit"], found["file"]) == expected
        # What an administrator forbade is not undone: it is the failure, and names the file.
        assert result["diagnosis"]["id"] == "controller_disabled_by_unit" and "/w.conf" in result["diagnosis"]["cause"]


AS_DEV = "export XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus; cd; "
# Without the copies that usermod leaves of what it has changed.
SNAPSHOT = r"""cd /etc && find . ! -path './sub?id-' \( -printf '%p %M %U %G %l ' -type f -exec sha256sum {} + -o -printf '\n' \) | sort
ls -A /var/lib/systemd/linger"""


@OUTERMOST
def test_repair_beside_a_running_container(play: Play, testhost: Host) -> None:
    """The seed's story: cpu is withheld, named, and repaired without ending the user's container; absent restores."""
    testhost.ssh(
        "mkdir -p /etc/systemd/system/user@.service.d;"
        "printf '[Service]\\nDelegate=\\nDelegate=pids memory\\n' >/etc/systemd/system/user@.service.d/50-seed.conf;"
        "systemctl daemon-reload; loginctl enable-linger dev; systemctl start user@1000.service"
    )
    before = testhost.ssh(SNAPSHOT)
    running = testhost.ssh(f"{AS_DEV} podman run --detach --name kept busybox 'sleep 100000'", user="dev")
    about = f"{AS_DEV} podman inspect --format '{{{{.State.Status}}}} {{{{.State.Pid}}}}' kept"
    process = testhost.ssh(about, user="dev")
    assert running and process.startswith("running ")

    refused = play(
        "rootless.yml",
        *("-i", str(testhost.folder / "inventory.yml")),
        ok=False,
        kic_hosts="testhost",
        test_user="dev",
        test_become="ansible.builtin.sudo",
        test_role="nodeforge.kic.kic_node",
        kic_engine="podman",
        kic_node_name="refused",
        kic_node_image="localhost/busybox:latest",
    )
    (failed,) = [task["result"] for task in refused.tasks if task["status"] == "failed"]
    assert failed["diagnosis"]["id"] == "controller_withheld" and refused.changed == []
    for word in ("controller cpu ", "user@1000.service withholds", "50-seed.conf"):
        assert word in failed["diagnosis"]["cause"]
    assert "cgroup_delegation -a user=dev" in failed["diagnosis"]["fix"]
    assert testhost.ssh(f"{AS_DEV} podman volume ls -q; podman network ls --quiet", user="dev").split() == ["podman"]

    checked, done, again = go_through(
        play, testhost, [{"name": "check", "check": True}, {"name": "repair"}, {"name": "again"}]
    )
    for key in ("changed", "actions", "diff", "delegation"):
        assert checked[key] == done[key], f"check mode foretold {key} otherwise: {checked[key]} but {done[key]}"
    assert done["changed"] is True and again["changed"] is False
    assert all(item["delegated"] for item in again["delegation"]["controllers"])
    assert (again["delegation"]["relogin_required"], again["delegation"]["reboot_required"]) == (False, False)
    assert done["diff"]["before"]["controllers"] == ["memory", "pids"]

    assert testhost.ssh(about, user="dev") == process, "the user's container was ended"
    limits = testhost.ssh(
        f"{AS_DEV} podman run --rm --memory 64m --cpus 0.5 --cpuset-cpus 0 --pids-limit 50 busybox"
        " 'cd /sys/fs/cgroup; while read -r line; do echo $line; done <memory.max; read -r a b <cpu.max; echo $a;"
        " read -r a <cpuset.cpus; echo $a; read -r a <pids.max; echo $a'",
        user="dev",
    )
    assert limits.split() == ["67108864", "50000", "0", "50"]

    (gone,) = go_through(play, testhost, [{"name": "absent", "state": "absent"}])
    assert gone["changed"] is True
    assert testhost.ssh(SNAPSHOT) == before
    assert testhost.ssh(about, user="dev") == process


@OUTERMOST
@pytest.mark.full("some minutes in the virtual machine; what is refused has unit tests")
def test_what_stands_in_the_way(play: Play, testhost: Host) -> None:
    """A manager that does not run, lingering, a later drop-in, a masked unit and a read-only /etc: an answer each."""
    before = testhost.ssh(SNAPSHOT)
    cases: list[dict[str, Any]] = [
        {"name": "no manager"},
        {"name": "lingering", "linger": True},
        {"name": "absent", "state": "absent"},
        {
            "name": "overruled",
            "prepare": "mkdir -p /run/systemd/system/user@.service.d\n"
            "echo '[Service]\nDelegate=\nDelegate=cpu' >/run/systemd/system/user@.service.d/99-zz.conf\n"
            "systemctl daemon-reload",
        },
        {
            "name": "masked",
            "prepare": "rm -r /run/systemd/system/user@.service.d; systemctl mask --runtime user@1000.service",
        },
        {
            "name": "read-only",
            "prepare": "systemctl unmask --runtime user@1000.service; mount --bind /etc /etc; mount -o remount,bind,ro /etc",
        },
    ]
    idle, lingering, gone, overruled, masked, read_only = go_through(play, testhost, cases)
    assert idle["changed"] is True and idle["delegation"]["manager_running"] is False
    assert idle["delegation"]["relogin_required"] is True
    assert {item["reason"] for item in idle["delegation"]["controllers"]} == {"not_running"}
    assert lingering["actions"] == ["enable linger dev"] and lingering["delegation"]["relogin_required"] is False
    assert all(item["delegated"] for item in lingering["delegation"]["controllers"])
    assert gone["changed"] is True and gone["delegation"]["linger"] is False
    assert overruled["diagnosis"]["id"] == "delegation_overruled" and "99-zz.conf" in overruled["diagnosis"]["cause"]
    assert masked["diagnosis"]["id"] == "unit_masked"
    assert read_only["diagnosis"]["id"] == "etc_read_only"
    testhost.ssh("umount /etc")
    assert testhost.ssh(SNAPSHOT) == before


OUTER = """
set -e
mkdir -p /srv/outer/usr /srv/outer/root /srv/outer/home /srv/outer/var/lib/systemd
ln -s /run /srv/outer/var/run
cp -a /bin /sbin /lib /lib64 /etc /srv/outer
for machine in 'outer /sbin/init' 'bare sleep infinity'; do
    set -- $machine
    name=$1
    shift
    podman run --detach --name $name --systemd=always --volume /usr:/usr:ro --rootfs /srv/outer "$@"
    printf '%s\\n' '#!/bin/sh' "exec podman exec --interactive $name python3 \\"\\$@\\"" >/usr/local/bin/python-$name
    chmod +x /usr/local/bin/python-$name
done
podman exec outer systemctl is-system-running --wait || true
cd /sys/fs/cgroup/machine.slice
for group in *.scope .; do
    echo -cpuset >$group/cgroup.subtree_control
done
"""
"""Two containers of the host's own files, one with systemd in it and one without, from which a controller is then taken: crun
gives a new one all that the kernel has, whatever the slice forbids."""


@OUTERMOST
@pytest.mark.full("some minutes in the virtual machine; what it finds has unit tests")
def test_a_host_that_is_a_container(play: Play, testhost: Host) -> None:
    """What is not given to it is no matter of its kernel; and without systemd nobody in it could delegate."""
    testhost.ssh(OUTER)
    said = {}
    for name in ("outer", "bare"):
        # Ansible comes to the host, and runs Python in the container.
        inside = f"/usr/local/bin/python-{name}"
        said[name] = go_through(play, testhost, [{"name": name, "check": True}], ansible_python_interpreter=inside)[0]
    outer, bare = said["outer"], said["bare"]
    assert outer["diagnosis"]["id"] == "controller_not_given" and "cpuset" in outer["diagnosis"]["cause"]
    lost = {item["name"]: item["lost_at"] for item in outer["delegation"]["controllers"]}
    assert lost["cpuset"] == "container" and "container" not in {lost[name] for name in CONTROLLERS if name != "cpuset"}
    assert bare["diagnosis"]["id"] == "no_systemd" and "is sleep" in bare["diagnosis"]["cause"]


@OUTERMOST
@pytest.mark.full("boots a virtual machine of its own; what it finds has unit tests")
def test_a_controller_that_the_kernel_is_told_to_leave_out(play: Play, tmp_path: Path) -> None:
    """Switched off on the kernel's command line it is nobody's to give: that is said, and what helps, and nothing is made."""
    problem = obstacle()
    if problem is not None:
        pytest.skip(problem)
    with booted(tmp_path, node_archive(make=True), "cgroup_disable=memory") as host:
        (tmp_path / "inventory.yml").write_text(json.dumps(host.inventory()))
        host.ssh("loginctl enable-linger dev")
        before = host.ssh(SNAPSHOT)
        (found,) = go_through(play, host, [{"name": "switched off"}])
        assert host.ssh(SNAPSHOT) == before
    (lost,) = [item for item in found["delegation"]["controllers"] if item["name"] == "memory"]
    assert (lost["lost_at"], lost["reason"]) == ("kernel", "disabled_at_boot")
    assert found["diagnosis"]["id"] == "controller_disabled_at_boot" and found["changed"] is False
    assert "memory" in found["diagnosis"]["cause"] and "reboot" in found["diagnosis"]["fix"]
