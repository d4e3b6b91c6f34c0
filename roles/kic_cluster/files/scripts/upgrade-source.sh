#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in a container of a node image: prints an archive of the images that its kubeadm deploys, or kubeadm itself.
# Argument: images, or kubeadm.
set -euo pipefail
exec 3>&1 1>&2
if [ "$1" = kubeadm ]; then exec cat "$(readlink -f "$(command -v kubeadm)")" >&3; fi
own=/usr/local/lib/nodeforge.kic/images
if [ -d /kind/images/oci ] && [ -x "$own" ]; then
  # Of this collection: the layers lie unpacked.
  work=$(mktemp -d)
  cp -r /kind/images/oci/. "$work"
  while read -r name digest; do "$own" layer "$name" >"$work/blobs/sha256/$digest"; done </kind/images/layers.list
  exec tar --create --file=- --directory="$work" . >&3
fi
# As kind has it: in containerd's store, which a containerd with neither network nor privileges reads too.
log=$(mktemp)
containerd >"$log" 2>&1 &
ctr() { command ctr --namespace k8s.io "$@"; }
for _attempt in $(seq 150); do
  if ctr version >/dev/null 2>&1; then break; fi
  sleep 0.2
done
mapfile -t wanted < <(kubeadm config images list --kubernetes-version "$(cat /kind/version)")
ctr images export - "${wanted[@]}" >&3 || { tail -n 5 "$log"; exit 1; }
