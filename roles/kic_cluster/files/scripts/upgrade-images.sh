#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Takes the images of another release of Kubernetes from an archive on standard input, and keeps them from kubelet's clean-up.
set -euo pipefail
ctr() { command ctr --namespace k8s.io "$@"; }
snapshotter=$(containerd config dump | awk '
  /^ *\[/ { inside = /io\.containerd\.grpc\.v1\.cri.?\.containerd\]$|io\.containerd\.cri\.v1\.images.?\]$/ }
  inside && $1 == "snapshotter" { gsub(/["'\'']/, "", $3); print $3; exit }')
options=(${snapshotter:+--snapshotter="$snapshotter"})
help=$(ctr images import --help)
for option in --local --discard-unpacked-layers; do
  case $help in *"$option"*) options+=("$option") ;; esac
done
named() { ctr images ls | awk 'NR > 1 { print $1, $3 }' | sort; }
before=$(named)
ctr images import "${options[@]}" - >&2
while read -r name target; do
  case $name in sha256:*) continue ;; esac
  ctr images label "$name" io.cri-containerd.pinned=pinned >/dev/null
  # Kubernetes knows an image when containerd's part for it has seen it, and has named it by its id too.
  for _attempt in $(seq 300); do
    if named | awk -v target="$target" '$2 == target && $1 ~ /^sha256:/ { found = 1 } END { exit !found }'; then continue 2; fi
    sleep 0.1
  done
  echo "containerd has imported the image $name, and its part for Kubernetes does not show it after 30 seconds" >&2
  exit 1
done < <(comm -13 <(echo "$before") <(named))
