# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What failures of strangers' engines and kernels mean, in the words of releases that this machine does not have."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._engine import docker, podman
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.cli import explain_registry_by
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.docker import Docker
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import DOCKER, TableRunner, fails, recorded, said

TOO_OLD = (
    "Error response from daemon: client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade"
)
NETWORKING = "Error response from daemon: failed to set up container networking: driver failed programming: "


@pytest.mark.parametrize(
    ("engine", "words", "condition", "message"),
    [
        (
            docker,
            NETWORKING + "failed to bind host port for 127.0.0.1:8080:172.18.0.2:80/tcp: address already in use",
            "port_taken",
            "The port 8080 of 127.0.0.1",
        ),
        (
            docker,
            NETWORKING + "failed to bind host port 0.0.0.0:53/udp: address already in use",
            "port_taken",
            "The port 53 of 0.0.0.0",
        ),
        (
            docker,
            NETWORKING + "failed to bind host port [::1]:6443/tcp: address already in use",
            "port_taken",
            "The port 6443 of [::1]",
        ),
        (
            docker,
            TOO_OLD,
            "api_mismatch",
            "in common: client version 1.41 is too old. Minimum supported API version is 1.44.",
        ),
        (
            docker,
            "Error response from daemon: client version 1.99 is too new. Maximum supported API version is 1.41",
            "api_mismatch",
            "in common: client version 1.99 is too new. Maximum supported API version is 1.41.",
        ),
        (
            docker,
            "API version 1.39 is not supported by this client: the minimum supported API version is 1.40",
            "api_mismatch",
            "DOCKER_API_VERSION",
        ),
        (
            docker,
            'OCI runtime create failed: runc create failed: namespace {"time" ""} does not exist',
            "runtime_too_old",
            "a namespace that the daemon gives each container (time)",
        ),
        (docker, NETWORKING.partition("driver")[0] + "Address already in use", "address_taken", "address"),
        (
            podman,
            "Error: pasta failed with exit code 1:\nFailed to bind port 8080 (Address already in use) for option '-t x'",
            "port_taken",
            "The port 8080",
        ),
        (
            podman,
            "cannot clone: No space left on device\nError: cannot re-exec process",
            "user_namespaces",
            "user.max_user_namespaces",
        ),
        (
            podman,
            "user namespaces are not enabled in /proc/sys/user/max_user_namespaces",
            "user_namespaces",
            "sysctl -w user.max_user_namespaces",
        ),
        (podman, "cannot clone: Operation not permitted", "user_namespaces", "kernel.unprivileged_userns_clone=1"),
        (
            podman,
            "Error: allocating lock for new volume: allocation failed; exceeded num_locks (32)",
            "engine_locks",
            "num_locks in containers.conf is 32",
        ),
        (
            podman,
            "Error: error allocating lock for new container: no space left on device",
            "engine_locks",
            "podman volume prune",
        ),
        (
            docker,
            "mkdir /sys/fs/cgroup/memory/docker/0f: no space left on device: unknown",
            "kernel_limit",
            "/sys/fs/cgroup/memory/docker/0f",
        ),
        (podman, "inotify_add_watch /x: no space left on device", "kernel_limit", "fs.inotify.max_user_watches"),
        (podman, "writing blob: storing blob: write /var/tmp/x: no space left on device", "disk_full", "df -i"),
        (
            podman,
            'Error: database graph driver "overlay" does not match our graph driver "vfs": database configuration mismatch',
            "engine_store_differs",
            'it has now: database graph driver "overlay" does not match our graph driver "vfs".',
        ),
        (
            podman,
            (
                'level=error msg="reading system config \\"/etc/containers/containers.conf\\": decode configuration'
                ' /etc/containers/containers.conf: toml: line 2 (last key \\"containers.foo\\"): unexpected EOF; expected value"'
            ),
            "engine_configuration_unreadable",
            "its configuration /etc/containers/containers.conf: line 2",
        ),
        (
            podman,
            (
                'Error: getting registries: loading registries configuration "/etc/containers/registries.conf.d/a.conf": toml: line 1:'
                " expected '.'"
            ),
            "engine_configuration_unreadable",
            "/etc/containers/registries.conf.d/a.conf: line 1: expected '.'.",
        ),
        (
            podman,
            'level=error msg="finding config on system: CONTAINERS_CONF file: stat /nope: no such file or directory"',
            "engine_configuration_unreadable",
            "its configuration /nope: no such file or directory.",
        ),
        (
            podman,
            'Error: getting registries: loading registries configuration "/nope": open /nope: no such file or directory',
            "engine_configuration_unreadable",
            "its configuration /nope: open /nope",
        ),
        (
            podman,
            'Error: unable to connect to Podman socket: Get "http://d/v4.3.1/libpod/_ping": dial unix /nope.sock: connect: no',
            "engine_remote",
            "CONTAINER_CONNECTION",
        ),
        (
            podman,
            "Failed to read /etc/containers/storage.conf toml: line 2: expected ']'",
            "engine_configuration_unreadable",
            "/etc/containers/storage.conf: line 2",
        ),
        (
            podman,
            (
                "Error: configure storage: kernel does not support overlay fs: 'overlay' is not supported over nfs at"
                ' "/home/ada/.local/share/containers/storage/overlay": backing file system is unsupported for this graph driver'
            ),
            "engine_store_unfit",
            "'overlay' is not supported over nfs at \"/home/ada/.local/share/containers/storage/overlay\".",
        ),
        (
            docker,
            "Error response from daemon: authorization denied by plugin opa-docker-authz: request rejected by policy",
            "engine_plugin_refuses",
            "The plugin opa-docker-authz of docker does not authorize this: request rejected by policy.",
        ),
        (
            docker,
            "Error response from daemon: plugin no-trivial-root failed with error: AuthZPlugin.AuthZReq: --privileged is not allowed",
            "engine_plugin_refuses",
            "The plugin no-trivial-root of docker does not authorize this: --privileged is not allowed.",
        ),
        (
            podman,
            'Error: could not find "netavark" in one of [/usr/libexec/podman].  To resolve this error, set',
            "engine_program_missing",
            "the program netavark",
        ),
        (
            podman,
            'could not find pasta, the network namespace can\'t be configured: exec: "pasta": executable file not found',
            "engine_program_missing",
            "the program pasta",
        ),
        (
            podman,
            'cannot find UID/GID for user ada: no subuid ranges found for user "ada" in /etc/subuid - check rootless mode',
            "sub_ids_missing",
            "kic_host_user: ada",
        ),
        (
            podman,
            "processing tar file(potentially insufficient UIDs or GIDs available in user namespace (requested 0:42 for /x))",
            "sub_ids_missing",
            "no or too few subordinate ids",
        ),
        (
            docker,
            'Failed to initialize: unable to resolve docker endpoint: context "desktop-linux": context not found: open /x',
            "engine_context_missing",
            "the context desktop-linux",
        ),
        (
            docker,
            'unable to resolve docker endpoint: context "lab" does not exist',
            "engine_context_missing",
            "the context lab",
        ),
        (
            docker,
            'Current context "lab" is not found on the file system, please check your config file',
            "engine_context_missing",
            "DOCKER_CONTEXT",
        ),
        (
            docker,
            (
                "driver failed programming external connectivity on endpoint x: (iptables failed: iptables --wait -t nat -A DOCKER"
                " -p tcp: iptables: No chain/target/match by that name.\n (exit status 1))"
            ),
            "packet_filter_reset",
            "systemctl restart docker",
        ),
        (
            docker,
            (
                "Error response from daemon: cannot create network 1 (br-1): conflicts with network 2 (br-2): networks have"
                " overlapping IPv4"
            ),
            "subnet_overlap",
            "",
        ),
        (docker, "write /var/lib/docker/tmp/x: no space left on device", "disk_full", "df -i"),
    ],
)
def test_words(engine: object, words: str, condition: str, message: str) -> None:
    """ENOSPC is not always a disk, and a port that is taken is one whatever the release says of it."""
    explained = engine.explain(said(rc=125, err=words), "starting a container")  # type: ignore[attr-defined]
    assert explained.diagnosis.id == condition, explained
    assert message.lower() in str(explained).lower() and explained.diagnosis.output == words


