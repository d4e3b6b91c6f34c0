#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Gives the load balancer, whose first process this container has, the configuration of standard input: the file $1.
set -euo pipefail
umask 022
cat >"$1.new"
haproxy -c -q -f "$1.new"
mv "$1.new" "$1"
kill -HUP 1
# It is not to be said to work before it does.
port=$(sed -n 's/^ *bind .*:\([0-9]*\).*/\1/p' "$1" | head -n 1)
end=$((SECONDS + 10))
until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
  if [ $SECONDS -ge $end ]; then echo "HAProxy does not listen on port $port" >&2; exit 1; fi
  sleep 0.05
done
