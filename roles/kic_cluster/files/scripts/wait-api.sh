#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Waits up to $1 seconds for the API; $2 may name a server in place of that of the configuration.

end=$((SECONDS + $1))
until said=$(kubectl --kubeconfig=/etc/kubernetes/admin.conf ${2:+"$2"} get --raw /readyz 2>&1); do
  if [ $SECONDS -ge $end ]; then echo "$said"; exit 1; fi
  sleep 0.3
done
