# Larder: every command installs what it needs. A bare machine has Linux, root, Node with npm, and Go.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Node 24 comes from the npm package `node`; the machine's own only runs npm.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
DEPS := node_modules/.package-lock.json
JEST := node --experimental-vm-modules --disable-warning=ExperimentalWarning node_modules/jest/bin/jest.js

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9 -]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(DEPS): package.json package-lock.json
	@build/prerequisites.sh npm
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: demo demo-down
demo: $(DEPS) ## a real two-node cluster, Larder on it, an outage: with evidence (needs root)
	@build/prerequisites.sh linux root go
	@node test/demo/main.ts

demo-down: $(DEPS) ## remove everything that `make demo` left running
	@build/prerequisites.sh linux root
	@node test/demo/down.ts

.PHONY: test
test: $(DEPS) ## types, lint, unit, integration and real-cluster tests (needs root)
	@build/prerequisites.sh linux root go
	@node test/run.ts

.PHONY: types lint unit integration e2e lifecycle
types: $(DEPS) ## type-check, and check that no folder imports what it may not
	tsc -b

lint: $(DEPS) types ## type-check, eslint, formatting, width and links of the documents
	eslint --cache --cache-location .build/eslintcache .
	prettier --check --log-level warn .
	@node build/check-prose.ts

unit: $(DEPS) ## unit and property tests only
	$(JEST) --selectProjects unit

integration: $(DEPS) ## tests against a real registry and a real API server, no cluster (needs Go)
	@build/prerequisites.sh go
	$(JEST) --selectProjects integration --runInBand

e2e lifecycle: $(DEPS) ## real-cluster tests only (needs root); ONLY=name picks some
	@build/prerequisites.sh linux root go
	@node test/run.ts $@ $(ONLY)

.PHONY: bench
bench: $(DEPS) ## measure; prints a table and writes .bench/results.json (needs root)
	@build/prerequisites.sh linux root go
	@node test/bench/main.ts

.PHONY: image
image: $(DEPS) ## the container image, amd64 and arm64, as an OCI layout in .build/image
	@build/prerequisites.sh go
	@node build/image.ts

# VitePress has a lock of its own: only who builds the site installs it.
DOCS_DEPS := docs/node_modules/.package-lock.json
$(DOCS_DEPS): docs/package.json docs/package-lock.json
	@build/prerequisites.sh npm
	npm ci --prefix docs --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: docs
docs: $(DEPS) $(DOCS_DEPS) ## the documents as a searchable site in .build/docs
	docs/node_modules/.bin/vitepress build docs

.PHONY: format clean
format: $(DEPS) ## let prettier format the tree
	prettier --write --log-level warn .

clean: ## remove what was built in the checkout (the tools cache outside it stays)
	rm -rf .build .bench node_modules docs/node_modules
