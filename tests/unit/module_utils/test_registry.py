# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The choice of an engine, its facts between tasks, and the engine of a machine that has none."""

from __future__ import annotations

import inspect
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import (
    TIMED_OUT,
    CommandNotFound,
    CommandResult,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import CATALOGUE, KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._engine import docker
from ansible_collections.nodeforge.kic.plugins.module_utils._engine import status as status_module
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.absent import AbsentEngine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.base import Engine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.cli import CommandLineEngine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.docker import Docker
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.drivers import driver
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.limits import limit_of
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import (
    BY_PRIORITY,
    EngineInfo,
    Limits,
    Mount,
    Network,
    Publication,
    Stored,
    Volume,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.podman import Podman
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.selection import holders, select
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.status import status, statuses
from ansible_collections.nodeforge.kic.plugins.module_utils._host import preflight
from ansible_collections.nodeforge.kic.plugins.module_utils._host.delegation import START, needed_by
from ansible_collections.nodeforge.kic.plugins.module_utils._host.preflight import ENGINE, USER, Facts, warnings
from ansible_collections.nodeforge.kic.plugins.module_utils._host.storage import Space
from ansible_collections.nodeforge.kic.plugins.module_utils._host.sub_ids import count_of
from ansible_collections.nodeforge.kic.plugins.module_utils._host.user import sub_ids, user_name
from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import ClusterState, Subject, recorded_cluster
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    DOCKER,
    TableRunner,
    engine_info,
    fails,
    recorded,
    said,
)

NOTHING = TableRunner({})


PODMAN_ANSWERS = said(json.dumps(recorded("info.json")))
DOCKER_ANSWERS = said(json.dumps(recorded("info.json", DOCKER)))
DOCKER_SILENT = said(
    json.dumps({"ServerErrors": ["Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?"]}),
    rc=1,
)


@pytest.fixture(autouse=True)
def local_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no endpoint of the environment change what docker is, and let its daemon's program be there."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(docker, "has_program", lambda _name: True)
    surround(monkeypatch, lambda _info: FIT)


FIT: dict[str, Any] = {"user": "somebody", "space": Space(100 << 30, 1_000_000), "sub_ids": 65536, "lingers": True}
FULL = {**FIT, "space": Space(1 << 30, 1_000_000)}


def surround(monkeypatch: pytest.MonkeyPatch, facts: Callable[[Any], dict[str, Any]]) -> None:
    """Let every engine have these facts around it."""
    monkeypatch.setattr(status_module, "Facts", lambda info: Facts(info, **facts(info)))


def machine(podman: CommandResult | None, docker: CommandResult | None) -> TableRunner:
    """A machine whose engines answer this on their facts; None is one that is not installed."""
    return TableRunner(
        {"podman": podman or CommandNotFound("podman"), "docker": docker or CommandNotFound("docker")},
    )


@pytest.mark.parametrize(
    ("engine", "facts", "driver"),
    [
        ("podman", None, Podman),
        ("docker", None, Docker),
        ("podman", engine_info(), Podman),
        ("docker", engine_info(name="docker"), Docker),
        ("auto", engine_info(), Podman),
        ("auto", engine_info(name="docker"), Docker),
    ],
    ids=["podman", "docker", "podman with facts", "docker with facts", "facts of podman", "facts of docker"],
)
def test_select(engine: str, facts: EngineInfo | None, driver: type[Engine]) -> None:
    """An engine is used by its name or by its facts; only one without facts is asked who it is, and only it."""
    runner = NOTHING if facts is not None else machine(PODMAN_ANSWERS, DOCKER_ANSWERS)
    found = select(engine, runner, facts, never if engine != "auto" else None)
    assert all(command.startswith(f"{engine} info") for command in runner.commands)
    assert isinstance(found, driver)
    if facts is not None:
        assert found.info is facts


def never(_engine: Engine) -> bool:
    """A look into an engine that must not be taken."""
    raise AssertionError("the engine was looked into")


@pytest.mark.parametrize(
    ("engine", "facts", "words"),
    [
        ("docker", engine_info(), "engine_facts: they are of podman, but engine is docker"),
        ("podman", engine_info(name="docker"), "engine_facts: they are of docker, but engine is podman"),
    ],
)
def test_select_refuses(engine: str, facts: EngineInfo, words: str) -> None:
    """What was requested by name is used or refused, never replaced."""
    with fails("invalid_option", words):
        select(engine, NOTHING, facts)


def test_named_engine_in_disguise() -> None:
    """podman under the name of docker is refused before it is told to do anything."""
    with fails("engine_is_another", "The program docker of this machine leads to podman"):
        select("docker", machine(PODMAN_ANSWERS, PODMAN_ANSWERS))


def test_facts_of_an_unknown_engine() -> None:
    """Facts of an engine that there is none of are refused, before one is chosen by them."""
    with fails("invalid_option", "engine_facts", "lxc"):
        EngineInfo.from_dict({**engine_info().as_dict(), "name": "lxc"})


@pytest.mark.parametrize(
    ("podman", "docker", "holder", "chosen"),
    [
        (PODMAN_ANSWERS, DOCKER_ANSWERS, None, "podman"),
        (PODMAN_ANSWERS, DOCKER_ANSWERS, "podman", "podman"),
        (PODMAN_ANSWERS, DOCKER_ANSWERS, "docker", "docker"),
        (PODMAN_ANSWERS, DOCKER_SILENT, "docker", "podman"),
        (PODMAN_ANSWERS, None, None, "podman"),
        (None, DOCKER_ANSWERS, None, "docker"),
        (None, DOCKER_ANSWERS, "podman", "docker"),
        (said(rc=125, err="boom"), DOCKER_ANSWERS, None, "docker"),
    ],
    ids=[
        "both",
        "podman holds it",
        "docker holds it",
        "docker is silent",
        "only podman",
        "only docker",
        "only docker, which holds nothing",
        "podman does not work",
    ],
)
def test_auto(podman: CommandResult | None, docker: CommandResult | None, holder: str | None, chosen: str) -> None:
    """auto is the engine that holds what the task is about, else podman, else docker; only those that can be used."""
    assert select("auto", machine(podman, docker), None, lambda engine: engine.name == holder).name == chosen
    if holder is None:
        assert select("auto", machine(podman, docker)).name == chosen


def test_auto_with_two_that_do_not_work() -> None:
    """Either may be the one that the user means, so both are named, each with its fix; one that is not installed is not."""
    with pytest.raises(KicError) as refused:
        select("auto", machine(said(rc=125, err="boom"), DOCKER_SILENT))
    found = refused.value.diagnosis
    assert "The other engine: " in found.cause and "docker" in found.cause
    assert found.fix.startswith("for podman: ") and "; for docker: " in found.fix
    with pytest.raises(KicError) as alone:
        select("auto", machine(None, DOCKER_SILENT))
    assert alone.value.diagnosis.id == "engine_not_running" and "other engine" not in alone.value.diagnosis.cause


@pytest.mark.parametrize(
    ("full", "chosen"),
    [((), "podman"), (("podman",), "docker"), (("docker",), "podman"), (("podman", "docker"), "podman")],
)
def test_auto_by_status(monkeypatch: pytest.MonkeyPatch, full: tuple[str, ...], chosen: str) -> None:
    """Of two that work the one that needs no improvement is taken, else the preferred; what holds it goes before both."""
    surround(monkeypatch, lambda info: FULL if info.name in full else FIT)
    runner = machine(PODMAN_ANSWERS, DOCKER_ANSWERS)
    assert select("auto", runner).name == chosen
    assert select("auto", runner, None, lambda engine: engine.name == "podman").name == "podman"


def test_auto_looks_no_further_than_it_must() -> None:
    """Once the preferred engine holds it the other is not asked."""
    runner = machine(PODMAN_ANSWERS, DOCKER_ANSWERS)
    select("auto", runner, None, lambda _engine: True)
    assert runner.commands == ["podman info --format json"]


HUNG = said(rc=TIMED_OUT)


@pytest.mark.parametrize(
    ("podman", "docker", "chosen", "seconds"),
    [(PODMAN_ANSWERS, HUNG, "podman", 20), (HUNG, DOCKER_ANSWERS, "docker", 60)],
    ids=["docker", "podman"],
)
def test_auto_beside_a_hung_engine(podman: CommandResult, docker: CommandResult, chosen: str, seconds: float) -> None:
    """An engine that does not answer in time does not stop the other; the user hears of it, and what to do."""
    warned: list[str] = []
    runner = machine(podman, docker)
    assert select("auto", runner, None, None, warned.append).name == chosen
    (words,) = warned
    other = "docker" if chosen == "podman" else "podman"
    assert f"({other} info) did not end within {seconds} seconds: {other} hangs" in words and "timeout 5" in words
    assert all(limit is not None and limit <= 60 for limit in runner.timeouts)
    told = {item.name: item.as_dict() for item in statuses(runner, select("auto", runner))}
    assert (told[other]["usable"], told[other]["reason"], told[chosen]["usable"]) == (False, "timed_out", True)


def test_auto_beside_an_engine_that_hangs_later() -> None:
    """The same where it hangs at the question whether it holds what is requested; another failure there is one."""

    def holds(engine: Engine) -> bool:
        if engine.name == "docker":
            engine.containers("x")
        return False

    silent = TableRunner({"podman": PODMAN_ANSWERS, "docker info": DOCKER_ANSWERS, "docker ps": HUNG})
    assert select("auto", silent, None, holds).name == "podman"
    broken = TableRunner({"podman": PODMAN_ANSWERS, "docker info": DOCKER_ANSWERS, "docker ps": said(rc=1, err="boom")})
    with fails("engine_failed", "boom"):
        select("auto", broken, None, holds)


@pytest.mark.parametrize(
    ("facts", "holder", "docker", "chosen"),
    [
        ("podman", "docker", DOCKER_ANSWERS, "docker"),
        ("podman", "podman", DOCKER_ANSWERS, "podman"),
        ("podman", None, DOCKER_ANSWERS, "podman"),
        ("podman", "docker", None, "podman"),
        ("podman", None, DOCKER_SILENT, "podman"),
        ("docker", "podman", DOCKER_ANSWERS, "podman"),
        ("docker", None, DOCKER_ANSWERS, "docker"),
    ],
)
def test_auto_with_facts(facts: str, holder: str | None, docker: CommandResult | None, chosen: str) -> None:
    """Facts say what an engine is, not where a cluster is: the other one is asked too, unless the first holds it."""
    runner = machine(PODMAN_ANSWERS, docker)
    found = select("auto", runner, engine_info(name=facts), lambda engine: engine.name == holder)
    assert found.name == chosen
    assert bool(runner.commands) is (holder != facts)


@pytest.mark.parametrize("facts", [None, engine_info()], ids=["asked", "facts"])
@pytest.mark.parametrize(
    ("docker", "recorded", "chosen"),
    [
        (HUNG, "docker", None),
        (DOCKER_SILENT, "docker", None),
        (HUNG, "podman", "podman"),
        (HUNG, None, "podman"),
        (None, "docker", "podman"),
        (PODMAN_ANSWERS, "docker", "podman"),
        (DOCKER_ANSWERS, "docker", "podman"),
    ],
    ids=[
        "hung",
        "stopped",
        "hung-but-elsewhere",
        "hung-and-unknown",
        "not-installed",
        "podman-in-disguise",
        "gone-there",
    ],
)
def test_auto_makes_no_second_cluster(
    facts: EngineInfo | None, docker: CommandResult | None, recorded: str | None, chosen: str | None
) -> None:
    """A cluster that is recorded on an engine that cannot be asked is not made on the other one."""
    runner = machine(PODMAN_ANSWERS, docker)

    def choose() -> Engine:
        return select(
            "auto", runner, facts, lambda _engine: False, None, lambda name: "lab" if name == recorded else None
        )

    if chosen is not None:
        assert choose().name == chosen
        return
    with fails("cluster_elsewhere", "The cluster lab was created on docker", "docker", "engine: podman"):
        choose()


def test_recorded_cluster() -> None:
    """Records of a user's own docker count as docker's, those that name no engine and those of nodes as nobody's."""
    for subject in (Subject("docker-rootless", "lab"), Subject("", "old"), Subject("podman", None, "alone")):
        ClusterState(subject, limits={"alone": {"pids": 1}}).save()
    assert [recorded_cluster(engine, "lab") for engine in ("docker", "podman")] == ["lab", None]
    assert recorded_cluster("podman", "old") is None and recorded_cluster("podman", "alone") is None


@pytest.mark.parametrize(
    ("docker", "expected"),
    [(HUNG, ("docker",)), (DOCKER_SILENT, ("docker",)), (PODMAN_ANSWERS, ()), (None, ())],
    ids=["hung", "stopped", "podman-in-disguise", "not-installed"],
)
def test_holders(docker: CommandResult | None, expected: tuple[str, ...]) -> None:
    """An engine that cannot be asked may hold the cluster."""
    assert holders(machine(PODMAN_ANSWERS, docker), "lab", besides="podman") == expected
    without = TableRunner({"docker info": DOCKER_ANSWERS, "docker ps": said()})
    assert holders(without, "lab", besides="podman") == ()


def test_only_engine_hangs() -> None:
    """Where no other can be used the failure is that it does not answer."""
    with fails("timed_out", "asking docker for its facts (docker info)", "20 seconds", "systemctl restart docker"):
        select("auto", machine(None, HUNG))


@pytest.mark.parametrize(
    ("command", "seconds"),
    [
        (["info", "--format", "json"], 7),
        (["ps", "--all", "--filter", "label=start"], 7),
        (["network", "ls"], 7),
        (["volume", "inspect", "--", "pull"], 7),
        (["container", "exists", "--", "x"], 7),
        (["--debug", "manifest", "inspect", "x"], 7),
        (["--runtime", "runc", "create", "--name", "x", "image"], 300),
        (["start", "x"], 300),
        (["stop", "--time", "30", "x"], 150),
        (["rm", "--force", "--volumes", "--time", "30", "x"], 150),
        (["container", "rm", "--", "x"], 120),
        (["network", "create", "x"], 300),
        (["image", "rm", "x"], 300),
        (["cp", "-", "x:/"], 300),
        (["exec", "x", "sleep", "1"], 60),
        (["load", "--quiet", "--input", "x"], 1800),
        (["what", "is", "new"], 120),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else f"{value}",
)
def test_limits(command: list[str], seconds: float) -> None:
    """Each kind of call has its limit; a grace that a container is given for its end comes on top."""
    assert limit_of(command, 7) == seconds


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        (Podman, 'Error: "/x" could not be found on container n: no such file or directory'),
        (Docker, "Error: No such container:path: n:/x"),
    ],
)
def test_read_file(kind: type[CommandLineEngine], missing: str) -> None:
    """The content of a file of a container, out of the archive that cp writes; a file that is not there is none."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        item = tarfile.TarInfo("x")
        item.size = 2
        archive.addfile(item, io.BytesIO(b"{}"))
    runner = TableRunner({"": said(buffer.getvalue())})
    assert kind(runner).read_file("n", "/x") == b"{}"
    assert runner.commands == [f"{kind.name} cp n:/x -"]
    assert kind(TableRunner({"": said(rc=1, err=missing)})).read_file("n", "/x") is None
    with fails("engine_failed", "reading /x in the container n", "busy"):
        kind(TableRunner({"": said(rc=125, err="busy")})).read_file("n", "/x")


@pytest.mark.parametrize("kind", [Podman, Docker])
def test_read_directory(kind: type[CommandLineEngine]) -> None:
    """Files with their times, the contents of those alone that are wanted, and a link as what it leads to."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in (("pki", None), ("pki/a.crt", b"A"), ("pki/a.key", b"K"), ("pki/sub/b.crt", b"B")):
            item = tarfile.TarInfo(name)
            item.type, item.size, item.mtime = (
                tarfile.DIRTYPE if content is None else tarfile.REGTYPE,
                len(content or b""),
                7,
            )
            archive.addfile(item, io.BytesIO(content or b""))
        for name, target in (("pki/sub/current", "/lib/sub/b.crt"), ("pki/lost", "nowhere")):
            item = tarfile.TarInfo(name)
            item.type, item.linkname = tarfile.SYMTYPE, target
            archive.addfile(item)
    runner = TableRunner({"": said(buffer.getvalue())})
    found = kind(runner).read_directory("n", "/etc/pki", {"a.crt", "sub/current", "lost", "none"})
    assert found == {
        "a.crt": Stored(7, b"A"),
        "a.key": Stored(7),
        "sub/b.crt": Stored(7),
        "sub/current": Stored(7, b"B"),
    }
    assert runner.commands == [f"{kind.name} cp n:/etc/pki -"]
    missing = TableRunner({"": said(rc=1, err="Error: No such container:path: n:/etc/pki")})
    assert kind(missing).read_directory("n", "/etc/pki", ()) == {}
    with fails("engine_failed", "reading /etc/pki in the container n", "busy"):
        kind(TableRunner({"": said(rc=125, err="busy")})).read_directory("n", "/etc/pki", ())


