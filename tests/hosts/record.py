# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes what the engines of the virtual host answer and refuse to tests/unit/module_utils/recorded: `make record`.

Each engine's release gets a directory of its own there. The unit tests read them; those of Debian 12 were recorded on
a real machine, and `python -m tests.hosts.record docker` records the engine of this machine, which holds the node image and
nothing else: docker 29's (tests/integration/docker29.py) that way.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Protocol

from .disk import node_archive
from .machine import resume

TARGET = Path(__file__).parents[1] / "unit" / "module_utils" / "recorded"
NAME = "kictest-rec"
NODE, NETWORK, VOLUME = f"{NAME}-node", f"{NAME}-net", f"{NAME}-vol"
LABELS = ["--label", "nodeforge.kic.schema=1", "--label", "nodeforge.kic.cluster=kictest"]
SUBNET = "192.168.231.0/24"

# The answers of the registry protocol (distribution-spec) that make a client fail, each by the name that is requested.
REGISTRY = r"""
import http.server, json, socket, struct
NAMES = {"unknown": (404, "MANIFEST_UNKNOWN"), "login": (401, "UNAUTHORIZED"), "forbidden": (403, "DENIED")}
LAYER = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 9, "digest": "sha256:" + "1" * 64}
MANIFEST = {
    "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": [LAYER],
    "config": {**LAYER, "mediaType": "application/vnd.docker.container.image.v1+json", "digest": "sha256:" + "2" * 64},
}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = default_request_version = "HTTP/1.1"  # The answer to TLS has a status line, as a registry's has.
    def do_GET(self):
        parts = self.path.split("/")
        if len(parts) < 6:
            return self.answer(200, {})
        name, kind = parts[2], parts[4]
        if name in NAMES:
            status, code = NAMES[name]
            return self.answer(status, {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]})
        if kind == "manifests":
            return self.answer(200, MANIFEST, MANIFEST["mediaType"])
        if name == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.send_response(200)
            self.send_header("Content-Length", "9")
            self.end_headers()
            self.wfile.write(b"half")
        self.close_connection = True
        self.wfile.flush()
        self.connection.close() if name == "reset" else self.connection.shutdown(socket.SHUT_RDWR)
    do_HEAD = do_GET
    def answer(self, status, body, kind="application/json"):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data if self.command == "GET" else b"")
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", 35000), Handler).serve_forever()
"""


def create(image: str, name: str, *options: str, runs: bool = False) -> list[str]:
    """The command that makes a container which sleeps."""
    begin = ["run", "--detach"] if runs else ["create"]
    return [*begin, "--name", name, "--pull=never", *options, "--entrypoint", "sleep", image, "600"]


def refusals(engine: str, image: str) -> dict[str, list[str]]:
    """What is asked of an engine that it refuses, by what it is about. Node, network and volume are there."""
    insecure = ["--tls-verify=false"] if engine == "podman" else []
    there = [*("--network", NETWORK), *("--ip", "192.168.231.10")]
    found = {f"inspect missing {kind}": [kind, "inspect", "--", f"{NAME}-none"] for kind in ("network", "volume")}
    found |= {
        "inspect missing image": ["image", "inspect", "--", f"localhost/{NAME}-none:v1"],
        "inspect missing container": ["container", "inspect", "--", f"{NAME}-none"],
        "subnet taken": ["network", "create", "--subnet", SUBNET, "--", f"{NAME}-two"],
        "network name taken": ["network", "create", "--subnet", "192.168.232.0/24", "--", NETWORK],
        "network in use": ["network", "rm", "--", NETWORK],
        "volume in use": ["volume", "rm", "--", VOLUME],
        "image in use": ["image", "rm", "--", image],
        "remove missing network": ["network", "rm", "--", f"{NAME}-none"],
        "container name taken": create(image, NODE),
        "runtime unknown": create(image, f"{NAME}-runtime", "--runtime", "kictest-none"),
        "image not in store": create(f"localhost/{NAME}-none:v1", f"{NAME}-image"),
        "address taken": create(image, f"{NAME}-address", *there, runs=True),
        "port taken": create(image, f"{NAME}-port", "--publish", "127.0.0.1:36443:80", runs=True),
        "port taken by another program": create(image, f"{NAME}-program", "--publish", "127.0.0.1:35000:80", runs=True),
        "exec in a container that does not run": ["exec", f"{NAME}-address", "true"],
        "unknown option": ["create", "--kictest-none"],
        "registry refuses the connection": ["pull", "--quiet", "127.0.0.1:1/kictest/none:v1"],
        "registry has no name": ["pull", "--quiet", "kictest-registry.invalid/kictest/none:v1"],
        "manifest inspect refused": ["manifest", "inspect", "127.0.0.1:1/kictest/none:v1"],
        "not an archive": ["load", "--quiet", "--input", "/etc/hostname"],
    }
    for about, name in (
        ("registry has no such image", "unknown"),
        ("registry asks for a login", "login"),
        ("registry forbids", "forbidden"),
        ("registry ends a transfer", "half"),
        ("registry resets a transfer", "reset"),
    ):
        found[about] = ["pull", *insecure, "--quiet", f"127.0.0.1:35000/{name}/none:v1"]
    if engine == "podman":
        found |= {
            "registry speaks HTTP": ["pull", "--quiet", "127.0.0.1:35000/kictest/none:v1"],
            "volume name taken": ["volume", "create", "--", VOLUME],
            "exists missing container": ["container", "exists", "--", f"{NAME}-none"],
        }
    else:
        found |= {
            "cpus beyond": create(image, f"{NAME}-cpus", "--cpus", "64"),
            "capability unknown": create(image, f"{NAME}-capability", "--cap-add", "KICTEST"),
        }
    return found


