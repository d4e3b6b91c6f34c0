#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Takes images from an archive (a tar in docker's or OCI's layout, not compressed) into containerd. $1 is a named pipe that it makes
# and reads, or empty for standard input. $2 is what is requested, as JSON: [{id, tag, names}], with the digest of the image's
# configuration and a name of it in the archive, one of which has to fit, and the names that it gets here. Ends with 3 where the
# archive does not hold what is requested.
#
# containerd's import writes each layer once more and waits for the disk (content/local/writer.go, Commit). What is on the file
# system of its store already is taken as it is: a layer is linked into the store by its digest, and registered
# (content_sharing_policy of its metadata, shared unless configured otherwise). Unpacking compares each layer with the digest in the
# image's configuration, and then the layer is removed again, mostly before it was written to the disk: what runs is the unpacked
# one (discard_unpacked_layers of containerd does the same to images from a registry). Where any of that fails, containerd imports
# the whole archive.
set -euo pipefail
export LC_ALL=C
pipe=$1 requested=$2

setting() { sed -n "s/^ *$1 *= *[\"']\\(.*\\)[\"'] *\$/\\1/p" <<<"$configuration" | head -n 1; }
snapshotter() {
  awk '
    /^ *\[/ { inside = /io\.containerd\.grpc\.v1\.cri.?\.containerd\]$|io\.containerd\.cri\.v1\.images.?\]$/ }
    inside && $1 == "snapshotter" { gsub(/["'\'']/, "", $3); print $3; exit }' <<<"$configuration"
}
ctr() { command ctr --namespace k8s.io "$@"; }
fail() { echo "$*" >&2; exit 3; }

configuration=$(containerd config dump)
root=$(setting root)
content=${root:=/var/lib/containerd}/io.containerd.content.v1.content/blobs/sha256
stage=$root/nodeforge.kic.images
unpack=$(snapshotter)

mkdir -p "$stage"
exec 9>"$stage/lock"
flock --exclusive 9
work=$stage/archive layout=$stage/layout
# What a load that was killed has left goes too.
clean() { rm -rf "$work" "$layout" ${pipe:+"$pipe"}; }
clean
trap clean EXIT
mkdir -p "$work" "$layout/blobs/sha256"
if [ -n "$pipe" ]; then
  mkdir -p "${pipe%/*}"
  mkfifo -m 0600 "$pipe"
  # Open for both, it does not wait for the other side; one that never comes must not hold the lock.
  exec 7<>"$pipe"
  end=$((SECONDS + 60))
  until read -r -t 0 -u 7; do
    if [ "$SECONDS" -ge "$end" ]; then
      echo "nothing was written to $pipe" >&2
      exit 1
    fi
    sleep 0.02
  done
  exec <"$pipe" 7>&-
  rm "$pipe"
fi
tar --extract --file=- --directory="$work" --no-same-owner --no-same-permissions
# Something may follow the archive's end.
cat >/dev/null

# A member of the archive; nothing outside of it is meant, whatever an archive says.
member() { # path
  local found
  found=$(realpath --canonicalize-existing -- "$work/$1" 2>/dev/null) || fail "the archive has no member $1"
  case $found in "$work"/*) ;; *) fail "the member $1 leads out of the archive" ;; esac
  [ -f "$found" ] || fail "the member $1 of the archive is not a file"
  echo "$found"
}
sum() { sha256sum <"$1" | cut -d ' ' -f 1; }
blob() { # file, digest: into the layout
  [ -e "$layout/blobs/sha256/$2" ] || ln "$1" "$layout/blobs/sha256/$2"
}
compression() { # file
  case $(head -c 4 "$1" | od -An -tx1 | tr -d ' ') in
    1f8b*) echo +gzip ;;
    28b52ffd) echo +zstd ;;
  esac
}

layers=() entries=() loaded=()
entry() { # manifest's digest, its media type, the image's id, JSON of ids by which it was requested, JSON of names
  local size
  size=$(stat -c %s "$layout/blobs/sha256/$1")
  entries+=("$(jq -nc --arg digest "sha256:$1" --arg type "$2" --argjson size "$size" --argjson names "$5" '
    {mediaType: $type, $digest, $size, annotations: {"io.containerd.image.name": $names[0]}}')")
  loaded+=("$1 $3 $(jq -r '(first(.[] | select(. != "")) // "none")' <<<"$4") $(jq -r 'join(" ")' <<<"$5")")
}

from_docker() {
  local found config identity file digest types=() digests=() sizes=() kind
  while read -r item; do
    found=$(jq -c '.found // empty' <<<"$item")
    [ -n "$found" ] || fail "the archive has no image $(jq -r '.names[0]' <<<"$item")"
    config=$(member "$(jq -r .Config <<<"$found")")
    identity=$(sum "$config")
    blob "$config" "$identity"
    mapfile -t paths < <(jq -r '.Layers[]' <<<"$found")
    mapfile -t unpacked < <(jq -r '.rootfs.diff_ids[]?' "$config")
    [ "${#paths[@]}" = "${#unpacked[@]}" ] || fail "the archive has ${#paths[@]} of ${#unpacked[@]} layers"
    types=() digests=() sizes=()
    for at in "${!paths[@]}"; do
      file=$(member "${paths[$at]}")
      kind=$(compression "$file")
      # The digest of a layer that is not compressed is in the configuration, and compared by containerd.
      if [ -z "$kind" ]; then digest=${unpacked[$at]#sha256:}; else digest=$(sum "$file"); fi
      blob "$file" "$digest"
      layers+=("$digest")
      types+=("application/vnd.oci.image.layer.v1.tar$kind") digests+=("sha256:$digest") sizes+=("$(stat -L -c %s "$file")")
    done
    jq -nc --arg config "sha256:$identity" --argjson size "$(stat -c %s "$config")" --arg types "${types[*]}" \
      --arg digests "${digests[*]}" --arg sizes "${sizes[*]}" '
      def words: split(" ") | map(select(. != ""));
      {schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
       config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $config, size: $size},
       layers: [[$types, $digests, $sizes] | map(words) | transpose[] | {mediaType: .[0], digest: .[1], size: (.[2] | tonumber)}]}' \
      >"$layout/manifest"
    digest=$(sum "$layout/manifest")
    mv "$layout/manifest" "$layout/blobs/sha256/$digest"
    entry "$digest" application/vnd.oci.image.manifest.v1+json "$identity" "$(jq -c '[.id]' <<<"$item")" \
      "$(jq -c .names <<<"$item")"
  done < <(jq -c --argjson wanted "$requested" '
    . as $all | $wanted[] | . as $want
    | ([$all[] | select((.Config | split("/")[-1] | rtrimstr(".json")) == $want.id)]
       + [$all[] | select(any(.RepoTags[]?; . == $want.tag))]
       + (if ($all | length) == 1 then $all else [] end) | first) as $found
    | {$found, id: $want.id, names: $want.names}' "$(member manifest.json)")
}

verified() { # digest: the file of a blob, whose content has it
  local file
  file=$(member "blobs/sha256/${1#sha256:}")
  [ "$(sum "$file")" = "${1#sha256:}" ] || fail "the blob $1 of the archive has another content"
  echo "$file"
}
manifests() { # file, depth: digests and media types of the manifests of an index, those of indexes in it included
  local digest type file
  while read -r digest type; do
    file=$(verified "$digest")
    if jq -e 'has("manifests")' "$file" >/dev/null; then
      if [ "$2" -lt 4 ]; then manifests "$file" $(($2 + 1)); fi
    else
      echo "$digest $type"
    fi
  done < <(jq -r '.manifests[] | "\(.digest) \(.mediaType // "application/vnd.oci.image.manifest.v1+json")"' "$1")
}
from_oci() {
  local digest type file identity items layer all missing
  all=$(manifests "$(member index.json)" 0)
  while read -r digest type; do
    file=$(verified "$digest")
    identity=$(jq -r '.config.digest' "$file")
    items=$(jq -c --arg id "${identity#sha256:}" --arg manifest "${digest#sha256:}" '
      [.[] | select(.id == $id or .id == $manifest)]' <<<"$requested")
    [ "$items" != "[]" ] || continue
    blob "$file" "${digest#sha256:}"
    blob "$(verified "$identity")" "${identity#sha256:}"
    while read -r layer; do
      blob "$(verified "$layer")" "${layer#sha256:}"
      layers+=("${layer#sha256:}")
    done < <(jq -r '.layers[].digest' "$file")
    entry "${digest#sha256:}" "$type" "${identity#sha256:}" "$(jq -c '[.[].id]' <<<"$items")" \
      "$(jq -c '[.[].names[]]' <<<"$items")"
  done <<<"$all"
  missing=$(jq -rn --argjson wanted "$requested" --arg loaded "${loaded[*]} " '
    [$wanted[] | .names[0] | select(. as $name | $loaded | contains(" \($name) ") | not)] | first // empty')
  [ -z "$missing" ] || fail "the archive has no image $missing"
}

registered=()
register() { # digest of a layer: known to containerd, by its file
  local known=$content/$1 file=$layout/blobs/sha256/$1
  [ -e "$known" ] || ln "$file" "$known"
  chmod 0444 "$known"
  ctr content ingest --expected-digest "sha256:$1" --expected-size "$(stat -c %s "$file")" "nodeforge.kic-$1" <"$known"
  registered+=("$1")
}
discard() {
  local layer
  [ "${#registered[@]}" -gt 0 ] || return 0
  ctr content rm "${registered[@]/#/sha256:}" >/dev/null
  # What containerd does not know any more, it would remove some time later.
  for layer in "${registered[@]}"; do rm -f "$content/$layer"; done
}
without_layers() {
  local have layer
  have=$(ctr content ls --quiet)
  for layer in "${layers[@]}"; do
    case $have in *"sha256:$layer"*) continue ;; esac
    have+=" sha256:$layer"
    register "$layer" || return 1
  done
  import "${layers[@]/#/--exclude=./blobs/sha256/}"
}
import() { # options of tar
  tar --create --file=- --directory="$layout" "$@" . | ctr images import ${unpack:+--snapshotter="$unpack"} - >/dev/null
}

if [ -f "$work/manifest.json" ]; then from_docker
elif [ -f "$work/index.json" ]; then from_oci
else fail "the archive has neither manifest.json nor index.json"; fi
printf '%s\n' "${entries[@]}" | jq -sc '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: .}' \
  >"$layout/index.json"
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
# A name that leads to an image that is not unpacked would look complete to the next run.
undo() {
  local item target identity name
  for item in "${loaded[@]}"; do
    read -r target identity _ name _ <<<"$item"
    ctr images ls "name==$name" "name==sha256:$identity" | awk -v target="sha256:$target" '$3 == target { print $1 }' |
      while read -r name; do ctr images rm --sync "$name" >/dev/null; done
  done
}
# shellcheck disable=SC2310 # what fails in it is done in another way
if without_layers 2>"$stage/error"; then discard; else import || { undo; exit 1; }; fi
rm -f "$stage/error"
known() { ctr images ls --quiet "name==sha256:$1" | grep -q .; } # the image's id
for item in "${loaded[@]}"; do
  read -r target identity id names <<<"$item"
  read -r -a names <<<"$names"
  # A name that moved keeps the label of the image before, by which containerd's part for Kubernetes takes it for one that it knows.
  if ! known "$identity"; then ctr images label "${names[0]}" io.cri-containerd.image= >/dev/null; fi
  if [ "${#names[@]}" -gt 1 ]; then ctr images tag --force "${names[@]}" >/dev/null; fi
  # A store with ids of its own: what the image is known by there, as long as the name leads to it.
  if [ "$id" != "$identity" ] && [ "$id" != "$target" ] && [ "$id" != none ]; then
    for name in "${names[@]}"; do ctr images label "$name" "nodeforge.kic.source=$id.$target" >/dev/null; done
  fi
  # Kubernetes knows an image when containerd's part for it has seen it.
  for _attempt in $(seq 100); do
    if known "$identity"; then continue 2; fi
    sleep 0.1
  done
  echo "containerd has imported the image ${names[0]}, and its part for Kubernetes does not show it after 10 seconds" >&2
  exit 1
done
