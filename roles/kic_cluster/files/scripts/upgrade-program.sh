#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Takes a program from standard input. Argument: its path.
set -euo pipefail
mkdir -p "${1%/*}"
cat >"$1.new"
chmod 0755 "$1.new"
mv "$1.new" "$1"
