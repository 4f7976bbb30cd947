# Two commands do all the set-up: `make demo` shows the main job, `make test` passes the tests.

GO ?= go
BIN := bin/concord

.PHONY: build demo demo-stop demo-cluster demo-cluster-stop demo-federation test race e2e e2e-hosts e2e-loopback e2e-packages lint fuzz bench bench-index bench-cluster bench-ledger microbench clean

build: $(BIN)

$(BIN): go.mod $(shell find . -name '*.go' -not -path './.git/*') $(shell find web -type f)
	$(GO) build -trimpath -ldflags '-s -w' -o $@ ./cmd/concord

# Starts a node in ./demo-data, crawls the manual it serves and any URL=…, searches, and verifies a receipt.
# The node goes on serving; `make demo-stop` ends it.
demo: build
	@sh e2e/demo.sh $(BIN) demo-data $(URL)

demo-stop:
	@sh e2e/demo.sh --stop demo-data

# Four operators on this machine share one ledger: the ceremony, one search over all, receipts that three of four cosigned, one and two of them stopped. Exits 0
# only if everything it shows was true.
demo-federation: build
	@sh e2e/demo-federation.sh $(BIN) demo-federation-data

# Three nodes on this machine: they grow into a cluster, crawl their manuals and any URL=…, answer when one is killed, and have it back.
# They go on serving; `make demo-cluster-stop` ends them.
demo-cluster: build
	@sh e2e/demo-cluster.sh $(BIN) demo-cluster-data $(URL)

demo-cluster-stop:
	@sh e2e/demo-cluster.sh --stop demo-cluster-data

test: build
	$(GO) vet ./...
	$(GO) test ./...

# All but the packages that start no goroutine and share nothing, whose tests are mostly arithmetic. Beside other work a package may need
# more than the ten minutes it has otherwise.
race:
	$(GO) test -race -timeout 30m $$($(GO) list ./... | grep -vE '^concord/(bench.*|cmd/concord-bench|note|pack|page|query|receipt|text|weburl)$$')
	$(GO) test -race -tags e2e -run 'TestMetricsAreThere|TestImportIntoCluster' ./node

# Whole systems: thousands of pages, kill -9, clusters whose machines and wires fail, damaged files, a real browser. Needs the web pages that
# .ci/run fetches (CONCORD_SITES). About an hour; E2E=-short leaves out what takes longest, and E2E='-run Cluster -cluster-pages 20000' is for
# one part: e2e/cluster_test.go, federation_test.go and field_test.go have the flags.
# Three parts, which may run side by side: make -j2 --output-sync e2e.
e2e: e2e-hosts e2e-loopback e2e-packages

# Tests on hosts of their own, which are network namespaces.
ON_HOSTS := '^Test(Nemesis|PowerCut|ClusterAvailability|Twins|DamagedOperator|Replicas)'
ASKED := $(findstring -run,$(E2E))

e2e-hosts: build
	$(GO) test -count=1 -timeout 90m -tags e2e -v $(if $(ASKED),,-run $(ON_HOSTS)) ./e2e/ $(E2E)

e2e-loopback: build
	$(if $(ASKED),,$(GO) test -count=1 -timeout 90m -tags e2e -v -skip $(ON_HOSTS) ./e2e/ $(E2E))

# The other tests of these packages are those of `make test`.
PACKAGES := bus chain node witness
SLOW = $$(grep -l '^//go:build e2e' $(PACKAGES:%=%/*_test.go) | xargs sed -n 's/^func \(Test[^(]*\)(.*/\1/p' | paste -sd '|' -)

e2e-packages:
	$(if $(ASKED),,$(GO) test -count=1 -timeout 60m -tags e2e -v $(findstring -short,$(E2E)) -run "^($(SLOW))$$" $(PACKAGES:%=./%))

lint:
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

# Ten seconds for each fuzz target.
fuzz:
	@sh e2e/fuzz.sh $(GO)

# Compares the crawler with others and measures indexing, freshness, memory and disk; replaces the tables of
# docs/BENCHMARKS.md. Some 20 minutes of an idle machine; BENCH=-small tries it in two.
bench: build
	$(GO) run ./bench $(BENCH)

# Compares the index with Lucene, Tantivy, bleve and PISA, which it builds first; replaces the tables of docs/INDEX-BENCHMARKS.md and
# docs/INDEX-GROWTH.md. An hour and a half of an idle machine; BENCH_INDEX='--passes 3 --warmup 5' is quick.
bench-index:
	$(GO) build -o bin/concord-bench ./cmd/concord-bench
	bin/concord-bench compare --rebuild concord,concord-bp --overlap --relevance --report docs/INDEX-BENCHMARKS.md $(BENCH_INDEX)
	bin/concord-bench compare --rebuild concord --corpora '' --scaling 10k,100k,1M --engines concord,lucene,tantivy \
		--report docs/INDEX-GROWTH.md $(BENCH_INDEX)

# Measures one, three and five nodes on this machine, and reckons with what they cost what more would do; replaces the tables and plots
# of docs/SCALING.md. Some fifteen minutes of an idle machine; BENCH=-small tries it in one.
bench-cluster: build
	$(GO) run ./bench -cluster $(BENCH)

# Measures the ledger of one, four and seven operators on this machine, beside CometBFT's kvstore and Tessera, and a log of a million
# entries; replaces the tables of docs/LEDGER-BENCHMARKS.md. Some twelve minutes of an idle machine; BENCH=-small tries it in one.
bench-ledger: build
	$(GO) run ./bench -ledger $(BENCH)

# The Go benchmarks of all packages.
microbench:
	$(GO) test -run '^$$' -bench . ./...

clean:
	rm -rf bin demo-data demo-cluster-data demo-federation-data
