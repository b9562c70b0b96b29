# Pinned tools, so that a check says the same thing everywhere.
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: all help test race lint integration torture bench fuzz
all: lint test ## check and test

help: ## print this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  \1\t\2/' | expand -t 16

test: ## every test; without Docker, tests on real Kafka are skipped with a reason
	go test ./...

race: ## every test under the race detector
	go test -race ./...

lint: ## gofmt, vet, staticcheck
	@out=$$(gofmt -l .); [ -z "$$out" ] || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...

integration: ## the tests on real Kafka; they fail if there is none
	CI=true go test -count=1 -v ./integration/

torture: ## the tests on real Kafka, with as many kills as the guarantees were checked with
	CI=true MILLRACE_TORTURE=full go test -count=1 -timeout 60m -v ./integration/

bench: ## each benchmark once, to see that it runs
	go test -run '^$$' -bench . -benchtime 1x ./...

fuzz: ## each fuzz target for ten seconds
	@for pkg in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime 10s $$pkg || exit 1; \
	  done; \
	done
