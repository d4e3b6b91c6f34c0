#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Applies manifests, on standard input as [{name, content} or {name, path}], each in a call of its own: the failure of one names
# that one. No other try begins after $1 seconds; $2 is by which output a failed apply may be repeated (a pattern of grep -E).
set -uo pipefail
input=$(cat)
status=0
for name in $(jq -r '.[].name' <<<"$input"); do
  path=$(jq -r --arg name "$name" '.[] | select(.name == $name) | .path // empty' <<<"$input")
  if [ -n "$path" ] && [ ! -s "$path" ]; then continue; fi
  validate=$(jq -r --arg name "$name" '.[] | select(.name == $name) | .validate != false' <<<"$input")
  # A slow API takes longer to describe its types for the first time than kubectl or the API waits; asked again, it has them.
  until said=$(jq -r --arg name "$name" '.[] | select(.name == $name) | .content // empty' <<<"$input" |
    kubectl --kubeconfig=/etc/kubernetes/admin.conf apply --validate="$validate" --openapi-patch=false \
      -f "${path:--}" 2>&1); do
    if [ "$SECONDS" -lt "$1" ] && grep -qE "$2" <<<"$said"; then continue; fi
    echo "manifest-$name: $said"
    status=1
    break
  done
done
exit $status
