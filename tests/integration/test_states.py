# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every state of every module, role and playbook: check mode first, then for real, and both tell the same.

The rows are in ``ROWS``, by module, role and playbook; a state that has none fails a test here. Each runs on what the rows
before it left, on an image that starts and stops at once. Rows that need Kubernetes are marked ``full``.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import small
from .conftest import KINDS, ROOT, Client, Play, Played, own_names

Module = Callable[..., dict[str, Any]]

COMPARED = ("failed", "changed", "actions", "diff", "drift", "diagnosis", "kubeadm", "host", "delegation")
"""Keys of a module's result that check mode predicts."""

REFUSED = "refused"
"""What a row expects that fails, in both modes for the same reason."""


@dataclass(frozen=True)
class Row:
    """One run of a state and what it has to come to: changed or not, or refused."""

    state: str
    expected: bool | str
    values: Mapping[str, Any] = field(default_factory=dict)
    """Further options. ``{name}`` and the like are filled in from the world."""
    again: bool = False
    """What a second run of the same comes to."""


def row(state: str, expected: bool | str = True, again: bool = False, **values: Any) -> Row:
    """A row."""
    return Row(state, expected, values, again)


NODE: dict[str, Any] = {"image": "{image}", "volume": "{name}", "network": "{name}", "cluster": "{name}", "wait": False}

MODULES: dict[str, tuple[Row, ...]] = {
    "oci_network": (
        row("present", mtu=1400),
        row("present", expected=False, mtu=1300),
        row("present", mtu=1300, recreate="on_drift"),
        row("absent"),
    ),
    "oci_volume": (
        row("present", labels={"team": "blue"}),
        row("present", expected=False, labels={"team": "red"}),
        row("present", labels={"team": "red"}, recreate="on_drift"),
        row("absent"),
    ),
    "oci_image": (
        row("present", name="{reference}", source="archive", archive="{archive}"),
        row("present", expected=REFUSED, name="localhost/kictest-none:1", source="local"),
        row("absent", name="{reference}"),
    ),
    "kic_node": (
        row("present", **NODE),
        row("stopped", expected=False, **NODE),
        row("started", **NODE, memory="64m"),
        row("present", expected=False, **NODE, hostname="drifted"),
        row("started", **NODE, hostname="replaced", recreate="on_drift"),
        row("stopped", **NODE, hostname="replaced"),
        row("paused", expected=REFUSED, **NODE, hostname="replaced"),
        row("restarted", again=True, **NODE, hostname="replaced"),
        row("paused", **NODE, hostname="replaced"),
        row("paused", **NODE, hostname="replaced", memory="80m"),
        row("restarted", again=True, wait=False),
        row("paused"),
        row("started", wait=False),
        row("paused", **NODE, hostname="third", recreate="on_drift"),
        row("stopped"),
        row("paused", expected=REFUSED),
        row("started", wait=False),
        row("started", expected=REFUSED, **NODE, cpus=4096),
        row("absent", expected=REFUSED, cluster="kictest-other"),
        row("absent"),
    ),
}
"""The states of modules that run on both engines."""

MACHINE: dict[str, tuple[Row, ...]] = {
    "kic_host": (
        row("present", sysctls={"net.ipv4.ip_unprivileged_port_start": 80}, user="games", sub_ids=65536),
        row("absent"),
    ),
    # Where the control groups are not of version 2 this is refused, and else done; on a machine with systemd and such
    # groups tests/integration/test_delegation.py compares each step.
    "cgroup_delegation": (
        row("absent", expected=False, user="games"),
        row("present", expected=REFUSED, user="nobody-here"),
    ),
}
"""The states of modules that work on the machine itself, in one whose files are its own."""

PLAYED: dict[str, tuple[Row, ...]] = {
    "kic_kubeconfig": (
        row("present", cluster="{name}", path="{folder}/kubeconfig"),
        row("present", cluster="{name}", path="{folder}/kubeconfig", context="other"),
        row("absent", cluster="{name}", path="{folder}/kubeconfig"),
    ),
}
"""The states of modules with an action plugin, which need a play."""

ROLE: dict[str, Any] = {
    "kic_node_name": "{name}",
    "kic_node_image": "{image}",
    "kic_node_cluster": "{name}",
    "kic_node_wait": False,
}