@pytest.mark.parametrize("kind", [Podman, Docker])
def test_every_call_of_an_engine_has_a_limit(kind: type[CommandLineEngine]) -> None:
    """Whatever is asked of an engine, its client is given a limit, and one that is reached is told."""
    calls: list[Callable[[CommandLineEngine], Any]] = [
        lambda engine: engine.info,
        lambda engine: engine.networks(),
        lambda engine: engine.create_network(Network("", "x", "bridge", (), None, {})),
        lambda engine: engine.remove_network("x"),
        lambda engine: engine.attached_to_network("x"),
        lambda engine: engine.volume("x"),
        lambda engine: engine.volumes("x"),
        lambda engine: engine.create_volume(Volume("x", "local", "", {}, {})),
        lambda engine: engine.remove_volume("x"),
        lambda engine: engine.image("x"),
        lambda engine: engine.images("x"),
        lambda engine: engine.load_image("/x"),
        lambda engine: engine.tag_image("x", "y"),
        lambda engine: engine.container("x"),
        lambda engine: engine.containers("x"),
        lambda engine: engine.put_files("x", b""),
        lambda engine: engine.read_file("x", "/y"),
        lambda engine: engine.read_directory("x", "/y", ()),
        lambda engine: engine.start_container("x"),
        lambda engine: engine.stop_container("x", 1),
        lambda engine: engine.pause_container("x"),
        lambda engine: engine.resume_container("x"),
        lambda engine: engine.remove_container("x", 1),
        lambda engine: engine.rename_container("x", "y"),
        lambda engine: engine.update_limits("x", Limits(memory=1)),
        lambda engine: engine.set_restart_policy("x", "no"),
        lambda engine: engine.exec("x", ["true"]),
    ]
    for call in calls:
        runner = TableRunner({"": HUNG})
        with fails("timed_out", kind.name, "seconds"):
            call(kind(runner))
        assert all(isinstance(limit, float) and 0 < limit <= 1800 for limit in runner.timeouts)


