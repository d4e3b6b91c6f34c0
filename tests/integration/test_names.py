# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names, commands and references as people write them, on real engines: what arrives in the container."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.plugin_utils.platforms import platforms

from . import small
from .conftest import Client, own_names

Module = Callable[..., dict[str, Any]]

IMAGE = "localhost/kictest-names:1"


@pytest.fixture(
    scope="module",
    params=["podman", pytest.param("docker", marks=pytest.mark.full("the quick set proves it on podman"))],
)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Each engine, with the small image."""
    found: Client = request.getfixturevalue(request.param)
    archive = tmp_path_factory.mktemp("small") / "small.tar"
    archive.write_bytes(small.archive(IMAGE))
    found.run("load", "--input", str(archive))
    yield found
    found.run("image", "rm", "--force", IMAGE)


@pytest.fixture
def unique(client: Client) -> Iterator[Callable[[str], str]]:
    """Names for one test."""
    with own_names(client) as name:
        yield name


@pytest.fixture
def node(client: Client, run_module: Module) -> Callable[..., dict[str, Any]]:
    """Start a node of the small image, which is not waited for: it has no systemd."""

    def run(name: str, **options: Any) -> dict[str, Any]:
        common = {"image": IMAGE, "volume": "none", "wait": False, "engine": client.program}
        made = run_module("kic_node", name=name, process_env=client.environment, **{**common, **options})
        assert not made.get("failed"), made
        return made

    return run


def inside(client: Client, name: str, path: str) -> str:
    """A file in a container."""
    return client.out("exec", name, "cat", path)


def host(client: Client, name: str) -> str:
    """The host name in a container, as its kernel has it."""
    return inside(client, name, "/proc/sys/kernel/hostname")


def test_a_name_with_dots(client: Client, node: Callable[..., dict[str, Any]], unique: Callable[[str], str]) -> None:
    """A release in a name: the container has the name, and a host name like it that a system can have."""
    name = f"{unique('names')}-ubuntu-22.04"
    made = node(name)
    assert host(client, name) == made["node"]["hostname"] == name.replace(".", "-")
    assert node(name)["changed"] is False


def test_a_host_name_of_a_domain(
    client: Client, node: Callable[..., dict[str, Any]], unique: Callable[[str], str]
) -> None:
    """A host name with its domain arrives whole, up to the 64 characters that the kernel keeps."""
    name = unique("names")
    longest = f"{'a' * 50}.example.local"
    for hostname in ("ipaserver.test.local", longest[:64]):
        node(name, hostname=hostname, recreate="on_drift")
        assert host(client, name) == hostname
    assert node(name, hostname=longest[:64])["changed"] is False


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('"echo plain; echo two   words"', "plain\ntwo words"),
        ("'echo \"a  b\"'", "a  b"),
        ('"echo \'$HOME\' \\"x  y\\""', "$HOME x  y"),
    ],
)
def test_a_command_with_quotes(
    client: Client,
    node: Callable[..., dict[str, Any]],
    unique: Callable[[str], str],
    script: str,
    expected: str,
) -> None:
    """A platform's command is taken apart as a shell does, and arrives so: one argument with its blanks and quotes."""
    name = unique("names")
    quote = script[-1]
    command = f"/bin/sh -c {script[:-1]}; exec /wait{quote}"
    (read,), _warnings = platforms([{"name": name, "image": IMAGE, "command": command}], "trixie")
    node(**read)
    assert client.out("logs", name) == expected
    assert node(**read)["changed"] is False
