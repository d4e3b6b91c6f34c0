# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node image is made of, and the keys that name each part by its content.

A part is made again when its key is: the key is a digest over the part's inputs and over the code that makes it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

# Go's names of architectures, which images carry, by the kernel's names.
ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}


def digest(*parts: object) -> str:
    """The key of anything that JSON can hold: 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def tree_digest(root: Path, names: list[str] | None = None) -> str:
    """The key of files by name, kind, mode and content; of a whole tree without names."""
    found: list[list[str | bool]] = []
    for path in sorted(root / name for name in names) if names is not None else sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found.append([name, "link", str(path.readlink())])
        elif path.is_file() and "__pycache__" not in path.parts:
            executable = bool(path.stat().st_mode & 0o111)
            found.append([name, executable, hashlib.sha256(path.read_bytes()).hexdigest()])
    return digest(found)


def code_digest(*modules: str) -> str:
    """The key of modules of this program."""
    return digest([(HERE / f"{module}.py").read_text(encoding="utf-8") for module in modules])


@dataclass(frozen=True)
class Recipe:
    """A recipe as read, with the paths in it made absolute.

    directory: holds recipe.json; values: recipe.json over the one it is based on; go_directory: the program sets. Of a
    program among its `modules` another go.mod counts than the one next to its source: that of another release.
    """

    directory: Path
    values: dict[str, Any]
    go_directory: Path
    architecture: str

    @classmethod
    def load(cls, directory: Path, release: str = "") -> Recipe:
        """The recipe of a directory; where it has one of its own for a release of Kubernetes, such as 1.34 or 1.34.4, that."""
        own = directory / "recipes" / ".".join(release.lstrip("v").split(".")[:2])
        if release and (own / "recipe.json").is_file():
            directory = own
        values, base = cls._read(directory), directory
        if "based_on" in values:
            base = (directory / values["based_on"]).resolve()
            values = {**cls._read(base), **values}
        machine = platform.machine()
        return cls(directory, values, base / "go", ARCHITECTURES.get(machine, machine))

    @staticmethod
    def _read(directory: Path) -> dict[str, Any]:
        """recipe.json, with the paths in it made absolute: those of a recipe that another is based on stay its own."""
        values: dict[str, Any] = json.loads((directory / "recipe.json").read_text(encoding="utf-8"))

        def absolute(name: str) -> str:
            return str((directory / name).resolve())

        if "trees" in values:
            values["trees"] = [absolute(name) for name in values["trees"]]
        if "taken" in values:
            values["taken"] = {absolute(tree): names for tree, names in values["taken"].items()}
        for kind in ("files", "modules"):
            if kind in values:
                values[kind] = {name: absolute(path) for name, path in values[kind].items()}
        return values

    def version(self, program: str) -> str:
        """The version of a program as its go.mod pins it, such as v1.35.4; empty for a program of our own."""
        module = self.values["programs"][program]["module"]
        if not module:
            return ""
        text = (self.modules(program) or self.go_directory / program / "go.mod").read_text(encoding="utf-8")
        found = re.search(rf"^(?:require\s+|\s+){re.escape(module)} (v\S+)", text, re.MULTILINE)
        if not found:
            raise LookupError(f"{program}/go.mod names no version of {module}")
        return found.group(1)

    def modules(self, program: str) -> Path | None:
        """The go.mod that counts in place of the one next to the program's source, with its go.sum; None where there is none."""
        found = self.values.get("modules", {}).get(program)
        return Path(found) if found else None

    def fits(self, release: str) -> bool:
        """Whether it makes the release of Kubernetes, which may be a minor one: 1.34; "" is any."""
        own = self.version("kubernetes").lstrip("v")
        wanted = release.lstrip("v")
        return not wanted or own == wanted or own.startswith(f"{wanted}.")

    def linker_flags(self, program: str) -> str:
        flags = "-s -w"
        version = self.version(program)
        if program == "kubernetes":
            major, minor = version.lstrip("v").split(".")[:2]
            values = {
                "k8s.io/component-base/version.gitVersion": version,
                "k8s.io/component-base/version.gitMajor": major,
                "k8s.io/component-base/version.gitMinor": minor,
                "k8s.io/client-go/pkg/version.gitVersion": version,
            }
            flags += "".join(f" -X {name}={value}" for name, value in values.items())
        elif program == "local-path":
            flags += f" -X main.VERSION={version}"
        return flags

    def program_key(self, program: str, go_version: str) -> str:
        modules = self.modules(program)
        return digest(
            tree_digest(self.go_directory / program),
            tree_digest(modules.parent, ["go.mod", "go.sum"]) if modules is not None else "",
            self.values["programs"][program]["package"],
            self.linker_flags(program),
            go_version,
            self.architecture,
            code_digest("programs"),
        )

    def base_key(self) -> str:
        inputs = {name: self.values[name] for name in ("suite", "packages", "plugins", "unpacked", "kept")}
        return digest(inputs, self.architecture, code_digest("base"))

    def store_key(self, go_version: str) -> str:
        programs = [self.program_key(program, go_version) for program in self.values["programs"]]
        script = hashlib.sha256(self.images_script().read_bytes()).hexdigest()
        return digest(programs, self.base_key(), script, self.values["linked"], code_digest("store"))

    def image_key(self, go_version: str) -> str:
        node = [
            [tree_digest(root, names), names] if names is not None else tree_digest(root)
            for root, names in self.trees()
        ]
        single = {name: [tree_digest(path.parent, [path.name])] for name, path in self.files().items()}
        links = [self.values["enabled"], self.values["masked"]]
        return digest(self.values["name"], self.store_key(go_version), node, single, links, code_digest("archive"))

    def reference(self, go_version: str) -> str:
        """The image's full name, in a namespace that no registry answers for."""
        return f"{self.values['name']}:{self.version('kubernetes')}-{self.image_key(go_version)[:12]}"

    def trees(self) -> list[tuple[Path, list[str] | None]]:
        """Directories that mirror paths of the node, each with the names taken from it (None: all)."""
        taken = self.values.get("taken", {})
        return [(Path(name), taken.get(name)) for name in self.values["trees"]]

    def files(self) -> dict[str, Path]:
        return {name: Path(path) for name, path in self.values["files"].items()}

    def images_script(self) -> Path:
        """The program that packs layers, on the node as here, so that their digests are the same."""
        return HERE.parent / "node/usr/local/lib/nodeforge.kic/images"
