# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""make bench: the cluster step of site.yml against kind, on the same engine with the same image. See README.md."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .contenders import ROOT, Contender, Round, follow, kic, kic_variables, kind, play_round, remove
from .engines import BenchmarkError, Engine
from .report import Layout, Spread, picture
from .watcher import proportional_memory

OURS, THEIRS = "bench-kic", "bench-kind"

COUNTER = """#!/bin/sh
printf '%s\\n' "$1 $2" >>'{log}'
exec '{program}' "$@"
"""


def main() -> int:
    """Run the benchmark; the exit code is 1 when a round failed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--engine", choices=["podman", "docker"], default="podman", help="(default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=5, help="rounds of each contender (default: %(default)s)")
    parser.add_argument(
        "--workers", type=numbers, default=[0, 2], help="the clusters' workers (default: 0,2: 1 node and 1+2 nodes)"
    )
    parser.add_argument("--reruns", type=int, default=3, help="runs of site.yml that change nothing")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs", help="directory of the two files that are written"
    )
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        print("make bench needs root, as rootful engines do: sudo make bench", file=sys.stderr)
        return 1
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nodeforge.kic" / "bench"
    with tempfile.TemporaryDirectory(prefix="nodeforge-kic-bench-") as scratch:
        try:
            engine = Engine(chosen.engine)
            result = measure(engine, chosen, cache, Path(scratch))
        except BenchmarkError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    chosen.output.mkdir(exist_ok=True)
    written = [chosen.output / f"benchmark-{engine.program}.{kind}" for kind in ("json", "svg")]
    for path, content in zip(written, (json.dumps(result.json, indent=2) + "\n", result.svg)):
        path.write_text(content)
    print(result.text)
    print(f"Written: {' and '.join(map(str, written))}")
    return 0


@dataclasses.dataclass(frozen=True)
class Result:
    """What is shown and kept."""

    json: dict[str, Any]
    svg: str
    text: str


def numbers(given: str) -> list[int]:
    """The numbers of a list with commas."""
    return [int(part) for part in given.split(",")]


def say(line: str) -> None:
    """Tell how far it is; a benchmark takes minutes."""
    print(f"{datetime.now():%H:%M:%S} {line}", flush=True)


def layout_name(workers: int) -> str:
    """What a cluster's size is called: ``1 node``, ``1+2 nodes``."""
    return f"1+{workers} nodes" if workers else "1 node"


def loop_seconds() -> float:
    """How fast a core is today: ten million additions in a loop of this Python, by which goals can be compared."""
    started, total = time.perf_counter(), 0
    for number in range(10_000_000):
        total += number
    return time.perf_counter() - started


def ping() -> float:
    """Seconds of a play with one ping: what Ansible takes by itself."""
    return follow(("ansible-playbook", "benchmarks/ping.yml"), {}, time.monotonic()).seconds


def site(engine: Engine, scratch: Path, environment: dict[str, str] | None = None) -> tuple[float, str]:
    """Run the whole of site.yml for our cluster; return its seconds and output."""
    done = follow(
        ("ansible-playbook", "playbooks/site.yml", *kic_variables(OURS, engine, scratch)),
        {"ANSIBLE_NOCOLOR": "1", **(environment or {})},
        time.monotonic(),
    )
    return done.seconds, done.output


def rerun(engine: Engine, scratch: Path) -> dict[str, Any]:
    """Run site.yml on what stands already, once, and count the calls of the engine; then a ping, to compare with."""
    real = shutil.which(engine.program)
    log, wrapper = scratch / "calls", scratch / "path" / engine.program
    log.write_text("")
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(COUNTER.format(log=log, program=real))
    wrapper.chmod(0o755)
    seconds, output = site(engine, scratch, {"PATH": f"{wrapper.parent}:{os.environ['PATH']}"})
    changed = re.findall(r"\bchanged=(\d+)", output)
    if not changed or any(count != "0" for count in changed):
        raise BenchmarkError(f"the second run of site.yml was to change nothing:\n{output[-2000:]}")
    calls = log.read_text().splitlines()
    if not calls:
        raise BenchmarkError(f"site.yml did not call {engine.program} by PATH, so its calls could not be counted")
    return {"seconds": seconds, "calls": calls, "ping": ping()}


@dataclasses.dataclass(frozen=True)
class Standing:
    """What a cluster that stands costs."""

    image: str
    image_size: int
    reruns: list[dict[str, Any]]
    memory: int
    """Bytes of the processes of its one node, shared ones by their share (PSS), a minute after Ready."""

    @property
    def json(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "seconds": dataclasses.asdict(self.seconds),
            "pings": dataclasses.asdict(self.pings),
            "runs": self.reruns,
        }

    @property
    def seconds(self) -> Spread:
        """Of a run that changes nothing."""
        return Spread.of([one["seconds"] for one in self.reruns])

    @property
    def pings(self) -> Spread:
        """Of the same, in plays with one ping, each next to it in time."""
        return Spread.of([one["seconds"] / one["ping"] for one in self.reruns])

    def text(self) -> str:
        """For the terminal."""
        calls = Spread.of([len(one["calls"]) for one in self.reruns])
        return (
            f"Re-run of site.yml, nothing changed:    {self.seconds.seconds()}, {self.pings.median:.1f} pings, "
            f"{calls.median:.0f} calls of the engine\n"
            f"Processes of the node, a minute after Ready: {self.memory / 2**20:.0f} MiB (PSS)\n"
            f"Image {self.image}: {self.image_size / 1e6:.0f} MB in the engine\n"
        )


