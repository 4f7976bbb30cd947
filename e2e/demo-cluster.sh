#!/bin/sh
# Three nodes on one machine work as one: they grow into a cluster, crawl the manuals that they serve (and any URLs given), go on answering
# when one of them is killed, and have it back.
#   demo-cluster.sh BINARY DATA [URL…]      demo-cluster.sh --stop DATA
# It ends with 0 only if every step did what it says. It uses the nine ports after PORT, 7670 unless set.
set -eu

nodes="1 2 3"

alive() { [ -f "$data/n$1.pid" ] && kill -0 "$(cat "$data/n$1.pid")" 2>/dev/null; }

# stop ends the nodes in order, all at a time.
stop() {
	for i in $nodes; do
		if alive "$i"; then kill -TERM "$(cat "$data/n$i.pid")" 2>/dev/null || true; fi
	done
	for i in $nodes; do
		n=0
		while alive "$i" && [ $n -lt 100 ]; do
			sleep 0.1
			n=$((n + 1))
		done
		if alive "$i"; then kill -KILL "$(cat "$data/n$i.pid")" 2>/dev/null || true; fi
		rm -f "$data/n$i.pid"
	done
}

if [ "$1" = --stop ]; then
	data=$2
	stop
	echo "stopped"
	exit 0
fi
bin=$1 data=$2
shift 2
mkdir -p "$data"
stop
began=$(date +%s)
# The nodes know each other by their addresses: those of the first time stay.
[ -f "$data/port" ] || echo "${PORT:-7670}" >"$data/port"
port=$(cat "$data/port")

# Each node has a loopback address of its own where the system has more than one.
host() { if [ "$(uname)" = Linux ]; then echo "127.0.0.$1"; else echo 127.0.0.1; fi; }
site() { echo "http://$(host "$1"):$((port + $1))"; }
door() { echo "$(host "$1"):$((port + 2 * $1 + 2))"; } # this port, and the one after it

up() {
	i=$1
	shift
	: >"$data/n$i.out"
	# A killed process of this machine asks nothing any more: what it had in hand need not be waited for.
	CONCORD_NODE=n$i CONCORD_CRAWL__HANDOVER=2s "$bin" up --data "$data/n$i" --http "$(host "$i"):$((port + i))" --cluster-addr "$(door "$i")" "$@" \
		>"$data/n$i.out" 2>>"$data/n$i.log" </dev/null &
	echo $! >"$data/n$i.pid"
}

fail() {
	echo
	echo "NOT TRUE: $1"
	for i in $nodes; do
		echo "--- the end of $data/n$i.log"
		tail -n 5 "$data/n$i.log" 2>/dev/null || true
	done
	echo "What runs still does; end it with: make demo-cluster-stop"
	exit 1
}

# until_true PATIENCE WHAT COMMAND… tries a command each quarter of a second, for so many seconds.
until_true() {
	end=$(($(date +%s) + $1)) what=$2
	shift 2
	until "$@"; do
		for i in $running; do alive "$i" || fail "n$i runs on (is a port from $((port + 1)) to $((port + 9)) taken? Then remove $data, and set PORT)"; done
		[ "$(date +%s)" -lt "$end" ] || fail "$what"
		sleep 0.25
	done
}

serves() { grep -q '^ready ' "$data/n$1.out"; }
status() { "$bin" cluster status --data "$data/n$1" 2>/dev/null; }

# whole NODE COUNT: it sees so many nodes at work, every partition with its owner and each shard on two nodes.
whole() {
	status "$1" | awk -v want="$2" '
		/^growing/ || /^moving/ { bad = 1 }
		/^  n[0-9].* live / { live++ }
		/^  (shard|frontier)\.[0-9]+ |^  attestor / { parts++; if ($2 != "owned") bad = 1 }
		/^  shard\.[0-9]+ / { n = split($0, at, ","); if (n < 2) bad = 1 }
		END { exit !(live == want && parts >= 9 && !bad) }'
}

