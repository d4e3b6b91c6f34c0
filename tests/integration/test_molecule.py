# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Molecule both ways: platforms for somebody else's role that needs systemd, and our roles under Molecule."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT, Client
from .stranger import Project, make_project

PREFIX = "kictest-"
PLATFORMS = (f"{PREFIX}greeter-1", f"{PREFIX}greeter-2")


def quiet(environment: dict[str, str]) -> dict[str, str]:
    """Without colours, and without the callback that records plays for other tests."""
    kept = {key: value for key, value in environment.items() if key != "ANSIBLE_CALLBACKS_ENABLED"}
    return {**kept, "NO_COLOR": "1"}


def recap(text: str) -> dict[str, str]:
    """What Molecule says at its end of each action, by its name."""
    return dict(re.findall(r"^\w+ > (\w+): Executed: (\w+)", text, re.MULTILINE))


@pytest.fixture(scope="module")
def infrastructure(
    plain_image: str, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """The example repository in a folder of its own, with what its requirements.yml names installed.

    Only the names of its platforms are other ones, so that nobody's containers are met.
    """
    del plain_image
    made = make_project(tmp_path_factory.mktemp("infrastructure"), environment)
    shutil.copytree(ROOT / "examples" / "infrastructure", made.folder, dirs_exist_ok=True)
    scenario = made.folder / "roles" / "greeter" / "molecule" / "default" / "molecule.yml"
    scenario.write_text(scenario.read_text().replace("name: greeter-", f"name: {PREFIX}greeter-"))
    # The collections of the connections are there from the package index, as Galaxy is out of reach of tests.
    find = "import ansible_collections.containers.podman as found; print(found.__path__[0])"
    where = made.run(str(ROOT / "tools" / "env"), "collections", "python", "-c", find).stdout.strip().splitlines()[-1]
    others = Path(where).parents[2]
    paths = os.pathsep.join([str(made.folder / "collections"), str(others)])
    project = Project(made.folder, {**quiet(made.environment), "ANSIBLE_COLLECTIONS_PATH": paths})
    try:
        yield project
    finally:
        molecule(project, "destroy")


def molecule(project: Project, *arguments: str) -> str:
    """Run Molecule in the role's folder; its output."""
    done = subprocess.run(
        ["molecule", *arguments],
        cwd=project.folder / "roles" / "greeter",
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def test_platforms_for_a_role_of_somebody_else(infrastructure: Project, podman: Client) -> None:
    """The example's role passes on two platforms; the inventory finds them; site.yml runs on them; nothing stays."""
    said = molecule(infrastructure, "test", "--destroy", "never")
    done = recap(said)
    for action in ("create", "converge", "idempotence", "verify"):
        assert done[action] == "Successful", said[-3000:]
    assert said.count('"msg": "All assertions passed"') == len(PLATFORMS)
    for name in PLATFORMS:
        assert podman.out("exec", name, "systemctl", "is-active", "greeter.service") == "active"
        (found,) = json.loads(podman.out("container", "inspect", name))
        assert found["HostConfig"]["Memory"] == 512 << 20
        network = found["Config"]["Labels"]["nodeforge.kic.cluster"]
    assert "EXAMPLE=1" in podman.out("exec", PLATFORMS[1], "env")

    names = " or ".join(f"kic.name == '{name}'" for name in PLATFORMS)
    source = {"plugin": "nodeforge.kic.nodes", "engine": "podman", "groups": {"greeters": names}}
    (infrastructure.folder / "platforms.kic.yml").write_text(yaml.safe_dump(source))
    listed = json.loads(infrastructure.run("ansible-inventory", "-i", "platforms.kic.yml", "--list", "--export").stdout)
    assert set(listed["greeters"]["hosts"]) == set(PLATFORMS)
    assert set(PLATFORMS) <= set(listed["kic_role_platform"]["hosts"])
    recording = Project(infrastructure.folder, {**infrastructure.environment, "ANSIBLE_CALLBACKS_ENABLED": "record"})
    played = recording.play("site.yml", "-i", "platforms.kic.yml")
    assert set(played.stats) == set(PLATFORMS) and played.changed == []

    assert recap(molecule(infrastructure, "destroy"))["destroy"] == "Successful"
    assert [podman.held(name) for name in (*PLATFORMS, network)] == [[], [], []]


# Each role's scenario: what it leaves behind if it goes wrong, and its actions on the machine beside the common ones.
SCENARIOS = {
    "kic_host": ("kictest-none", set()),
    "kic_image": ("kictest/molecule", {"prepare", "cleanup"}),
    "kic_node": ("kictest-molecule", {"cleanup"}),
    "kic_cluster": ("kictest-molecule-cluster", {"cleanup"}),
}


def test_each_role_has_a_scenario() -> None:
    """None of the roles is without, and all stand on one configuration."""
    roles = {path.parent.parent.name for path in ROOT.glob("roles/*/meta/argument_specs.yml")}
    scenarios = {path.parent.name for path in ROOT.glob("extensions/molecule/*/molecule.yml")}
    assert roles == scenarios == set(SCENARIOS)


@pytest.mark.parametrize("role", SCENARIOS)
def test_our_own_roles(
    role: str, podman: Client, node_image: str, plain_image: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """Converge, idempotence, check, side effect, verify, cleanup of each role, on this machine."""
    del node_image, plain_image
    left, more = SCENARIOS[role]
    done = subprocess.run(
        ["molecule", "test", "--scenario-name", role],
        cwd=ROOT,
        env={**quiet(environment), "ANSIBLE_HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    actions = recap(done.stdout)
    assert set(actions.values()) == {"Successful"}, actions
    assert set(actions) == {"syntax", "converge", "idempotence", "check", "side_effect", "verify", *more}
    # A play that matches no host passes too.
    assert len(re.findall(r"^machine +: ok=[1-9]", done.stdout, re.MULTILINE)) == len(actions) - 1, done.stdout[-3000:]
    assert podman.held(left) == []
    assert not [tag for tag in podman.out("images", "--format", "{{.Repository}}").split() if left in tag]
