# Every target does the set-up it needs; all of it can be run again at any time.
# CARGO_TARGET_DIR, if set, is where the build goes (otherwise target/).

CARGO ?= cargo
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-bench setup-deny serve test fuzz fuzz-targets autobahn check fmt lint doc deny bench bench-limits bench-peers bench-cells bench-reload bench-slow-clients bench-soak bench-tls bench-websockets hostile

help: ## List the targets
	@echo "Holm: targets of make"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name what; do \
		printf '  make %-13s %s\n' "$$name" "$$what"; done

serve: setup ## Build the release and serve examples/holm.toml on port 8080
	$(CARGO) run --release -- serve examples/holm.toml

test: setup ## Run all tests
	$(CARGO) test --workspace

fuzz: setup ## Look for inputs that break what parses: other seeds and more cases than test has (fuzz/README.md)
	@seed=$${SEED:-$$(od -An -N8 -tu8 /dev/urandom | tr -d ' ')}; \
	echo "Seed $$seed (SEED=$$seed draws the same again). What fails belongs into a list beside its test."; \
	PROPTEST_RNG_SEED=$$seed PROPTEST_CASES=$${CASES:-10000} $(CARGO) test --workspace --lib --bins

fuzz-targets: ## Run each fuzz target for a minute (SECONDS_EACH=60); fuzz/README.md says what they look at
	@tools/fuzz all $${SECONDS_EACH:-60}

autobahn: setup ## Run the Autobahn test suite of WebSockets against Holm, as client and as server
	@tools/autobahn/run

check: fmt lint doc test deny ## Everything that must hold before a change lands

bench: setup-bench ## Measure hello against workerd and Deno, and start-up time
	$(CARGO) build --release
	python3 benches/bench.py

bench-limits: setup-bench ## Measure what limits cost, how exact they are, and what neighbours feel
	$(CARGO) build --release
	python3 benches/limits.py

bench-peers: setup-bench ## Measure warm and cold requests and memory beside workerd, Deno, Bun, Node and bare hyper
	$(CARGO) build --release -p holm -p bare-hyper
	python3 benches/peers.py

bench-cells: setup-bench ## Measure, in short, what isolates as processes are for, beside workerd, and print each figure with its aim
	$(CARGO) build --release
	python3 benches/cells.py

bench-websockets: setup-bench ## Measure echoed WebSocket messages beside workerd, and what 10,000 sockets at rest hold
	$(CARGO) build --release
	python3 benches/websockets.py

bench-tls: setup-bench ## Measure requests, handshakes, first requests and idle connections over TLS, beside bare hyper and rustls
	$(CARGO) build --release -p holm -p bare-hyper
	python3 benches/tls.py

bench-reload: setup ## Reload 500 times under load, a tenth of it to what does not hold, and see what clients notice
	$(CARGO) build --release
	python3 benches/reload.py

bench-slow-clients: setup ## Hold 5,000 slow clients, and see what a good one notices
	$(CARGO) build --release
	python3 benches/slow_clients.py

bench-soak: setup ## Start and end 100,000 isolates, each a process, and see what is left of them
	$(CARGO) build --release
	python3 benches/soak.py

hostile: setup ## Run the hostile functions three times over, debug and release, and print a table
	@tools/hostile

fmt: ## Is the code formatted?
	$(CARGO) fmt --all -- --check

lint: setup ## clippy, with warnings as errors; the fuzz targets compile
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	tools/fuzz check

doc: setup ## Do the docs build without warnings?
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items

deny: setup-deny ## Who may depend on what, licences, sources of the crates
	$(CARGO) deny --workspace check bans licenses sources

setup: ## Only the set-up: system packages, V8, npm packages, examples
	@tools/setup

setup-bench:
	@tools/setup bench

setup-deny:
	@tools/setup deny