@pytest.mark.parametrize("engine", ["podman", "docker"])
@pytest.mark.parametrize(
    ("words", "condition", "message"),
    [
        (
            "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating",
            "registry_limited",
            "login docker.io",
        ),
        ("failed open: unexpected status code https://x: 429 Too Many Requests", "registry_limited", "as an archive"),
        (
            'error getting credentials - err: exec: "docker-credential-desktop": executable file not found in $PATH, out: ``',
            "credential_helper_unusable",
            (
                'docker-credential-desktop for the password of a registry, and it does not answer: exec: "docker-credential-desktop":'
                " executable file not found in $PATH."
            ),
        ),
        (
            "error getting credentials - err: exit status 1, out: `pass not initialized: exit status 1`",
            "credential_helper_unusable",
            "pass not initialized",
        ),
        (
            "Error: initializing source docker://docker.io/x:1: registry docker.io is blocked in /etc/containers/registries.conf",
            "image_refused_by_policy",
            "to pull docker.io/x:1: registry docker.io is blocked in /etc/containers/registries.conf.",
        ),
        (
            "Error: Source image rejected: Running image docker://docker.io/x:1 is rejected by policy.",
            "image_refused_by_policy",
            "podman image trust show",
        ),
        (
            "Error: open /etc/containers/policy.json: no such file or directory",
            "image_policy_unusable",
            "containers-common",
        ),
        (
            'invalid policy in "/etc/containers/policy.json": Default policy is missing',
            "image_policy_unusable",
            "Default policy",
        ),
        (
            (
                'Error response from daemon: Head "https://registry-1.docker.io/v2/x/manifests/1": received unexpected HTTP status: 503'
                " Service Unavailable"
            ),
            "registry_failing",
            "received unexpected HTTP status: 503 Service Unavailable.",
        ),
        (
            "failed to copy: httpReadSeeker: failed open: unexpected status code https://r.example/v2/x: 502 Bad Gateway",
            "registry_failing",
            "502 Bad Gateway",
        ),
        (
            "Error: remote trust data does not exist for docker.io/x: notary.docker.io does not have trust data for docker.io/x",
            "image_unsigned",
            "DOCKER_CONTENT_TRUST",
        ),
        (
            "no matching manifest for linux/arm64/v8 in the manifest list entries",
            "image_platform_missing",
            "that of this machine, arm64/v8.",
        ),
        (
            (
                'choosing an image from manifest list docker://x:1: no image found in manifest list for architecture "arm64",'
                ' variant "v8", OS linux'
            ),
            "image_platform_missing",
            "that of this machine, arm64.",
        ),
    ],
)
def test_words_of_a_pull(engine: str, words: str, condition: str, message: str) -> None:
    """What a stranger's configuration or registry has against a pull is no failure of the engine."""
    texts = {"podman": podman._TEXTS, "docker": docker._TEXTS}[engine]
    result = said(rc=125, err=words)
    explained = explain_registry_by(engine, texts, result, "docker.io/x:1", 9, "pulling the image docker.io/x:1")
    assert explained.diagnosis.id == condition, explained
    assert message in str(explained) and explained.diagnosis.output == words


