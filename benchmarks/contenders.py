# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two that are compared, each by the commands that its user would type."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .engines import BenchmarkError, Engine
from .watcher import Watcher, memory

ROOT = Path(__file__).resolve().parent.parent
KIND_VERSION = "v0.33.0"
LIMIT = 600.0
"""Seconds after which a command that is measured has failed."""


@dataclass(frozen=True)
class Contender:
    """One tool: how it makes and removes its cluster of ``nodes`` nodes, and the name of the first one's container."""

    name: str
    node: str
    nodes: int
    create: tuple[str, ...]
    delete: tuple[str, ...]
    step: re.Pattern[str]
    """Matches a line of the tool's output that begins a step; group 1 is its name."""
    environment: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    """A network that the tool leaves behind; a round starts without it, and its removal is not the tool's time."""


@dataclass
class Round:
    """What one round has shown; seconds and bytes."""

    contender: str
    marks: dict[str, float]
    exit: float
    steps: list[tuple[float, str]]
    cpu: float
    """Processor time of the command and of all that it waited for."""
    command_memory: int
    """The largest process of the command itself."""
    node_memory: dict[str, int] = field(default_factory=dict)
    delete: float = 0.0
    load_before: float = 0.0


@dataclass(frozen=True)
class Finished:
    """A command that has ended well: when its steps began, how long it took, what it used."""

    steps: list[tuple[float, str]]
    output: str
    seconds: float
    cpu: float
    memory: int


