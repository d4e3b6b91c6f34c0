# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""oci_image: from the engine's own store, from archives, and from a real registry on loopback."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import struct
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from .conftest import Client, Predicted
from .dockerd import Daemon
from .workload import docker_archive, tar

Module = Callable[..., dict[str, Any]]

USER, PASSWORD = "kictest", "kictest-password"
# bcrypt of PASSWORD, the one kind of hash that the registry takes.
HTPASSWD = USER + ":$2y$05$kictestkictestkictest.FM6BhLotWH9w0DHHhDJ/Fvy8tkCcInm\n"
NO_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Images:
    """Names of images for one test; they are removed after it."""

    podman: Client
    names: list[str]
    architecture: str
    folder: Path
    docker: Client | None = None
    """Given where images are wanted in its store; they are made and pushed by podman."""

    @property
    def store(self) -> Client:
        """Whose store is looked at."""
        return self.docker or self.podman

    @property
    def where(self) -> dict[str, Any]:
        """Parameters by which a module finds that store."""
        return {"engine": self.store.program}

    def environment(self, registry: Registry) -> dict[str, str]:
        """In which the engine may use ``registry``; docker takes one on loopback as it is."""
        return self.docker.environment if self.docker else registry.environment

    def name(self, prefix: str = "localhost/") -> str:
        """A name that no image has."""
        found = f"{prefix}kictest-image-{secrets.token_hex(3)}:1"
        self.names.append(found)
        return found

    def archive(self, name: str, architecture: str = "", size: int = 8) -> Path:
        """An archive with an image of its own that has this name and so many bytes of content."""
        path = self.folder / f"{secrets.token_hex(3)}.tar"
        layer = tar({"content": (secrets.token_bytes(size), 0o644)})
        path.write_bytes(docker_archive(name, layer, architecture or self.architecture, {}))
        return path

    def load(self, name: str) -> str:
        """An image in the store; its id."""
        self.podman.run("load", "--quiet", "--input", str(self.archive(name)))
        return self.podman.out("image", "inspect", "--format", "{{.Id}}", name)

    def there(self, name: str) -> bool:
        """Whether the store has it."""
        return self.store.run("image", "inspect", name, check=False).returncode == 0

    def forget(self, name: str) -> None:
        """Remove it from the stores, with what a pull by digest calls it."""
        for client in {self.podman.program: self.podman, self.store.program: self.store}.values():
            found = client.run("image", "inspect", "--format", "{{.Id}}", name, check=False).stdout.strip()
            if found:
                client.run("rmi", "--force", found)


@pytest.fixture
def images(podman: Client, run_module: Module, tmp_path: Path) -> Iterator[Images]:
    """Tiny images."""
    architecture = run_module("oci_engine_info")["engine_facts"]["architecture"]
    found = Images(podman, [], architecture, tmp_path)
    yield found
    for name in found.names:
        found.forget(name)


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A docker that leaves the machine's packet filter as it is: no test here sends a packet through it."""
    with Daemon.running(tmp_path_factory.mktemp("docker")) as daemon:
        yield daemon.client


@pytest.fixture(params=["podman", pytest.param("docker", marks=pytest.mark.full("the quick set pulls with podman"))])
def pulled(images: Images, request: pytest.FixtureRequest) -> Images:
    """The same for each engine that pulls."""
    if request.param == "podman":
        return images
    return replace(images, docker=request.getfixturevalue("docker"))


def test_local(predicted: Predicted, images: Images) -> None:
    """An image in the store is present as it is; absent removes it once, but not from under a container."""
    name, other = images.name(), images.name()
    identity = images.load(name)
    found = predicted("oci_image", name=name, source="local")
    assert (found["changed"], found["image"]["id"]) == (False, identity)
    assert found["image"]["tags"] == [name]
    missing = predicted("oci_image", name=other, source="local")
    assert missing["diagnosis"]["id"] == "image_missing"
    differs = predicted("oci_image", name=name, source="local", digest=NO_DIGEST)
    assert differs["diagnosis"]["id"] == "image_differs"

    images.podman.run("create", "--name", name.split("/")[1].split(":")[0], name, "x")
    used = predicted("oci_image", name=name, state="absent")
    assert used["diagnosis"]["id"] == "in_use"
    assert images.there(name)
    images.podman.run("rm", name.split("/")[1].split(":")[0])
    gone = predicted("oci_image", name=name, state="absent")
    assert (gone["actions"], gone["image"]) == ([f"remove image {name}"], {})
    assert not images.there(name)
    assert predicted("oci_image", name=name, state="absent")["changed"] is False


