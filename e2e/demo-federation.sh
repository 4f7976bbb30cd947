#!/bin/sh
# Four operators on this machine share one ledger: the ceremony, one search that finds what each of them has, receipts that three of four
# cosigned, one of an operator that is away, and what happens when one and when two of them stop. Exits 0 only if everything it shows was true.
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
cleanup() { for n in $names site; do stop "$n"; done; }
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

# What each of them has: a page that its own node serves. They are of four sites, and four texts.
has() {
	case $1 in alice) section=receipts ;; bob) section=ledger ;; carol) section=federation ;; dave) section=more-machines ;; esac
	echo "http://$(web "$1")/manual/$section"
}

start() {
	: >"$dir/$1.out"
	# They ask each other on this machine, which is busy with four of them.
	CONCORD_OPERATOR=$1.example CONCORD_CHAIN=net-1 CONCORD_FEDERATION__ALLOW_PRIVATE=true CONCORD_FEDERATION__SEARCH_TIMEOUT=5s "$bin" up --data "$dir/$1" --http "$(web "$1")" --federation-addr "$(peer "$1")" \
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

say "alice tells where her pages are, so that the others can ask there"
show alice federation propose url alice.example "http://$(web alice)/"
until_true "alice's address is in the ledger" is alice epoch 3

for n in bob carol dave; do
	say "$n joins, and alice invites $n"
	echo "$n\$ concord federation join net-1.bundle --operator $n.example --federation-addr $(peer "$n") --url http://$(web "$n")/"
	as "$n" federation join "$dir/net-1.bundle" --chain-id "$chain" --operator "$n.example" --federation-addr "$(peer "$n")" --url "http://$(web "$n")/" --out "$dir/$n.identity" >/dev/null
	show alice federation invite "$dir/$n.identity"
	start "$n"
	until_true "$n is a candidate" candidate "$n"
done
until_true "all know of all" everyone_is epoch 6
show dave federation status

say "from one voter to four, in one step"
show alice federation propose power bob.example 1 power carol.example 1 power dave.example 1
until_true "four voters" everyone_is voters 4

say "each crawls another site"
for n in $names; do
	echo "$n\$ concord crawl $(has "$n") --depth 0"
	as "$n" crawl "$(has "$n")" --depth 0 --allow-private --wait >/dev/null 2>&1 || die "crawl of $n"
done
until_true "all logs are the same, and cosigned" cosigned

say "one search, of alice or of dave, finds a page of each, checked against their own copies of the ledger"
urls() { tr -d ' ' <"$1" | sed -n 's/^"url":"\(.*\)",$/\1/p' | sort; }
for n in $names; do has "$n"; done | sort >"$dir/wanted"
finds() { # WHO: its answer has the pages of all four, and says whose those of the others are
	as "$1" search operator --json >"$dir/$1.found" && [ "$(urls "$dir/$1.found")" = "$(cat "$dir/wanted")" ] || return 1
	for m in $names; do
		[ "$m" = "$1" ] || [ "$(tr -d ' ' <"$dir/$1.found" | grep -c "\"operator\":\"$m.example\"")" = 1 ] || return 1
	done
}
for n in alice dave; do
	until_true "a search of $n finds a page of each" finds "$n"
	as "$n" search operator --own --json >"$dir/$n.own" || die "search of $n alone"
	[ "$(urls "$dir/$n.own")" = "$(has "$n")" ] || die "$n alone finds something else than its own"
done
show alice search operator || die "not all operators answered"
echo
show alice federation status

say "alice gets a receipt of each result; it verifies under the policy that dave gives out, without a node"
as dave ledger show >/dev/null
"$bin" policy --data "$dir/dave" >"$dir/policy"
for n in $names; do
	as alice receipt "$(has "$n")" --operator "$n.example" --out "$dir/$n.tlog-proof" >/dev/null 2>&1 || die "receipt of $n"
	"$bin" verify "$dir/$n.tlog-proof" --policy "$dir/policy" --json >"$dir/$n.verified" || die "receipt of $n does not verify"
	grep -qF "\"$(has "$n")\"" "$dir/$n.verified" && grep -qF "\"$n.example\"" "$dir/$n.verified" || die "receipt of $n is another"
	k=$(tr -d ' ,"' <"$dir/$n.verified" | sed -n 's/^k://p' | head -n 1)
	[ "$k" -ge 3 ] || die "receipt of $n has k=$k"
	size=$(wc -c <"$dir/$n.tlog-proof")
	[ "$size" -le 4096 ] || die "receipt of $n has $size bytes"
	echo "$n.tlog-proof: $size bytes, $k of 4 operators cosigned"
done

kept() { # bob has as many batches of dave as dave has attested
	own=$(as dave federation status | sed -n 's/^replicas .* \([0-9][0-9]*\) own,.*/\1/p')
	[ "$own" -ge 1 ] && as bob federation status | grep -q "^dave.example  *$own batches here"
}
until_true "bob keeps the entries of dave's batches" kept

say "one of four stops: the ledger goes on"
stop dave
before=$(field alice size)
as bob crawl "http://$(web alice)/manual/" --scope prefix --allow-private --wait >/dev/null 2>&1
grown() { for m in alice bob carol; do [ "$(field "$m" agreed)" -gt "$before" ] || return 1; done; }
until_true "the ledger goes on with three" grown
show alice federation status

say "a search says that dave did not answer, and its exit code is 5"
code=0
as alice search operator >"$dir/partial" || code=$?
[ "$code" = 5 ] || die "exit code $code"
grep '^dave.example did not answer' "$dir/partial" || die "it does not say who is missing"
grep -qF "$(has carol)" "$dir/partial" || die "what carol has is missing"

say "bob, who never asked for it, makes the receipt of dave's page from the entries that he keeps of dave"
by_bob() { as bob receipt "$(has dave)" --operator dave.example --out "$dir/dave-by-bob.tlog-proof"; }
until_true "bob has a receipt of dave's page" by_bob
"$bin" verify "$dir/dave-by-bob.tlog-proof" --policy "$dir/policy" --json >"$dir/dave-by-bob.verified" || die "bob's receipt of dave's page does not verify"
grep -qF '"dave.example"' "$dir/dave-by-bob.verified" && grep -qF "\"$(has dave)\"" "$dir/dave-by-bob.verified" || die "bob's receipt is of something else"
as bob federation status | sed -n '/^replicas/,$p'

say "two of four stop: the ledger halts, crawling and searching do not"
stop carol
until_true "alice says that it is halted" is alice state halted
halted_at=$(field alice size)
as alice crawl "http://$(web bob)/manual/" --scope prefix --allow-private --wait >/dev/null 2>&1 || die "crawling while the ledger is halted"
code=0
as alice search operator --json >"$dir/halted.found" || code=$?
[ "$code" = 5 ] && urls "$dir/halted.found" | grep -qxF "$(has bob)" || die "searching while the ledger is halted"
sleep 3
[ "$(field alice size)" = "$halted_at" ] || die "the ledger went on with two of four"
show alice federation status
echo
show alice receipt "$(has bob)" --now --out "$dir/waits.tlog-proof" || die "no receipt while the ledger is halted"
"$bin" verify "$dir/waits.tlog-proof" --policy "$dir/policy" >"$dir/waits.verified" || die "the promise does not verify"
cat "$dir/waits.verified"
grep -q 'level 0' "$dir/waits.verified" || die "it is not of level 0"

say "one comes back: it goes on by itself, and what waited is attested"
before=$halted_at
start carol
until_true "the ledger goes on" grown
start dave
until_true "all logs are the same, and cosigned" cosigned
show alice federation status
better() { as alice receipt "$(has bob)" --out "$dir/waits.tlog-proof" && "$bin" verify "$dir/waits.tlog-proof" --policy "$dir/policy" --json | grep -q '"level": 2'; }
until_true "what was promised is in the log, and its receipt of level 2" better

say "all receipts of before still verify, under the policy of before and of now"
"$bin" policy --data "$dir/alice" >"$dir/policy-now"
for n in $names; do
	for p in policy policy-now; do
		"$bin" verify "$dir/$n.tlog-proof" --policy "$dir/$p" >/dev/null || die "receipt of $n under $p"
	done
done
# A page that shows dave another text than everybody else, and a file that is notarised while the ledger stands still.
witness_part() {
	say "a page shows dave another text: a panel finds it"
	(cd "$(dirname "$0")/.." && go build -o "$dir/site" ./e2e/loopweb/serve) || die "the site cannot be built"
	: >"$dir/site.out"
	"$dir/site" -cloak dave.example -subnet "${CONCORD_DEMO_SUBNET:-91}" >"$dir/site.out" 2>"$dir/site.log" </dev/null &
	echo $! >"$dir/site.pid"
	until_true "the site serves" grep -q '^http' "$dir/site.out"
	page=$(head -n 1 "$dir/site.out")
	show alice witness "$page" --until 10s || die "the panel did not agree"
	ask=$(as alice ledger tx --type ask --newest 1 --json | tr -d ' ,"' | sed -n 's/^index://p')
	for n in $names; do
		as "$n" witness "$ask" --json >"$dir/$n.witness" || die "$n does not know what came of ask $ask"
		tr -d ' ,\n"' <"$dir/$n.witness" | grep -q 'operator:dave.example[^{]*relation:differ' || die "for $n dave's capture does not differ"
		[ "$(grep -c '"relation": "agree"' "$dir/$n.witness")" = 3 ] || die "for $n the other captures do not agree"
	done
	show alice witness "$ask" --out "$dir/outcome.tlog-proof" || die "there is no receipt of the outcome"
	captured() { as alice receipt "$page" --out "$dir/page.tlog-proof"; }
	until_true "alice has a receipt of what she saw" captured
	"$bin" verify "$dir/page.tlog-proof" "$dir/outcome.tlog-proof" --policy "$dir/policy-now" >"$dir/witnessed" || die "the outcome does not verify"
	cat "$dir/witnessed"
	grep -q 'level 3, with the panel' "$dir/witnessed" || die "alice's capture is not of level 3"
	if command -v python3 >/dev/null; then
		python3 "$(dirname "$0")/../docs/verify/verify.py" "$dir/page.tlog-proof" "$dir/policy-now" "$dir/outcome.tlog-proof" >"$dir/in-python" || die "the program in Python does not find it proven"
		cat "$dir/in-python"
		grep -q 'level 3$' "$dir/in-python" || die "it is not of level 3 for the program in Python"
	fi
	curl -fsS "http://$(web alice)/witness/$ask" >"$dir/side-by-side.html" || die "there is no page of the ask"
	[ "$(grep -c '<article' "$dir/side-by-side.html")" = 4 ] && grep -q '<ins>' "$dir/side-by-side.html" || die "the page does not show what differs"
	grep -q 'was asked for the text' "$dir/side-by-side.html" && die "a text of another operator is missing"
	echo "http://$(web alice)/witness/$ask shows all four captures side by side, dave's marked where it differs"

	say "alice notarises a file; while the ledger stands still too, and the receipt is made better later"
	echo "a contract" >"$dir/contract"
	echo "another" >"$dir/another"
	show alice notarise "$dir/contract" --label demo || die "notarise"
	stop dave
	stop carol
	until_true "alice says that it is halted" is alice state halted
	show alice notarise "$dir/another" || die "notarise while the ledger is halted"
	grep -q '^concord/document/v1$' "$dir/another.tlog-proof" || die "the receipt is not the promise it should be"
	start carol
	start dave
	upgraded() { as alice notarise "$dir/another" --json | grep -q '"level": 2'; }
	until_true "the receipt is made better" upgraded
	show bob notarise "$dir/another" --out "$dir/bob.receipts" || die "bob notarises the same"
	for f in contract another; do
		"$bin" verify "$dir/$f.tlog-proof" "$dir/$f" --policy "$dir/policy" >"$dir/$f.verified" || die "the receipt of $f does not verify"
	done
	cat "$dir/another.verified"
	stop site
	until_true "all logs are the same, and cosigned" cosigned
}
witness_part

for n in $names; do stop "$n"; done
for n in $names; do
	as "$n" ledger replay --offline --quiet >/dev/null || die "replay of the ledger of $n"
done
echo
echo "everything shown was true"
