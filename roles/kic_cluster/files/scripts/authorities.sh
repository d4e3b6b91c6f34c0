#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Writes the cluster's keys, a tar archive on standard input, into the directory $1.
set -euo pipefail
umask 077
mkdir -p "$1"
exec tar -C "$1" --no-same-owner -xf -