ROLES: dict[str, tuple[Row, ...]] = {
    "kic_node": (
        row("present", **ROLE),
        row("started", **ROLE),
        row("restarted", again=True, **ROLE),
        row("paused", **ROLE),
        row("stopped", **ROLE),
        row("present", expected=False, **ROLE, kic_node_hostname="drifted"),
        row("started", **ROLE, kic_node_hostname="replaced", kic_node_recreate="on_drift"),
        row("absent", **ROLE),
    ),
    "kic_cluster": (
        row("paused", kic_cluster_name="{name}"),
        row("stopped", kic_cluster_name="{name}"),
        row("absent", kic_cluster_name="{name}"),
    ),
    "kic_image": (
        row("present", kic_image_name="{reference}", kic_image_source="archive", kic_image_archive="{archive}"),
        row("absent"),
    ),
    "kic_host": (row("present", kic_host_lowest_port=80), row("absent")),
}

PLAYBOOKS: dict[str, tuple[Row, ...]] = {
    "teardown": (row("", kic_cluster_name="{name}"), row("purge", kic_cluster_name="{name}", kic_purge=True)),
    "molecule_destroy": (row("", kic_node_platforms=[{"name": "{name}"}]),),
}

KUBERNETES: dict[str, tuple[str, ...]] = {
    "kic_kubeadm": ("initialized", "joined", "reset"),
    # test_snapshot.py has the state restored.
    "role kic_cluster": ("started", "present", "restarted", "restored"),
    # The role is this module and the kubeconfig.
    "kic_cluster": ("started", "present", "stopped", "restarted", "restored", "paused", "absent"),
    # test_node_image.py compares each of its runs with what check mode says.
    "kic_node_image": ("present", "absent"),
    # test_snapshot.py does so too.
    "kic_snapshot": ("present", "absent"),
    "playbook site": ("",),
    "playbook molecule_create": ("",),
}
"""What needs a node that boots, or Kubernetes on it: the test marked ``full``."""


RECREATE = "recreate: "
"""Begins what a table below has of the option ``recreate``, which decides as much about a run as the state does."""


def choices() -> set[tuple[str, str]]:
    """Every state of every module and role, by their documentation, each choice of recreate, and every playbook."""
    found = set()
    for path in ROOT.glob("plugins/modules/*.py"):
        text = re.search(r'^DOCUMENTATION = r"""\n(.*?)^"""', path.read_text(), re.MULTILINE | re.DOTALL)
        assert text, path
        options = yaml.safe_load(text[1]).get("options", {})
        found |= {(path.stem, state) for state in options.get("state", {}).get("choices", ())}
        found |= {(path.stem, RECREATE + value) for value in options.get("recreate", {}).get("choices", ())}
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        role = path.parents[1].name
        options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
        found |= {(f"role {role}", state) for state in options[f"{role}_state"]["choices"]}
        found |= {(f"role {role}", RECREATE + item) for item in options.get(f"{role}_recreate", {}).get("choices", ())}
    for path in ROOT.glob("playbooks/*.yml"):
        found |= {(f"playbook {path.stem}", state) for state in ("", *re.findall(r"kic_(purge)\b", path.read_text()))}
    return found


def recreated(item: Row, subject: str) -> str:
    """What a row has of the option."""
    return RECREATE + str(item.values.get("recreate", item.values.get(f"{subject}_recreate", "never")))


def test_each_state_has_a_row() -> None:
    """A new state, module, role or playbook is not forgotten here, and none that went is left."""
    rows = {
        (f"{kind}{subject}", what)
        for kind, table in (("", {**MODULES, **MACHINE, **PLAYED}), ("role ", ROLES), ("playbook ", PLAYBOOKS))
        for subject, items in table.items()
        for item in items
        for what in (item.state, recreated(item, subject))
    }
    rows |= {(subject, state) for subject, states in KUBERNETES.items() for state in states}
    there = choices()
    with_recreate = {subject for subject, what in there if what.startswith(RECREATE)}
    assert {(name, what) for name, what in rows if name in with_recreate or not what.startswith(RECREATE)} == there


def filled(value: Any, world: Mapping[str, str]) -> Any:
    """``value`` with what the world has for the names in braces."""
    if isinstance(value, str):
        return value.format_map(world)
    if isinstance(value, Mapping):
        return {key: filled(item, world) for key, item in value.items()}
    return [filled(item, world) for item in value] if isinstance(value, list) else value