@pytest.mark.parametrize(
    "layout",
    [
        "docker-archive",
        pytest.param("oci-archive", marks=pytest.mark.full("one layout is quick; unit tests read both")),
    ],
)
def test_archive(predicted: Predicted, images: Images, layout: str) -> None:
    """An archive that podman saved is loaded once, under the name that is requested, and again when it has another."""
    name, renamed, newer = images.name(), images.name(), images.name()
    path = images.folder / "saved.tar"
    identity = images.load(name)
    images.podman.run("save", "--quiet", "--format", layout, "--output", str(path), name)
    images.forget(name)
    loaded = predicted("oci_image", name=name, source="archive", archive=str(path))
    assert loaded["actions"] == [f"load image {name}: {path}"]
    # podman translates a configuration of docker's layout to OCI's, which gives it another id.
    assert layout == "oci-archive" or loaded["image"]["id"] == identity
    identity = loaded["image"]["id"]
    assert images.podman.out("image", "inspect", "--format", "{{.Id}}", name) == identity
    assert predicted("oci_image", name=name, source="archive", archive=str(path))["changed"] is False
    assert predicted("oci_image", name=name, archive=str(path))["changed"] is False
    # The only image of an archive is meant whatever it is called there.
    predicted("oci_image", name=renamed, archive=str(path))
    assert images.podman.out("image", "inspect", "--format", "{{.Id}}", renamed) == identity
    # What the name means now is not what the archive holds: with source: archive it is the archive that counts.
    other = images.load(newer)
    assert predicted("oci_image", name=newer, archive=str(path))["changed"] is False
    replaced = predicted("oci_image", name=newer, source="archive", archive=str(path))
    assert replaced["changed"]
    assert images.podman.out("image", "inspect", "--format", "{{.Id}}", newer) == identity != other
    images.podman.run("rmi", "--force", other, check=False)


@pytest.mark.full("ten seconds; reading an archive has unit tests")
def test_archives_that_do_not_fit(predicted: Predicted, run_module: Module, images: Images) -> None:
    """An archive that is missing, broken, or made for another machine is named with its reason; nothing is loaded."""
    name = images.name()
    missing = run_module("oci_image", name=name, source="archive", archive="/nowhere/image.tar")
    assert missing["diagnosis"]["id"] == "archive_missing"
    assert "/nowhere/image.tar" in missing["diagnosis"]["cause"]
    later = run_module("oci_image", check=True, name=name, source="archive", archive="/nowhere/image.tar")
    assert later["actions"] == [f"load image {name}: /nowhere/image.tar"]
    assert "There is no archive" in str(later["warnings"])

    broken = images.folder / "broken.tar"
    whole = images.archive(name)
    broken.write_bytes(whole.read_bytes()[:2000])
    assert (
        predicted("oci_image", name=name, source="archive", archive=str(broken))["diagnosis"]["id"]
        == "archive_unusable"
    )

    other = "arm64" if images.architecture != "arm64" else "amd64"
    foreign = predicted("oci_image", name=name, source="archive", archive=str(images.archive(name, other)))
    assert foreign["diagnosis"]["id"] == "image_platform"
    assert other in foreign["diagnosis"]["cause"]
    digest = predicted("oci_image", name=name, source="archive", archive=str(whole), digest=NO_DIGEST)
    assert digest["diagnosis"]["id"] == "archive_unusable"
    assert not images.there(name)
    images.podman.run("load", "--quiet", "--input", str(images.archive(name, other)))
    here = predicted("oci_image", name=name, source="local")
    assert here["diagnosis"]["id"] == "image_platform"


@dataclass(frozen=True)
class Registry:
    """A registry of this machine and the options to make podman use it."""

    address: str
    environment: dict[str, str]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@contextmanager