@pytest.mark.parametrize(
    ("podman", "docker", "condition", "words"),
    [
        (None, None, "engine_not_installed", "podman is not installed"),
        (None, DOCKER_SILENT, "engine_not_running", "docker is installed, but nothing answers at unix:///x"),
        (said(rc=125, err="boom"), None, "engine_failed", "podman failed"),
        (said(rc=125, err="boom"), DOCKER_SILENT, "engine_failed", "podman failed"),
    ],
    ids=["none", "docker is silent", "podman does not work", "neither works"],
)
def test_auto_finds_none(
    podman: CommandResult | None, docker: CommandResult | None, condition: str, words: str
) -> None:
    """The failure is that of an engine that is installed, if there is one, and of the preferred one of two."""
    with fails(condition, words):
        select("auto", machine(podman, docker), None, never)


def test_statuses() -> None:
    """Each engine is told about, the preferred one first; the one that is used is not asked again."""
    runner = machine(None, DOCKER_ANSWERS)
    chosen = select("auto", runner)
    first, second = statuses(runner, chosen)
    assert (first.name, first.as_dict()["installed"], second.name, second.as_dict()["usable"]) == (
        *("podman", False, "docker", True),
    )
    assert (first.default, second.default) == (False, True)
    assert runner.commands.count("docker info --format {{json .}}") == 1


