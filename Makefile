# make check tells whether a change may be committed. The rest is for longer looks.

TOOL := go tool -modfile=tools.mod
FUZZTIME ?= 30s
KILLS ?= 25
COUNT ?= 1
SCALE ?= 100
SIDES ?=
CASES ?=
SEEDS ?= 500
FUZZED ?= broker examples runtime serde state stream topology

.PHONY: check format vet lint test race invariants fuzz sim crash kill bench

check: format vet lint race invariants

format:
	@files="$$(find . -name '*.go' ! -path ./stream/fluent.go -exec gofmt -l {} +)"; \
	test -z "$$files" || { echo "not formatted, run gofmt -w:"; echo "$$files"; exit 1; }

vet:
	go vet ./...

# Staticcheck with its documentation and style checks; errors compared by errors.Is and wrapped by %w; errors not thrown away (a
# signal received from a channel of errors is none).
lint:
	$(TOOL) staticcheck -checks=inherit,all,-ST1003,-ST1016 ./...
	@mkdir -p .cache && go build -modfile=tools.mod -o .cache/vet .ci/vet/main.go
	go vet -vettool=.cache/vet ./...
	@$(TOOL) errcheck -ignoretests -exclude .ci/errcheck.txt ./... >.cache/errcheck || [ $$? -eq 1 ]
	@! grep -v 'case <-' .cache/errcheck

test:
	go test ./...

race:
	go test -race ./...

invariants:
	go test -tags invariants ./state/... ./stream/... ./runtime/... ./examples/flights

# Every fuzz target below FUZZED for FUZZTIME: a time, or a number of executions, as in 10000x.
fuzz:
	@set -e; grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' $(FUZZED) | while IFS=: read -r file target; do \
		target=$${target#func }; \
		echo "$$file $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "./$$(dirname "$$file")"; \
	done

# The simulation over SEEDS seeds, and the bugs planted to prove that it sees them. One seed, with its trace:
# go test ./runtime/internal/sim -run TestSimulation -seed N -v
sim:
	go test -count=1 -v -run '^TestSimulation$$' ./runtime/internal/sim -seeds $(SEEDS)
	go test -count=1 -v -run '^TestPlanted$$' -tags planted ./runtime/internal/sim ./state/memstore

# Power cuts at every sync point of the broker's storage and of the state.
crash:
	go test -count=1 -v -run 'Crash' ./broker/... ./state/...

# kill -9 of the example at KILLS random moments; on a real Kafka as well if MILLRACE_KAFKA names one.
kill:
	MILLRACE_KILLS=$(KILLS) go test -count=1 -v -timeout 30m -run '^TestKill' ./examples/flights

# Every case side by side with Kafka Streams, on the embedded broker and on Kafka, and the log beside Kafka: that needs Java 17 and Maven, unless
# SIDES=embedded. Then CPU-ns, allocations and bytes copied per record, beside a reference loop and the budgets. SCALE is the percentage of the
# records.
bench:
	go run ./examples/versus -count $(COUNT) -scale $(SCALE) -sides "$(SIDES)" -case "$(CASES)"
	go run ./examples/bench -count $(COUNT)
