# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin on recorded answers of both engines, through Ansible's own loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader

from ansible_collections.nodeforge.kic.plugins.inventory import nodes
from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandNotFound, CommandResult, Runner
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    DOCKER,
    OURS,
    PODMAN,
    MemoryEngine,
    TableRunner,
    container,
    recorded,
    recorded_errors,
)


def answers(engine: str, folder: Path) -> dict[str, CommandResult | Exception]:
    """What an engine with one running node says."""
    (node,) = recorded("container-inspect-running.json", folder)
    return {
        f"{engine} ps": CommandResult((), 0, node["Id"].encode(), b""),
        f"{engine} container inspect": CommandResult((), 0, json.dumps([node]).encode(), b""),
        f"{engine} image inspect": CommandResult((), 0, (folder / "image-inspect.json").read_bytes(), b""),
    }


ON_PODMAN, ON_DOCKER = answers("podman", PODMAN), answers("docker", DOCKER)
NO_PODMAN: dict[str, CommandResult | Exception] = {"podman": CommandNotFound("podman")}
NO_DOCKER: dict[str, CommandResult | Exception] = {"docker": CommandNotFound("docker")}
NO_DAEMON: dict[str, CommandResult | Exception] = {
    "docker": CommandResult(
        (), 1, b"", b"Cannot connect to the Docker daemon at unix:///nobody. Is the docker daemon running?"
    )
}


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Parse a configuration; the inventory, and what was warned of."""
    warnings: list[str] = []

    def run(
        runner: Runner, forget: bool = False, known: InventoryData | None = None, **options: Any
    ) -> tuple[InventoryData, list[str]]:
        path = tmp_path / "lab.kic.yml"
        path.write_text(yaml.safe_dump({"plugin": "nodeforge.kic.nodes", **options}))
        plugin = inventory_loader.get("nodeforge.kic.nodes")
        assert plugin.verify_file(str(path))
        monkeypatch.setattr(plugin, "runner", runner)
        monkeypatch.setattr(plugin.display, "warning", warnings.append)
        inventory = known or InventoryData()
        plugin.parse(inventory, DataLoader(), str(path), not forget)
        if options.get("cache"):
            plugin.update_cache_if_changed()
        return inventory, warnings

    return run


def groups(inventory: InventoryData, host: str) -> set[str]:
    """Names of the groups that a host was put into."""
    return {group.name for group in inventory.hosts[host].groups} - {"all"}


def test_both_engines(read: Any) -> None:
    """Each node is a host in the groups of what it is, with the connection of its engine."""
    inventory, warnings = read(TableRunner({**ON_PODMAN, **ON_DOCKER}))
    assert warnings == []
    connections = {}
    for name, host in inventory.hosts.items():
        kic = host.vars["kic"]
        assert kic["name"] == host.vars["ansible_host"] == name
        expected = {"kic", "kic_cluster_" + kic["cluster"].replace("-", "_"), "kic_state_running"}
        assert groups(inventory, name) == expected | ({"kic_role_control_plane"} if kic["role"] else set())
        assert not [key for key in kic["labels"] if key.startswith("nodeforge.kic.")]
        connections[kic["engine"]] = host.vars["ansible_connection"]
    assert connections == {"podman": "containers.podman.podman", "docker": "community.docker.docker"}
    (address,) = [host.vars["kic"]["ip"] for host in inventory.hosts.values() if host.vars["kic"]["engine"] == "podman"]
    assert address == "192.168.231.10"


@pytest.mark.parametrize(
    ("connection", "expected"),
    [("cli", "community.docker.docker"), ("api", "community.docker.docker_api"), ("none", None)],
)
def test_connection(read: Any, connection: str, expected: str | None) -> None:
    """The option chooses the connection plugin."""
    inventory, _warnings = read(TableRunner(ON_DOCKER), engine="docker", connection=connection)
    (host,) = inventory.hosts.values()
    assert host.vars.get("ansible_connection") == expected


def test_clusters_and_constructed_groups(read: Any) -> None:
    """Only nodes of the clusters that were requested; groups and variables by expressions of the user."""
    table = {**ON_PODMAN, **NO_DOCKER}
    assert not read(TableRunner(table), clusters=["other"])[0].hosts
    inventory, warnings = read(
        TableRunner(table),
        clusters=["kictest"],
        strict=True,
        compose={"node_address": "kic.ip"},
        groups={"alive": "kic.state == 'running'", "none": "kic.state != 'running'"},
        keyed_groups=[{"key": "kic.engine", "prefix": "on"}],
    )
    (host,) = inventory.hosts.values()
    assert host.vars["node_address"] == "192.168.231.10"
    assert {"alive", "on_podman"} < groups(inventory, host.name) and "none" not in groups(inventory, host.name)
    assert warnings == [], "an engine that is not installed is nothing to warn of"


def test_an_engine_that_can_not_answer(read: Any) -> None:
    """It is left out with a warning next to one that can, and is the error where none can."""
    inventory, warnings = read(TableRunner({**ON_PODMAN, **NO_DAEMON}))
    assert len(inventory.hosts) == 1
    (warning,) = warnings
    assert warning.startswith("Nodes on docker are left out: docker is installed, but nothing answers")
    with pytest.raises(AnsibleParserError, match="nothing answers"):
        read(TableRunner({**NO_PODMAN, **NO_DAEMON}))
    with pytest.raises(AnsibleParserError, match="podman is not installed"):
        read(TableRunner({**NO_PODMAN, **NO_DOCKER}))
    with pytest.raises(AnsibleParserError, match="docker may not"):
        read(TableRunner({"docker": PermissionError(13, "docker may not", "/x")}), engine="docker")
    failed = next(item for item in recorded_errors().values() if item.rc != 0)
    with pytest.raises(AnsibleParserError):
        read(TableRunner({"podman": failed}), engine="podman")


def named(name: str) -> dict[str, CommandResult | Exception]:
    """What podman says whose one node has this name."""
    (node,) = recorded("container-inspect-running.json", PODMAN)
    return {
        **ON_PODMAN,
        "podman container inspect": CommandResult((), 0, json.dumps([{**node, "Name": name}]).encode(), b""),
    }


@pytest.mark.parametrize("engine", ["podman", "auto"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("localhost", "means the controller itself"),
        ("LocalHost", "means the controller itself"),
        ("localhost.localdomain", "means the controller itself"),
        ("127.0.0.1", "means the controller itself"),
        ("db1", "another inventory has a host of this name"),
        ("prod", "a group of the inventory has this name"),
        ("all", "a group of the inventory has this name"),
        ("kic", "a group of the inventory has this name"),
        ("kic_cluster_lab", "a group of the inventory has this name"),
        ("a b", "is not a name"),
        ("{{ x }}", "is not a name"),
        ("node-1", ""),
        ("ubuntu-22.04", ""),
    ],
)
def test_no_host_of_another(read: Any, name: str, words: str, engine: str) -> None:
    """A node takes no name that means something else: plays for that would go into the container."""
    known = InventoryData()
    known.add_group("prod")
    known.add_host("db1", "prod")
    known.set_variable("db1", "ansible_host", "10.0.0.5")
    inventory, warnings = read(TableRunner({**named(name), **NO_DOCKER}), known=known, engine=engine)
    assert inventory.hosts["db1"].vars["ansible_host"] == "10.0.0.5"
    assert "ansible_connection" not in inventory.hosts["db1"].vars and groups(inventory, "db1") == {"prod"}
    if not words:
        assert name in inventory.hosts and warnings == []
        return
    assert set(inventory.hosts) == {"db1"}
    (warning,) = warnings
    assert warning.startswith(f"The node {name} on podman is skipped: ") and words in warning


def test_same_node_by_two_files(read: Any) -> None:
    """A node that another file of this plugin has found already is the same host."""
    table = {**ON_PODMAN, **NO_DOCKER}
    known, _warnings = read(TableRunner(table))
    inventory, warnings = read(TableRunner(table), known=known, groups={"mine": "true"})
    assert len(inventory.hosts) == 1 and warnings == []
    assert "mine" in groups(inventory, next(iter(inventory.hosts)))


def test_cache(read: Any, tmp_path: Path) -> None:
    """A second run asks no engine; one that is told to forget asks again."""
    options = {
        "engine": "podman",
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(tmp_path / "cache"),
    }
    first, again, replaced = TableRunner(ON_PODMAN), TableRunner({}), TableRunner(ON_PODMAN)
    names = [set(read(first, **options)[0].hosts), set(read(again, **options)[0].hosts)]
    assert names[0] == names[1] and len(names[0]) == 1
    assert first.commands and again.commands == []
    read(replaced, forget=True, **options)
    assert replaced.commands


@pytest.mark.parametrize(
    ("kept", "expected"),
    [(None, False), ("x", False), ({}, False), ([1], False), ([{"name": "a"}], False), ([], True)],
)
def test_cache_of_another_kind(kept: Any, expected: bool) -> None:
    """What another release or hand left in the cache is not a node: the engine is asked."""
    assert nodes._described(kept) is expected
    assert nodes._described([dict.fromkeys(nodes.DESCRIBED)])


def test_whatever_fails_is_a_diagnosis(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what nobody thought of."""

    def broken(*_arguments: Any) -> Any:
        raise KeyError("x")

    monkeypatch.setattr(nodes, "_add", broken)
    with pytest.raises(AnsibleParserError, match="Fix: "):
        read(TableRunner(ON_PODMAN), engine="podman")


def test_a_node_that_is_being_replaced() -> None:
    """Its old container is no second host."""
    engine = MemoryEngine()
    for name in ("web", "web.kic-replaced", "db.kic-replaced-running"):
        engine.add(container(name, labels=OURS, raw={}))
    assert [node["name"] for node in nodes.find(engine)] == ["web"]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """A name that is not of the plugin's is none of its business."""
    path = tmp_path / "hosts.yml"
    path.write_text("plugin: nodeforge.kic.nodes\n")
    assert not inventory_loader.get("nodeforge.kic.nodes").verify_file(str(path))


def test_an_option_that_is_misspelt(read: Any) -> None:
    """Ansible ignores it without a word; options of Ansible's own fragments are none of these."""
    _inventory, warnings = read(TableRunner({**ON_PODMAN, **NO_DOCKER}), clustrs=["lab"], keyed_groups=[], cache=False)
    (warning,) = warnings
    assert "clustrs is not an option" in warning and "Fix: write clusters" in warning
    _inventory, warnings = read(TableRunner({**ON_PODMAN, **NO_DOCKER}), zone="x")
    assert "ansible-doc -t inventory nodeforge.kic.nodes" in warnings[-1]