def compared(result: Mapping[str, Any]) -> dict[str, Any]:
    """What check mode has to predict of a result."""
    found = {key: result.get(key) for key in COMPARED if key != "host" or "diff" not in result}
    # How many ranges are taken may change meanwhile: a network of another test's docker has a route of its own.
    return dict(json.loads(re.sub(r"\d+ ranges", "ranges", json.dumps(found, sort_keys=True))))


def came_to(result: Mapping[str, Any]) -> bool | str:
    """A row's expectation, of what was found."""
    return REFUSED if result.get("failed") else bool(result["changed"])


def compare(
    item: Row, run: Callable[..., dict[str, Any]], state: Callable[[], Any], *, twice: bool = True, **values: Any
) -> None:
    """Run a row in check mode, which changes nothing, then for real, and, of a module, in check mode again."""
    before = state()
    checked = run(check=True, state=item.state, **values)
    after = state()
    if after != before:
        texts = [set(re.findall(r"'[^']*': '[^']*'|\S+", repr(found))) for found in (before, after)]
        pytest.fail(f"{item}: check mode changed something: {sorted(texts[0] ^ texts[1])[:20]}")
    done = run(state=item.state, **values)
    assert compared(checked) == compared(done), f"{item}: {checked} but {done}"
    assert came_to(done) == item.expected, f"{item}: {done}"
    # What had nothing to do has just been run twice.
    if twice and item.expected is True:
        again = run(check=True, state=item.state, **values)
        assert came_to(again) == item.again, f"{item}, again: {again}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small image as a file."""
    path = tmp_path_factory.mktemp("small") / "small.tar"
    path.write_bytes(small.archive("localhost/kictest-states:1"))
    return path


@dataclass(frozen=True)
class World:
    """An engine with the small image, and names of a test's own."""

    client: Client
    names: dict[str, str]

    @property
    def engine(self) -> str:
        """Its name."""
        return self.client.program

    @property
    def name(self) -> str:
        """What nobody else has."""
        return self.names["name"]

    def seen(self, module: str = "") -> Any:
        """Everything in the store, and what a module is about as the engine has it."""
        found: list[Any] = [self.client.holdings()]
        if module:
            # By lines: docker lists mounts in an order that differs from call to call.
            found.append(sorted(self.client.run(KINDS[module], "inspect", self.name, check=False).stdout.splitlines()))
        return found


@pytest.fixture(params=["podman", pytest.param("docker", marks=pytest.mark.full("the quick set proves it on podman"))])
def world(request: pytest.FixtureRequest, archive: Path, tmp_path: Path) -> Iterator[World]:
    """One of either engine."""
    yield from a_world(request.getfixturevalue(request.param), archive, tmp_path)


@pytest.fixture
def podman_world(podman: Client, archive: Path, tmp_path: Path) -> Iterator[World]:
    """One of podman."""
    yield from a_world(podman, archive, tmp_path)


def a_world(client: Client, archive: Path, folder: Path) -> Iterator[World]:
    """One of this engine."""
    client.run("load", "--input", str(archive))
    with own_names(client) as unique:
        name = unique("state")
        yield World(
            client,
            {
                "name": name,
                "image": "localhost/kictest-states:1",
                "reference": f"localhost/{name}:1",
                "archive": str(folder / "own.tar"),
                "folder": str(folder),
            },
        )
    client.run("image", "rm", "--force", "localhost/kictest-states:1")


def ground(world: World, run_module: Module, *nodes: str, **options: Any) -> None:
    """Make a network, and nodes with their volumes, of the cluster ``world.name``; they run."""
    run = partial(run_module, process_env=world.client.environment, engine=world.engine, cluster=world.name)
    made = [run("oci_network", name=world.name)]
    for node in nodes or (world.name,):
        made.append(run("oci_volume", name=node))
        if nodes:
            common = {"image": world.names["image"], "network": world.name, "wait": False, "volume": node}
            made.append(run("kic_node", name=node, **common, **options))
    assert not [result for result in made if result.get("failed")], made


