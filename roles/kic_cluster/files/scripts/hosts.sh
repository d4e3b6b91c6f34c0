#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Keeps the lines of standard input in the file $1, and puts them into /etc/hosts in place of those that end with the name $2
# (a pattern of grep -E).
umask 022
mkdir -p "${1%/*}"
cat >"$1"
# In place: /etc/hosts is a mount of the engine's.
new=$(grep -vE "[[:space:]]$2$" /etc/hosts; cat "$1")
echo "$new" >/etc/hosts
