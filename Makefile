# SPDX-License-Identifier: Apache-2.0
# The front door: each target is one line of what it does, and the real work is in CMake and dev/.
PREFIX ?= /usr/local
DESTDIR ?=
SAMPLE ?= $(firstword $(wildcard /usr/lib /usr/include /etc))

.DEFAULT_GOAL := help
.PHONY: help deps deps-dev release run test check bench soak coverage mutants packages abi-record hot-paths-record install clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 25

deps: ## install what is needed to build and run (Debian packages)
	@dev/deps run

deps-dev: ## install the rest: second compiler, tests, checks, benchmarks
	@dev/deps run dev

release: deps ## build the library and the wring command
	@cmake --preset release -DWRING_TESTS=OFF -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	@cmake --build build/release --target wring wring-static wring_tool

run: release ## build, then checksum a real tree: make run SAMPLE=/usr/share
	@echo "wring sum --summary $(SAMPLE) > /dev/null"
	@build/release/tools/wring sum --summary $(SAMPLE) > /dev/null || [ $$? = 1 ]  # 1: some files are not ours to read

test: deps-dev ## everything that continuous integration runs
	@dev/test

check: deps-dev ## format, tidy, layers, prose
	@dev/check

bench: deps-dev ## measure against five other pools, keep the samples in bench/results, draw the picture
	@cmake --preset bench >/dev/null && cmake --build build/bench && bench/run --keep

soak: deps-dev ## the long forms of test: many more seeds, coverage, clang-tidy on everything
	@dev/test --soak

coverage: deps-dev ## which lines of the library the tests run
	@dev/coverage

mutants: deps-dev ## break the library in many small ways: does a test turn red each time?
	@dev/mutants

packages: deps-dev ## Debian packages, into build/packages
	@dev/test packages

abi-record: deps-dev ## write down in abi/ what libwring.so offers now
	@dev/abi-record

hot-paths-record: deps-dev ## write down in bench/results how many instructions the hot paths take now
	@dev/hot-paths-record

install: release ## copy into PREFIX (default /usr/local), below DESTDIR
	@DESTDIR=$(DESTDIR) cmake --install build/release --prefix $(PREFIX)

clean: ## remove build/
	@rm -rf build
