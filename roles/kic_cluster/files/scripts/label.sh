#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Labels the node $2, for up to $1 seconds: kubelet registers its node some time after the join.

end=$((SECONDS + $1))
node=$2
shift 2
until said=$(kubectl --kubeconfig=/etc/kubernetes/admin.conf label node "$node" --overwrite "$@" 2>&1); do
  if [ $SECONDS -ge $end ]; then echo "$said"; exit 1; fi
  sleep 0.3
done