def test_directory_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """podman works as its user: a directory in its way, as root's after sudo, is named with whose it is."""
    store = tmp_path / ".local" / "share"
    words = f"Error: creating runtime static files directory: mkdir {store}/containers: permission denied"
    # Nothing closed is on the way: then it is something else.
    assert podman.explain(said(rc=125, err=words), "asking").diagnosis.id == "engine_failed"
    (tmp_path / ".local").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _mode, **_more: str(path) != str(tmp_path / ".local"))
    explained = podman.explain(said(rc=125, err=words), "asking")
    assert explained.diagnosis.id == "permission_denied" and explained.diagnosis.output == words
    assert f"{store}/containers: {tmp_path}/.local belongs to" in explained.diagnosis.cause
    assert docker.explain(said(rc=1, err=words), "asking").diagnosis.id == "engine_failed"


@pytest.mark.parametrize(
    ("program", "there", "condition"),
    [
        ("/snap/bin/docker", True, "engine_confined"),
        ("/usr/bin/docker", True, "engine_failed"),
        ("/snap/bin/docker", False, "engine_failed"),
    ],
)
def test_file_that_a_snap_does_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, there: bool, condition: str
) -> None:
    """A file that is there and that docker says is not: it is in a room of its own."""
    path = tmp_path / "image.tar"
    if there:
        path.touch()
    monkeypatch.setattr(shutil, "which", lambda _name: program)
    explained = docker.explain(said(rc=1, err=f"open {path}: no such file or directory"), "loading an image")
    assert explained.diagnosis.id == condition