class Place(Protocol):
    """Where an engine is."""

    def command(self) -> list[str]:
        """What runs a line of shell there."""


class Here:
    """This machine."""

    def command(self) -> list[str]:
        """A shell."""
        return ["sh", "-c"]


class Recorder:
    """Asks an engine of a host and keeps its answers."""

    def __init__(self, host: Place, engine: str) -> None:
        self.host = host
        self.engine = engine

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Its answer, also to what it refuses."""
        line = shlex.join([self.engine, *arguments])
        return subprocess.run(
            [*self.host.command(), line], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    def need(self, *arguments: str) -> str:
        """Its standard output; what it refuses is an error."""
        done = self.ask(*arguments)
        if done.returncode != 0:
            raise SystemExit(f"{self.engine} {shlex.join(arguments)}: {done.stderr}")
        return done.stdout.strip()

    def record(self) -> Path:
        """Everything that is recorded, into the directory of the release."""
        form = ["--format", "json" if self.engine == "podman" else "{{json .}}"]
        info = json.loads(self.need("info", *form))
        version = info["version"]["Version"] if self.engine == "podman" else info["ServerVersion"]
        folder = TARGET / f"{self.engine}-{version.partition('+')[0]}"
        folder.mkdir(exist_ok=True)

        def keep(name: str, value: Any) -> None:
            (folder / f"{name}.json").write_text(json.dumps(value, indent=2) + "\n")

        keep("info", info)
        image = next(
            line
            for line in self.need("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
            if "kic-node" in line
        )
        mtu = "mtu=1400" if self.engine == "podman" else "com.docker.network.driver.mtu=1400"
        self.need("network", "create", "--subnet", SUBNET, "--gateway", "192.168.231.1", "--opt", mtu, *LABELS, NETWORK)
        self.need("volume", "create", *LABELS, VOLUME)
        options = ["--network", NETWORK, "--ip", "192.168.231.10", "--publish", "127.0.0.1:36443:6443", *LABELS]
        options += ["--volume", f"{VOLUME}:/var", "--memory", "256m", "--cpus", "0.5", "--pids-limit", "512"]
        self.need(*create(image, NODE, *options))
        keep("container-inspect-created", json.loads(self.need("container", "inspect", NODE)))
        self.need("start", NODE)
        keep("container-inspect-running", json.loads(self.need("container", "inspect", NODE)))
        keep("image-inspect", json.loads(self.need("image", "inspect", image)))
        keep("volume-inspect", json.loads(self.need("volume", "inspect", VOLUME)))
        # One that podman has by itself, docker's host next to it: what is there without us.
        others = ["podman"] if self.engine == "podman" else ["bridge", "host"]
        keep("network-inspect", json.loads(self.need("network", "inspect", NETWORK, *others)))
        errors = []
        for about, arguments in refusals(self.engine, image).items():
            done = self.ask(*arguments)
            errors.append(
                {
                    "about": about,
                    "command": [self.engine, *arguments],
                    "rc": done.returncode,
                    "stdout": done.stdout,
                    "stderr": done.stderr,
                }
            )
        keep("errors", errors)
        self.need("kill", NODE)
        self.need("wait", NODE)
        keep("container-inspect-exited", json.loads(self.need("container", "inspect", NODE)))
        return folder


def main() -> None:
    """Record the engines of a fresh host, root's; or those of this machine that the arguments name."""
    if sys.argv[1:]:
        with subprocess.Popen([sys.executable, "-c", REGISTRY]) as registry:
            try:
                for engine in sys.argv[1:]:
                    print(Recorder(Here(), engine).record())
            finally:
                registry.kill()
        return
    with tempfile.TemporaryDirectory() as folder:
        host = resume(Path(folder), node_archive(make=True))
        try:
            host.ssh("systemctl start docker.service")
            host.ssh("cat >/run/registry.py", stdin=REGISTRY)
            host.ssh("systemd-run --quiet python3 /run/registry.py")
            host.ssh("until (</dev/tcp/127.0.0.1/35000) 2>/dev/null; do sleep 0.2; done")
            for engine in ("podman", "docker"):
                print(Recorder(host, engine).record())
        finally:
            host.end()


if __name__ == "__main__":
    main()
