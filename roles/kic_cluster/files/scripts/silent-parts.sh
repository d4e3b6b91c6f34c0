#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Prints the last lines of each part of the control plane that kubelet runs here and that does not answer. Arguments: where the
# manifests and the logs are, and LINES of each.
manifests=$1 logs=$2 lines=$3
part() { # name, URL of its health
  local code newest
  [ -s "$manifests/$1.yaml" ] || return 0
  code=$(curl --silent --insecure --max-time 2 --noproxy '*' --output /dev/null --write-out '%{http_code}' "$2" 2>/dev/null)
  # Where anonymous access is off, that is said by a part that is up.
  case $code in 2??|401|403) return 0 ;; esac
  # shellcheck disable=SC2012 # names of kubelet's own
  newest=$(ls -t "$logs/kube-system_$1"-*/"$1"/*.log 2>/dev/null | head -n 1)
  if [ -z "$newest" ]; then echo "$1 does not answer, and has not said anything"; return 0; fi
  echo "$1 does not answer; its last lines:"
  # Time, stream and a tag stand before each line (CRI's format of logs).
  tail -n "$lines" "$newest" | cut -d ' ' -f 4-
}
part etcd http://127.0.0.1:2381/health
part kube-apiserver https://127.0.0.1:6443/livez
part kube-controller-manager https://127.0.0.1:10257/healthz
part kube-scheduler https://127.0.0.1:10259/livez
