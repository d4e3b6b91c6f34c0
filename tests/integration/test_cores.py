# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The built collection under each ansible-core that it supports, on the oldest Python, and on several hosts at once.

The hosts are names of this machine, which is the hardest case: they share its engine, its lock and one kubeconfig.
"""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from ..pythons import NoPythonError, python
from .conftest import PLAYBOOKS, ROOT, Client
from .stranger import Project, make_project

pytestmark = pytest.mark.full("a site under each ansible-core; the newest is what the quick set runs with")


@dataclass(frozen=True)
class Core:
    """An ansible-core, and what is to vary with it."""

    lock: str
    controllers: tuple[str, ...]
    """Interpreters that it runs on, the wanted one first."""
    managed: str
    """The interpreter of the modules."""
    pipelining: bool
    hosts: int
    serial: int | str


CORES = {
    "2.18": Core("core-2.18", ("3.11", "3.12", "3.13"), "3.9", pipelining=True, hosts=2, serial=1),
    "2.19": Core("core-2.19", ("3.12", "3.11", "3.13"), "3.13", pipelining=False, hosts=1, serial="100%"),
    # What `make site` runs with where the interpreter is new enough.
    "2.21": Core("site", ("3.13", "3.12"), "3.9", pipelining=False, hosts=3, serial="100%"),
}


@dataclass(frozen=True)
class Field:
    """A project under one ansible-core, with hosts that are all this machine."""

    project: Project
    name: str
    core: Core
    image: str

    @property
    def hosts(self) -> list[str]:
        """The names of the hosts."""
        return [f"h{number}" for number in range(self.core.hosts)]

    @property
    def variables(self) -> dict[str, Any]:
        """What the play needs to know."""
        return {
            "test_name": self.name,
            "test_image": self.image,
            "test_kubeconfig": str(self.project.folder / "kubeconfig"),
            "test_serial": self.core.serial,
        }

    @property
    def contexts(self) -> set[str]:
        """The contexts of the kubeconfig that all hosts write to."""
        path = self.project.folder / "kubeconfig"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        return {item["name"] for item in yaml.safe_load(path.read_text())["contexts"]}


BETWEEN = "the oldest and the newest are in the quick set"


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.full(BETWEEN)] if name == "2.19" else []) for name in CORES],
)
def field(
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    plain_image: str,
    module_unique: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Field:
    """The project."""
    core = CORES[request.param]
    try:
        controller, managed = python(*core.controllers), python(core.managed)
    except NoPythonError as error:
        pytest.skip(str(error))
    told = subprocess.run(
        [ROOT / "tools" / "env", core.lock, "bash", "-c", 'printf %s "$VIRTUAL_ENV"'],
        env={**environment, "PYTHON": str(controller)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    mine = {**environment, "PATH": f"{told}/bin:{environment['PATH']}", "VIRTUAL_ENV": told}
    project = make_project(tmp_path_factory.mktemp("core"), mine)
    assert f"ansible-playbook [core {request.param}." in project.run("ansible-playbook", "--version").stdout
    made = Field(project, module_unique(f"core{request.param.replace('.', '')}"), core, plain_image)
    with (project.folder / "ansible.cfg").open("a") as file:
        file.write(f"forks = {core.hosts}\n[connection]\npipelining = {core.pipelining}\n")
        # Else nobody becomes root who is root.
        file.write("[privilege_escalation]\nbecome_method = su\nbecome_allow_same_user = true\n")
    connection = {"ansible_connection": "local", "ansible_python_interpreter": str(managed)}
    hosts = {"hosts": dict.fromkeys(made.hosts, connection)}
    (project.folder / "inventory.yml").write_text(json.dumps({"all": hosts}))
    (project.folder / "lab.kic.yml").write_text(
        yaml.safe_dump(
            {
                "plugin": "nodeforge.kic.nodes",
                "engine": "podman",
                "connection": "none",
                "keyed_groups": [{"key": "kic.role", "prefix": "is"}],
                "compose": {"sum": "kic.name ~ '@' ~ kic.ip"},
            }
        )
    )
    shutil.copy(PLAYBOOKS / "cores.yml", project.folder)
    return made


def test_a_core(field: Field, podman: Client) -> None:
    """Foretold, done, found as it should be, found as hosts, and removed: without a race among the hosts."""
    project, hosts = field.project, field.hosts

    foretold = project.play("cores.yml", "--check", "--diff", "--limit", hosts[0], **field.variables)
    assert podman.held(field.name) == []
    done = project.play("cores.yml", "--diff", **field.variables)
    per_host = [(task["host"], task["task"]) for task in done.tasks if task["result"].get("changed")]
    shared = [item for item in per_host if item[1] == "Network that all share"]
    assert len(shared) == 1, done.text
    assert len(foretold.changed) == 5
    assert set(foretold.changed) == {task for _host, task in per_host}
    assert len(per_host) == 4 * len(hosts) + 1
    nodes = [result["node"] for result in done.results("kic_node")]
    assert all(node["ready"] for node in nodes)
    assert len({node["publish"][0]["host_port"] for node in nodes}) == len(hosts)
    subnets = [result["network"]["subnet"] for result in done.results("oci_network")]
    assert len(set(subnets)) == len(hosts) + 1
    assert field.contexts == {f"kic-{field.name}-{host}" for host in hosts}

    again = project.play("cores.yml", "--limit", hosts[0], **field.variables)
    assert again.changed == [] and list(again.stats) == hosts[:1]
    (info,) = again.results("kic_node_info")
    assert [node["name"] for node in info["nodes"]] == [f"{field.name}-{hosts[0]}"]

    told = project.run("ansible-inventory", "-i", "lab.kic.yml", "--list", "--export").stdout
    found = json.loads(told, object_hook=lambda item: item.get("__ansible_unsafe", item))
    mine = [name for name in found["is_control_plane"]["hosts"] if name.startswith(field.name)]
    assert sorted(mine) == sorted(node["name"] for node in nodes)
    for node in nodes:
        assert found["_meta"]["hostvars"][node["name"]]["sum"] == f"{node['name']}@{node['ip']}"

    # A label is text of whoever made the image or the container, not a template of ours.
    said = project.run(
        "ansible", "-i", "lab.kic.yml", mine[0], "-m", "ansible.builtin.debug", "-a", "var=kic.labels.note"
    )
    assert '"kic.labels.note": "{{ 6 * 7 }}"' in said.stdout

    gone = project.play("cores.yml", test_state="absent", **field.variables)
    assert len(gone.changed) == 4 * len(hosts)
    assert podman.held(field.name) == [field.name]
    assert not (project.folder / "kubeconfig").exists()


def test_site_under_a_core(field: Field, podman: Client) -> None:
    """nodeforge.kic.site foretells a cluster on each host, its image planned by the lookup, its text by the filters."""
    name, hosts = f"{field.name}-site", field.hosts[:2]
    played = field.project.play(
        "nodeforge.kic.site", "--check", kic_hosts=hosts, kic_cluster_name=name, kic_engine="podman"
    )
    assert set(played.stats) == set(hosts)
    assert sum("Bring the cluster into its state" in done for done in played.changed) == len(hosts), played.text
    assert f"{name}-control-plane-1" in played.text
    assert podman.held(name) == []