def serving(folder: Path, http: dict[str, Any], auth: dict[str, Any]) -> Iterator[str]:
    """Debian's docker-registry on a free port of loopback; its address."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("there is no docker-registry (Debian package docker-registry)")
    address = f"127.0.0.1:{free_port()}"
    folder.mkdir()
    configuration = folder / "config.yml"
    # JSON is YAML.
    content = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": address, **http},
        **auth,
    }
    configuration.write_text(json.dumps(content))
    log = folder / "log"
    with (
        log.open("w") as stream,
        subprocess.Popen([program, "serve", str(configuration)], stdout=stream, stderr=stream) as process,
    ):
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(tuple(address.split(":")), timeout=1).close()  # type: ignore[arg-type]
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        try:
            yield address
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry without TLS that this process' podman knows as such, and everybody may use."""
    folder = tmp_path_factory.mktemp("registry")
    with serving(folder / "plain", {}, {}) as address:
        registries = folder / "registries.conf"
        registries.write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
        yield Registry(address, {"CONTAINERS_REGISTRIES_CONF": str(registries)})


def push(images: Images, name: str, *options: str, architecture: str = "", size: int = 8) -> str:
    """An image in the registry, which no store has under that name by it; its manifest's digest."""
    local = images.name()
    digest = images.folder / "digest"
    run = images.podman.run
    run("load", "--quiet", "--input", str(images.archive(local, architecture, size)))
    run("push", "--quiet", "--tls-verify=false", *options, "--digestfile", str(digest), local, f"docker://{name}")
    run("rmi", local)
    return digest.read_text().strip()


@pytest.mark.full("a node; an image is pulled by its digest in the quick set, and names with one have unit tests")
def test_node_of_a_digest(run_module: Module, pulled: Images, registry: Registry) -> None:
    """A name with tag and digest, as people pin images, is the one of that digest for oci_image and kic_node alike."""
    name = pulled.name(f"{registry.address}/")
    pinned = f"{name}@{push(pulled, name)}"
    node = name.rpartition("/")[2].partition(":")[0]
    common: dict[str, Any] = {"process_env": pulled.environment(registry), **pulled.where}
    made: dict[str, Any] = {"name": node, "image": pinned, "state": "present", "volume": "none", "command": ["/x"]}
    found = run_module("oci_image", name=pinned, **common)
    assert found["changed"] and not run_module("oci_image", name=pinned, **common)["changed"], found
    try:
        created = run_module("kic_node", **made, **common)
        assert created.get("node", {}).get("image_id") == found["image"]["id"], created
        assert run_module("kic_node", **made, **common)["changed"] is False
        other = run_module("kic_node", **{**made, "name": f"{node}-2", "image": f"{name}@{NO_DIGEST}"}, **common)
        assert other["diagnosis"]["id"] == "image_missing", other
    finally:
        run_module("kic_node", name=node, state="absent", **common)


def test_registry(run_module: Module, pulled: Images, registry: Registry) -> None:
    """An image is pulled by tag and by digest, once; what check mode says is what the run does."""
    name = pulled.name(f"{registry.address}/")
    digest = push(pulled, name)
    common: dict[str, Any] = {"name": name, "process_env": pulled.environment(registry), **pulled.where}
    for options in ({"source": "registry"}, {}, {"digest": digest}):
        pulled.forget(name)
        checked = run_module("oci_image", check=True, **options, **common)
        assert not pulled.there(name)
        found = run_module("oci_image", **options, **common)
        assert checked["actions"] == found["actions"] and found["changed"], found
        assert found["image"]["digest"] == digest
        assert pulled.there(name), options
        again = run_module("oci_image", **options, **common)
        assert (again["changed"], again["image"]) == (False, found["image"])
    refused = run_module("oci_image", **{**common, "digest": NO_DIGEST})
    assert refused["diagnosis"]["id"] == "image_unknown", refused
    other = pulled.name(f"{registry.address}/")
    unknown = run_module("oci_image", **{**common, "name": other})
    assert unknown["diagnosis"]["id"] == "image_unknown"
    assert other in unknown["diagnosis"]["cause"]
    tag = run_module("oci_image", **{**common, "name": name.replace(":1", ":2")})
    assert tag["diagnosis"]["id"] == "image_unknown", tag


