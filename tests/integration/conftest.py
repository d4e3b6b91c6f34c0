# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tests on a real engine share: podman, real runs of modules and playbooks, names that nobody else has.

Nobody's engine configuration is used or changed: CONTAINERS_CONF names an empty file for every process started here.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from ..hosts.disk import node_archive, obstacle
from ..hosts.machine import Host, resume
from .packet_filter import taken_back

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = Path(__file__).parent / "playbooks"

# Runs modules as Ansible does on a managed machine, without the second that ansible-playbook takes to start: each in a
# process of its own, which begins where importing Ansible's part and this collection's module_utils has ended.
MODULE_PROGRAM = """
import importlib, json, os, pkgutil, runpy, signal, socket, sys
import ansible.module_utils.basic as basic
from ansible_collections.nodeforge.kic.plugins import module_utils
try:
    from ansible.module_utils.testing import patch_module_args
except ImportError:  # ansible-core 2.18
    patch_module_args = None

def run(request):
    os.environ.clear()
    os.environ.update(request["env"])
    exec(request["prelude"], {})
    module = "ansible_collections.nodeforge.kic.plugins.modules." + request["module"]
    if patch_module_args is None:
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": request["arguments"]}).encode()
        runpy.run_module(module, run_name="__main__")
    else:
        with patch_module_args(request["arguments"]):
            runpy.run_module(module, run_name="__main__")

for found in pkgutil.walk_packages(module_utils.__path__, module_utils.__name__ + "."):
    importlib.import_module(found.name)
listener = socket.socket(fileno=int(sys.argv[1]))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    connection, _ = listener.accept()
    if os.fork() == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listener.close()
        request = json.loads(connection.makefile().readline())
        os.dup2(connection.fileno(), 1)
        os.dup2(connection.fileno(), 2)
        connection.close()
        run(request)
        sys.exit()
    connection.close()
"""


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of every process that a test starts."""
    empty = tmp_path_factory.mktemp("containers") / "containers.conf"
    empty.write_text("")
    return dict(
        os.environ,
        CONTAINERS_CONF=str(empty),
        ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"),
        ANSIBLE_CALLBACK_PLUGINS=str(Path(__file__).parent / "callback_plugins"),
        ANSIBLE_CALLBACKS_ENABLED="record",
        ANSIBLE_NOCOLOR="1",
        ANSIBLE_RETRY_FILES_ENABLED="0",
    )


@dataclass(frozen=True)
class Client:
    """The real client of an engine."""

    environment: dict[str, str]
    program: str = "podman"

    def run(self, *arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run it; a failure shows its words."""
        feed: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        done = subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, env=self.environment, check=False, **feed
        )
        assert not check or done.returncode == 0, f"{self.program} {' '.join(arguments)}: {done.stderr or done.stdout}"
        return done

    def out(self, *arguments: str) -> str:
        """Its standard output, stripped."""
        return self.run(*arguments).stdout.strip()

    def json(self, *arguments: str) -> Any:
        """Its standard output of ``--format json``, decoded."""
        return json.loads(self.out(*arguments, "--format", "json") or "null")

    def holdings(self) -> dict[str, set[str]]:
        """Everything in the store: what a test must leave as it found it."""
        return {
            "containers": set(self.out("ps", "--all", "--format", "{{.Names}}").split()),
            "networks": set(self.out("network", "ls", "--format", "{{.Name}}").split()),
            "volumes": set(self.out("volume", "ls", "--format", "{{.Name}}").split()),
            "images": set(self._images()),
        }

    def _images(self) -> list[str]:
        """Ids of all images; podman's list fails where another process removes an image while it is made."""
        listing = ("images", "--no-trunc", "--format", "{{.ID}}")
        for _attempt in range(5):
            done = self.run(*listing, check=False)
            if "image not known" not in done.stderr:
                break
            time.sleep(0.3)
        return self.out(*listing).split() if done.returncode else done.stdout.split()

    def empty(self) -> None:
        """Remove all containers and networks of a docker of the tests' own, whose bridges outlive its daemon."""
        containers = self.out("ps", "--all", "--quiet").split()
        if containers:
            self.run("rm", "--force", *containers)
        networks = self.out("network", "ls", "--filter", "type=custom", "--quiet").split()
        if networks:
            self.run("network", "rm", *networks)

    def held(self, part: str) -> list[str]:
        """Names of containers, networks and volumes that hold ``part``; other runs next to this one do not matter."""
        return [name for names in self.holdings().values() for name in names if part in name]


