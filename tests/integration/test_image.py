# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""oci_image on podman: from its own store, from archives, and from a real registry on loopback."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import Client, Predicted
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

    def name(self, prefix: str = "localhost/") -> str:
        """A name that no image has."""
        found = f"{prefix}kictest-image-{secrets.token_hex(3)}:1"
        self.names.append(found)
        return found

    def archive(self, name: str, architecture: str = "") -> Path:
        """An archive with a tiny image of its own that has this name."""
        path = self.folder / f"{secrets.token_hex(3)}.tar"
        layer = tar({"content": (secrets.token_bytes(8), 0o644)})
        path.write_bytes(docker_archive(name, layer, architecture or self.architecture, {}))
        return path

    def load(self, name: str) -> str:
        """An image in the store; its id."""
        self.podman.run("load", "--quiet", "--input", str(self.archive(name)))
        return self.podman.out("image", "inspect", "--format", "{{.Id}}", name)

    def there(self, name: str) -> bool:
        """Whether the store has it."""
        return self.podman.run("image", "exists", name, check=False).returncode == 0

    def forget(self, name: str) -> None:
        """Remove it from the store, with what a pull by digest calls it."""
        if self.there(name):
            self.podman.run("rmi", "--force", self.podman.out("image", "inspect", "--format", "{{.Id}}", name))


@pytest.fixture
def images(podman: Client, run_module: Module, tmp_path: Path) -> Iterator[Images]:
    """Tiny images."""
    architecture = run_module("oci_engine_info")["engine_facts"]["architecture"]
    found = Images(podman, [], architecture, tmp_path)
    yield found
    for name in found.names:
        found.forget(name)


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


@pytest.mark.parametrize("layout", ["docker-archive", "oci-archive"])
def test_archive(predicted: Predicted, images: Images, layout: str) -> None:
    """An archive that podman saved is loaded once, under the name that is asked for, and again when it has another."""
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


def push(images: Images, name: str, *arguments: str) -> str:
    """A tiny image in the registry and no more in the store; its manifest's digest."""
    images.load(name)
    digest = images.folder / "digest"
    images.podman.run("push", "--quiet", "--tls-verify=false", *arguments, "--digestfile", str(digest), name)
    images.forget(name)
    return digest.read_text().strip()


def test_registry(run_module: Module, images: Images, registry: Registry) -> None:
    """An image is pulled by tag and by digest, once; what check mode says is what the run does."""
    name = images.name(f"{registry.address}/")
    digest = push(images, name)
    common: dict[str, Any] = {"name": name, "process_env": registry.environment}
    for options in ({"source": "registry"}, {}, {"digest": digest}):
        images.forget(name)
        checked = run_module("oci_image", check=True, **options, **common)
        assert not images.there(name)
        pulled = run_module("oci_image", **options, **common)
        assert checked["actions"] == pulled["actions"] and pulled["changed"], pulled
        assert pulled["image"]["digest"] == digest
        assert images.there(name), options
        again = run_module("oci_image", **options, **common)
        assert (again["changed"], again["image"]) == (False, pulled["image"])
    # With a digest the image is known under whatever name it is here.
    other = images.name(f"{registry.address}/")
    refused = run_module("oci_image", name=name, digest=NO_DIGEST, process_env=registry.environment)
    assert refused["diagnosis"]["id"] == "image_unknown", refused
    unknown = run_module("oci_image", name=other, process_env=registry.environment)
    assert unknown["diagnosis"]["id"] == "image_unknown"
    assert other in unknown["diagnosis"]["cause"]
    tag = run_module("oci_image", name=name.replace(":1", ":2"), process_env=registry.environment)
    assert tag["diagnosis"]["id"] == "image_unknown", tag


def test_wrong_platform(run_module: Module, images: Images, registry: Registry) -> None:
    """An image for another machine, which podman would keep with a warning, is refused and does not stay."""
    name = images.name(f"{registry.address}/")
    other = "arm64" if images.architecture != "arm64" else "amd64"
    images.podman.run("load", "--quiet", "--input", str(images.archive(name, other)))
    here = run_module("oci_image", name=name, source="local")
    assert here["diagnosis"]["id"] == "image_platform"
    images.podman.run("push", "--quiet", "--tls-verify=false", name)
    images.forget(name)
    refused = run_module("oci_image", name=name, process_env=registry.environment)
    assert refused["diagnosis"]["id"] == "image_platform"
    assert not images.there(name)


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE"])
def test_credentials(run_module: Module, images: Images, tmp_path: Path, variable: str) -> None:
    """A registry that does not know us is named as such; with the right credentials the same task succeeds."""
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    auth = {"auth": {"htpasswd": {"realm": "kictest", "path": str(tmp_path / "htpasswd")}}}
    # Where podman login puts them, and where a user may have them instead.
    login = tmp_path / "containers" / "auth.json"
    login.parent.mkdir()
    with serving(tmp_path / "registry", {}, auth) as address:
        registries = tmp_path / "registries.conf"
        registries.write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
        environment = {
            "CONTAINERS_REGISTRIES_CONF": str(registries),
            variable: str(tmp_path if variable == "XDG_RUNTIME_DIR" else login),
        }
        name = images.name(f"{address}/")
        push(images, name, "--creds", f"{USER}:{PASSWORD}")
        for password in ("", "wrong", PASSWORD):
            token = b64encode(f"{USER}:{password}".encode()).decode()
            login.write_text(json.dumps({"auths": {address: {"auth": token}} if password else {}}))
            result = run_module("oci_image", name=name, process_env=environment)
            if password == PASSWORD:
                assert result.get("changed"), result
                assert images.there(name)
                assert PASSWORD not in json.dumps(result)
            else:
                assert result["diagnosis"]["id"] == "registry_refused", result
                assert f"podman login {address}" in result["diagnosis"]["fix"]
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