def test_order() -> None:
    """The engines stand in the order of their priorities."""
    priorities = [driver(name).priority for name in BY_PRIORITY]
    assert priorities == sorted(set(priorities), reverse=True)


def test_no_engine_is_the_default() -> None:
    """Where none can be used none is what auto takes."""
    runner = TableRunner(
        {
            "podman": CommandNotFound("podman"),
            "docker info": DOCKER_SILENT,
            "docker context inspect": said("unix:///x\n"),
        }
    )
    assert [item.endpoint for item in statuses(runner, Podman(runner))] == ["", "unix:///x"]
    assert [(item.name, item.default) for item in statuses(runner, Podman(runner))] == [
        ("podman", False),
        ("docker", False),
    ]


def test_podman_under_two_names() -> None:
    """podman-docker is an alias of podman, and not a docker."""
    runner = machine(PODMAN_ANSWERS, PODMAN_ANSWERS)
    podman, other = [item.as_dict() for item in statuses(runner, select("auto", runner))]
    assert (podman["aliases"], podman["default"], other["aliases"]) == (["docker"], True, [])
    assert (other["reason"], other["running"], other["endpoint"]) == ("engine_is_another", False, "")


def test_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """docker's is that of DOCKER_HOST or of the context; podman has none."""
    answers = {"docker info": DOCKER_ANSWERS, "docker context inspect": said("unix:///run/a.sock\n")}
    runner = TableRunner({**answers, "podman": PODMAN_ANSWERS})
    assert [item.endpoint for item in statuses(runner, Podman(runner))] == ["", "unix:///run/a.sock"]
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/b.sock")
    assert [item.endpoint for item in statuses(runner, Podman(runner))] == ["", "unix:///run/b.sock"]
    broken = TableRunner({**answers, "docker context inspect": said(rc=1, err="boom"), "podman": PODMAN_ANSWERS})
    monkeypatch.delenv("DOCKER_HOST")
    assert [item.endpoint for item in statuses(broken, Podman(broken))] == ["", ""]