def follow(
    argv: Sequence[str], environment: Mapping[str, str], started: float, step: re.Pattern[str] | None = None
) -> Finished:
    """Run a command to its end and note when it names its steps. A failure raises with its last lines."""
    steps: list[tuple[float, str]] = []
    lines: list[str] = []
    with subprocess.Popen(
        argv,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
    ) as process:
        # One clock over all: a command that hangs without a word is ended too.
        clock = threading.Timer(LIMIT, process.kill)
        clock.start()
        for line in process.stdout or ():
            lines.append(line)
            if step and (found := step.search(line)):
                steps.append((time.monotonic() - started, found[1].strip()))
        # wait4 and not wait: it says what this command and all that it waited for have used.
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        clock.cancel()
    seconds = time.monotonic() - started
    if process.returncode:
        tail = "".join(lines[-40:])
        raise BenchmarkError(f"{' '.join(argv)} ended with {process.returncode} after {seconds:.0f} s:\n{tail}")
    return Finished(steps, "".join(lines), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def play_round(contender: Contender, engine: Engine) -> Round:
    """Make the cluster, see it Ready from outside, weigh it, remove it."""
    load = os.getloadavg()[0]
    started = time.monotonic()
    watcher = Watcher(engine, contender.node, started, contender.nodes)
    watcher.start()
    try:
        done = follow(contender.create, contender.environment, started, contender.step)
        if not watcher.ready.wait(120):
            raise BenchmarkError(f"{contender.name}: not Ready 120 s after the end; seen: {watcher.marks}")
    finally:
        watcher.stop()
    result = Round(contender.name, watcher.marks, done.seconds, done.steps, done.cpu, done.memory, load_before=load)
    # What starts after Ready (CoreDNS, the provisioner) belongs to the peak; the same time for everyone.
    time.sleep(max(0.0, watcher.marks["ready"] + 10 - (time.monotonic() - started)))
    container = engine.inspect(contender.node)
    result.node_memory = memory(container["State"]["Pid"], container["Id"])
    result.delete = remove(contender, engine)
    return result


def remove(contender: Contender, engine: Engine) -> float:
    """Remove the contender's cluster by its own command and return the seconds it took."""
    seconds = follow(contender.delete, contender.environment, time.monotonic()).seconds
    if contender.network and contender.network in engine.run("network", "ls", "--format", "{{.Name}}").splitlines():
        engine.run("network", "rm", contender.network)
    return seconds


def kic_variables(cluster: str, engine: Engine, scratch: Path, workers: int = 0) -> tuple[str, ...]:
    """Arguments that name our cluster and keep it out of the user's kubeconfig."""
    asked = {
        "kic_cluster_name": cluster,
        "kic_cluster_workers": workers,
        "kic_cluster_kubeconfig": f"{scratch}/kic-kubeconfig",
        "kic_engine": engine.program,
    }
    return ("-e", json.dumps(asked))


def kic(cluster: str, engine: Engine, image: str, scratch: Path, workers: int) -> Contender:
    """Our cluster step: the role kic_cluster as site.yml calls it, with the image given."""
    variables = kic_variables(cluster, engine, scratch, workers)
    return Contender(
        name="nodeforge.kic",
        node=f"{cluster}-control-plane-1",
        nodes=1 + workers,
        create=("ansible-playbook", "benchmarks/cluster.yml", *variables, "-e", f"kic_cluster_image={image}"),
        delete=("ansible-playbook", "playbooks/teardown.yml", *variables),
        step=re.compile(r"^TASK \[(?:[\w.]+ : )?(.*?)\]"),
        # A task is named when it begins, not only when it has ended.
        environment={"ANSIBLE_NOCOLOR": "1", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true"},
    )


@contextlib.contextmanager
def kind(
    cluster: str, engine: Engine, image: str, cache: Path, scratch: Path, workers: Sequence[int]
) -> Iterator[list[Contender]]:
    """kind on the same engine with the same image, and with those settings that this machine's kernel forces, no others.

    One for each number of workers.
    """
    program = cache / f"kind-{KIND_VERSION}" / "kind"
    if not program.exists():
        subprocess.run(
            ["go", "install", f"sigs.k8s.io/kind@{KIND_VERSION}"],
            env={**os.environ, "GOBIN": str(program.parent), "GOTOOLCHAIN": "local", "GOFLAGS": "-trimpath"},
            check=True,
        )
    network = f"{cluster}-network"
    environment = {
        "KIND_EXPERIMENTAL_PROVIDER": engine.program,
        f"KIND_EXPERIMENTAL_{engine.program.upper()}_NETWORK": network,
        "KUBECONFIG": str(scratch / "kind-kubeconfig"),
        **engine_settings(scratch),
    }
    contenders = []
    for number in workers:
        config = scratch / f"kind-{number}.json"
        config.write_text(json.dumps(kind_config(number)))
        contenders.append(
            Contender(
                name=f"kind {KIND_VERSION}",
                node=f"{cluster}-control-plane",
                nodes=1 + number,
                create=(
                    str(program),
                    "create",
                    "cluster",
                    "--name",
                    cluster,
                    "--image",
                    image,
                    "--config",
                    str(config),
                ),
                delete=(str(program), "delete", "cluster", "--name", cluster),
                step=re.compile(r"^\s*•\s*([\x20-\x7e]+)"),
                environment=environment,
                network=network,
            )
        )
    with kernel_modules():
        yield contenders


@contextlib.contextmanager
def kernel_modules() -> Iterator[None]:
    """A directory of kernel modules for as long as kind is used, which mounts it whether or not it is there."""
    modules = Path("/lib/modules")
    if modules.exists():
        yield
        return
    modules.mkdir()
    try:
        yield
    finally:
        modules.rmdir()


def on_cgroup_v2() -> bool:
    """Tell whether this machine has the unified hierarchy."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def may_raise_limits() -> bool:
    """Tell whether a process here can have CAP_SYS_RESOURCE (number 24): raise limits, lower its oom_score_adj."""
    status = Path("/proc/self/status").read_text()
    bounding = int(re.findall(r"^CapBnd:\s*([0-9a-f]+)$", status, re.MULTILINE)[0], 16)
    return bool(bounding >> 24 & 1)


def engine_settings(scratch: Path) -> dict[str, str]:
    """Environment with a private containers.conf, where podman cannot start a privileged container without one."""
    lines: list[str] = []
    if not on_cgroup_v2():
        lines += ["[engine]", 'runtime = "runc"']  # crun refuses the hybrid hierarchy
    if not may_raise_limits():
        files, processes = (resource.getrlimit(limit)[1] for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
        # podman lowers its own limit of processes to the number of process ids there are.
        processes = min(processes, int(Path("/proc/sys/kernel/pid_max").read_text()))
        lines += ["[containers]", f'default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]']
    if not lines:
        return {}
    conf = scratch / "containers.conf"
    conf.write_text("\n".join(lines) + "\n")
    return {"CONTAINERS_CONF": str(conf)}


def kind_config(workers: int) -> dict[str, Any]:
    """kind's configuration: the nodes, and of the kubelet only what this kernel forces."""
    kubelet: dict[str, Any] = {}
    if not on_cgroup_v2():
        kubelet["failCgroupV1"] = False
    if not may_raise_limits():
        # kubelet may not lower its oom_score_adj; with this gate it goes on without.
        kubelet["featureGates"] = {"KubeletInUserNamespace": True}
    patch = json.dumps({"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", **kubelet})
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane"}, *[{"role": "worker"}] * workers],
        **({"kubeadmConfigPatches": [patch]} if kubelet else {}),
    }
