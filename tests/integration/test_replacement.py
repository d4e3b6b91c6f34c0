# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""recreate: on_drift on real engines: options that they refuse, and runs that are ended at each of their calls.

The node is no system: a program that waits for its stop signal. A stand-in for the engine's client, first on PATH, counts
the calls that change something and kills the module at one of them.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import Client
from .dockerd import client_of

Module = Callable[..., dict[str, Any]]
IMAGE = "localhost/kictest-replaced:1"

PROGRAM = """
package main

import (
    "os"
    "os/signal"
    "syscall"
)

func main() {
    for _, argument := range os.Args {
        if argument == "/sbin/none" {
            os.Exit(3)
        }
    }
    signals := make(chan os.Signal, 9)
    signal.Notify(signals, syscall.SIGTERM, syscall.Signal(37))
    <-signals
}
"""
"""Ends at the stop signal of a node, SIGRTMIN+3. It is /bin/sh too, which a node with a list of capabilities begins with."""

CLIENT = """#!/bin/bash
# The client CLIENT; at the call number $KICTEST_AT of those that change something it kills who called it.
for word in "$@"; do
  case $word in
    rename|create|stop|start|rm|cp)
      number=$(($(cat COUNTER) + 1)); echo "$number" >COUNTER; echo "$word" >>CALLS
      [ "$number" != "$KICTEST_AT" ] && break
      [ "$KICTEST_DONE" = yes ] && CLIENT "$@" >/dev/null 2>&1
      kill -9 "$PPID"; exit 137 ;;
    ps|inspect|info|exists|ls) break ;;
  esac
done
exec CLIENT "$@"
"""


@dataclass(frozen=True)
class Place:
    """An engine with the image and a network, and how a module gets there."""

    engine: str
    client: Client
    env: dict[str, str]
    folder: Path
    network: str
    run: Module

    def module(self, module: str, /, **params: Any) -> dict[str, Any]:
        """Run a module on the engine."""
        env = {**self.env, **params.pop("process_env", {})}
        return self.run(module, engine=self.engine, process_env=env, **params)

    def node(self, name: str, **params: Any) -> dict[str, Any]:
        """Run kic_node; the node has a fixed address and a published port."""
        asked: dict[str, Any] = {"image": IMAGE, "network": self.network, "volume": "none", "wait": False}
        return self.module("kic_node", name=name, **{**asked, "publish": [{"port": 80}], **params})

    def predicted(self, name: str, **params: Any) -> dict[str, Any]:
        """The same in check mode first, which predicts the actions."""
        checked = self.node(name, check=True, **params)
        done = self.node(name, **params)
        assert not done.get("failed"), done
        assert checked["actions"] == done["actions"]
        return done

    def held(self, name: str) -> list[str]:
        """All containers whose names begin so."""
        return sorted(item for item in self.client.holdings()["containers"] if item.startswith(name))

    def state(self, name: str) -> tuple[str, str, str | None]:
        """Id, status and role of a container."""
        (found,) = json.loads(self.client.out("container", "inspect", name))
        return found["Id"], found["State"]["Status"], found["Config"]["Labels"].get("nodeforge.kic.role")

    def killed(self, at: int, done: bool) -> dict[str, str]:
        """The environment of a module that ends at a call."""
        (self.folder / "counter").write_text("0")
        (self.folder / "calls").write_text("")
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {"PATH": path, "KICTEST_AT": str(at), "KICTEST_DONE": "yes" if done else "no"}

    def calls(self) -> list[str]:
        """What was called since."""
        return (self.folder / "calls").read_text().split()


def image_archive(folder: Path) -> Path:
    """A tar archive of the root file system of the image."""
    (folder / "main.go").write_text(PROGRAM)
    subprocess.run(
        ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(folder / "init"), str(folder / "main.go")],
        env=dict(os.environ, CGO_ENABLED="0", GOTOOLCHAIN="local", GOWORK="off", GO111MODULE="off"),
        check=True,
    )
    with tarfile.open(folder / "image.tar", "w") as tar:
        for name in ("sbin/init", "bin/sh"):
            tar.add(folder / "init", name)
        for name in ("var", "etc"):
            item = tarfile.TarInfo(name)
            item.type, item.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(item, io.BytesIO())
    return folder / "image.tar"


