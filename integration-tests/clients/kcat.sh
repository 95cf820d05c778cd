#!/usr/bin/env bash
# kcat.sh SCENARIO BOOTSTRAP TAG: what people type first.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
scenario=$1 broker=$2 tag=$3

expect() { [ "$1" = "$2" ] || { echo "$3: '$1' instead of '$2'" >&2; exit 1; }; }
last() { kcat -C -b "$broker" -t "$1" -o beginning -e -q "${@:2}" 2>/dev/null; }

case $scenario in
  seconds) # the ten seconds of the README
    echo 'hello, milena' | kcat -P -b "$broker" -t "$tag"
    expect "$(kcat -C -b "$broker" -t "$tag" -e -q)" 'hello, milena' 'the first message' ;;
  codecs)
    for codec in none gzip snappy lz4 zstd; do
      for acks in 0 1 all; do
        seq 1000 | kcat -P -b "$broker" -t "$tag-$codec-$acks" -z "$codec" -X linger.ms=20 -X "acks=$acks"
        expect "$(last "$tag-$codec-$acks" | cksum)" "$(seq 1000 | cksum)" "$codec, acks=$acks"
      done
    done ;;
  keys)
    printf 'a:1\nb:2\na:3\n' | kcat -P -b "$broker" -t "$tag" -K: -H source=kcat
    expect "$(last "$tag" -f '%k=%s %h\n' | sort | paste -sd' ')" 'a=1 source=kcat a=3 source=kcat b=2 source=kcat' keys ;;
  metadata)
    echo x | kcat -P -b "$broker" -t "$tag"
    kcat -L -b "$broker" -t "$tag" | grep -q "topic \"$tag\" with [0-9]* partitions" ;;
  group)
    seq 100 | kcat -P -b "$broker" -t "$tag" -X enable.idempotence=true
    expect "$(timeout 60 kcat -b "$broker" -G "$tag" -X auto.offset.reset=earliest -c 60 -q "$tag" 2>/dev/null | wc -l)" 60 'the first 60'
    expect "$(timeout 60 kcat -b "$broker" -G "$tag" -X auto.offset.reset=earliest -e -q "$tag" 2>/dev/null | wc -l)" 40 'the rest' ;;
  rebalance) # one member, two, and one
    "$here/create" "$broker" "$tag:4"
    folder=$(mktemp -d)
    trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$folder"' EXIT
    join() {
      kcat -u -b "$broker" -G "$tag" -X auto.offset.reset=earliest -X heartbeat.interval.ms=300 -f '%p %s\n' "$tag" \
        > "$folder/$1" 2> "$folder/$1.log" &
    }
    holds() { # holds MEMBER NUMBER: what it was given last
      local given
      given=$(grep -o 'assigned: .*' "$folder/$1.log" | tail -n 1 | tr -dc '[') || true
      [ ${#given} = "$2" ]
    }
    send() { for p in 0 1 2 3; do seq "$1" $(($1 + 9)) | kcat -P -b "$broker" -t "$tag" -p $p; done; }
    wanted() { for n in $(seq "$1" $(($1 + 9))); do printf '%s\n' "0 $n" "1 $n" "2 $n" "3 $n"; done | sort; }
    join first; first=$!
    until holds first 4; do sleep 0.1; done
    join second
    until holds first 2 && holds second 2; do sleep 0.1; done
    send 10
    until [ "$(cat "$folder/first" "$folder/second" | sort)" = "$(wanted 10)" ]; do sleep 0.1; done
    expect "$(wc -l < "$folder/first")" 20 'the share of the first'
    kill "$first"
    until holds second 4; do sleep 0.1; done
    send 20
    until [ "$(grep ' 2.$' "$folder/second" | sort -u)" = "$(wanted 20)" ]; do sleep 0.1; done ;;
  seek) # by time
    echo before | kcat -P -b "$broker" -t "$tag"
    sleep 0.01
    ms=$(date +%s%3N)
    sleep 0.01
    echo after | kcat -P -b "$broker" -t "$tag"
    expect "$(kcat -C -b "$broker" -t "$tag" -p 0 -o "s@$ms" -e -q)" after 'by time' ;;
  compacted) # read until of every key but the last batch's only the newest record is left
    "$here/create" "$broker" "$tag" cleanup.policy=compact segment.ms=1 min.cleanable.dirty.ratio=0
    for round in 0 1 2 3 4; do seq 0 9 | sed "s/.*/&:&, round $round/" | kcat -P -b "$broker" -t "$tag" -K: -z lz4; done
    echo last:last | kcat -P -b "$broker" -t "$tag" -K:
    until [ "$(last "$tag")" = "$(seq 0 9 | sed 's/$/, round 4/'; echo last)" ]; do sleep 0.1; done ;;
  restart) # somebody kills the broker meanwhile: what was sent is read
    echo 0 | kcat -P -b "$broker" -t "$tag"
    seen=$(mktemp)
    kcat -E -u -b "$broker" -G "$tag" -X auto.offset.reset=earliest "$tag" > "$seen" 2>/dev/null & reader=$!
    trap 'kill "$reader"; rm -f "$seen"' EXIT
    for n in $(seq 300); do echo "$n"; sleep 0.015; done |
      kcat -E -P -b "$broker" -t "$tag" -X enable.idempotence=true -X linger.ms=5 2>/dev/null
    until [ "$(sort -nu "$seen" | cksum)" = "$(seq 0 300 | cksum)" ]; do sleep 0.1; done ;;
  before) seq 100 | kcat -P -b "$broker" -t "$tag" -z gzip ;;
  after)
    echo 101 | kcat -P -b "$broker" -t "$tag"
    expect "$(last "$tag" | cksum)" "$(seq 101 | cksum)" 'after the restart' ;;
  *) echo "kcat.sh: no scenario $scenario" >&2; exit 2 ;;
esac
