#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Restarts in the node $2 what the file $1 names, static pods and kubelet: it works with certificates that were renewed, and does
# not read them again by itself. kubelet starts the containers again that have ended. It is restarted in any case: what failed
# for want of a certificate waits for up to five minutes, which kubelet forgets then. An end takes up to $3 seconds.
read -r -a names <"$1" 2>/dev/null || exit 0
node=$2
seconds=$3
ctr="ctr --namespace k8s.io"

containers() { # names of static pods
  local name filter filters=()
  for name in "$@"; do
    # The name of a container alone may be a user's too.
    filter="labels.\"io.kubernetes.pod.namespace\"==kube-system,labels.\"io.kubernetes.pod.name\"==\"$name-$node\""
    filters+=("$filter,labels.\"io.kubernetes.container.name\"==\"$name\"")
  done
  if [ ${#filters[@]} -gt 0 ]; then $ctr containers list --quiet "${filters[@]}"; fi
}
run() {
  $ctr tasks list | awk -v wanted="$ids" '
    BEGIN { split(wanted, list); for (at in list) ours[list[at]] = 1 }
    ($1 in ours) && $3 == "RUNNING" { print $1 }'
}
signal() { for id in $(run); do $ctr tasks kill --signal "$1" "$id" 2>/dev/null; done; }
stop() { # names of static pods
  local end=$((SECONDS + seconds))
  ids=$(containers "$@" | tr '\n' ' ')
  if [ -z "${ids// /}" ]; then return 0; fi
  signal SIGTERM
  while [ -n "$(run)" ]; do
    if [ $SECONDS -ge $end ]; then signal SIGKILL; fi
    if [ $SECONDS -ge $((end + 10)) ]; then echo "still running: $(run | tr '\n' ' ')"; return 1; fi
    sleep 0.1
  done
}

others=() etcd=()
for name in "${names[@]}"; do
  case $name in
    kubelet) ;;
    etcd) etcd=(etcd) ;;
    *) others+=("$name") ;;
  esac
done
# The API ends with words to its etcd.
stop "${others[@]}" && stop "${etcd[@]}" || exit 1
systemctl reset-failed kubelet 2>/dev/null
systemctl restart kubelet 2>&1 || exit 1
rm -f "$1"