@pytest.fixture(
    scope="module",
    params=["podman", pytest.param("docker", marks=pytest.mark.full("the quick set replaces on podman"))],
)
def place(
    request: pytest.FixtureRequest,
    podman: Client,
    run_module: Module,
    module_unique: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """Each engine."""
    folder, engine = tmp_path_factory.mktemp("replaced"), str(request.param)
    (folder / "bin").mkdir()
    real = shutil.which(engine)
    if real is None:
        pytest.skip(f"no {engine} here")
    text = CLIENT.replace("CLIENT", real).replace("COUNTER", f"{folder}/counter").replace("CALLS", f"{folder}/calls")
    (folder / "bin" / engine).write_text(text)
    (folder / "bin" / engine).chmod(0o755)
    with client_of(engine, podman, folder) as client:
        there = {key: value for key, value in client.environment.items() if key in ("DOCKER_HOST", "DOCKER_CONFIG")}
        found = Place(engine, client, there, folder, module_unique("replaced"), run_module)
        # The command and entry point are those of an image; neither engine's import has the same option for both.
        client.run("import", "--change", 'CMD ["/sbin/init"]', str(image_archive(folder)), IMAGE)
        try:
            made = found.module("oci_network", name=found.network, subnet6="none")
            assert not made.get("failed"), made
            yield found
        finally:
            client.run("image", "rm", "--force", IMAGE, check=False)


@contextmanager
def old_node(place: Place) -> Iterator[str]:
    """A node that runs."""
    name = f"{place.network}-{secrets.token_hex(2)}"
    try:
        made = place.node(name)
        assert not made.get("failed"), made
        yield name
    finally:
        held = place.held(name)
        if held:
            place.client.run("rm", "--force", *held)


BAD: dict[str, dict[str, Any]] = {
    "runtime": {"runtime": "kictest-none"},
    "sysctl": {"sysctls": {"net.kictest.none": "1"}},
    "seccomp profile": {"security_opts": ["seccomp=/nonexistent.json"]},
    "ends at once": {"command": ["/sbin/none"]},
}


@pytest.mark.parametrize(
    "bad",
    ["ends at once", *(pytest.param(bad, marks=pytest.mark.full("one refusal is quick")) for bad in list(BAD)[:-1])],
)
def test_what_the_engine_refuses(place: Place, bad: str) -> None:
    """The engine refuses the new node: the old one runs, with its address and port, and the failure says both."""
    with old_node(place) as name:
        before = place.state(name)
        told = place.node(name, role="worker", recreate="on_drift", **BAD[bad])
        assert told["failed"], told
        assert f"The old node {name} was restored and runs." in told["diagnosis"]["cause"], told
        assert (place.held(name), place.state(name), told["changed"]) == ([name], before, False)
        if bad == "runtime":
            assert told["diagnosis"]["id"] == "runtime_missing"
        info = place.module("kic_node_info", name=name)["nodes"]
        assert [item["state"] for item in info] == ["running"]
        repaired = place.predicted(name, role="worker", recreate="on_drift")
        assert [item.split(":")[0] for item in repaired["actions"]] == [
            f"remove node {name}",
            f"create node {name}",
            f"start node {name}",
        ]
        assert (repaired["node"]["ip"], repaired["node"]["publish"]) == (info[0]["ip"], info[0]["publish"])
        assert place.held(name) == [name]


def test_refused_while_the_old_one_runs(place: Place) -> None:
    """What is refused at the create costs the old node nothing: its process is the same."""
    with old_node(place) as name:
        before = place.client.out("container", "inspect", "--format", "{{.State.Pid}}", name)
        assert place.node(name, recreate="on_drift", runtime="kictest-none")["failed"]
        assert place.client.out("container", "inspect", "--format", "{{.State.Pid}}", name) == before


STEPS = ("rename", "create", "stop", "start", "rm")


@pytest.mark.full("a node is made and replaced at each call of an engine, some seconds each")
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, len(STEPS) + 1), ids=STEPS)
def test_killed_at_each_step(place: Place, at: int, done: bool) -> None:
    """A run that is killed: one node is told, and the same run again finishes what it finds and leaves nothing else."""
    with old_node(place) as name:
        old = place.state(name)[0]
        with pytest.raises(AssertionError, match="returned nothing"):
            place.node(name, role="worker", recreate="on_drift", process_env=place.killed(at, done))
        assert place.calls() == list(STEPS[:at])
        assert [item["name"] for item in place.module("kic_node_info", name=name)["nodes"]] == [name]
        place.predicted(name, role="worker", recreate="on_drift")
        identity, status, role = place.state(name)
        assert (place.held(name), status, role) == ([name], "running", "worker")
        assert identity != old
        assert place.predicted(name, role="worker", recreate="on_drift")["changed"] is False


