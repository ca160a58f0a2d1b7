# The ways into the project; `make` alone lists them. What a target needs is installed first if it is missing.

CARGO  ?= cargo
TARGET ?= $(or $(CARGO_TARGET_DIR),target)

.PHONY: help build test demo bench fmt clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build telegen: target/release/telegen
	@scripts/install-deps build
	$(CARGO) build --locked --release -p telegen

test: ## Check and test everything, as root or with a sudo that asks for no password
	@scripts/install-deps test
	@$(CARGO) xtask test $(if $(SUMMARY),--summary $(SUMMARY))

demo: ## Profile two of three sample programs for ten seconds, as root or with such a sudo
	@scripts/install-deps demo
	@scripts/become-root true
	$(CARGO) build --locked --release -p telegen
	@scripts/become-root scripts/demo $(TARGET)/release/telegen $(TARGET)/demo

bench: ## Measure the budgets and write them to docs/performance.md; as root, on a machine that has nothing else to do
	@scripts/install-deps bench
	@$(CARGO) xtask bench

fmt: ## Format the Rust code
	$(CARGO) fmt --all

clean: ## Remove what was built
	$(CARGO) clean
