# `make run` serves the app on http://localhost:8080; `make test` runs every test. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

NPM := npm --prefix frontend
MODULES := frontend/node_modules/.installed
PEERS := ot/testdata/peers/node_modules/.installed
PAGES := frontend/dist/index.html
PAGE_SOURCES := $(shell find frontend/src frontend/public -type f) $(wildcard frontend/*.html frontend/*.ts frontend/package.json)
FUZZTIME ?= 10m
TRACES ?= ../shared/traces
SEEDS ?= 1000000
SOAK ?= 30m

.PHONY: help build run test test-go test-frontend check fuzz mutants sim chaos soak bench clean tools frontend

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: frontend ## bin/weft, with the frontend inside
	CGO_ENABLED=0 go build -trimpath -o bin/weft ./cmd/weft

frontend: $(PAGES) ## the pages and the element, in frontend/dist

$(MODULES): frontend/package-lock.json
	npm --prefix frontend ci --no-audit --no-fund
	touch $@

$(PAGES): $(MODULES) $(PAGE_SOURCES)
	$(NPM) run build

run: build ## a development server on http://localhost:8080
	bin/weft serve --dev

check: $(MODULES) ## formatting, vet, linters, types
	@test -z "$$(gofmt -l cmd collab frontend/*.go migrations ot persistence)" || { gofmt -l cmd collab frontend/*.go migrations ot persistence; echo 'run gofmt -w on these'; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	$(NPM) run check

tools: ## what the tests need besides Go and Node.js: PostgreSQL, Redis, Chromium
	@.ci/tools

test: tools build test-frontend test-go ## every test

test-frontend: $(MODULES)
	$(NPM) test

# The laws of ot run without the race detector at full count, and with it at a tenth.
test-go: build
	go test -timeout 10m ./ot
	go test -timeout 14m ./collab -run NothingIsLost -sim.from 501 -sim.seeds 10000
	go test -race -timeout 14m $$(go list ./... | grep -v /ot$$)
	go test -race -timeout 10m ./ot -ot.cases 5000 -ot.vectors 5000 -ot.exhaustive 1

fuzz: build ## the fuzz targets, FUZZTIME each (10m), and the laws and mutated frames at full count
	@grep -rHoE '^func Fuzz[A-Za-z]+' ot collab --include='*_test.go' | while IFS=: read -r file func; do \
	  target=$${func#func }; pkg=$$(dirname $$file); echo "$$target in $$pkg"; \
	  go test -run xxx -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s ./$$pkg; \
	done
	go test -timeout 0 -v ./ot -ot.cases 1000000 -ot.vectors 200000 -ot.exhaustive 3
	go test -timeout 0 -v ./collab/websocket -run MutatedFrames -fuzz.frames 10000000

mutants: $(MODULES) ## bugs planted in ot and in the engine, of which the tests must catch each
	go test -timeout 0 -v -run Planted ./ot -ot.mutants
	go test -timeout 0 -v -run PlantedBugs ./collab -mutants

sim: ## whole systems simulated from SEEDS seeds (1000000, two hours on two cores)
	go test -timeout 0 ./collab -run NothingIsLost -sim.seeds $(SEEDS) -sim.from $${RANDOM}000000 -v

chaos: tools build ## nodes, stores and the links between them broken hundreds of times under writers
	go test -timeout 0 ./cmd/weft -run 'NothingIsLostWh' -chaos.full -v

soak: tools build ## people come and go for SOAK (30m), and nothing grows; figures into bin/soak.csv
	go test -timeout 0 ./cmd/weft -run NothingGrows -soak $(SOAK) -soak.series $(CURDIR)/bin/soak.csv -v

$(PEERS): ot/testdata/peers/package-lock.json
	npm --prefix ot/testdata/peers ci --no-audit --no-fund
	touch $@

bench: $(PEERS) ## ot beside its peers, and what a stopped reader costs, into docs/benchmarks.md; recordings from TRACES
	go run ./ot/bench -traces $(TRACES)
	go run ./collab/websocket/bench

clean: ## what was built
	rm -rf bin frontend/node_modules ot/testdata/peers/node_modules frontend/dist/*