# logs_whole NODE: every log has a leader, and three copies with all of it.
logs_whole() {
	status "$1" | awk '
		/^[a-z]/ { in_logs = $1 == "logs" }
		in_logs && /^  [A-Z]/ && $1 != "NAME" { logs++; if (/behind|offline|none/) bad = 1 }
		/^warning.* log / { bad = 1 }
		END { exit !(logs > 0 && !bad) }'
}

# says NODE COMMAND…: shows a command and what it prints, which must succeed.
says() {
	of=$1
	shift
	echo
	echo "\$ concord $* --data $data/n$of"
	"$bin" "$@" --data "$data/n$of" || fail "concord $* on n$of"
}

# finds NODE QUERY: a search there is answered by all shards, at once, and has results.
finds() {
	asked=$(date +%s)
	echo
	echo "\$ concord search $2 --limit 1 --data $data/n$1"
	"$bin" search $2 --limit 1 --data "$data/n$1" >"$data/said" 2>&1 || {
		cat "$data/said"
		fail "a search on n$1 is answered"
	}
	sed -n 1,4p "$data/said"
	[ $(($(date +%s) - asked)) -le 3 ] || fail "n$1 answers at once"
	grep -q '4 of 4 shards' "$data/said" || fail "the answer of n$1 comes from all shards"
	grep -q '^1\. ' "$data/said" || fail "n$1 finds something"
}

title() {
	echo
	echo "== $1  ($(($(date +%s) - began)) s)"
}

title "Three nodes start"
running=
for i in $nodes; do
	if [ -f "$data/n$i/cluster/membership.json" ] || [ "$i" = 1 ]; then
		up "$i"
		running="$running $i"
	fi
done
until_true 60 "n1 serves" serves 1
for i in $nodes; do
	if ! alive "$i"; then
		[ -n "${token:-}" ] || token=$("$bin" cluster token --uses 2 --data "$data/n1" | head -n 1)
		echo "n$i joins: concord up --join $(door 1) --token … --cluster-addr $(door "$i")"
		up "$i" --join "$(door 1)" --token "$token"
		running="$running $i"
	fi
done
for i in $nodes; do until_true 60 "n$i serves" serves "$i"; done
for i in $nodes; do until_true 60 "n$i sees three nodes with all there is to do" whole "$i" 3; done
for i in $nodes; do echo "n$i: $(site "$i")"; done

title "They crawl the manuals of n1 and n3, and know who does what"
says 2 crawl "$(site 1)/manual/" "$(site 3)/manual/" --scope prefix --allow-private --wait
for url in "$@"; do says 2 crawl "$url" --wait; done
until_true 30 "two nodes have each shard" whole 1 3
says 1 cluster status

title "Each of them answers"
for i in $nodes; do finds "$i" "receipt proves"; done

title "n3 is killed (kill -9); the others answer at once, completely"
kill -KILL "$(cat "$data/n3.pid")"
rm -f "$data/n3.pid"
running="1 2"
for i in $running; do finds "$i" "receipt proves"; done
finds 2 "site:$(host 3) receipt" # what it alone had served is there

title "They crawl on: the manual of n2"
says 1 crawl "$(site 2)/manual/" --scope prefix --allow-private --wait
until_true 60 "two nodes do all there is to do" whole 1 2
says 1 cluster status
for i in $running; do finds "$i" "site:$(host 2) receipt"; done

title "A page of the dead node has a receipt, which proves itself without any node"
says 2 receipt "$(site 3)/manual/" --out "$data/manual.tlog-proof"
"$bin" policy --data "$data/n2" >"$data/policy"
echo
echo "\$ concord verify $data/manual.tlog-proof --policy $data/policy"
"$bin" verify "$data/manual.tlog-proof" --policy "$data/policy" || fail "the receipt is proven"

title "n3 comes back"
up 3
running=$nodes
until_true 60 "n3 serves again" serves 3
until_true 60 "n3 sees three nodes with all there is to do" whole 3 3
until_true 60 "every log has its three copies again" logs_whole 3
finds 3 "receipt proves"
says 3 cluster status

title "All of it was true"
for i in $nodes; do echo "n$i: $(site "$i")/cluster"; done
echo "They go on running; stop them with: make demo-cluster-stop"