def test_status() -> None:
    """An engine that can be used says so; one that cannot says why, and whether it is installed and answers."""
    usable = status(Podman(TableRunner({"podman info": said(json.dumps(recorded("info.json")))}))).as_dict()
    assert usable == {
        "name": "podman",
        "aliases": [],
        "priority": 20,
        "default": False,
        "version": "4.3.1",
        "endpoint": "",
        "rootless": False,
        "storage_driver": "overlay",
        "cgroup_version": 1,
        "cgroup_manager": "cgroupfs",
        "runtimes": usable["runtimes"],
        "installed": True,
        "running": True,
        "healthy": True,
        "needs_improvement": False,
        "usable": True,
        "reason": "",
        "cause": "",
        "fix": "",
        "link": "",
        "improvements": [],
    }
    missing = status(Podman(TableRunner({"podman": CommandNotFound("podman")}))).as_dict()
    assert (missing["installed"], missing["usable"], missing["reason"]) == (False, False, "engine_not_installed")
    assert "apt-get install podman" in missing["fix"]
    assert missing["link"] == "docs/troubleshooting.md#engine_not_installed"
    broken = status(Podman(TableRunner({"podman": said(rc=125, err="boom")}))).as_dict()
    assert (broken["installed"], broken["running"], broken["reason"]) == (True, False, "engine_failed")
    old = {**recorded("info.json", DOCKER), "ServerVersion": "19.03.15"}
    refused = status(Docker(TableRunner({"docker info": said(json.dumps(old))}))).as_dict()
    assert (refused["running"], refused["healthy"], refused["version"]) == (True, False, "19.03.15")
    assert refused["reason"] == "engine_too_old"