@pytest.mark.parametrize("module", MODULES)
def test_modules(module: str, world: World, run_module: Module) -> None:
    """What is made on an engine: on podman and on docker."""
    if module == "kic_node":
        ground(world, run_module)
    Path(world.names["archive"]).write_bytes(small.archive(world.names["reference"]))
    run = partial(run_module, module, engine=world.engine, process_env=world.client.environment)
    for item in MODULES[module]:
        values = filled({"name": "{name}", **item.values}, world.names)
        compare(item, run, partial(world.seen, module), **values)


@pytest.mark.full("forty seconds; each way out has unit tests, and test_failures.py kills a node in the quick set")
def test_hard_stops(podman_world: World, run_module: Module) -> None:
    """What the kill of a node's process, of its monitor and of both leaves: one that can be started is, frozen or not, and one
    that podman cannot start any more is told with the way out."""
    world = podman_world
    ground(world, run_module)
    name, client = world.name, world.client
    run = partial(run_module, "kic_node", name=name, **filled(NODE, world.names))

    def come_to(state: str, status: str) -> None:
        result = run(state=state)
        assert not result.get("failed"), result
        assert client.out("container", "inspect", "--format", "{{.State.Status}}", name) == status

    def kill(*fields: str) -> None:
        form = " ".join(f"{{{{.State.{field}}}}}" for field in fields)
        for pid in client.out("container", "inspect", "--format", form, name).split():
            os.kill(int(pid), signal.SIGKILL)

    come_to("started", "running")
    kill("Pid")
    come_to("started", "running")
    come_to("paused", "paused")
    kill("Pid")
    # The signal waits for a process that is frozen.
    run(state="started")
    come_to("started", "running")
    come_to("paused", "paused")
    kill("ConmonPid")
    # Who writes the exit code is gone: podman gives up waiting for it, and can start the container again, or does not see that
    # the process has ended.
    assert not run(state="stopped").get("failed")
    if client.out("container", "inspect", "--format", "{{.State.Status}}", name) == "stopping":
        for state, told in (
            ("started", "process_lost"),
            ("restarted", "process_lost"),
            ("paused", "pause_not_running"),
        ):
            assert run(state=state)["diagnosis"]["id"] == told, state
    else:
        assert run(state="paused")["diagnosis"]["id"] == "pause_not_running"
        come_to("restarted", "running")
    assert run(state="absent")["actions"] == [f"remove node {name}"]
    for before, status in (("started", "running"), ("paused", "paused")):
        come_to("started", "running")
        come_to(before, status)
        kill("ConmonPid", "Pid")
        for state in ("started", "restarted", "paused"):
            assert run(state=state)["diagnosis"]["id"] == "process_lost", (before, state)
        assert run(state="absent")["actions"] == [f"remove node {name}"]


PRIVATE = """
set -e
mount --make-rprivate /
mount --bind "$1/etc" /etc
mkdir -p /var/lib/nodeforge.kic
mount --bind "$1/state" /var/lib/nodeforge.kic
shift
exec "$@"
"""
MODULE = """
import json, runpy, sys
from ansible.module_utils.testing import patch_module_args
with patch_module_args(json.loads(sys.argv[2])):
    runpy.run_module(f"ansible_collections.nodeforge.kic.plugins.modules.{sys.argv[1]}", run_name="__main__")
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Callable[..., list[str]]]:
    """A command, as one of a machine whose configuration, records and network settings are its own."""
    if os.geteuid() != 0:
        pytest.skip("only root has a machine's configuration to change")
    (tmp_path / "state").mkdir(mode=0o700)
    subprocess.run(["cp", "-a", "/etc", str(tmp_path / "etc")], check=True)
    # It keeps the network, with its settings, from one command to the next.
    keep = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo ready && exec sleep infinity"]
    with subprocess.Popen(keep, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        network = f"--net=/proc/{holder.pid}/ns/net"
        yield lambda *argv: ["nsenter", network, "unshare", "--mount", "sh", "-c", PRIVATE, "sh", str(tmp_path), *argv]
        holder.kill()


def files(folder: Path) -> dict[str, str]:
    """What is below a folder: names, modes and contents, without the directory that podman itself makes when it is asked."""
    return {
        str(path): f"{path.lstat().st_mode:o} {path.read_bytes()!r}" if path.is_file() else f"{path.lstat().st_mode:o}"
        for path in sorted(folder.rglob("*"))
        if not path.is_symlink() and "containers/networks" not in str(path)
    }


@pytest.mark.parametrize("module", MACHINE)
def test_machine(module: str, environment: dict[str, str], machine: Callable[..., list[str]], tmp_path: Path) -> None:
    """What is made of the machine itself."""
    process_env = {**environment, "PYTHONPATH": environment["ANSIBLE_COLLECTIONS_PATH"]}

    def run(*, check: bool = False, **params: Any) -> dict[str, Any]:
        arguments = json.dumps({**params, "_ansible_check_mode": check, "_ansible_diff": True})
        argv = machine(sys.executable, "-c", MODULE, module, arguments)
        done = subprocess.run(
            argv, env=process_env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        assert lines, done.stderr
        found: dict[str, Any] = json.loads(lines[-1])
        return found

    for item in MACHINE[module]:
        compare(item, run, lambda: (files(tmp_path / "etc"), files(tmp_path / "state")), **item.values)


def told(played: Played) -> list[tuple[Any, ...]]:
    """What the tasks of a play came to: those of the modules that keep something in a state, one by one."""
    found = []
    for task in played.tasks:
        result = task["result"]
        for item in result.get("results", [result]) if isinstance(result, dict) else ():
            # What is begun and what is waited for: the second has the result.
            kept = {key: item.get(key) for key in ("changed", "actions", "drift") if key in item}
            # Those that only look, or start a probe, keep nothing in a state.
            if "drift" in kept or kept.get("changed"):
                found.append((task["task"], kept))
    return found


def as_one(played: Played) -> dict[str, Any]:
    """A play as a module's result."""
    return {
        "failed": bool(played.rc),
        "changed": bool(played.changed),
        "actions": told(played),
        "diff": played.changed,
    }


