#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Has the cluster's name lead to its API. On standard input is {hosts, balancer}: lines, which are kept in the file $1 and put into
# /etc/hosts in place of those that end with the name $2 (a pattern of grep -E); and the configuration of this node's own load
# balancer, which is kept in the file $3, or nothing where it has none.
set -euo pipefail
umask 022
mkdir -p "${1%/*}"
given=$(cat)
jq -r '.balancer' <<<"$given" >"$3.new"
if grep -q . "$3.new"; then
  haproxy -c -q -f "$3.new"
  mv "$3.new" "$3"
  # What clients are connected through stays until it ends.
  systemctl reload-or-restart kic-api.service
else
  rm -f "$3.new" "$3"
fi
jq -r '.hosts | rtrimstr("\n")' <<<"$given" >"$1"
# In place: /etc/hosts is a mount of the engine's.
new=$(grep -vE "[[:space:]]$2$" /etc/hosts; cat "$1")
echo "$new" >/etc/hosts
