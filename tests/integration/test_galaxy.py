# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the outside: the built collection in an empty project of somebody else, who has no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT, Client
from .stranger import Project, make_project

NODE = """\
- name: A machine with systemd
  hosts: localhost
  become: true
  gather_facts: false
  module_defaults:
    group/nodeforge.kic.kic:
      engine: podman
  roles:
    - role: nodeforge.kic.kic_node
"""


@pytest.fixture(scope="module")
def project(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project."""
    return make_project(tmp_path_factory.mktemp("project"), environment)


def test_site_by_its_full_name(podman: Client, node_image: str, project: Project) -> None:
    """nodeforge.kic.site foretells a cluster; what it is made of comes from the project, not from this checkout."""
    played = project.play("nodeforge.kic.site", "--check", kic_cluster_name="kictest-galaxy", kic_image_name=node_image)
    assert any("Bring the cluster into its state" in done for done in played.changed), played.text
    assert podman.held("kictest-galaxy-control") == []
    described = json.loads(project.run("ansible-doc", "--json", "nodeforge.kic.kic_node").stdout)
    file = Path(described["nodeforge.kic.kic_node"]["doc"]["filename"])
    assert file.is_relative_to(project.folder / "collections"), file


@pytest.mark.full("half a minute; the role has a test of its own in the quick set")
def test_a_role_in_a_playbook_of_the_project(
    podman: Client, node_image: str, project: Project, unique: Callable[[str], str]
) -> None:
    """The role kic_node makes a node, changes nothing the second time, and leaves nothing."""
    name = unique("galaxy")
    (project.folder / "node.yml").write_text(NODE)
    made = project.play("node.yml", kic_node_name=name, kic_node_image=node_image)
    assert len(made.changed) == 3
    assert podman.out("exec", name, "systemctl", "is-system-running") == "running"
    assert project.play("node.yml", kic_node_name=name, kic_node_image=node_image).changed == []
    gone = project.play("node.yml", kic_node_name=name, kic_node_state="absent")
    assert len(gone.changed) == 3
    for names in podman.holdings().values():
        assert not [item for item in names if item.startswith(name)]


# What each module must be told. None of them gets as far as using it.
ARGUMENTS: dict[str, dict[str, str | list[str]]] = {
    "kic_cluster": {"name": "kictest-none", "image": "localhost/kictest/none:1"},
    "kic_kubeadm": {"cluster": "kictest-none", "node": "kictest-none"},
    "kic_kubeconfig": {"cluster": "kictest-none"},
    "kic_node": {"name": "kictest-none", "image": "localhost/kictest/none:1"},
    "kic_node_image": {"cluster": "kictest-none", "images": ["localhost/kictest:1"], "state": "absent"},
    "kic_node_info": {},
    "kic_snapshot": {"cluster": "kictest-none", "name": "one", "state": "absent"},
    "oci_engine_info": {},
    "oci_engine_probe": {},
    "oci_image": {"name": "localhost/kictest/none:1"},
    "oci_network": {"name": "kictest-none"},
    "oci_volume": {"name": "kictest-none"},
}


@pytest.mark.full("that every module is in the group is a unit test; the quick set runs the installed collection")
def test_module_defaults_reach_every_module(podman: Client, project: Project) -> None:
    """An engine that is named once for the group is the one that each module asks, and podman is none of them."""
    del podman
    # These ask no engine.
    modules = {path.stem for path in ROOT.glob("plugins/modules/*.py")} - {"cgroup_delegation", "kic_host"}
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    assert set(runtime["action_groups"]["kic"]) == modules == set(ARGUMENTS)
    tasks = [
        {"name": name, f"nodeforge.kic.{name}": arguments, "ignore_errors": True}
        for name, arguments in ARGUMENTS.items()
    ]
    play = {
        "name": "No docker",
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {"group/nodeforge.kic.kic": {"engine": "docker"}},
        # Nobody listens there, so that this machine's own docker is not asked.
        "environment": {"DOCKER_HOST": f"unix://{project.folder}/nobody"},
        "tasks": tasks,
    }
    (project.folder / "defaults.yml").write_text(yaml.safe_dump([play]))
    played = project.play("defaults.yml")
    asked = {task["action"].rpartition(".")[2]: task["result"] for task in played.tasks}
    assert set(asked) == modules
    for name, result in asked.items():
        assert result["diagnosis"]["id"] in ("engine_not_running", "engine_not_installed"), (name, result)
        assert "docker" in result["diagnosis"]["cause"], (name, result)


def test_execution_environment(project: Project) -> None:
    """ansible-builder finds what a controller needs, and makes a recipe of the example."""
    found = yaml.safe_load(project.run("ansible-builder", "introspect", str(project.folder / "collections")).stdout)
    assert any("mmdebstrap" in line for line in found["system"]) and found["python"] == []
    example = ROOT / "examples" / "execution-environment" / "execution-environment.yml"
    project.run("ansible-builder", "create", "--file", str(example), "--context", "context")
    assert "nodeforge.kic" in (project.folder / "context" / "_build" / "requirements.yml").read_text()
