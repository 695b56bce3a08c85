# The two commands of the README are `make demo` and `make test`. Each finds or installs what it needs.
SHELL := /bin/bash
TARGET ?= x86_64-unknown-linux-gnu
MUSL := x86_64-unknown-linux-musl
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.PHONY: demo test build go check safety agreement bench clean

# One static file: musl where that target is installed, else glibc linked statically.
build:
	@if rustc --print target-libdir --target $(MUSL) 2>/dev/null | xargs -I{} test -d {}; then t=$(MUSL); else t=$(TARGET); fi; \
	echo "build: static release for $$t"; \
	RUSTFLAGS="$$RUSTFLAGS -C target-feature=+crt-static" cargo build --release --target $$t && \
	mkdir -p $(TARGET_DIR)/static && cp -f $(TARGET_DIR)/$$t/release/adit $(TARGET_DIR)/static/adit && \
	ls -l $(TARGET_DIR)/static/adit | awk '{print "build: " $$NF ", " $$5 " bytes"}'

go:
	@.ci/setup-go > /dev/null

demo: go build
	@go=$$(.ci/setup-go 2>/dev/null) && exec $(TARGET_DIR)/static/adit demo --go "$$go"

check:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

test: go check
	@go=$$(.ci/setup-go 2>/dev/null) && dlv=$$(.ci/setup-dlv "$$go") && \
	ADIT_GO="$$go" ADIT_DLV="$$dlv" cargo test --no-fail-fast

# 100 runs of every way to end in every situation.
safety: go
	@go=$$(.ci/setup-go 2>/dev/null) && ADIT_GO="$$go" ADIT_SAFETY_RUNS=100 cargo test --release --test safety -- --nocapture --test-threads 2

# Figures of agreement with Delve.
agreement: go
	@go=$$(.ci/setup-go 2>/dev/null) && dlv=$$(.ci/setup-dlv "$$go") && \
	ADIT_GO="$$go" ADIT_DLV="$$dlv" cargo test --test agreement -- --nocapture

# Speed against Delve in the same run; see benches/README.md.
bench: go build
	@go=$$(.ci/setup-go 2>/dev/null) && dlv=$$(.ci/setup-dlv "$$go") && \
	ADIT_GO="$$go" ADIT_DLV="$$dlv" ADIT_BIN=$(TARGET_DIR)/static/adit cargo bench --bench speed

clean:
	cargo clean