def playing(play: Play, playbook: str | Path, option: str, **common: Any) -> Callable[..., dict[str, Any]]:
    """Run a row of a role or playbook."""

    def run(*, check: bool = False, state: str, **values: Any) -> dict[str, Any]:
        variables = {**common, **values, **({option: state} if option else {})}
        process_env = variables.pop("process_env", None)
        arguments = ["--check"] if check else []
        return as_one(play(playbook, *arguments, process_env=process_env, **variables))

    return run


@pytest.mark.full("half a minute and more; the module kic_node is quick, and the story stops and removes its cluster")
@pytest.mark.parametrize("role", ["kic_node", "kic_cluster"])
def test_roles(role: str, podman_world: World, play: Play, run_module: Module) -> None:
    """What is composed of the modules."""
    world = podman_world
    nodes = [f"{world.name}-{number}" for number in (1, 2)]
    if role == "kic_cluster":
        ground(world, run_module, *nodes)
    run = playing(play, "role.yml", f"{role}_state", test_role=role, **{f"{role}_engine": "podman"})
    for item in ROLES[role]:
        compare(item, run, lambda: [world.seen(), running(world)], twice=False, **filled(item.values, world.names))


def running(world: World) -> str:
    """The nodes of the world's cluster that run, with the time of their start."""
    form = "{{.Names}} {{.StartedAt}}"
    return world.client.out("ps", "--filter", f"name={world.name}", "--format", form)


@pytest.mark.full("half a minute; the module is in the quick set")
def test_role_image(play: Play, own_store: Client, archive: Path) -> None:
    """The role kic_image: absent takes every image that was built, so it is in a store of its own."""
    store = own_store
    built = "localhost/nodeforge/kic-node:1-kictest"
    store.run("import", "--change", "LABEL nodeforge.kic.image.key=kictest", str(archive), built)
    cache = Path(store.environment["XDG_CACHE_HOME"]) / "nodeforge.kic" / "image"
    cache.mkdir(parents=True)
    process_env = {key: store.environment[key] for key in ("CONTAINERS_STORAGE_CONF", "XDG_CACHE_HOME")}
    run = playing(play, "role.yml", "kic_image_state", test_role="kic_image", process_env=process_env)
    world = {"reference": "localhost/kictest-states:1", "archive": str(archive)}
    for item in ROLES["kic_image"]:
        values = {**filled(item.values, world), "kic_image_engine": "podman"}
        compare(item, run, lambda: (store.holdings(), cache.exists()), twice=False, **values)
    assert not cache.exists() and len(store.holdings()["images"]) == 1


