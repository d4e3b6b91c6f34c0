# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Molecule both ways: platforms for somebody else's role that needs systemd, and our roles under Molecule."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT, Client
from .dockerd import Daemon
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


LONG = pytest.mark.full("some minutes; how platforms are read has unit tests")


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


def molecule(project: Project, *arguments: str, ok: bool = True) -> str:
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
    assert (done.returncode == 0) == ok, done.stdout[-6000:]
    return done.stdout


@pytest.fixture(scope="module")
def common_image(podman: Client, plain_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image as others make them for Molecule: with a volume where the host's control groups are to be mounted."""
    name = f"localhost/{PREFIX}common:{secrets.token_hex(3)}"
    folder = tmp_path_factory.mktemp("common")
    lines = (f"FROM {plain_image}", 'VOLUME ["/sys/fs/cgroup", "/srv"]', 'CMD ["/lib/systemd/systemd"]')
    (folder / "Containerfile").write_text("\n".join(lines))
    podman.run("build", "--quiet", "--pull-never", "--tag", name, str(folder))
    yield name
    podman.run("rmi", name)


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A docker that leaves the machine's packet filter as it is: no test here sends a packet through it."""
    with Daemon.running(tmp_path_factory.mktemp("docker")) as daemon:
        yield daemon.client


@LONG
@pytest.mark.parametrize("engine", ["podman", "docker"])
def test_platforms_for_a_role_of_somebody_else(
    engine: str, infrastructure: Project, common_image: str, request: pytest.FixtureRequest
) -> None:
    """The example's role passes on two platforms; the inventory finds them; site.yml runs on them; nothing stays."""
    client: Client = request.getfixturevalue(engine)
    names = (*PLATFORMS, f"{PREFIX}common") if engine == "podman" else PLATFORMS
    scenario = infrastructure.folder / "roles" / "greeter" / "molecule" / "default" / "molecule.yml"
    example = yaml.safe_load(scenario.read_text())
    example["platforms"] = [item for item in example["platforms"] if item["name"] in PLATFORMS]
    if engine == "podman":
        # In the words of molecule-plugins. It is no greeter.
        told = {"pre_build_image": True, "systemd": "always", "tmpfs": ["/x"], "volumes": ["/usr/share:/mnt:ro"]}
        example["platforms"].append({"name": names[-1], "image": common_image, **told})
    scenario.write_text(yaml.safe_dump(example))
    endpoint = {key: value for key, value in client.environment.items() if key == "DOCKER_HOST"}
    project = Project(infrastructure.folder, {**infrastructure.environment, **endpoint, "KIC_ENGINE": engine})

    said = molecule(project, "test", "--destroy", "never")
    done = recap(said)
    for action in ("create", "converge", "idempotence", "verify"):
        assert done[action] == "Successful", said[-3000:]
    assert said.count('"msg": "All assertions passed"') == len(PLATFORMS)
    for name in PLATFORMS:
        assert client.out("exec", name, "systemctl", "is-active", "greeter.service") == "active"
        (found,) = json.loads(client.out("container", "inspect", name))
        assert found["HostConfig"]["Memory"] == 512 << 20
        network = found["Config"]["Labels"]["nodeforge.kic.cluster"]
    assert "EXAMPLE=1" in client.out("exec", PLATFORMS[1], "env")
    volumes: set[str] = set()
    releases = [client.out("exec", name, "cat", "/etc/debian_version").partition(".")[0] for name in PLATFORMS]
    assert releases == ["13", "12"]
    if engine == "podman":
        assert client.out("exec", names[-1], "systemctl", "is-system-running") == "running"
        mounts = client.out("exec", names[-1], "cat", "/proc/mounts")
        assert " /mnt " in mounts and " /x " in mounts
        (found,) = json.loads(client.out("container", "inspect", names[-1]))
        volumes = {mount["Name"] for mount in found["Mounts"] if mount["Type"] == "volume"}
        assert len(volumes) == 1 and " /srv " in mounts

    wanted = " or ".join(f"kic.name == '{name}'" for name in PLATFORMS)
    source = {"plugin": "nodeforge.kic.nodes", "engine": engine, "groups": {"greeters": wanted}}
    (project.folder / "platforms.kic.yml").write_text(yaml.safe_dump(source))
    listed = json.loads(project.run("ansible-inventory", "-i", "platforms.kic.yml", "--list", "--export").stdout)
    assert set(listed["greeters"]["hosts"]) == set(PLATFORMS)
    assert set(names) <= set(listed["kic_role_platform"]["hosts"])
    recording = Project(project.folder, {**project.environment, "ANSIBLE_CALLBACKS_ENABLED": "record"})
    played = recording.play("site.yml", "-i", "platforms.kic.yml")
    assert set(played.stats) == set(PLATFORMS) and played.changed == []

    # What the file does not name any more is the scenario's all the same.
    scenario.write_text(yaml.safe_dump({**example, "platforms": example["platforms"][:-1]}))
    assert recap(molecule(project, "destroy"))["destroy"] == "Successful"
    assert [client.held(name) for name in (*names, network)] == [[] for _name in (*names, network)]
    # Also the volume without a name that an image declares.
    assert not client.holdings()["volumes"] & volumes


def test_platforms_that_can_not_be(infrastructure: Project) -> None:
    """A key that nobody knows is told before anything is made."""
    scenario = infrastructure.folder / "roles" / "greeter" / "molecule" / "default" / "molecule.yml"
    kept = scenario.read_text()
    example = yaml.safe_load(kept)
    # The first is ignored with a warning, as the drivers' key has no meaning here; the second is misspelt.
    example["platforms"][0].update(cgroupns_mode="host", comand="/sbin/init")
    scenario.write_text(yaml.safe_dump(example))
    try:
        said = molecule(infrastructure, "create", ok=False)
    finally:
        scenario.write_text(kept)
    assert f"platform {PLATFORMS[0]}: comand: is not an option of a platform. Fix: write command" in " ".join(
        said.split()
    )


# Each role's scenario: what it leaves behind if it goes wrong, and its actions on the machine next to the common ones.
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


NEEDS = {"kic_host": pytest.mark.alone("lowers a limit of this machine for a moment")}


@LONG
@pytest.mark.parametrize("role", [pytest.param(role, marks=NEEDS.get(role, ())) for role in SCENARIOS])
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
