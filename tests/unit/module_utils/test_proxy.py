# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proxies that engines give to containers by themselves, and what nodes must not use them for."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.layout import layout
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._engine import proxy
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.docker import Docker
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.podman import Podman
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_choice import (
    Around,
    allocate,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_plan import _env_drift
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_spec import NodeSpec

from .support import IMAGE_NAME, container, engine_info, host, image, network, node_params
from .test_cluster_layout import GIVEN

ENTRYPOINT = Path(__file__).resolve().parents[3] / "roles/kic_image/files/node/usr/local/bin/entrypoint"
PROXY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("given", "env", "expected"),
    [
        pytest.param({}, {}, None, id="none"),
        pytest.param({"NO_PROXY": "a"}, {"no_proxy": "b"}, None, id="exceptions-without-a-proxy"),
        pytest.param({"https_proxy": PROXY}, {}, ["lab"], id="lower-case"),
        pytest.param({"HTTP_PROXY": PROXY}, {}, ["lab"], id="upper-case"),
        pytest.param({}, {"ALL_PROXY": PROXY}, ["lab"], id="asked-for"),
        pytest.param({"HTTP_PROXY": PROXY}, {"HTTP_PROXY": ""}, None, id="taken-away"),
        pytest.param({"http_proxy": PROXY, "no_proxy": "a, b"}, {}, ["a", "b", "lab"], id="added"),
        pytest.param({"http_proxy": PROXY, "no_proxy": "a", "NO_PROXY": "b"}, {}, ["b", "a", "lab"], id="both-forms"),
        pytest.param({"http_proxy": PROXY, "NO_PROXY": "a"}, {"NO_PROXY": "b"}, ["b", "lab"], id="asked-for-wins"),
        pytest.param({"http_proxy": PROXY, "no_proxy": "lab,,lab"}, {}, ["lab"], id="once"),
    ],
)
def test_exceptions(given: dict[str, str], env: dict[str, str], expected: list[str] | None) -> None:
    """Where there is a proxy, both forms of NO_PROXY hold what was there and what is reached directly."""
    found = proxy.exceptions(given, env, ["lab"])
    wanted = ",".join([*expected, "localhost", "127.0.0.1", "::1"]) if expected else None
    assert found == ({"NO_PROXY": wanted, "no_proxy": wanted} if wanted else {})


CONFIG = {"default": {"httpProxy": PROXY, "noProxy": "a"}, "unix:///run/x.sock": {"allProxy": "socks5://x"}}


@pytest.mark.parametrize(
    ("text", "host", "expected"),
    [
        pytest.param("", "", {}, id="no-file"),
        pytest.param("{", "", {}, id="no-json"),
        pytest.param("[]", "", {}, id="list"),
        pytest.param('{"auths": {}}', "", {}, id="no-proxies"),
        pytest.param('{"proxies": {"default": "x"}}', "", {}, id="text"),
        pytest.param(
            json.dumps({"proxies": CONFIG}),
            "unix:///var/run/docker.sock",
            {"HTTP_PROXY": PROXY, "http_proxy": PROXY, "NO_PROXY": "a", "no_proxy": "a"},
            id="default",
        ),
        pytest.param(
            json.dumps({"proxies": CONFIG}),
            "unix:///run/x.sock",
            {"ALL_PROXY": "socks5://x", "all_proxy": "socks5://x"},
            id="of-this-daemon",
        ),
    ],
)
def test_docker_config(text: str, host: str, expected: dict[str, str]) -> None:
    """The proxies of docker's client are those of its daemon's address, or the default ones."""
    assert proxy.of_docker_config(text, host) == expected


