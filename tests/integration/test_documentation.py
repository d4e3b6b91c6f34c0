# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What README.md and docs/ tell a reader to type or to write is run, taken from the text itself."""

from __future__ import annotations

import pwd
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.filter.cluster_summary import cluster_summary
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import CATALOGUE
from ansible_collections.nodeforge.kic.plugins.module_utils._host.delegation import cgroup_mode

from . import small
from .conftest import ROOT, Client
from .stranger import Project, make_project

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]

# Blocks by what they begin with. A block that stands here in no list fails test_every_block_is_run.
PLAYS = (
    *("- name: A machine with systemd", "- name: A cluster for the tests", "- name: A machine on which dev"),
    "- name: The application of this branch",
    "- name: The cluster of this branch sleeps",
    # test_snapshot.py runs it, and the command below.
    "- name: A snapshot before the tests",
)
FILES = {"plugin: nodeforge.kic.nodes": "lab.kic.yml"}
VARIABLES = ("kic_cluster_nodes:", "kic_cluster_name: shop", "kic_cluster_control_planes: 3")
# Of another tool; tests/unit/plugins/test_migration.py compares it with ours.
PEERS = ("kind: Cluster",)
COMMANDS = (
    "apt-get install",
    "make site",
    "ARGS='-e kic_cluster_workers",
    "ARGS='-e kic_cluster_state",
    "ARGS='-e kic_image",
    "make test",
    "podman exec",
    "ansible-galaxy",
    "ansible-inventory",
    "ansible-playbook nodeforge",
)


def blocks(*languages: str) -> list[str]:
    """The fenced blocks in these languages on all pages, in order, without their fences."""
    found = []
    for page in PAGES:
        for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
            if language in languages:
                found.append(text)
    return found


def block(beginning: str) -> str:
    """The only block that begins so."""
    (found,) = [text for text in blocks("console", "yaml") if text.startswith(beginning)]
    return found