@pytest.mark.parametrize("answer", [PODMAN_ANSWERS, DOCKER_ANSWERS], ids=["podman", "docker"])
def test_rootless_on_version_1(answer: CommandResult) -> None:
    """An engine of an ordinary user is refused where control groups are version 1's."""
    found = json.loads(answer.out)
    if "host" in found:
        found["host"]["security"]["rootless"] = True
        engine: Engine = Podman(TableRunner({"podman info": said(json.dumps(found))}))
    else:
        found["SecurityOptions"] = ["name=rootless"]
        engine = Docker(TableRunner({"docker info": said(json.dumps(found))}))
    with fails("cgroup_not_unified", "no rootless nodes here", "become: true"):
        assert engine.info


ROOTLESS_DOCKER = engine_info(name="docker", rootless=True, cgroup_controllers=())
ROOTLESS = engine_info(rootless=True, cgroup_controllers=("cpu", "cpuset", "memory", "pids"))


@pytest.mark.parametrize(
    ("info", "around", "found"),
    [
        (engine_info(), FIT, []),
        (ROOTLESS, FIT, []),
        (ROOTLESS, {**FIT, "sub_ids": None, "lingers": None}, []),
        (ROOTLESS, {**FIT, "sub_ids": 1000}, ["sub_ids_missing"]),
        (ROOTLESS, {**FIT, "lingers": False}, ["no_linger"]),
        (replace(ROOTLESS, cgroup_controllers=("memory", "pids")), FIT, ["delegation_incomplete"]),
        (ROOTLESS_DOCKER, FIT, []),
        (ROOTLESS_DOCKER, {**FIT, "controllers": ("cpu", "memory", "pids")}, ["delegation_incomplete"]),
        (ROOTLESS_DOCKER, {**FIT, "controllers": ("cpu", "cpuset", "io", "memory", "pids")}, []),
        (engine_info(cgroup_controllers=("memory",)), FIT, []),
        (engine_info(), FULL, ["disk_low"]),
        (engine_info(), {**FIT, "space": Space(100 << 30, 50)}, ["inodes_low"]),
        (engine_info(), {**FIT, "space": Space(100 << 30, None)}, []),
        (engine_info(), {**FIT, "space": None}, []),
        (engine_info(storage_driver="vfs"), FULL, ["disk_low", "storage_unfit"]),
        (engine_info(name="docker", storage_driver="native"), FULL, ["disk_low", "storage_unfit"]),
    ],
)
def test_weaknesses(info: EngineInfo, around: dict[str, Any], found: list[str]) -> None:
    """What could be better is told, the worst first; what nobody can say is not."""
    assert [item.id for item in warnings(Facts(info, **around), ENGINE, USER)] == found


