# make check tells whether a change may be committed. The rest is for longer looks.

TOOL := go tool -modfile=tools.mod
SECONDS_EACH ?= 30
KILLS ?= 25
COUNT ?= 1

.PHONY: check format vet lint test race invariants fuzz crash kill bench

check: format vet lint race invariants

format:
	@test -z "$$(gofmt -l .)" || { echo "not formatted, run gofmt -w:"; gofmt -l .; exit 1; }

vet:
	go vet ./...

# Staticcheck with its documentation and style checks; errors compared by errors.Is and wrapped by %w; errors not thrown away.
lint:
	$(TOOL) staticcheck -checks=inherit,all,-ST1003,-ST1016 ./...
	$(TOOL) go-errorlint ./...
	$(TOOL) errcheck -exclude .ci/errcheck.txt ./...

test:
	go test ./...

race:
	go test -race ./...

invariants:
	go test -tags invariants ./state/... ./stream/... ./runtime/... ./examples/flights

# Every fuzz target for SECONDS_EACH seconds.
fuzz:
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(SECONDS_EACH)s $$pkg; \
		done; \
	done

# Power cuts at every sync point of the broker's storage and of the state.
crash:
	go test -count=1 -v -run 'Crash' ./broker/... ./state/...

# kill -9 of the example at KILLS random moments; on a real Kafka as well if MILLRACE_KAFKA names one.
kill:
	MILLRACE_KILLS=$(KILLS) go test -count=1 -v -timeout 30m -run '^TestKill' ./examples/flights

# CPU-ns, allocations and bytes copied per record, beside a reference loop and the budgets.
bench:
	go run ./examples/bench -count $(COUNT)
