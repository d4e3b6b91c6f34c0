# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# What pod-network does with the Node objects of the API. A node may write any text into its own status, so nothing of it
# is used before it has been read as an address or a range; a node of which something is wrong is named and skipped.

def binary($width): reduce range($width) as $_ ([., ""]; [(.[0] / 2 | floor), "\(.[0] % 2)" + .[1]]) | .[1];
def hex: ascii_downcase | explode | reduce .[] as $c (0; . * 16 + $c - (if $c > 96 then 87 else 48 end));
def shown: tojson[:80];

# An address as text of 32 or 128 bits; null of anything else.
def bits:
  if test("\\A(0|[1-9][0-9]{0,2})(\\.(0|[1-9][0-9]{0,2})){3}\\z") then
    split(".") | map(tonumber) | if all(. < 256) then map(binary(8)) | add else null end
  elif test("\\A[0-9A-Fa-f:]*:[0-9A-Fa-f:]*\\z") then
    [split("::")[] | if . == "" then [] else split(":") end] as $halves
    | (8 - ($halves | map(length) | add)) as $gap
    | if ($halves | length) == 2 and $gap > 0 then $halves[0] + [range($gap) | "0"] + $halves[1]
      elif ($halves | length) == 1 then $halves[0] else [] end
    | if length == 8 and all(test("\\A[0-9A-Fa-f]{1,4}\\z")) then map(hex | binary(16)) | add else null end
  else null end;

def family: if length > 32 then 6 else 4 end;

# A range as its family and the bits that its addresses share; null of anything else.
def network:
  split("/") as $parts
  | if ($parts | length) == 2 and ($parts[1] | test("\\A[1-9][0-9]{0,2}\\z")) then
      ($parts[0] | bits) as $bits | ($parts[1] | tonumber) as $length
      | if $bits and $length <= ($bits | length) and ($bits[$length:] | contains("1") | not)
        then {family: ($bits | family), bits: $bits[:$length]} else null end
    else null end;

# The destination of a route, where a single host has no length.
def destination:
  if contains("/") then network
  else bits as $bits | if $bits then {family: ($bits | family), bits: $bits} else null end end;

def within($other): .family == $other.family and (.bits | startswith($other.bits));
def overlaps($other): . as $one | within($other) or ($other | within($one));

# Of an event of a watch: its type, the node's name and what is used of the node, as one line.
def event:
  .type as $type
  | if $type == "BOOKMARK" or $type == "ERROR" then "\($type) - -"
  else .object
    | (.spec.podCIDRs // ([.spec.podCIDR] | map(select(. != null)))) as $ranges
    | {name: .metadata.name, created: .metadata.creationTimestamp, ranges: $ranges,
       addresses: [.status.addresses[]? | select(.type == "InternalIP") | .address]} as $node
    | select($node.name | test("\\A[a-z0-9][a-z0-9.-]*\\z"))
    | "\($type) \($node.name) \($node | tojson)"
  end;

# Why a node's range is not used; null where it is.
def range_problem($item; $taken; $subnets; $connected):
  ($subnets | split(",") | map(network) | map(select(.))) as $allowed
  | $item.net as $net
  | if $net == null then "its pod range \($item.range | shown) is not a valid range"
    else
      first($taken[] | select(.net | overlaps($net))
        | "its pod range \($item.range) overlaps \(.range) of the node \(.name)")
      // (if $item.own then null
          elif ($allowed | length) > 0 and all($allowed[]; . as $one | $net | within($one) | not)
          then "its pod range \($item.range) is not in the pod subnet \($subnets) of the cluster"
          else first($connected[] | select(destination as $other | $other != null and ($other | overlaps($net)))
            | "its pod range \($item.range) overlaps \(.), to which this node is connected") // null end)
    end;

# Why an address cannot be that of another node; null where it can. $mine are the addresses of this node.
def address_problem($family; $mine):
  bits as $bits
  | if $bits == null or ($bits | family) != $family then "its address \(shown) is not a valid address"
    elif any($mine[]; bits == $bits) then "its address \(.) is an address of this node"
    # Unspecified and this network, loopback, multicast and reserved; of IPv6 also link-local, which needs an interface.
    elif ($family == 4 and any("00000000", "01111111", "111"; . as $start | $bits | startswith($start)))
      or ($family == 6 and ($bits[:127] | contains("1") | not))
      or ($family == 6 and ($bits | startswith("11111111") or startswith("1111111010")))
    then "its address \(.) is not an address that a node can have"
    else null end;

# The lines of a range that is used.
def lines($item; $mine):
  "pods \($item.net.family) \($item.range)",
  if $item.own then "own \($item.net.family) \($item.range)"
  else
    first($item.addresses[] | select(contains(":") == ($item.net.family == 6)))
    | address_problem($item.net.family; $mine) as $problem
    | if $problem then "problem \($item.name) \($problem)"
      else "route \($item.net.family) \($item.range) \(.) \($item.name)" end
  end;

# Of all nodes: "own|pods FAMILY RANGE", "route FAMILY RANGE ADDRESS NODE" and "problem NODE TEXT". This node comes first
# and then the older ones: a range belongs to the node that had it first. $subnets is empty where nobody knows it.
# Arguments: name, subnets, connected (networks) and mine (addresses).
def decide:
  $ARGS.named as {$name, $subnets, $connected, $mine}
  | reduce (sort_by(.name != $name, .created, .name)[] | . as $node | .ranges[]
    | {name: $node.name, own: ($node.name == $name), addresses: $node.addresses, range: ., net: network}) as $item (
      {taken: [], lines: []};
      range_problem($item; .taken; $subnets; $connected) as $problem
      | if $problem then .lines += ["problem \($item.name) \($problem)"]
        else .taken += [$item] | .lines += [lines($item; $mine)] end)
  | .lines[];

# Of our routes (ip -j route show) those that are not among the ranges of the argument kept.
def stale:
  [$ARGS.named.kept | split("\n")[] | network | select(.)] as $kept
  | .[].dst | select(destination as $one | $kept | any(. == $one) | not);