def test_facts_of_this_machine() -> None:
    """Each fact is asked of the machine when it is needed, and a place that nobody can see is no reason to warn."""
    assert Facts(engine_info(storage_path="")).space is None
    assert Facts(engine_info(storage_path="/nowhere/at/all")).space is not None
    facts = Facts(replace(ROOTLESS, storage_path="/"))
    assert facts.sub_ids in (None, sub_ids()) and facts.user == user_name()
    assert facts.controllers == ROOTLESS.cgroup_controllers


def test_checks_are_in_the_catalogue() -> None:
    """What is refused or reported has its words there."""
    assert {check.id for check in preflight.CHECKS if check.severity} <= {*CATALOGUE}


def test_entrypoint_needs_the_same() -> None:
    """The controllers without which no node starts are those that the node image's entrypoint refuses to be without."""
    root = Path(__file__).resolve().parents[3]
    text = (root / "roles/kic_image/files/node/usr/local/bin/entrypoint").read_text(encoding="utf-8")
    assert f"for controller in {' '.join(needed_by(START))}; do" in text


SUBUID = "root:1:5\nkic:100000:65536\n1000:300000:10\nkic:400000:x\n\n"


@pytest.mark.parametrize(("user", "uid", "count"), [("kic", 1000, 65546), ("kic", 1, 65536), ("other", 7, 0)])
def test_sub_ids(user: str, uid: int, count: int) -> None:
    """Ranges of a user are found by their name and by their number."""
    assert count_of(SUBUID, user, uid) == count


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