@dataclass(frozen=True)
class Played:
    """A finished ansible-playbook."""

    rc: int
    text: str
    seconds: float
    tasks: list[dict[str, Any]] = field(repr=False)
    stats: dict[str, dict[str, int]]

    @classmethod
    def started(cls, command: Sequence[str], record: Path, ok: bool, **process: Any) -> Played:
        """Run ``command``, which writes ``record``, and see that it ends well, or, without ``ok``, that it does not."""
        began = time.monotonic()
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **process,
        )
        seconds = time.monotonic() - began
        lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
        stats: dict[str, dict[str, int]] = next((line["stats"] for line in lines if "stats" in line), {})
        played = cls(done.returncode, done.stdout, seconds, [line for line in lines if "task" in line], stats)
        # What ended it comes first: who shows a failed test shows the beginning of a long message.
        assert (done.returncode == 0) is ok, (
            f"ended with {done.returncode} after {seconds:.0f} s{played.ending}\n{' '.join(command)}\n{done.stdout[-6000:]}"
        )
        return played

    @property
    def ending(self) -> str:
        """The task by which it failed and its words, as the continuation of a sentence; "" without one."""
        ends = [task for task in self.tasks if task["status"] in ("failed", "unreachable")]
        return f" by {ends[-1]['task']}: {ends[-1]['result'].get('msg', '')}" if ends else ""

    @property
    def changed(self) -> list[str]:
        """Names of the tasks that changed something."""
        return [task["task"] for task in self.tasks if task["result"].get("changed")]

    def results(self, action: str) -> list[dict[str, Any]]:
        """Results of every task with this action, in order; of a loop, those of its items."""
        found = [task["result"] for task in self.tasks if task["action"].rpartition(".")[2] == action]
        return [item for result in found for item in result.get("results", [result])]


class Play(Protocol):
    """Runs a playbook."""

    def __call__(
        self,
        playbook: str | Path,
        *arguments: str,
        ok: bool = True,
        process_env: dict[str, str] | None = None,
        **variables: Any,
    ) -> Played: ...


