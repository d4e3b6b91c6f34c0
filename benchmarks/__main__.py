# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""make bench: the cluster step of site.yml against kind, on the same podman with the same image. See README.md."""

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

from .contenders import (
    ROOT,
    BenchmarkError,
    Contender,
    Round,
    follow,
    kic,
    kic_variables,
    kind,
    leftovers,
    play_round,
    podman,
    remove,
)
from .report import Spread, figures, picture, ratios, text
from .watcher import Store

OURS, THEIRS = "bench-kic", "bench-kind"

COUNTER = """#!/bin/sh
printf '%s\\n' "$1 $2" >>'{log}'
exec '{podman}' "$@"
"""


def main() -> int:
    """Run the benchmark; the exit code is 1 when a round failed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="rounds of each contender (default: %(default)s)")
    parser.add_argument("--reruns", type=int, default=3, help="runs of site.yml that change nothing")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="directory of benchmark.json and .svg")
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        print("make bench needs root, as rootful podman does: sudo make bench", file=sys.stderr)
        return 1
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nodeforge.kic" / "bench"
    with tempfile.TemporaryDirectory(prefix="nodeforge-kic-bench-") as scratch:
        try:
            result = measure(chosen.pairs, chosen.reruns, cache, Path(scratch))
        except BenchmarkError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    chosen.output.mkdir(exist_ok=True)
    chosen.output.joinpath("benchmark.json").write_text(json.dumps(result.json, indent=2) + "\n")
    chosen.output.joinpath("benchmark.svg").write_text(result.svg)
    print(result.text)
    print(f"Written: {chosen.output}/benchmark.json and benchmark.svg")
    return 0


@dataclasses.dataclass(frozen=True)
class Result:
    """What is shown and kept."""

    json: dict[str, Any]
    svg: str
    text: str


def say(line: str) -> None:
    """Tell how far it is; a benchmark takes minutes."""
    print(f"{datetime.now():%H:%M:%S} {line}", flush=True)


def site(scratch: Path, environment: dict[str, str] | None = None) -> tuple[float, str]:
    """Run the whole of site.yml for our cluster; return its seconds and output."""
    done = follow(
        ("ansible-playbook", "playbooks/site.yml", *kic_variables(OURS, scratch)),
        {"ANSIBLE_NOCOLOR": "1", **(environment or {})},
        time.monotonic(),
    )
    return done.seconds, done.output


def rerun(scratch: Path) -> dict[str, Any]:
    """Run site.yml on what stands already, once, and count the calls of the engine."""
    real = shutil.which("podman")
    log, wrapper = scratch / "calls", scratch / "path" / "podman"
    log.write_text("")
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(COUNTER.format(log=log, podman=real))
    wrapper.chmod(0o755)
    seconds, output = site(scratch, {"PATH": f"{wrapper.parent}:{os.environ['PATH']}"})
    changed = re.findall(r"\bchanged=(\d+)", output)
    if not changed or any(count != "0" for count in changed):
        raise BenchmarkError(f"the second run of site.yml was to change nothing:\n{output[-2000:]}")
    calls = log.read_text().splitlines()
    if not calls:
        raise BenchmarkError("site.yml did not call podman by PATH, so its calls could not be counted")
    return {"seconds": seconds, "calls": calls}


def measure(pairs: int, reruns: int, cache: Path, scratch: Path) -> Result:
    """Prepare, play the pairs, re-run site.yml, sum up."""
    if left := [*leftovers(OURS), *leftovers(THEIRS)]:
        raise BenchmarkError(f"there is something of an earlier run, remove it first: {', '.join(left)}")
    say("site.yml from whatever there is: host, image, cluster")
    first, _output = site(scratch)
    image = podman("container", "inspect", "--format", "{{.ImageName}}", f"{OURS}-control-plane-1")
    size = int(podman("image", "inspect", "--format", "{{.Size}}", image))
    say(f"done in {first:.1f} s; re-running it {reruns} times")
    repeated = [rerun(scratch) for _number in range(reruns)]
    with kind(THEIRS, image, cache, scratch) as theirs:
        ours = kic(OURS, image, scratch)
        remove(ours)
        rounds = play(pairs, ours, theirs)
    found = {name: figures(those) for name, those in rounds.items()}
    mine, other = rounds.values()
    ratio = ratios(mine, other)
    again = Spread.of([one["seconds"] for one in repeated])
    calls = Spread.of([len(one["calls"]) for one in repeated])
    machine = {
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "podman": podman("--version"),
    }
    shown = text(found, ratio) + (
        f"\nRe-run of site.yml, nothing changed:    {again.seconds()}, {calls.median:.0f} calls of the engine"
        f"\nImage {image}: {size / 1e6:.0f} MB in the engine\n"
    )
    subtitle = (
        f"{pairs} alternating pairs, {machine['cores']} cores, {machine['podman']}; "
        f"ratio {ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
    )
    return Result(
        json={
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": machine,
            "image": {"name": image, "size": size},
            "ratio": dataclasses.asdict(ratio),
            "rerun": {"seconds": dataclasses.asdict(again), "runs": repeated},
            "summary": {name: dataclasses.asdict(one) for name, one in found.items()},
            "rounds": {name: [dataclasses.asdict(one) for one in those] for name, those in rounds.items()},
        },
        svg=picture(found, {name: [one.marks["ready"] for one in those] for name, those in rounds.items()}, subtitle),
        text=shown,
    )


def play(pairs: int, ours: Contender, theirs: Contender) -> dict[str, list[Round]]:
    """Play the pairs; who begins changes from pair to pair. What a failed round leaves is removed."""
    store = Store()
    rounds: dict[str, list[Round]] = {ours.name: [], theirs.name: []}
    for number in range(pairs):
        order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        for contender in order:
            try:
                one = play_round(contender, store)
            except BaseException:
                remove(contender)
                raise
            if left := [*leftovers(OURS), *leftovers(THEIRS)]:
                raise BenchmarkError(f"{contender.name} left {', '.join(left)}; the next round would not start clean")
            rounds[contender.name].append(one)
            say(
                f"pair {number + 1}: {contender.name}: Ready {one.marks['ready']:.2f} s, ended {one.exit:.2f} s, "
                f"teardown {one.delete:.2f} s, load before {one.load_before:.1f}"
            )
    return rounds


if __name__ == "__main__":
    sys.exit(main())
