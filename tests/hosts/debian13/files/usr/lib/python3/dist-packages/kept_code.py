# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps what the Python of this host compiles from archives, by the text that it is compiled from.

Ansible sends the source of a module and of all that it imports at each task, in an archive, of which Python keeps nothing
(zipimport looks for compiled files there, but never writes one). On a real machine compiling takes a tenth of a second;
emulated it is three quarters of each task. All users share the directory: nobody but the tests is on this host.
"""

from __future__ import annotations

import marshal
import os
import zipimport
from _imp import source_hash
from types import CodeType

FOLDER = "/var/cache/kept-code"
_compile = vars(zipimport)["_compile_source"]


def _kept(path: str, source: bytes) -> CodeType:
    """The code of a source, as zipimport has it compiled; its file is named as it was when it was compiled."""
    name = f"{FOLDER}/{source_hash(0, source).hex()}"
    try:
        with open(name, "rb") as known:
            found: CodeType = marshal.loads(known.read())
        return found
    except OSError:
        pass
    code: CodeType = _compile(path, source)
    try:
        with open(f"{name}.{os.getpid()}", "wb") as new:
            new.write(marshal.dumps(code))
        os.rename(new.name, name)
    except OSError:
        # A full disk is the matter of what runs, not of this.
        pass
    return code


vars(zipimport)["_compile_source"] = _kept
