# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The choice of an engine, its facts between tasks, and the engine of a machine that has none."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from typing import Any, Callable

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandNotFound
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.absent import AbsentEngine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.base import Engine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import (
    EngineInfo,
    Limits,
    Mount,
    Network,
    Publication,
    Volume,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.podman import Podman
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.registry import select, status
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    TableRunner,
    engine_info,
    fails,
    recorded,
    said,
)

NOTHING = TableRunner({})


@pytest.mark.parametrize("engine", ["auto", "podman"])
@pytest.mark.parametrize("facts", [None, engine_info()], ids=["no facts", "facts"])
def test_select(engine: str, facts: EngineInfo | None) -> None:
    """podman is used, by name or by itself, and nothing is asked for that."""
    found = select(engine, NOTHING, facts)
    assert isinstance(found, Podman)
    if facts is not None:
        assert found.info is facts


@pytest.mark.parametrize(
    ("engine", "facts", "condition", "words"),
    [
        ("docker", None, "engine_unsupported", "engine docker is not supported"),
        ("docker", engine_info(), "engine_unsupported", "set engine: podman"),
        ("auto", engine_info(name="docker"), "engine_unsupported", "engine docker is not supported"),
        (
            "podman",
            engine_info(name="docker"),
            "invalid_option",
            "engine_facts: they are of docker, but engine is podman",
        ),
    ],
)
def test_select_refuses(engine: str, facts: EngineInfo | None, condition: str, words: str) -> None:
    """What was asked for by name is used or refused, never replaced."""
    with fails(condition, words):
        select(engine, NOTHING, facts)


def test_status() -> None:
    """An engine that can be used says so; one that can not says why, and whether it is installed."""
    usable = status(Podman(TableRunner({"podman info": said(json.dumps(recorded("info.json")))}))).as_dict()
    assert usable == {"name": "podman", "installed": True, "usable": True, "reason": "", "cause": "", "fix": ""}
    missing = status(Podman(TableRunner({"podman": CommandNotFound("podman")}))).as_dict()
    assert (missing["installed"], missing["usable"], missing["reason"]) == (False, False, "engine_not_installed")
    assert "apt-get install podman" in missing["fix"]
    broken = status(Podman(TableRunner({"podman": said(rc=125, err="boom")}))).as_dict()
    assert (broken["installed"], broken["usable"], broken["reason"]) == (True, False, "engine_failed")


def test_facts_travel() -> None:
    """Facts that went through a play as plain values are the same."""
    facts = engine_info(rootless=True, cgroup_controllers=("cpu",))
    assert EngineInfo.from_dict(json.loads(json.dumps(facts.as_dict()))) == facts


def test_facts_that_a_template_made_strings() -> None:
    """Numbers and flags may have become strings on the way; "False" is not true."""
    facts = {key: value if isinstance(value, list) else str(value) for key, value in engine_info().as_dict().items()}
    found = EngineInfo.from_dict(facts)
    assert (found.rootless, found.cpus, found.cgroup_version) == (False, 4, 2)
    assert EngineInfo.from_dict({**facts, "rootless": "True"}).rootless is True


@pytest.mark.parametrize(
    "change",
    [{"cpus": "many"}, {"cpus": None}, {"runtimes": None}, {"memory": ()}],
    ids=["word", "none", "no list", "tuple"],
)
def test_facts_of_something_else(change: dict[str, Any]) -> None:
    """Something else than these facts is refused with what to hand in."""
    with fails("invalid_option", "engine_facts: this is not what oci_engine_info returned", "register"):
        EngineInfo.from_dict({**engine_info().as_dict(), **change})


@pytest.mark.parametrize("name", sorted(engine_info().as_dict()))
def test_facts_that_lack_one(name: str) -> None:
    """A fact that is missing is named."""
    facts = engine_info().as_dict()
    del facts[name]
    with fails("invalid_option", f"KeyError('{name}')"):
        EngineInfo.from_dict(facts)


def test_documented_keys() -> None:
    """Ports and mounts are returned under their documented keys."""
    assert Publication(80, "tcp", "::1", None).as_dict() == {
        "port": 80,
        "protocol": "tcp",
        "address": "::1",
        "host_port": None,
    }
    assert Mount("/a", "/b").as_dict() == {
        "source": "/a",
        "target": "/b",
        "read_only": False,
        "propagation": "rprivate",
        "relabel": "none",
    }


REASON = failure("engine_not_installed", engine="podman")
ABSENT = AbsentEngine("podman", REASON)


def test_absent_engine_holds_nothing() -> None:
    """An engine that is not there yet holds nothing, and knows this machine."""
    lists: list[Sequence[object]] = [ABSENT.networks(), ABSENT.volumes("a"), ABSENT.images("a"), ABSENT.containers("a")]
    things: list[object] = [ABSENT.volume("a"), ABSENT.image("a"), ABSENT.container("a")]
    assert (lists, things) == ([[], [], [], []], [None, None, None])
    assert ABSENT.attached_to_network("a") == ABSENT.attached_to_volume("a") == ABSENT.attached_to_image("a") == []
    assert ABSENT.ask_registry("a", 1) is False
    assert (ABSENT.logs("a", 1), ABSENT.updatable) == ("", frozenset())
    assert (ABSENT.info.name, ABSENT.info.network_backend) == ("podman", "netavark")
    assert ABSENT.info.memory > 0


CHANGES: list[tuple[str, Callable[[Engine], object]]] = [
    ("create_network", lambda engine: engine.create_network(Network("", "a", "bridge", (), None, {}))),
    ("remove_network", lambda engine: engine.remove_network("a")),
    ("create_volume", lambda engine: engine.create_volume(Volume("a", "local", "", {}, {}))),
    ("remove_volume", lambda engine: engine.remove_volume("a")),
    ("pull_image", lambda engine: engine.pull_image("a", 1)),
    ("load_image", lambda engine: engine.load_image("a")),
    ("tag_image", lambda engine: engine.tag_image("a", "b")),
    ("remove_image", lambda engine: engine.remove_image("a")),
    ("put_files", lambda engine: engine.put_files("a", b"")),
    ("start_container", lambda engine: engine.start_container("a")),
    ("stop_container", lambda engine: engine.stop_container("a", 1)),
    ("resume_container", lambda engine: engine.resume_container("a")),
    ("remove_container", lambda engine: engine.remove_container("a", 1)),
    ("update_limits", lambda engine: engine.update_limits("a", Limits())),
    ("call", lambda engine: engine.call(["a"], action="a")),
    ("exec", lambda engine: engine.exec("a", ["b"])),
]


@pytest.mark.parametrize(("name", "change"), CHANGES, ids=[item[0] for item in CHANGES])
def test_absent_engine_does_nothing(name: str, change: Callable[[Engine], object]) -> None:
    """Whatever is to be done raises the reason why the real engine could not be asked."""
    assert inspect.isfunction(getattr(Engine, name))
    with pytest.raises(KicError) as caught:
        change(ABSENT)
    assert caught.value is REASON
