# Every target installs what it needs. The machine brings Linux, root, Node.js with npm, and Go.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Node.js 24 comes from the npm package `node`; the machine's own only runs npm.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
DEPS := node_modules/.package-lock.json
JEST := node --experimental-vm-modules --disable-warning=ExperimentalWarning node_modules/jest/bin/jest.js

.PHONY: help dependencies
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  ./cluster help     a real cluster by hand'

dependencies: $(DEPS)

$(DEPS): package.json package-lock.json
	@build/prerequisites.sh npm
	@echo 'installing npm packages …'
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: demo demo-down
demo: $(DEPS) ## a real two-node cluster, Larder on it, and an outage, with evidence (root, Go)
	@build/prerequisites.sh linux root go
	@node test/demo/main.ts

demo-down: $(DEPS) ## remove everything that `make demo` left running (root)
	@build/prerequisites.sh linux root
	@node test/demo/down.ts

.PHONY: test check
test: $(DEPS) ## types, lint, unit, integration and real-cluster tests (root, Go)
	@build/prerequisites.sh linux root go
	@node test/run/main.ts

check: $(DEPS) ## types, lint and tests of what changed since main, without a cluster (Go)
	@build/prerequisites.sh go
	@node test/run/check.ts

.PHONY: types lint unit integration e2e lifecycle
types: $(DEPS) ## type-check, and check that no folder imports what it may not
	tsc -b

lint: $(DEPS) types ## type-check, eslint, unused code, formatting, documents (width, links)
	eslint --cache --cache-location .build/eslintcache .
	knip --no-progress
	prettier --check --log-level warn .
	@node build/check-prose.ts

unit: $(DEPS) ## unit and property tests only
	$(JEST) --selectProjects unit

integration: $(DEPS) ## tests against a real registry and a real API server, no cluster (Go)
	@build/prerequisites.sh go
	$(JEST) --selectProjects integration --runInBand

e2e: $(DEPS) ## tests of what Larder does on a real cluster; ONLY="story life" picks some (root, Go)
lifecycle: $(DEPS) ## tests that roll, replace or remove Larder; ONLY=rollout picks some (root, Go)
e2e lifecycle:
	@build/prerequisites.sh linux root go
	@node test/run/main.ts $@ $(ONLY)

.PHONY: bench
bench: $(DEPS) ## measure, print a table, write .bench/results.json; ONLY="warm cold" picks some (root, Go)
	@build/prerequisites.sh linux root go
	@node test/bench/main.ts $(ONLY)

.PHONY: image image-lock
image: $(DEPS) ## the container image as an OCI layout in .build/image; PLATFORM=linux/arm64 for one (Go)
	@build/prerequisites.sh go
	@node build/image.ts $(PLATFORM:%=--platform %)

image-lock: $(DEPS) ## pin the present versions of Node.js and of Debian's packages for the image
	@node build/lock.ts

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

clean: ## remove what was built in the checkout (the cache of compiled programs stays)
	rm -rf .build .bench node_modules docs/node_modules