@pytest.fixture(scope="session")
def play(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Run a playbook (a path, or the name of one in tests/integration/playbooks) as a user does."""
    folder = tmp_path_factory.mktemp("plays")

    def run(
        playbook: str | Path,
        *arguments: str,
        ok: bool = True,
        process_env: dict[str, str] | None = None,
        **variables: Any,
    ) -> Played:
        path = PLAYBOOKS / playbook if isinstance(playbook, str) and "/" not in playbook else playbook
        record = folder / f"{secrets.token_hex(4)}.jsonl"
        command = ["ansible-playbook", str(path), "-i", str(ROOT / "inventory" / "localhost.yml"), *arguments]
        if variables:
            command += ["-e", json.dumps(variables)]
        process_env = dict(environment, RECORD_FILE=str(record), **(process_env or {}))
        return Played.started(command, record, ok, cwd=ROOT, env=process_env)

    return run


@pytest.fixture(scope="session")
def podman(environment: dict[str, str], play: Play) -> Client:
    """The machine's podman, brought there by our own role where it is missing."""
    play("host.yml")
    return Client(environment)


@pytest.fixture(scope="session")
def docker(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A docker of our own: its daemon, store and socket begin and end with the tests, nobody else's is touched.

    It filters packets as docker does by itself; a test that needs no such filter takes Daemon of dockerd.py.
    """
    if shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip("no dockerd here; on Debian: apt-get install docker.io")
    folder = tmp_path_factory.mktemp("docker")
    # A socket's name has at most 108 characters (unix(7)).
    run = Path(tempfile.mkdtemp(prefix="kictest-docker-", dir="/run"))
    endpoint = f"unix://{run}/socket"
    command = [
        "dockerd",
        f"--host={endpoint}",
        f"--data-root={folder}",
        f"--exec-root={run}/exec",
        f"--pidfile={run}/pid",
        # The bridge docker0 is one of the machine, and another daemon may have it.
        "--bridge=none",
    ]
    with (
        taken_back(),
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL) as daemon,
    ):
        try:
            client = Client(dict(environment, DOCKER_HOST=endpoint), "docker")
            deadline = time.monotonic() + 60
            while client.run("version", check=False).returncode != 0:
                assert daemon.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
                time.sleep(0.2)
            yield client
            client.empty()
        finally:
            daemon.terminate()
            daemon.wait(60)
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(run, ignore_errors=True)


OUTERMOST = pytest.mark.outermost("the virtual machine proves nothing more where it is started in a clean room")


def have_image(play: Play, *, process_env: dict[str, str] | None = None, **variables: Any) -> str:
    """Have an image by our own role, which builds what is missing; its reference."""
    return reference_of(play("image.yml", process_env=process_env, **variables))


def reference_of(played: Played) -> str:
    """The image that a play of the role kic_image left."""
    reference = next(
        task["result"]["kic_image_reference"]
        for task in reversed(played.tasks)
        if "kic_image_reference" in task["result"]
    )
    assert isinstance(reference, str)
    return reference


@pytest.fixture(scope="session")
def node_image(podman: Client, play: Play) -> str:
    """Reference of the node image, made by our own role where it is missing."""
    del podman
    return have_image(play)


@pytest.fixture(scope="session")
def plain_image(podman: Client, play: Play) -> str:
    """Reference of the image with systemd and Python and without Kubernetes, made by our own role where it is missing."""
    del podman
    return reference_of(play("plain.yml"))


CONTRACT: dict[str, Any] = {
    "kic_image_recipe": str(Path(__file__).parent / "contract_image"),
    "kic_image_source": "built",
}
"""The image that offers kind's node image contract and no more (contract_image/README.md)."""


@pytest.fixture(scope="session")
def contract_image(podman: Client, play: Play) -> str:
    """Reference of the image of the contract."""
    del podman
    return have_image(play, **CONTRACT)


@pytest.fixture(scope="session")
def run_module(
    environment: dict[str, str], podman: Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., dict[str, Any]]]:
    """Run a module of the collection on this machine; its result, also that of a failure (``failed``).

    ``prelude`` is Python that the process of the module runs before it.
    """
    # The collection can be imported when pytest has begun.
    from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import FILES, files_below, node_scripts

    del podman
    address = str(tmp_path_factory.mktemp("modules") / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        program = subprocess.Popen(
            [sys.executable, "-c", MODULE_PROGRAM, str(listener.fileno())],
            pass_fds=[listener.fileno()],
            env=dict(environment, PYTHONPATH=environment["ANSIBLE_COLLECTIONS_PATH"]),
            stdin=subprocess.DEVNULL,
        )

    def run(
        module: str,
        /,
        *,
        check: bool = False,
        process_env: dict[str, str] | None = None,
        prelude: str = "",
        **params: Any,
    ) -> dict[str, Any]:
        if module in ("kic_cluster", "kic_kubeadm", "kic_node_image", "kic_node_info", "kic_snapshot"):
            # As their action plugins do.
            params.setdefault("scripts", node_scripts())
        if module == "kic_cluster":
            params.setdefault("node_files", files_below(FILES / "node"))
        request = {
            "module": module,
            "arguments": dict(params, _ansible_check_mode=check, _ansible_diff=True),
            "env": {**environment, **(process_env or {})},
            "prelude": prelude,
        }
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile(encoding="utf-8") as stream:
                text = stream.read()
        lines = [line for line in text.splitlines() if line.startswith("{")]
        assert lines, f"{module} returned nothing: {text}"
        result: dict[str, Any] = json.loads(lines[-1])
        return result

    yield run
    program.kill()
    program.wait()


class Predicted(Protocol):
    """Runs a module in check mode and then for good; what the run did was predicted, exactly."""

    def __call__(self, module: str, /, **params: Any) -> dict[str, Any]: ...


# What each module keeps in a declared state, in podman's words.
KINDS = {"kic_node": "container", "oci_network": "network", "oci_volume": "volume", "oci_image": "image"}


@pytest.fixture(scope="session")
def predicted(run_module: Callable[..., dict[str, Any]], podman: Client) -> Predicted:
    """Check mode first: it changes nothing, and names the actions, diff, drift or failure of the run that follows."""

    def run(module: str, /, **params: Any) -> dict[str, Any]:
        before = podman.run(KINDS[module], "inspect", params["name"], check=False).stdout
        checked = run_module(module, check=True, **params)
        assert podman.run(KINDS[module], "inspect", params["name"], check=False).stdout == before
        done = run_module(module, **params)
        for key in ("failed", "changed", "actions", "diff", "drift", "diagnosis"):
            foretold, found = (json.dumps(result.get(key), sort_keys=True) for result in (checked, done))
            # How many ranges are taken may change meanwhile: a network of another test's docker has a route of its own.
            foretold, found = (re.sub(r"\d+ ranges", "ranges", text) for text in (foretold, found))
            assert foretold == found, f"check mode foretold {key} otherwise: {checked} but {done}"
        return done

    return run


def unique_local_subnet(prefix: int = 64) -> ipaddress.IPv6Network:
    """Draw a subnet of RFC 4193 that nobody else has."""
    drawn = ipaddress.IPv6Network((0xFD << 120 | secrets.randbits(40) << 80, 48))
    return drawn if prefix == 48 else next(drawn.subnets(new_prefix=prefix))


@contextmanager
def own_names(podman: Client) -> Iterator[Callable[[str], str]]:
    """Names that nobody else has; what carries one, or begins with one, is removed at the end."""
    given: list[str] = []

    def name(prefix: str = "t") -> str:
        found = f"kictest-{prefix}-{secrets.token_hex(3)}"
        given.append(found)
        return found

    try:
        yield name
    finally:
        held = podman.holdings()
        mine = {kind: [item for item in items if item.startswith(tuple(given))] for kind, items in held.items()}
        if given and mine["containers"]:
            quick = ("--ignore", "--time", "1") if podman.program == "podman" else ()
            removal = ("rm", "--force", *quick, *mine["containers"])
            # On a busy machine podman 4.3 finds one that it has just ended "improper", and removes it the next time.
            if podman.run(*removal, check=False).returncode != 0:
                podman.run(*removal)
        for kind in ("networks", "volumes"):
            if given and mine[kind]:
                podman.run(kind.removesuffix("s"), "rm", *mine[kind])


@pytest.fixture
def unique(podman: Client) -> Iterator[Callable[[str], str]]:
    """Names for one test."""
    with own_names(podman) as name:
        yield name


@pytest.fixture(scope="module")
def module_unique(podman: Client) -> Iterator[Callable[[str], str]]:
    """Names for what the tests of one file share."""
    with own_names(podman) as name:
        yield name


def _remove(folder: Path) -> None:
    """Remove a store in which what a killed run left may still clean up after itself."""
    deadline = time.monotonic() + 30
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.1)
    assert not folder.exists()


@pytest.fixture
def own_store(podman: Client) -> Iterator[Client]:
    """A podman with a store of its own, so that every image in it may go."""
    folder = Path(tempfile.mkdtemp(prefix="kictest-store-"))
    settings = folder / "storage.conf"
    settings.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n')
    yield Client(dict(podman.environment, CONTAINERS_STORAGE_CONF=str(settings), XDG_CACHE_HOME=str(folder / "cache")))
    _remove(folder)


@pytest.fixture
def testhost(tmp_path: Path) -> Iterator[Host]:
    """A fresh virtual machine (tests/hosts) of this test's own: systemd, control groups of version 2, the user dev, and
    the node image in the stores of both."""
    problem = obstacle()
    if problem is not None:
        pytest.skip(problem)
    host = resume(tmp_path, node_archive(make=True))
    try:
        (tmp_path / "inventory.yml").write_text(json.dumps(host.inventory()))
        yield host
    finally:
        host.end()
