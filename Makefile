# The two commands of the README are `make demo` and `make test`. Each finds or installs what it needs.
SHELL := /bin/bash
TARGET ?= x86_64-unknown-linux-gnu
MUSL := x86_64-unknown-linux-musl
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.PHONY: demo test build image go check safety clumsy network agreement goker fuzz bench layouts dumps clean

# One static file: musl where that target is installed, else glibc linked statically. TLS has some C and assembly in it (ring), which needs no libc.
build:
	@if rustc --print target-libdir --target $(MUSL) 2>/dev/null | xargs -I{} test -d {}; then t=$(MUSL); else t=$(TARGET); fi; \
	echo "build: static release for $$t"; \
	export CC_x86_64_unknown_linux_musl="$${CC_x86_64_unknown_linux_musl:-$$(command -v musl-gcc || echo cc)}"; \
	RUSTFLAGS="$$RUSTFLAGS -C target-feature=+crt-static" cargo build --release --target $$t && \
	mkdir -p $(TARGET_DIR)/static && cp -f $(TARGET_DIR)/$$t/release/adit $(TARGET_DIR)/static/adit && \
	ls -l $(TARGET_DIR)/static/adit | awk '{print "build: " $$NF ", " $$5 " bytes"}'

# The image for debug containers in pods (deploy/Dockerfile), with whatever builds images here. IMAGE names it, with a registry to push it.
IMAGE ?= adit
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
image:
	@tool=$$(for t in docker podman nerdctl buildah; do command -v $$t >/dev/null && $$t info >/dev/null 2>&1 && echo $$t && break; done); \
	if [ -z "$$tool" ]; then echo "image: nothing here builds images: docker, podman, nerdctl or buildah, with its daemon running if it has one" >&2; exit 1; fi; \
	$(MAKE) --no-print-directory build && dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && cp $(TARGET_DIR)/static/adit "$$dir/adit" && \
	for t in nonroot root; do \
	  tag=$(IMAGE):$(VERSION); [ $$t = root ] && tag=$$tag-root; \
	  $$tool build -f deploy/Dockerfile --target $$t -t "$$tag" "$$dir" || { echo "image: $$tool cannot build it" >&2; exit 1; }; \
	  echo "image: $$tag"; \
	done

go:
	@.ci/setup-go > /dev/null

demo: go build
	@go=$$(.ci/setup-go 2>/dev/null) && exec $(TARGET_DIR)/static/adit demo --go "$$go"

check:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

# Releases of Delve beside the one that is compared with, for `adit connect`.
DLV_RELEASES := v1.21.2 v1.24.2
test: go check
	@go=$$(.ci/setup-go 2>/dev/null) && dlv=$$(.ci/setup-dlv "$$go") && \
	dlvs=$$(for v in $(DLV_RELEASES); do .ci/setup-dlv "$$go" $$v; done) && \
	ADIT_GO="$$go" ADIT_DLV="$$dlv" ADIT_DLVS="$$dlvs" cargo test --no-fail-fast

# 100 runs of every way to end in every situation.
safety: go
	@go=$$(.ci/setup-go 2>/dev/null) && ADIT_GO="$$go" ADIT_SAFETY_RUNS=100 cargo test --release --test safety -- --nocapture --test-threads 2

# 1,000 sessions of a clumsy user in production.
clumsy: go
	@go=$$(.ci/setup-go 2>/dev/null) && ADIT_GO="$$go" ADIT_CLUMSY=1000 cargo test --release --test budget -- --nocapture a_clumsy_user

# Over networks that fail, 100 programs of each situation, and 100 steps over a long line.
network: go
	@go=$$(.ci/setup-go 2>/dev/null) && ADIT_GO="$$go" ADIT_NETWORK_RUNS=100 ADIT_DISTANCE_STEPS=100 \
	cargo test --release --test network --test distance -- --nocapture --test-threads 1

