#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Gives a node of a clone the pod network of the original, with its own addresses: the ranges of nodes are part of the data. $1 is
# the program of the pod network; on standard input is {own, nodes}: an address of this node, and those of all nodes by their names.
set -euo pipefail
from=/var/lib/nodeforge.kic/network-before
[ -s $from/rules.nft ] || exit 0
given=$(cat)
work=$(mktemp -d /run/nodeforge.kic.XXXXXX)
trap 'rm -rf "$work"' EXIT
cp $from/10-kic.conflist $from/rules.nft "$work"
jq -r .own <<<"$given" >"$work/address"
# RANGE ADDRESS NODE
jq -Rr --argjson given "$given" 'split(" ") as [$range, $_, $node] | ($range | contains(":")) as $six
  | ($given.nodes[$node] // [])[] | select(contains(":") == $six) | "\($range) \(.) \($node)"' $from/routes >"$work/routes"
tar --create --file=- --directory="$work" . | "$1" take
rm -rf $from
