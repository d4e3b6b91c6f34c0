#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Waits up to $2 seconds until nobody holds the lock $1; "waited" where somebody did.
[ -e "$1.lock" ] || exit 0
exec 9>>"$1.lock"
if flock --shared --nonblock 9; then exit 0; fi
if flock --shared --timeout "$2" 9; then echo waited; exit 0; fi
cat "$1.holder"
exit 75