@pytest.mark.parametrize("endpoint", ["/var/run/docker.sock", "unix:/var/run/docker.sock"])
def test_path_for_an_address(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """docker's client takes a path without a scheme for the name of a host of another machine."""
    monkeypatch.setenv("DOCKER_HOST", endpoint)
    runner = TableRunner({"docker info": said(json.dumps({**recorded("info.json", DOCKER)}))})
    with fails("engine_endpoint_unusable", f"DOCKER_HOST is {endpoint}", "DOCKER_HOST=unix:///var/run/docker.sock"):
        assert Docker(runner).info


LISTEN = {
    podman: "Error: cannot listen on the TCP port: listen tcp4 {address}:{port}: bind: {error}",
    docker: "Error starting userland proxy: listen tcp4 {address}:{port}: bind: {error}",
}
ROOTLESS = {
    # rootlessport below podman, and RootlessKit below docker.
    podman: "rootlessport cannot expose privileged port {port}, you can add …: listen tcp {address}:{port}: bind: {error}",
    docker: "error while calling PortManager.AddPort(): cannot expose …: listen tcp {address}:{port}: bind: {error}",
}
BOUND = {
    podman: "Failed to bind port {port} ({error}) for option '-t {address}/{port}-{port}:80-80', exiting",
    docker: NETWORKING + "failed to bind host port for {address}:{port}:172.18.0.2:80/tcp: {error}",
}
NEWEST = {
    podman: "Failed to bind port {port} ({error}) for option '-u {address}%eth0/{port}:80', exiting",
    docker: NETWORKING + "failed to bind host port {address}:{port}/udp: {error}",
}
NOT_THERE = "cannot assign requested address"


@pytest.mark.parametrize("form", [LISTEN, ROOTLESS, BOUND, NEWEST], ids=["listen", "rootless", "bound", "newest"])
@pytest.mark.parametrize("engine", [podman, docker], ids=["podman", "docker"])
@pytest.mark.parametrize(
    ("error", "port", "condition"),
    [
        ("address already in use", 8080, "port_taken"),
        ("permission denied", 80, "port_privileged"),
        ("permission denied", 1023, "port_privileged"),
        ("permission denied", 1024, "engine_failed"),
        ("address family not supported by protocol", 80, "ipv6_off"),
        (NOT_THERE, 8080, "address_not_local"),
        ("argument list too long", 8080, "engine_failed"),
    ],
)
def test_published(engine: Any, form: dict[Any, str], error: str, port: int, condition: str) -> None:
    """Each error of bind(2) is what it is, in each form in which an engine has it: none is taken for another."""
    output = form[engine].format(address="192.0.2.9", port=port, error=error)
    if output.startswith("Failed"):
        output = output.replace(error, error.capitalize())
    explained = engine.explain(said(rc=125, err=output), "starting a container")
    assert explained.diagnosis.id == condition, explained
    if condition in ("port_taken", "address_not_local", "ipv6_off"):
        assert "192.0.2.9" in explained.diagnosis.cause


@pytest.mark.parametrize("engine", [podman, docker], ids=["podman", "docker"])
@pytest.mark.parametrize(
    ("output", "condition"),
    [
        (f"listen tcp6 [::1]:8080: bind: {NOT_THERE}", "ipv6_off"),
        (f"listen tcp [2001:db8::9]:8080: bind: {NOT_THERE}", "address_not_local"),
        (f"failed to bind host port [::1]:80/tcp: {NOT_THERE}", "ipv6_off"),
        (f"failed to bind host port for [::1]:80:[fd00::2]:80/tcp: {NOT_THERE}", "ipv6_off"),
        ("failed to create socket for [::1]:80/tcp: address family not supported by protocol", "ipv6_off"),
    ],
)
def test_published_on_ipv6(engine: Any, output: str, condition: str) -> None:
    """Only a machine without IPv6 lacks ::1."""
    explained = engine.explain(said(rc=125, err=output), "starting a container")
    assert explained.diagnosis.id == condition, explained


def service_of_podman(version: str) -> dict[str, object]:
    """What docker's client makes of the answer of podman's service; seen on 4.3.1."""
    found = recorded("info.json", DOCKER)
    return {**found, "ServerVersion": version, "ProductLicense": "Apache-2.0", "DefaultRuntime": "crun"}


@pytest.mark.parametrize("version", ["4.3.1", "5.4.2", "29.0.0"])
def test_service_of_podman(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """podman's service behind docker's client is podman, however its number compares with docker's."""
    endpoint = "unix:///run/user/1000/podman/podman.sock"
    monkeypatch.setenv("DOCKER_HOST", endpoint)
    runner = TableRunner(
        {
            "docker info": said(json.dumps(service_of_podman(version))),
            "docker version": said(json.dumps({"Components": [{"Name": "Podman Engine", "Version": version}]})),
        }
    )
    with fails("engine_is_another", f"podman's service answers at {endpoint}", "engine: podman", "DOCKER_HOST"):
        assert Docker(runner).info


def test_old_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A docker that is too old is still one."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    runner = TableRunner(
        {
            "docker info": said(json.dumps({**recorded("info.json", DOCKER), "ServerVersion": "19.03.0"})),
            "docker version": said(json.dumps({"Components": [{"Name": "Engine"}]})),
        }
    )
    with fails("engine_too_old", "19.03.0"):
        assert Docker(runner).info