# Figures of agreement with Delve.
agreement: go
	@go=$$(.ci/setup-go 2>/dev/null) && dlv=$$(.ci/setup-dlv "$$go") && \
	ADIT_GO="$$go" ADIT_DLV="$$dlv" cargo test --test agreement -- --nocapture

# Leaks and deadlocks of the Go distribution's own collection, 20 runs each, against the runtime's leak profile.
goker: go
	@go=$$(.ci/setup-go 2>/dev/null) && ADIT_GO="$$go" ADIT_GOKER_RUNS=20 cargo test --test goker -- --nocapture --test-threads 1

# Lines, tokens and records damaged in every way, a minute each; another seed: ADIT_FUZZ_SEED.
fuzz:
	ADIT_FUZZ_SECONDS=60 cargo test --test fuzz -- --nocapture --test-threads 1

# Speed against Delve in the same run; see benches/README.md.
bench: go build
	@go=$$(.ci/setup-go 2>/dev/null) && dlv=$$(.ci/setup-dlv "$$go") && \
	ADIT_GO="$$go" ADIT_DLV="$$dlv" ADIT_BIN=$(TARGET_DIR)/static/adit cargo bench --bench speed --bench breakpoints --bench diagnosis --bench profiles --bench timeline --bench traces

# Tables of the Go runtime's structures, for stripped programs: one program built by each release, its DWARF read. A new release is
# one more name here, a new field one more row (with any offset) in the table.
LAYOUT_RELEASES := 1.21.13 1.22.10 1.23.1 1.23.2 1.23.3 1.23.4 1.23.9 1.24.3 1.24.5 1.24.6 1.24.11 1.25.5 1.26.6 1.27.3
LAYOUT_EXPERIMENTS := 1.25.5:greenteagc 1.26.6:nogreenteagc 1.27.3:nogreenteagc
layouts: go
	@go=$$(.ci/setup-go 2>/dev/null) && dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && cd tests/programs/layouts && \
	for r in $(LAYOUT_RELEASES) $(LAYOUT_EXPERIMENTS); do \
	  x=$${r#*:}; [ "$$x" = "$$r" ] && x=; \
	  GOTOOLCHAIN=go$${r%%:*} GOEXPERIMENT=$$x GOFLAGS= GOWORK=off "$$go" build -o "$$dir/$$r" . || exit 1; \
	done && cd ../../.. && cargo run --quiet --example layouts -- src/goruntime/layout "$$dir"/* && \
	rustfmt --edition 2024 src/goruntime/layout/table.rs src/goruntime/layout/waitreasons.rs

# The goroutine dumps of tests/dumps: every form, of every release.
DUMP_RELEASES := 1.21.13 1.22.10 1.23.9 1.24.11 1.25.5 1.26.6 1.27.3
dumps: go
	@go=$$(.ci/setup-go 2>/dev/null) && dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && out=$$PWD/tests/dumps && \
	cd tests/programs/dumps && for v in $(DUMP_RELEASES); do \
	  export GOTOOLCHAIN=go$$v && root=$$("$$go" env GOROOT) && "$$go" build -o "$$dir/stuck" . || exit 1; \
	  for f in all quit debug1 debug2; do \
	    case $$f in all) run=panic;; *) run=$$f;; esac; \
	    (GOTRACEBACK=all GODEBUG=tracebacklabels=1 "$$dir/stuck" $$run 2>&1 || true) | \
	      sed -e "s#$$root#/usr/local/go#g" -e "s#$$PWD#/srv/stuck#g" > "$$out/$$v-$$f.txt"; \
	  done; \
	done; (ulimit -c 0; GOTRACEBACK=crash "$$dir/stuck" quit 2>&1 || true) | \
	  sed -e "s#$$root#/usr/local/go#g" -e "s#$$PWD#/srv/stuck#g" > "$$out/$$v-crash.txt"

clean:
	cargo clean
