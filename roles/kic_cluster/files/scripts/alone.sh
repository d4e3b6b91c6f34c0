#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs a command whose processes hold the lock $1 for as long as one of them lives; $2 says who holds it. Ends with 75
# (EX_TEMPFAIL of sysexits.h) where another holds it.
mkdir -p "${1%/*}"
exec 9>>"$1.lock"
flock --exclusive --nonblock 9 || exit 75
echo "$2" >"$1.holder"
shift 2
exec "$@"
