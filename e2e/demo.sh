#!/bin/sh
# The first minute: start a node, crawl the manual it serves (and any URLs given), search, verify a receipt offline.
#   demo.sh BINARY DATA [URL…]      demo.sh --stop DATA
set -eu

stop() {
	if [ -f "$1/demo.pid" ] && kill -TERM "$(cat "$1/demo.pid")" 2>/dev/null; then
		n=0
		while kill -0 "$(cat "$1/demo.pid")" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
		echo "stopped"
	fi
	rm -f "$1/demo.pid"
}

if [ "$1" = --stop ]; then
	stop "$2"
	exit 0
fi
bin=$1 data=$2
shift 2
mkdir -p "$data"
stop "$data" >/dev/null

# The usual address, or any free one when something else has it.
start() {
	: >"$data/demo.out"
	"$bin" up --data "$data" --http "$1" >"$data/demo.out" 2>"$data/demo.log" </dev/null &
	echo $! >"$data/demo.pid"
	n=0
	until grep -q '^ready ' "$data/demo.out"; do
		kill -0 "$(cat "$data/demo.pid")" 2>/dev/null || return 1
		[ $n -lt 600 ] || return 1
		sleep 0.1
		n=$((n + 1))
	done
}
start 127.0.0.1:7667 || start 127.0.0.1:0 || {
	echo "the node did not start:"
	cat "$data/demo.log"
	exit 1
}
addr=$(sed -n 's/^ready //p' "$data/demo.out")
run() {
	echo
	echo "\$ concord $*"
	"$bin" "$@" --data "$data"
}
echo "A node is running on $addr"
run crawl "$addr/manual/" --scope prefix --allow-private --wait
for url in "$@"; do
	run crawl "$url" --wait
done
run search receipt proves --limit 3
run receipt "$addr/manual/" --out "$data/manual.tlog-proof"
"$bin" policy --data "$data" >"$data/policy"
echo
echo "\$ concord verify $data/manual.tlog-proof --policy $data/policy     # no node, no network needed"
"$bin" verify "$data/manual.tlog-proof" --policy "$data/policy"
echo
echo "Open $addr in a browser; stop the node with: make demo-stop"