def standing(engine: Engine, reruns: int, scratch: Path) -> Standing:
    """Make our cluster by the whole of site.yml and re-run that."""
    say("site.yml from whatever there is: host, image, cluster")
    first, _output = site(engine, scratch)
    ready = time.monotonic()
    container = engine.inspect(f"{OURS}-control-plane-1")
    image = container["Config"]["Image"]
    size = int(engine.run("image", "inspect", "--format", "{{.Size}}", image))
    say(f"done in {first:.1f} s; re-running it {reruns} times")
    repeated = [rerun(engine, scratch) for _number in range(reruns)]
    time.sleep(max(0.0, ready + 60 - time.monotonic()))
    return Standing(image, size, repeated, proportional_memory(container["State"]["Pid"], container["Id"]))


def measure(engine: Engine, chosen: argparse.Namespace, cache: Path, scratch: Path) -> Result:
    """Prepare, re-run site.yml, play the pairs of each layout, sum up."""
    if left := leftovers(engine):
        raise BenchmarkError(f"there is something of an earlier run, remove it first: {', '.join(left)}")
    loop = loop_seconds()
    ours_standing = standing(engine, chosen.reruns, scratch)
    layouts: list[Layout] = []
    with kind(THEIRS, engine, ours_standing.image, cache, scratch, chosen.workers) as all_theirs:
        remove(kic(OURS, engine, ours_standing.image, scratch, 0), engine)
        unable = obstacle(engine, all_theirs[0])
        for workers, theirs in zip(chosen.workers, all_theirs):
            ours = kic(OURS, engine, ours_standing.image, scratch, workers)
            say(layout_name(workers))
            layouts.append(
                Layout(layout_name(workers), play(engine, chosen.pairs, [ours] if unable else [ours, theirs]), unable)
            )
    machine = {
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "loop": min(loop, loop_seconds()),
        engine.program: engine.run("--version"),
    }
    rounds_of = f"{chosen.pairs} rounds" if unable else f"{chosen.pairs} alternating pairs"
    subtitle = f"{rounds_of}, {machine['cores']} cores, loop {machine['loop']:.2f} s, {machine[engine.program]}"
    return Result(
        json={
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": machine,
            "image": {"name": ours_standing.image, "size": ours_standing.image_size},
            "rerun": ours_standing.json,
            "memory": ours_standing.memory,
            "layouts": {layout.name: layout.json for layout in layouts},
        },
        svg=picture(layouts, subtitle, ours_standing.pings.median),
        text="\n".join([*(layout.text() for layout in layouts), subtitle, ours_standing.text()]),
    )


def leftovers(engine: Engine) -> list[str]:
    """What is there of either cluster."""
    return [*engine.leftovers(OURS), *engine.leftovers(THEIRS)]


def obstacle(engine: Engine, contender: Contender) -> str:
    """Why a contender can make no cluster here, in its own words; "" where it can.

    A machine that withholds capabilities lets docker start no privileged container, and kind asks for no other.
    """
    if engine.program == "podman":
        return ""
    say(f"whether {contender.name} runs here on {engine.program}")
    try:
        follow(contender.create, contender.environment, time.monotonic())
    except BenchmarkError as error:
        words = [line.strip() for line in str(error).splitlines() if "ERROR" in line or "rror response" in line]
        return " ".join(words) or str(error)
    finally:
        remove(contender, engine)
    return ""


def play(engine: Engine, pairs: int, contenders: list[Contender]) -> dict[str, list[Round]]:
    """Play the pairs; who begins changes from pair to pair. What a failed round leaves is removed."""
    rounds: dict[str, list[Round]] = {contender.name: [] for contender in contenders}
    for number in range(pairs):
        for contender in contenders if number % 2 == 0 else contenders[::-1]:
            try:
                one = play_round(contender, engine)
            except BaseException:
                remove(contender, engine)
                raise
            if left := leftovers(engine):
                raise BenchmarkError(f"{contender.name} left {', '.join(left)}; the next round would not start clean")
            rounds[contender.name].append(one)
            say(
                f"pair {number + 1}: {contender.name}: Ready {one.marks['ready']:.2f} s, ended {one.exit:.2f} s, "
                f"teardown {one.delete:.2f} s, load before {one.load_before:.1f}"
            )
    return rounds


if __name__ == "__main__":
    sys.exit(main())
