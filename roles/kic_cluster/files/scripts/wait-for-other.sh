#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Waits up to $2 seconds until nobody holds the lock $1; "waited" where somebody did, or has done since $3 was seen of it (`kubeadm`
# of look.sh): what was seen in the node then may have changed.
[ -e "$1.lock" ] || exit 0
exec 9>>"$1.lock"
if ! flock --shared --nonblock 9; then
  if flock --shared --timeout "$2" 9; then echo waited; exit 0; fi
  cat "$1.holder"
  exit 75
fi
if [ "free $(cat "$1.holder")" != "$3" ]; then echo waited; fi