@pytest.mark.full("half a minute; the module is in the quick set")
def test_role_host(environment: dict[str, str], machine: Callable[..., list[str]], tmp_path: Path) -> None:
    """The role kic_host, on a machine of its own."""
    folder = tmp_path / "records"
    folder.mkdir()

    def run(*, check: bool = False, state: str, **values: Any) -> dict[str, Any]:
        record = folder / f"{len(list(folder.iterdir()))}.jsonl"
        variables = {"kic_host_state": state, "kic_host_engine": "podman", "kic_host_packages": False, **values}
        playbook = ["ansible-playbook", str(ROOT / "tests" / "integration" / "playbooks" / "host.yml")]
        options = ["-i", str(ROOT / "inventory" / "localhost.yml"), "-e", json.dumps(variables)]
        command = machine(*playbook, *options, *(["--check"] if check else []))
        return as_one(Played.started(command, record, True, cwd=ROOT, env={**environment, "RECORD_FILE": str(record)}))

    for item in ROLES["kic_host"]:
        compare(item, run, lambda: (files(tmp_path / "etc"), files(tmp_path / "state")), **item.values)


@pytest.mark.full("half a minute; the clean room foretells its teardown in the quick set")
def test_playbook_teardown(podman_world: World, play: Play, run_module: Module) -> None:
    """nodeforge.kic.teardown of a cluster with two nodes."""
    world = podman_world
    ground(world, run_module, f"{world.name}-1", f"{world.name}-2")
    run = playing(play, ROOT / "playbooks" / "teardown.yml", "", kic_engine="podman")
    (item, _purge) = PLAYBOOKS["teardown"]
    compare(item, run, lambda: [world.seen(), running(world)], twice=False, **filled(item.values, world.names))


@pytest.mark.full("forty seconds; the clean room purges in the quick set")
def test_playbook_purge(own_store: Client, archive: Path, tmp_path: Path, play: Play, run_module: Module) -> None:
    """nodeforge.kic.teardown with kic_purge, which takes every image that was built: in a store of its own. The nodes that it
    removes use the image."""
    for world in a_world(own_store, archive, tmp_path):
        built = world.names["built"] = "localhost/nodeforge/kic-node:1-kictest"
        own_store.run("create", "--name", world.name, world.names["image"])
        own_store.run("commit", "--quiet", "--change", "LABEL nodeforge.kic.image.key=kictest", world.name, built)
        own_store.run("rm", world.name)
        cache = Path(own_store.environment["XDG_CACHE_HOME"]) / "nodeforge.kic" / "image"
        cache.mkdir(parents=True)
        world.names["image"] = built
        ground(world, run_module, f"{world.name}-1")
        process_env = {key: own_store.environment[key] for key in ("CONTAINERS_STORAGE_CONF", "XDG_CACHE_HOME")}
        run = playing(play, ROOT / "playbooks" / "teardown.yml", "", kic_engine="podman", process_env=process_env)
        (_teardown, item) = PLAYBOOKS["teardown"]
        values = filled(item.values, world.names)
        compare(item, run, lambda: [own_store.holdings(), running(world), cache.exists()], twice=False, **values)  # noqa: B023
        assert not cache.exists() and len(own_store.holdings()["images"]) == 1
        assert not own_store.held(world.name)


def molecule(world: World, folder: Path) -> dict[str, Any]:
    """Variables of Molecule's playbooks."""
    return {
        "kic_engine": "podman",
        "kic_node_molecule_name": world.name,
        "kic_node_molecule_instance_config": str(folder / "instances.yml"),
    }


@pytest.mark.full("twenty seconds; teardown is in the quick set")
def test_playbook_molecule_destroy(podman_world: World, play: Play, run_module: Module, tmp_path: Path) -> None:
    """nodeforge.kic.molecule_destroy, whose removals run at once and are waited for."""
    world = podman_world
    ground(world, run_module, world.name)
    (tmp_path / "instances.yml").write_text("[]")
    run = playing(play, ROOT / "playbooks" / "molecule_destroy.yml", "", **molecule(world, tmp_path))

    def state() -> Any:
        return [world.seen(), running(world), (tmp_path / "instances.yml").exists()]

    for item in PLAYBOOKS["molecule_destroy"]:
        compare(item, run, state, twice=False, **filled(item.values, world.names))