@pytest.mark.full("a node is made and replaced twice for each call of an engine, some seconds each")
@pytest.mark.parametrize("at", [1, 2, 3, 4], ids=STEPS[:4])
def test_killed_and_not_wanted_any_more(place: Place, at: int) -> None:
    """After a run that was killed, one that replaces nothing ends with one node that runs, and absent with none."""
    with old_node(place) as name:
        for params in ({"state": "started"}, {"state": "absent"}):
            with pytest.raises(AssertionError, match="returned nothing"):
                place.node(name, role=secrets.token_hex(2), recreate="on_drift", process_env=place.killed(at, True))
            place.predicted(name, **params)
            if params["state"] == "started":
                assert (place.held(name), place.state(name)[1]) == ([name], "running")
        assert place.held(name) == []


def test_network_that_the_engine_refuses(place: Place) -> None:
    """A network whose new form is refused stays as it was, and nothing of the probe is left."""
    name = f"{place.network}-net"
    try:
        made = place.module("oci_network", name=name, subnet6="none", mtu=1400)
        assert not made.get("failed"), made
        real = place.folder / "bin" / place.engine
        text = real.read_text()
        refusing = (
            '#!/bin/bash\nif [ "$1 $2" = "network create" ] && [[ "$*" == *1300* ]]; then echo no >&2; exit 9; fi\n'
        )
        real.write_text(refusing + text)
        env = {"PATH": f"{place.folder / 'bin'}:{os.environ['PATH']}"}
        asked: dict[str, Any] = {"name": name, "subnet6": "none", "mtu": 1300, "recreate": "on_drift"}
        told = place.module("oci_network", process_env={**env, **place.killed(0, False)}, **asked)
        real.write_text(text)
        assert told["failed"], told
        assert f"The network {name} was left as it is." in told["diagnosis"]["cause"]
        again = place.module("oci_network", name=name, subnet6="none", mtu=1400)
        assert (again["changed"], again["network"]) == (False, made["network"])
        repaired = place.module("oci_network", **asked)
        assert repaired["network"]["mtu"] == 1300
        assert [item for item in place.client.holdings()["networks"] if item.startswith(name)] == [name]
    finally:
        place.client.run("network", "rm", name, f"{name}.kic-probe", check=False)


NETWORK_STEPS = ("create", "rm", "create", "rm", "create", "rm")
"""The probe, the record of the old network, and between them the network itself."""
FULL = pytest.mark.full("each further call of an engine, some seconds each")


@pytest.mark.parametrize(
    ("at", "done"),
    [
        pytest.param(at, done, marks=[] if (at, done) == (4, True) else FULL)
        for at in range(1, len(NETWORK_STEPS) + 1)
        for done in (False, True)
    ],
)
def test_network_killed_at_each_step(place: Place, at: int, done: bool) -> None:
    """A run that is killed at any call: one that replaces nothing ends with the old network as it was, or, where that was
    made already, with the new one; one that replaces ends with the new one; nothing else is left."""
    name = f"{place.network}-net"
    old: dict[str, Any] = {"subnet": "10.99.7.0/24", "gateway": "10.99.7.9", "subnet6": "none", "mtu": 1400}
    new: dict[str, Any] = {"subnet6": "none", "mtu": 1300, "recreate": "on_drift"}

    def held() -> list[str]:
        return [item for item in place.client.holdings()["networks"] if item.startswith(name)]

    try:
        for asked in ({"subnet6": "none"}, new):
            before = place.module("oci_network", name=name, **{**old, "recreate": "on_drift"})
            assert not before.get("failed"), before
            with pytest.raises(AssertionError, match="returned nothing"):
                place.module("oci_network", name=name, process_env=place.killed(at, done), **new)
            assert place.calls() == list(NETWORK_STEPS[:at])
            was_new = (at, done) >= (5, True)
            assert (name in held()) == (at < 4 or (at, done) == (4, False) or was_new)
            checked = place.module("oci_network", name=name, check=True, **asked)
            after = place.module("oci_network", name=name, **asked)
            assert not after.get("failed"), after
            assert (checked["actions"], held()) == (after["actions"], [name])
            expected = 1300 if was_new or asked is new else 1400
            found = {key: after["network"][key] for key in ("subnet", "gateway", "mtu")}
            assert found["mtu"] == expected
            if expected == 1400:
                assert found == {key: before["network"][key] for key in found}
            assert place.module("oci_network", name=name, **asked)["changed"] is False
    finally:
        place.client.run("network", "rm", name, f"{name}.kic-probe", check=False)