@pytest.fixture(scope="module")
def project(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A reader's project: the tarball lies in it, and ci is this machine."""
    made = make_project(tmp_path_factory.mktemp("reader"), environment)
    (tarball,) = (made.folder / "dist").iterdir()
    tarball.rename(made.folder / tarball.name)
    hosts = made.folder / "inventory.yml"
    hosts.write_text(hosts.read_text().replace("localhost:", "localhost: &local", 1) + "    ci: *local\n")
    for beginning, name in FILES.items():
        (made.folder / name).write_text(block(beginning))
    return made


@pytest.fixture(scope="module")
def machine(podman: Client, plain_image: str, project: Project) -> Iterator[str]:
    """The machine that the README's play makes."""
    del plain_image
    name = "kic-doc-machine"
    (project.folder / "machine.yml").write_text("---\n" + block(PLAYS[0]))

    def remove() -> None:
        podman.run("rm", "--force", "--ignore", "--time", "1", name)
        for kind in ("network", "volume"):
            if name in podman.holdings()[f"{kind}s"]:
                podman.run(kind, "rm", name)

    # The README gives it its name, so a run that was ended leaves what this one would find.
    remove()
    try:
        assert project.play("machine.yml").changed
        yield name
    finally:
        remove()


def shell(text: str, cwd: Path, env: dict[str, str]) -> str:
    """Run a block as a reader does who pastes it, each line having to succeed; what it said."""
    done = subprocess.run(
        ["bash", "-euc", text], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{text} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def test_every_block_is_run() -> None:
    """Each block is in one of the lists above, and each entry of the lists is a block."""
    known = (*PLAYS, *FILES, *COMMANDS, *VARIABLES, *PEERS)
    found = blocks("console", "yaml", "bash", "sh", "shell", "")
    assert [text for text in found if not text.startswith(known)] == []
    assert len(found) == len(known)


def test_a_bare_machine(environment: dict[str, str], tmp_path: Path) -> None:
    """apt-get knows the packages; it does not install them again here."""
    configuration = tmp_path / "apt.conf"
    configuration.write_text('APT::Get::Simulate "true";\n')
    env = {**environment, "APT_CONFIG": str(configuration), "DEBIAN_FRONTEND": "noninteractive"}
    shell(block("apt-get install"), ROOT, env)


@pytest.mark.full("a play; workers by variables are in the quick set, and the clean room types it")
def test_make_site(podman: Client, node_image: str, environment: dict[str, str]) -> None:
    """`make site` foretells the cluster (ARGS, which it takes from the environment, says check mode)."""
    arguments = f"--check -e kic_cluster_name=kictest-readme -e kic_image_name={node_image}"
    said = shell(block("make site"), ROOT, {**environment, "ARGS": arguments})
    assert "kictest-readme" in said and "failed=0" in said
    assert podman.held("kictest-readme") == []


def test_workers_by_variables(podman: Client, node_image: str, environment: dict[str, str]) -> None:
    """The variables for a worker less are foretold as well, here for a cluster that does not exist yet."""
    text = block("ARGS='-e kic_cluster_workers")
    more = f"--check -e kic_cluster_name=kictest-readme -e kic_image_name={node_image}"
    assert text.startswith("ARGS='") and text.endswith("' make site\n")
    said = shell(text.replace("ARGS='", f"ARGS='{more} "), ROOT, environment)
    assert "kictest-readme-worker-1" in said and "failed=0" in said
    assert podman.held("kictest-readme") == []


@pytest.mark.full("a play; workers by variables are in the quick set")
def test_an_upgrade_by_variables(podman: Client, node_image: str, environment: dict[str, str]) -> None:
    """The variables for another release are predicted as well; a cluster that does not exist yet has nothing to upgrade."""
    text = block("ARGS='-e kic_image")
    more = f"--check -e kic_cluster_name=kictest-readme -e kic_image_name={node_image}"
    assert text.endswith("' make site\n")
    said = shell(text.replace("ARGS='", f"ARGS='{more} "), ROOT, environment)
    assert "kictest-readme-control-plane-1" in said and "failed=0" in said
    assert podman.held("kictest-readme") == []


@pytest.mark.full("a play; workers by variables are in the quick set")
@pytest.mark.parametrize(
    ("beginning", "names"),
    [
        pytest.param(VARIABLES[0], ("lab-control-plane-1", "lab-db", "lab-small"), id="nodes"),
        pytest.param(
            VARIABLES[2],
            (*(f"kictest-readme-control-plane-{number}" for number in (1, 2, 3)), "kictest-readme-worker-2"),
            id="control-planes",
        ),
    ],
)
def test_nodes_by_variables(
    podman: Client,
    node_image: str,
    environment: dict[str, str],
    tmp_path: Path,
    beginning: str,
    names: tuple[str, ...],
) -> None:
    """The variables are foretold as a cluster with these nodes."""
    (tmp_path / "nodes.yml").write_text(block(beginning))
    more = f"--check -e kic_cluster_name=kictest-readme -e kic_image_name={node_image} -e @{tmp_path}/nodes.yml"
    said = shell(f"make site ARGS='{more}'", ROOT, environment)
    assert all(name in said for name in names) and "failed=0" in said
    assert podman.held("lab-db") == podman.held("kictest-readme") == []


@pytest.mark.full("a play; workers by variables are in the quick set")
def test_variables_for_a_file_of_kind(
    podman: Client, node_image: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """They are foretold as its three nodes."""
    (tmp_path / "shop.yml").write_text(block(VARIABLES[1]))
    said = shell(f"make site ARGS='--check -e kic_image_name={node_image} -e @{tmp_path}/shop.yml'", ROOT, environment)
    assert all(name in said for name in ("shop-control-plane-1", "shop-worker-1", "shop-worker-2"))
    assert "failed=0" in said and podman.held("shop") == []


def test_make_test() -> None:
    """`make test` is what CI runs, this test among it."""
    assert block("make test") == "make test\n"
    assert re.search(r'^make "\$\{@:-test\}"', (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


def test_what_the_run_says_to_type() -> None:
    """The command that leads into the cluster is one that site.yml prints at its end; test_story.py runs it."""
    result = {
        "engine": "podman",
        "control_plane": "kic-control-plane-1",
        "nodes": [{"name": "kic-control-plane-1", "role": "control-plane", "ip": "192.168.128.2", "state": "running"}],
        "statuses": [{"name": "kic-control-plane-1", "ready": True, "version": "v1.35.4"}],
        "kubeconfig": "",
        "context": "",
    }
    assert block("podman exec").strip() in str(cluster_summary(result))


@pytest.mark.full("half a minute; site by its full name is in the quick set")
def test_the_installed_collection(podman: Client, node_image: str, project: Project) -> None:
    """Installed from the file, and its playbooks foretell."""
    (project.folder / "group_vars").mkdir(exist_ok=True)
    # The name is this test's own, so that nobody's cluster is looked at.
    variables = f"kic_cluster_name: kictest-reader\nkic_image_name: {node_image}\n"
    (project.folder / "group_vars" / "all.yml").write_text(variables)
    try:
        said = shell(block("ansible-galaxy"), project.folder, project.environment)
    finally:
        (project.folder / "group_vars" / "all.yml").unlink()
    assert said.count("failed=0") == 2
    assert podman.held("kictest-reader") == []


@pytest.mark.full("a play; site by its full name is in the quick set")
def test_the_play_of_a_cluster(podman: Client, node_image: str, project: Project) -> None:
    """The roles foretell a cluster on the host of the play."""
    (project.folder / "cluster.yml").write_text("---\n" + block(PLAYS[1]))
    played = project.play("cluster.yml", "--check", kic_image_name=node_image)
    assert any("Bring the cluster into its state" in task for task in played.changed), played.text
    assert podman.held("branch-42") == []


@pytest.mark.full("a play; the module loads images in the quick set")
def test_the_play_of_images(project: Project, environment: dict[str, str], tmp_path: Path) -> None:
    """Without that cluster and those images check mode says what is missing, and the run is refused by the same."""
    del environment
    folder = tmp_path / "images"
    text = block(PLAYS[3]).replace("branch-42", "kictest-none").replace("/srv/images", str(folder))
    (project.folder / "images.yml").write_text("---\n" + text)
    played = project.play("images.yml", "--check")
    for word in ("kictest-none has no node yet", "does not have the image app:1", str(folder)):
        assert word in played.text
    assert "cluster_without_nodes" in project.play("images.yml", ok=False).text


@pytest.mark.full("a play; each state of a node is in the quick set")
def test_the_play_of_a_pause(
    podman: Client,
    run_module: Callable[..., dict[str, Any]],
    unique: Callable[[str], str],
    project: Project,
    tmp_path: Path,
) -> None:
    """It freezes the nodes of a cluster once."""
    name, archive = unique("sleep"), tmp_path / "small.tar"
    archive.write_bytes(small.archive(f"localhost/{name}:1"))
    podman.run("load", "--input", str(archive))
    made = {"image": f"localhost/{name}:1", "volume": "none", "wait": False, "cluster": name, "role": "control-plane"}
    assert not run_module("kic_node", name=name, **made).get("failed")
    (project.folder / "pause.yml").write_text("---\n" + block(PLAYS[4]).replace("branch-42", name))
    assert project.play("pause.yml").changed == ["Freeze its nodes"]
    assert podman.out("container", "inspect", "--format", "{{.State.Status}}", name) == "paused"
    assert project.play("pause.yml").changed == []
    podman.run("rm", "--force", "--time", "0", name)
    podman.run("image", "rm", f"localhost/{name}:1")


@pytest.mark.full("two plays; test_rootless.py and test_delegation.py are refused likewise in the quick set")
def test_rootless(project: Project) -> None:
    """What docs/rootless.md says to type is run; test_role_host.py has its play succeed. Here it is refused as told there."""
    if cgroup_mode() == "v2":
        pytest.skip("this machine has control groups of version 2; the refusal needs version 1 or hybrid ones")
    # A user that every machine has, and the way to them that it has.
    user, method = pwd.getpwuid(1).pw_name, {"ANSIBLE_BECOME_METHOD": "ansible.builtin.su"}
    (project.folder / "rootless.yml").write_text("---\n" + block(PLAYS[2]).replace(": dev", f": {user}"))
    command = block("ansible-playbook nodeforge").replace("=dev", f"={user}")
    for text in ("ansible-playbook rootless.yml\n", command):
        with pytest.raises(AssertionError, match="cgroup_not_unified"):
            shell(text, project.folder, {**project.environment, **method})
    rows = re.findall(r"^\| (\[`.*?`\].*?) \|", (ROOT / "docs" / "rootless.md").read_text(), re.MULTILINE)
    told = re.findall(r"\[`(\w+)`\]\(troubleshooting\.md#(\w+)\)", "".join(rows))
    assert told and all(name == anchor and name in CATALOGUE for name, anchor in told)


@pytest.mark.full("a minute; the inventory has unit tests, and the role that makes a machine is in the quick set")
def test_machine_and_inventory(machine: str, podman: Client, project: Project) -> None:
    """The machine runs, the inventory finds it, and a task runs inside."""
    assert podman.out("exec", machine, "systemctl", "is-system-running") == "running"
    assert project.play("machine.yml").changed == []
    graph, ad_hoc = block("ansible-inventory").splitlines()
    said = shell(graph, project.folder, project.environment)
    assert re.search(rf"@kic_cluster_kic_doc:\n.*--{machine}\n", said), said
    # tools/env leads to an environment that has the connection plugins, and to this checkout as the collection.
    env = {**project.environment, "ANSIBLE_COLLECTIONS_PATH": ""}
    said = shell(f"{ROOT}/tools/env collections env -C {project.folder} {ad_hoc}", project.folder, env)
    assert f"{machine} | SUCCESS" in said