# That there are no pools is what nobody need say.
@pytest.mark.parametrize("name", sorted(set(engine_info().as_dict()) - {"address_pools"}))
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


REASON = failure("engine_not_installed", engine="podman", package="podman")
ABSENT = AbsentEngine("podman", REASON)


def test_absent_engine_holds_nothing() -> None:
    """An engine that is not there yet holds nothing, and knows this machine."""
    lists: list[Sequence[object]] = [ABSENT.networks(), ABSENT.volumes("a"), ABSENT.images("a"), ABSENT.containers("a")]
    things: list[object] = [ABSENT.volume("a"), ABSENT.image("a"), ABSENT.container("a")]
    assert (lists, things) == ([[], [], [], []], [None, None, None])
    assert ABSENT.attached_to_network("a") == ABSENT.attached_to_volume("a") == ABSENT.attached_to_image("a") == []
    assert ABSENT.ask_registry("a", 1) is None
    assert (ABSENT.logs("a", 1), ABSENT.updatable) == ("", frozenset())
    assert (ABSENT.info.name, ABSENT.info.network_backend) == ("podman", "netavark")
    other = AbsentEngine("docker", REASON)
    assert (other.info.network_backend, other.capabilities) == ("bridge", Docker.capabilities)
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
    ("pause_container", lambda engine: engine.pause_container("a")),
    ("resume_container", lambda engine: engine.resume_container("a")),
    ("remove_container", lambda engine: engine.remove_container("a", 1)),
    ("rename_container", lambda engine: engine.rename_container("a", "b")),
    ("update_limits", lambda engine: engine.update_limits("a", Limits())),
    ("set_restart_policy", lambda engine: engine.set_restart_policy("a", "no")),
    ("import_image", lambda engine: engine.import_image("a", "b", "c=1")),
    ("exec", lambda engine: engine.exec("a", ["b"])),
]


@pytest.mark.parametrize(("name", "change"), CHANGES, ids=[item[0] for item in CHANGES])
def test_absent_engine_does_nothing(name: str, change: Callable[[Engine], object]) -> None:
    """Whatever is to be done raises the reason why the real engine could not be asked."""
    assert inspect.isfunction(getattr(Engine, name))
    with pytest.raises(KicError) as caught:
        change(ABSENT)
    assert caught.value is REASON
