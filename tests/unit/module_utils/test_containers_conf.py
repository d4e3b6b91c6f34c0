# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pools of containers.conf and daemon.json, in the forms that people write."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._engine.docker import decode_info
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import EngineInfo
from ansible_collections.nodeforge.kic.plugins.module_utils._host.containers_conf import (
    parse_pools,
    paths,
    subnet_pools,
    variables,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import DOCKER, engine_info, recorded

SEVERAL = """
[engine]
num_locks = 9
[network]
default_subnet = "10.1.0.0/16"
default_subnet_pools = [
  # the first
  {base = '10.20.0.0/16', size = 24},
  { size = 25, base = "10.30.0.0/15" },
]
[x]
"""


@pytest.mark.parametrize(
    ("text", "pools"),
    [
        ('[network]\ndefault_subnet_pools=[{"base"="10.20.0.0/16","size"=24}]\n', ["10.20.0.0/16"]),
        (SEVERAL, ["10.20.0.0/16", "10.30.0.0/15"]),
        ("[network]\ndefault_subnet_pools = []\n", []),
        ('[network]\n#default_subnet_pools = [{"base" = "10.89.0.0/24", "size" = 24}]\n', None),
        ('[engine]\ndefault_subnet_pools=[{"base"="10.20.0.0/16","size"=24}]\n', None),
        ("", None),
    ],
    ids=["one line", "several", "empty", "comment", "another section", "nothing"],
)
def test_parse_pools(text: str, pools: list[str] | None) -> None:
    """The bases, in their order."""
    assert parse_pools(text) == pools


def test_a_later_file_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of several files that say it the last is podman's, and a file that says nothing changes nothing."""
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)
    monkeypatch.setenv("CONTAINERS_CONF_OVERRIDE", str(tmp_path / "over"))
    line = '[network]\ndefault_subnet_pools=[{{"base"="{}","size"=24}}]\n'
    files: dict[str, str] = {"/usr/share/containers/containers.conf": line.format("10.1.0.0/16")}
    assert subnet_pools(files.get) == ["10.1.0.0/16"]
    files["/etc/containers/containers.conf"] = line.format("10.2.0.0/16")
    files[str(tmp_path / "over")] = "[engine]\n"
    assert subnet_pools(files.get) == ["10.2.0.0/16"]
    files[str(tmp_path / "over")] = line.format("10.3.0.0/16")
    assert subnet_pools(files.get) == ["10.3.0.0/16"]
    assert subnet_pools(lambda _path: None) == []


def test_home_of_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """sudo may keep HOME of the user before: podman is run with this user's, and so their file is read."""
    for name in ("CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr(os, "geteuid", lambda: nobody.pw_uid)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths()[-1] == f"{nobody.pw_dir}/.config/containers/containers.conf"


PROXIES = """
[containers]
# env = ["a=b"]
env = [
  "NO_PROXY=[::1],127.0.0.1", # "x=y"
  'TOKEN=a#b',
]
http_proxy = false

[engine]
env = ["HTTPS_PROXY=http://proxy.example:3128"]
"""


def test_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What containers and podman itself get, each from the last file that says it."""
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "one"))
    monkeypatch.setenv("CONTAINERS_CONF_OVERRIDE", str(tmp_path / "two"))
    files = {str(tmp_path / "one"): PROXIES}
    containers = {"NO_PROXY": "[::1],127.0.0.1", "TOKEN": "a#b"}
    engine = {"HTTPS_PROXY": "http://proxy.example:3128"}
    assert variables(files.get) == (containers, engine, False)
    files[str(tmp_path / "two")] = "[containers]\nhttp_proxy=true\nenv=[]\n"
    assert variables(files.get) == ({}, engine, True)
    assert variables(lambda _path: None) == ({}, {}, True)


def test_files_of_a_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user's own files come after the machine's, with their drop-ins; CONTAINERS_CONF stands in for all."""
    for name in ("CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    drop_ins = tmp_path / "containers" / "containers.conf.d"
    drop_ins.mkdir(parents=True)
    for name in ("b.conf", "a.conf", "a.txt"):
        (drop_ins / name).touch()
    own = str(tmp_path / "containers" / "containers.conf")
    assert paths()[-3:] == [own, f"{own}.d/a.conf", f"{own}.d/b.conf"]
    monkeypatch.setenv("CONTAINERS_CONF", "/x")
    assert paths() == ["/x"]


def test_the_home_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """After sudo or su HOME may be that of the user before; podman is run with the user's own."""
    for name in ("CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    monkeypatch.setenv("HOME", "/home/before")
    home = pwd.getpwuid(65534).pw_dir
    assert paths()[-1] == f"{home}/.config/containers/containers.conf"


def test_pools_of_docker() -> None:
    """``docker info`` tells what daemon.json says, and the facts that a play hands on keep it."""
    found = decode_info(
        {**recorded("info.json", DOCKER), "DefaultAddressPools": [{"Base": "10.20.0.0/16", "Size": 24}]}
    )
    assert found.address_pools == ("10.20.0.0/16",)
    assert EngineInfo.from_dict(found.as_dict()) == found
    older = {key: value for key, value in engine_info().as_dict().items() if key != "address_pools"}
    assert EngineInfo.from_dict(older).address_pools == ()
