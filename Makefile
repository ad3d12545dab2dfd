# A thin front for Meson: see CONTRIBUTING.md for what each target needs and how long it takes.
#
#   make             install what is missing, build into build/main
#   make demo        build a Dockerfile into a microVM, run it, ask its port, delete it
#   make check       all tests; check-unit check-api check-qemu check-kvm check-arm64 check-user: one part
#   make asan        units and API scenarios with AddressSanitizer and UBSan
#   make lint        formatting, static analysis, layers, macOS, man pages
#   make fuzz        run each fuzz target for FUZZ_S seconds (60)
#   make bench       the figures, as a table
#   make libkrun     build libkrun from its published crate into build/deps/libkrun
#   make install     with PREFIX (/usr/local) and DESTDIR
#   make clean       remove the builds; build/deps, which is slow to get, stays: rm -rf build

BUILD ?= build/main
PREFIX ?= /usr/local
FUZZ_S ?= 60
NINJA_FLAGS ?=

check_parts := unit api qemu kvm arm64 user

.PHONY: all demo check $(addprefix check-,$(check_parts)) asan lint fuzz bench libkrun install clean

all:
	@tools/bootstrap build
	@tools/build $(BUILD) $(NINJA_FLAGS)

demo:
	@tools/bootstrap demo
	@tools/build $(BUILD) $(NINJA_FLAGS)
	@tools/demo $(BUILD)

check:
	@tools/bootstrap check
	@tools/build $(BUILD) $(NINJA_FLAGS)
	@tools/check --build $(BUILD) $(CHECK_FLAGS)

$(addprefix check-,$(check_parts)): check-%:
	@tools/bootstrap check
	@tools/build $(BUILD) $(NINJA_FLAGS)
	@tools/check --build $(BUILD) $*

asan:
	@tools/bootstrap check
	@tools/build build/asan $(NINJA_FLAGS)
	@tools/check --build build/asan $(CHECK_FLAGS) unit api

lint:
	@tools/bootstrap check
	@tools/build $(BUILD) $(NINJA_FLAGS)
	@tools/lint --build $(BUILD) $(LINT_FLAGS)

fuzz:
	@tools/bootstrap check
	@tools/build build/fuzz $(NINJA_FLAGS)
	@tools/fuzz build/fuzz $(FUZZ_S)

bench:
	@tools/bootstrap check
	@tools/build-libkrun
	@tools/build build/release $(NINJA_FLAGS)
	@bench/run build/release

libkrun:
	@tools/bootstrap build
	@tools/build-libkrun

install:
	@tools/bootstrap build
	@tools/build $(BUILD) -Dprefix=$(PREFIX) $(NINJA_FLAGS)
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

clean:
	@for build in build/*/; do \
		[ "$$build" = build/deps/ ] || { echo "removing $$build"; rm -rf "$$build"; }; \
	done
	@$(MAKE) -s -C examples/hello clean