@pytest.mark.parametrize(
    "listed",
    [False, pytest.param(True, marks=pytest.mark.full("a list is read by the unit tests too"))],
    ids=["image", "list"],
)
def test_a_tag_that_moved(run_module: Module, pulled: Images, registry: Registry, listed: bool) -> None:
    """A tag that means another image in the registry now is pulled again where the registry counts, and nowhere else."""
    name = pulled.name(f"{registry.address}/")
    common: dict[str, Any] = {"name": name, "process_env": pulled.environment(registry), **pulled.where}

    def publish() -> None:
        push(pulled, name)
        if listed:
            # The list takes the image's place under its name in the registry.
            local = f"localhost/{name.rpartition('/')[2]}"
            run = pulled.podman.run
            run("manifest", "create", local)
            try:
                run("manifest", "add", "--tls-verify=false", local, f"docker://{name}")
                run("manifest", "push", "--quiet", "--all", "--tls-verify=false", local, f"docker://{name}")
            finally:
                run("manifest", "rm", local)

    publish()
    first = run_module("oci_image", source="registry", **common)
    assert first["changed"], first
    assert run_module("oci_image", source="registry", **common)["changed"] is False
    publish()
    assert run_module("oci_image", **common)["changed"] is False
    checked = run_module("oci_image", check=True, source="registry", **common)
    second = run_module("oci_image", source="registry", **common)
    assert checked["actions"] == second["actions"] != []
    assert checked["diff"] == second["diff"]
    assert checked["diff"]["after"]["id"] == second["image"]["id"] != first["image"]["id"]
    assert run_module("oci_image", source="registry", **common)["changed"] is False
    pulled.store.run("rmi", "--force", first["image"]["id"])


def test_wrong_platform(run_module: Module, pulled: Images, registry: Registry) -> None:
    """An image for another machine, which podman would keep with a warning, is refused and does not stay."""
    name = pulled.name(f"{registry.address}/")
    other = "arm64" if pulled.architecture != "arm64" else "amd64"
    push(pulled, name, architecture=other)
    refused = run_module("oci_image", name=name, process_env=pulled.environment(registry), **pulled.where)
    assert refused["diagnosis"]["id"] == "image_platform"
    assert not pulled.there(name)


@dataclass
class Line:
    """A way to a registry that can break: it ends after so many bytes of answers, and the registry with it."""

    port: int
    limit: int = 1 << 60
    sent: int = 0
    abrupt: bool = False
    """Whether it ends by a reset, as a firewall or a dying machine does it, and not in order."""

    def end(self, connection: socket.socket) -> None:
        """End a connection at once, also for the thread that waits for it."""
        with suppress(OSError):
            if self.abrupt and self.sent > self.limit:
                # socket(7), SO_LINGER of no time: close resets, once the thread that reads from it has let go.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RD)
                connection.close()
            else:
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def breakable(address: str) -> Iterator[Line]:
    """A port of loopback that leads to ``address``, until more was sent than the limit."""
    host, _colon, port = address.partition(":")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = Line(listener.getsockname()[1])

        def carry(source: socket.socket, target: socket.socket, answers: bool) -> None:
            with suppress(OSError):
                while line.sent <= line.limit and (data := source.recv(1 << 16)):
                    line.sent += len(data) if answers else 0
                    target.sendall(data)
            for end in (source, target):
                line.end(end)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _address = listener.accept()
                    if line.sent > line.limit:
                        # Ended after the first word: before it, it is one that cannot be reached.
                        with suppress(OSError):
                            client.settimeout(1)
                            client.recv(1)
                        line.end(client)
                        client.close()
                        continue
                    server = socket.create_connection((host, int(port)))
                    for ends in ((client, server, False), (server, client, True)):
                        threading.Thread(target=carry, args=ends, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield line
        finally:
            listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "abrupt", [False, pytest.param(True, marks=pytest.mark.full("another end of one line"))], ids=["closed", "reset"]
)
def test_a_registry_that_stops_half_way(run_module: Module, pulled: Images, tmp_path: Path, abrupt: bool) -> None:
    """A transfer that breaks off is told as that and leaves no image; run again, it comes whole."""
    with serving(tmp_path / "registry", {}, {}) as address, breakable(address) as line:
        way = f"127.0.0.1:{line.port}"
        registries = tmp_path / "registries.conf"
        registries.write_text(f'[[registry]]\nlocation = "{way}"\ninsecure = true\n')
        name = pulled.name(f"{way}/")
        push(pulled, name, size=8 << 20)
        environment = pulled.environment(Registry(way, {"CONTAINERS_REGISTRIES_CONF": str(registries)}))
        line.sent, line.limit, line.abrupt = 0, 2 << 20, abrupt
        broken = run_module("oci_image", name=name, process_env=environment, **pulled.where)
        assert broken["diagnosis"]["id"] == "pull_interrupted", broken
        assert not pulled.there(name)
        line.limit = 1 << 60
        whole = run_module("oci_image", name=name, process_env=environment, **pulled.where)
        assert whole.get("changed"), whole
        assert pulled.there(name)


