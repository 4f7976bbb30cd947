#!/bin/sh
# Four operators on this machine share one ledger: the ceremony, receipts that three of four cosigned, and what happens when
# one and when two of them stop. Exits 0 only if everything it shows was true.
#   demo-federation.sh BINARY DIR
set -eu

bin=$1 dir=$2
names="alice bob carol dave"
rm -rf "$dir"
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

pid() { cat "$dir/$1.pid" 2>/dev/null || true; }
stop() {
	p=$(pid "$1")
	[ -n "$p" ] || return 0
	kill -TERM "$p" 2>/dev/null || true
	wait "$p" 2>/dev/null || true
	rm -f "$dir/$1.pid"
}
cleanup() { for n in $names; do stop "$n"; done; }
trap cleanup EXIT
trap 'exit 1' INT TERM

die() {
	echo "FAILED: $*" >&2
	for n in $names; do
		[ -f "$dir/$n.log" ] && tail -n 3 "$dir/$n.log" >&2
	done
	exit 1
}
# The ports are of a range of their own; each operator takes two.
port() {
	case $1 in alice) echo 0 ;; bob) echo 1 ;; carol) echo 2 ;; dave) echo 3 ;; esac
}
base=${CONCORD_DEMO_PORT:-17670}
peer() { echo "127.0.0.1:$((base + $(port "$1")))"; }
web() { echo "127.0.0.1:$((base + 10 + $(port "$1")))"; }

start() {
	: >"$dir/$1.out"
	CONCORD_OPERATOR=$1.example CONCORD_CHAIN=net-1 "$bin" up --data "$dir/$1" --http "$(web "$1")" --federation-addr "$(peer "$1")" \
		>"$dir/$1.out" 2>>"$dir/$1.log" </dev/null &
	echo $! >"$dir/$1.pid"
	until_true "node of $1 is ready" grep -q '^ready ' "$dir/$1.out"
}
patience=${CONCORD_DEMO_PATIENCE:-120}
until_true() {
	what=$1
	shift
	tries=0
	until "$@" >/dev/null 2>&1; do
		[ $tries -lt $((patience * 5)) ] || die "$what"
		sleep 0.2
		tries=$((tries + 1))
	done
}
as() {
	who=$1
	shift
	"$bin" "$@" --data "$dir/$who"
}
say() {
	echo
	echo "== $*"
}
show() {
	who=$1
	echo "$who\$ concord $(shift && echo "$*")"
	as "$@"
}
field() { as "$1" federation status --json | tr -d ' ,"' | sed -n "s/^$2://p" | head -n 1; }
is() { [ "$(field "$1" "$2")" = "$3" ]; }
candidate() { as "$1" federation status | grep -q "^$1.example .*candidate"; }
everyone_is() { for m in $names; do is "$m" "$1" "$2" || return 1; done; }
cosigned() { # every entry is under a head that a quorum cosigned, and all have the same log
	size=$(field alice size)
	for m in $names; do
		[ -n "$(pid "$m")" ] || continue
		is "$m" size "$size" && is "$m" agreed "$size" || return 1
	done
}

say "alice founds a ledger, and writes the file with which others join"
start alice
show alice federation init --out "$dir/net-1.bundle"
chain=$(field alice chain)

for n in bob carol dave; do
	say "$n joins, and alice invites $n"
	echo "$n\$ concord federation join net-1.bundle --operator $n.example --federation-addr $(peer "$n")"
	as "$n" federation join "$dir/net-1.bundle" --chain-id "$chain" --operator "$n.example" --federation-addr "$(peer "$n")" --out "$dir/$n.identity" >/dev/null
	show alice federation invite "$dir/$n.identity"
	start "$n"
	until_true "$n is a candidate" candidate "$n"
done
until_true "all know of all" everyone_is epoch 5
show dave federation status

say "from one voter to four, in one step"
show alice federation sign --power bob.example=1 --power carol.example=1 --power dave.example=1
until_true "four voters" everyone_is voters 4

say "each crawls something: the manual that its own node serves"
for n in $names; do
	as "$n" crawl "http://$(web "$n")/manual/" --scope prefix --allow-private --wait >/dev/null 2>&1 || die "crawl of $n"
done
until_true "all logs are the same, and cosigned" cosigned
show alice federation status

say "a receipt of each verifies under the policy that another gives out, without a node"
as dave ledger show >/dev/null
"$bin" policy --data "$dir/dave" >"$dir/policy"
for n in $names; do
	as "$n" receipt "http://$(web "$n")/manual/" --out "$dir/$n.tlog-proof" >/dev/null 2>&1 || die "receipt of $n"
	"$bin" verify "$dir/$n.tlog-proof" --policy "$dir/policy" --json >"$dir/$n.verified" || die "receipt of $n does not verify"
	k=$(tr -d ' ,"' <"$dir/$n.verified" | sed -n 's/^k://p' | head -n 1)
	[ "$k" -ge 3 ] || die "receipt of $n has k=$k"
	size=$(wc -c <"$dir/$n.tlog-proof")
	[ "$size" -le 4096 ] || die "receipt of $n has $size bytes"
	echo "$n.tlog-proof: $size bytes, $k of 4 operators cosigned"
done

say "one of four stops: the ledger goes on"
stop dave
before=$(field alice size)
as bob crawl "http://$(web alice)/manual/" --scope prefix --allow-private --wait >/dev/null 2>&1
grown() { for m in alice bob carol; do [ "$(field "$m" agreed)" -gt "$before" ] || return 1; done; }
until_true "the ledger goes on with three" grown
show alice federation status

say "two of four stop: the ledger halts, crawling and searching do not"
stop carol
until_true "alice says that it is halted" is alice state halted
halted_at=$(field alice size)
as alice crawl "http://$(web bob)/manual/" --scope prefix --allow-private --wait >/dev/null 2>&1 || die "crawling while the ledger is halted"
as alice search receipt --limit 1 >/dev/null || die "searching while the ledger is halted"
sleep 3
[ "$(field alice size)" = "$halted_at" ] || die "the ledger went on with two of four"
show alice federation status

say "one comes back: it goes on by itself, and what waited is attested"
before=$halted_at
start carol
until_true "the ledger goes on" grown
start dave
until_true "all logs are the same, and cosigned" cosigned
show alice federation status

say "all receipts of before still verify, under the policy of before and of now"
"$bin" policy --data "$dir/alice" >"$dir/policy-now"
for n in $names; do
	for p in policy policy-now; do
		"$bin" verify "$dir/$n.tlog-proof" --policy "$dir/$p" >/dev/null || die "receipt of $n under $p"
	done
done
for n in $names; do stop "$n"; done
for n in $names; do
	as "$n" ledger replay --offline --quiet >/dev/null || die "replay of the ledger of $n"
done
echo
echo "everything shown was true"
