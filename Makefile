# `make run` serves the app on http://localhost:8080; `make test` runs every test. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

NPM := npm --prefix frontend
MODULES := frontend/node_modules/.installed
PAGES := frontend/dist/index.html
PAGE_SOURCES := $(shell find frontend/src frontend/public -type f) $(wildcard frontend/*.html frontend/*.ts frontend/package.json)
FUZZTIME ?= 10m
SEEDS ?= 1000000

.PHONY: help build run test test-go test-frontend check fuzz sim mutants bench clean tools frontend

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
	go test -timeout 10m ./collab -run NothingIsLost -sim.from 501 -sim.seeds 10000
	go test -race -timeout 14m $$(go list ./... | grep -v /ot$$)
	go test -race -timeout 10m ./ot -ot.cases 3000

fuzz: build ## the fuzz targets, FUZZTIME each (10m)
	@for target in $$(grep -rhoE '^func Fuzz[A-Za-z]+' ot collab --include='*_test.go' | awk '{print $$2}'); do \
	  pkg=$$(dirname $$(grep -rlE "^func $$target\(" ot collab --include='*_test.go')); \
	  echo "$$target in $$pkg"; go test -run xxx -fuzz "^$$target$$" -fuzztime $(FUZZTIME) ./$$pkg; \
	done
	go test -timeout 0 ./ot -ot.cases 1000000

sim: ## whole systems simulated from SEEDS seeds (1000000)
	go test -timeout 0 ./collab -run NothingIsLost -sim.seeds $(SEEDS) -sim.from $${RANDOM}000000 -v

mutants: ## bugs planted in the engine, each to be found within 1000 simulations
	go test -timeout 0 ./collab -run PlantedBugs -mutants -v

bench: ## benchmarks of ot and of the engine
	go test -run xxx -bench . -benchmem ./ot ./collab/...

clean: ## what was built
	rm -rf bin frontend/node_modules frontend/dist/*