def test_engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """podman passes its environment on, docker a file of the user's."""
    monkeypatch.setenv("https_proxy", PROXY)
    monkeypatch.setenv("UNRELATED", "x")
    assert Podman(None).proxies()["https_proxy"] == PROXY  # type: ignore[arg-type]
    assert "UNRELATED" not in Podman(None).proxies()  # type: ignore[arg-type]
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    docker = Docker(None)  # type: ignore[arg-type]
    assert docker.proxies() == {}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": CONFIG}))
    assert docker.proxies()["http_proxy"] == PROXY


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        (f'[engine]\nenv = ["https_proxy={PROXY}"]\n', {}, {"https_proxy": PROXY}),
        (f'[engine]\nenv = ["https_proxy={PROXY}"]\n', {"https_proxy": "http://own"}, {"https_proxy": "http://own"}),
        (f'[engine]\nenv = ["https_proxy={PROXY}"]\n[containers]\nhttp_proxy = false\n', {}, {}),
        (f'[containers]\nenv = ["HTTP_PROXY={PROXY}", "A=b"]\n', {}, {"HTTP_PROXY": PROXY}),
        (f'[containers]\nenv = ["HTTP_PROXY={PROXY}"]\n', {"HTTP_PROXY": "http://own"}, {"HTTP_PROXY": "http://own"}),
        ("[containers]\nhttp_proxy = false\n", {"HTTP_PROXY": "http://own"}, {}),
    ],
    ids=["engine", "set already", "not handed on", "containers", "over it", "nobody's"],
)
def test_containers_conf(
    text: str, environment: dict[str, str], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy of podman's configuration is in its containers, though no task has it in its environment."""
    for name in (*proxy.NAMES, *proxy.NO_PROXY, "CONTAINERS_CONF_OVERRIDE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "containers.conf").write_text(text)
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "containers.conf"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Podman(None).proxies() == expected  # type: ignore[arg-type]


def chosen(proxies: dict[str, str], built: tuple[str, ...] = (), **params: Any) -> dict[str, str]:
    """The environment of a node on a machine with these proxies, of an image that was built with an environment."""
    surroundings = Around(
        info=engine_info(),
        image=image(environment=built),
        networks=(network("kic", "10.5.0.0/24", "fd00:5::/64"),),
        volume=True,
        addresses={},
        host_ports=frozenset(),
        missing=(),
        proxies=proxies,
    )
    spec = NodeSpec.from_params(node_params(image=IMAGE_NAME, network="kic", **params))
    found, _missing = allocate(spec, surroundings, host(), None, engine="podman")
    return dict(found.env)


def test_node() -> None:
    """A node reaches itself and what was requested without a proxy; without proxies its environment is as asked for."""
    assert "NO_PROXY" not in chosen({}, no_proxy=["lab.kic.internal"])
    found = chosen({"HTTPS_PROXY": PROXY, "NO_PROXY": "mine"}, no_proxy=["lab.kic.internal"], env={"A": "1"})
    assert found["A"] == "1" and found["NO_PROXY"] == found["no_proxy"]
    assert found["NO_PROXY"].split(",")[:5] == ["mine", "lab.kic.internal", "node-1", "10.5.0.0/24", "fd00:5::/64"]


def test_image_that_was_built_behind_a_proxy() -> None:
    """What an image sets, each of its containers has."""
    found = chosen({}, (f"https_proxy={PROXY}", "NO_PROXY=mine"), no_proxy=["lab.kic.internal"])
    assert found["no_proxy"].startswith("mine,lab.kic.internal,node-1,10.5.0.0/24,")
    assert "no_proxy" not in chosen({}, ("PATH=/bin",), no_proxy=["lab.kic.internal"])


@pytest.mark.parametrize("value", ["", "a,b", "a b"])
def test_no_proxy_refused(value: str) -> None:
    """Each exception is one word: a comma would be two."""
    with pytest.raises(KicError, match="no_proxy: "):
        NodeSpec.from_params(node_params(no_proxy=[value]))


@pytest.mark.parametrize(("actual", "drifts"), [("a,b,lab", False), ("b,lab", True), ("a, b", False), (None, True)])
def test_extended_exceptions_are_no_drift(actual: str | None, drifts: bool) -> None:
    """NO_PROXY of the user's with our additions is what was requested."""
    spec = NodeSpec.from_params(node_params(env={"NO_PROXY": "a,b"}))
    held = container(environment={} if actual is None else {"NO_PROXY": actual})
    assert bool(_env_drift(spec, ["NO_PROXY"], held)) is drifts


def test_cluster() -> None:
    """A cluster's nodes reach its API, each other, pods and services without a proxy."""
    given = {**GIVEN, "workers": 1, "pod_subnet": "10.244.0.0/16,fd00:1::/56"}
    assert layout(given)["no_proxy"] == [
        *("lab.kic.internal", "lab-control-plane-1", "lab-worker-1"),
        *("10.244.0.0/16", "fd00:1::/56", "10.96.0.0/16", ".svc", ".svc.cluster.local", ".cluster.local"),
    ]
    own = {"ClusterConfiguration": {"networking": {"dnsDomain": "lab.example"}}}
    assert layout({**given, "configuration": own})["no_proxy"][-2:] == [".svc.lab.example", ".lab.example"]


VALUES = {
    "plain": "http://proxy.example:3128/",
    "percent": "http://user:a%C3%A4%40b@proxy.example:3128/",
    "quote": 'http://user:a"b@proxy.example/',
    "backslash": "http://user:a\\b\\n@proxy.example/",
    "ampersand": "http://user:a&b@proxy.example/?$HOME",
}


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("case", VALUES)
def test_entrypoint(tmp_path: Path, case: str, name: str) -> None:
    """Services of a node get a proxy's address as it is: in systemd's file % and quotes mean something else."""
    if not shutil.which("bash"):
        pytest.skip("needs bash")
    text = ENTRYPOINT.read_text(encoding="utf-8")
    begin = text.index("prepare_proxy() {")
    function = text[begin : text.index("\n}\n", begin) + 3].replace("/etc/systemd", str(tmp_path))
    script = f"set -euo pipefail\n{function}\nprepare_proxy\n"
    subprocess.run(["bash", "-c", script], env={"PATH": "/usr/bin:/bin", name: VALUES[case]}, check=True)
    made = (tmp_path / "system.conf.d/proxy-default-environment.conf").read_text()
    escaped = VALUES[case].replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    assert made == f'[Manager]\nDefaultEnvironment= "HTTPS_PROXY={escaped}" "https_proxy={escaped}"\n'
