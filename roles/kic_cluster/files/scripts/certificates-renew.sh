#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Renews the certificates $3 and following with the configuration of standard input. The file $1 keeps in $2 what has to be
# restarted for it, until that is done (restart.sh): a run may end in between.
umask 077
mkdir -p "${1%/*}"
if [ -n "$2" ]; then echo "$2" >"$1"; fi
configuration=$(mktemp /run/nodeforge.kic.XXXXXX)
trap 'rm -f "$configuration"' EXIT
cat >"$configuration"
for name in "${@:3}"; do
  # Without a configuration it asks the API, which may be down for just this reason.
  kubeadm certs renew "$name" --config "$configuration" 2>&1 || exit 1
done