def admin() -> str:
    """A kubeconfig as kubeadm writes it; nobody looks into its keys."""
    key = base64.b64encode(b"kictest").decode()
    user = {"client-certificate-data": key, "client-key-data": key}
    return yaml.safe_dump(
        {
            "clusters": [{"name": "c", "cluster": {"certificate-authority-data": key, "server": "https://c:6443"}}],
            "users": [{"name": "u", "user": user}],
        }
    )


@pytest.mark.full("a play for each state; the story writes and removes an entry in the quick set")
def test_kubeconfig(podman_world: World, play: Play, run_module: Module, tmp_path: Path) -> None:
    """kic_kubeconfig, of a control plane that has the file and nothing behind it."""
    world = podman_world
    ground(
        world,
        run_module,
        world.name,
        role="control-plane",
        publish=[{"port": 6443, "address": "127.0.0.1"}],
        files=[{"path": "/etc/kubernetes/admin.conf", "content": admin(), "mode": "0600"}],
    )
    playbook = tmp_path / "kubeconfig.yml"
    task = {"name": "Access", "nodeforge.kic.kic_kubeconfig": None, "args": "{{ arguments }}"}
    playbook.write_text(yaml.safe_dump([{"name": "P", "hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    file = tmp_path / "kubeconfig"

    def run(*, check: bool = False, **params: Any) -> dict[str, Any]:
        mode = ["--check"] if check else []
        played = play(playbook, "--diff", *mode, arguments={**params, "engine": "podman"})
        (result,) = played.results("kic_kubeconfig")
        return result

    for item in PLAYED["kic_kubeconfig"]:
        values = filled(item.values, world.names)
        compare(item, run, lambda: file.read_text() if file.exists() else "", **values)


@pytest.mark.full("a whole cluster, which the stories of the quick set make too")
def test_kubernetes(podman_world: World, node_image: str, play: Play, run_module: Module, tmp_path: Path) -> None:
    """What needs Kubernetes: nodeforge.kic.site, the role kic_cluster, and kic_kubeadm."""
    world = podman_world
    name, worker = f"{world.name}-c", f"{world.name}-c-worker-1"
    values: dict[str, Any] = {"kic_cluster_name": name, "kic_image_name": node_image, "kic_cluster_image": node_image}
    values |= {"kic_engine": "podman", "kic_cluster_workers": 1, "kic_cluster_kubeconfig": str(tmp_path / "config")}

    def state() -> Any:
        return [world.seen(), running(world)]

    site = playing(play, ROOT / "playbooks" / "site.yml", "", **values)
    compare(row(""), site, state, twice=False)
    role = playing(play, "role.yml", "kic_cluster_state", test_role="kic_cluster", **values)
    for item in (
        row("started", expected=False),
        row("present", expected=False),
        row("stopped"),
        row("present", expected=False),
        row("started"),
        row("paused"),
        row("paused", expected=False),
        row("present", expected=False),
        row("started"),
        row("restarted"),
        row("paused"),
        row("restarted"),
        row("paused"),
        row("stopped"),
        row("restarted"),
    ):
        compare(item, role, state, twice=False)
    kubeadm = partial(run_module, "kic_kubeadm", cluster=name, engine="podman")
    control_plane = f"{name}-control-plane-1"
    for item in (row("joined", expected=False), row("reset"), row("joined")):
        compare(item, kubeadm, state, node=worker, control_plane=control_plane, timeout=300)
    for item in (row("initialized", expected=False, schedulable=False), row("initialized", schedulable=True)):
        compare(item, kubeadm, state, node=control_plane, timeout=300, **item.values)
    compare(row("absent"), role, state, twice=False)


@pytest.mark.full(
    "it waits for two systemds; how platforms are read has unit tests, and their role is in the quick set"
)
def test_playbook_molecule_create(podman_world: World, plain_image: str, play: Play, tmp_path: Path) -> None:
    """nodeforge.kic.molecule_create, whose platforms are made at once and are waited for."""
    world = podman_world
    platforms = [{"name": f"{world.name}-{number}", "image": plain_image} for number in (1, 2)]
    run = playing(play, ROOT / "playbooks" / "molecule_create.yml", "", **molecule(world, tmp_path))
    compare(row(""), run, lambda: [world.seen(), running(world)], twice=False, kic_node_platforms=platforms)