@pytest.mark.parametrize(
    "variable",
    [
        "XDG_RUNTIME_DIR",
        pytest.param("REGISTRY_AUTH_FILE", marks=pytest.mark.full("one place of each engine is quick")),
        "DOCKER_CONFIG",
    ],
)
def test_credentials(
    run_module: Module, images: Images, tmp_path: Path, variable: str, request: pytest.FixtureRequest
) -> None:
    """A registry that does not know us is named as such; with the right credentials the same task succeeds."""
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    auth = {"auth": {"htpasswd": {"realm": "kictest", "path": str(tmp_path / "htpasswd")}}}
    # Where podman login puts them, where a user may have them instead, and docker's place.
    login = tmp_path / "containers" / "auth.json"
    login.parent.mkdir()
    if variable == "DOCKER_CONFIG":
        login = tmp_path / "config.json"
        images = replace(images, docker=request.getfixturevalue("docker"))
    with serving(tmp_path / "registry", {}, auth) as address:
        registries = tmp_path / "registries.conf"
        registries.write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
        environment = {
            **images.environment(Registry(address, {"CONTAINERS_REGISTRIES_CONF": str(registries)})),
            variable: str(login if variable == "REGISTRY_AUTH_FILE" else tmp_path),
        }
        name = images.name(f"{address}/")
        push(images, name, "--creds", f"{USER}:{PASSWORD}")
        for password in ("", "wrong", PASSWORD):
            token = b64encode(f"{USER}:{password}".encode()).decode()
            login.write_text(json.dumps({"auths": {address: {"auth": token}} if password else {}}))
            result = run_module("oci_image", name=name, process_env=environment, **images.where)
            if password == PASSWORD:
                assert result.get("changed"), result
                assert images.there(name)
                assert PASSWORD not in json.dumps(result)
            else:
                assert result["diagnosis"]["id"] == "registry_refused", result
                assert f"{images.store.program} login {address}" in result["diagnosis"]["fix"]
                assert not images.there(name)


def test_a_certificate_that_nobody_knows(run_module: Module, images: Images, tmp_path: Path) -> None:
    """TLS with an untrusted certificate, and no TLS where it is expected, are told from a missing image."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    request += ["-subj", "/CN=kictest", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*request, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    tls = {"tls": {"certificate": str(certificate), "key": str(key)}}
    with serving(tmp_path / "tls", tls, {}) as address:
        untrusted = run_module("oci_image", name=images.name(f"{address}/"))
        assert untrusted["diagnosis"]["id"] == "registry_untrusted", untrusted
        assert f"/etc/containers/certs.d/{address}/ca.crt" in untrusted["diagnosis"]["fix"]
    with serving(tmp_path / "plain", {}, {}) as address:
        plain = run_module("oci_image", name=images.name(f"{address}/"))
        assert plain["diagnosis"]["id"] == "registry_untrusted", plain


@pytest.mark.full("waits for the limit of several calls; the limits and what is said have unit tests")
def test_a_registry_that_is_not_there(run_module: Module, images: Images) -> None:
    """A refused port is told at once, one that never answers within about five seconds, in check mode as well."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port, most in ((free_port(), 5), (silent.getsockname()[1], 12)):
            name = images.name(f"127.0.0.1:{port}/")
            for check in (True, False):
                started = time.monotonic()
                result = run_module("oci_image", check=check, name=name)
                assert result["diagnosis"]["id"] == "registry_unreachable", result
                assert time.monotonic() - started < most
                assert name in result["diagnosis"]["cause"]
