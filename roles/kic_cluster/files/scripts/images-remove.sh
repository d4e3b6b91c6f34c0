#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Takes names from images of a node, as arguments; the image goes with its last one. A name that is gone already is fine.
set -euo pipefail
for name in "$@"; do
  output=$(ctr --namespace k8s.io images rm --sync "$name" 2>&1) || case $output in *"not found"*) ;; *) echo "$output" >&2; exit 1 ;; esac
done
