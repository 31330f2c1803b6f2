# The front door. `make` alone explains what there is.
SHELL := /bin/sh
TARGET := x86_64-unknown-linux-musl
PROGRAMS := target/$(TARGET)/release
IMAGE := target/image
STANDIN := mesos-standin

# Written by `make setup`: which cargo to use, and which one builds for $(TARGET).
CARGO := cargo
CARGO_MUSL := cargo
-include target/toolchain.mk

# What a person may set on the command line.
CMD ?=
MESOS ?=
SSH_KEY ?=
PORTS ?=
APPEND ?=

# A person at the console is let in; a command comes over ssh.
kernel_arguments = $(strip $(if $(CMD),,mainstay.autologin) $(APPEND))
run_options = $(if $(CMD),--cmd '$(subst ','\'',$(CMD))') $(if $(SSH_KEY),--ssh-key '$(SSH_KEY)') \
	$(if $(PORTS),--ports '$(PORTS)') $(if $(kernel_arguments),--append '$(kernel_arguments)')
image_options = $(if $(SSH_KEY),--ssh-key '$(SSH_KEY)') $(if $(MESOS),--mesos '$(MESOS)')

.PHONY: try help setup build image boot test lint unit system soak fuzz bench clean

help:
	@echo 'make setup   install what is missing to build, boot and test (packages, the musl target)'
	@echo 'make build   the four programs, static, in $(PROGRAMS)'
	@echo 'make image   kernel, initramfs and manifest, in $(IMAGE)'
	@echo "make boot    the image in QEMU, with its console here; with CMD='svctl status', runs that"
	@echo '             over ssh, powers off, and ends with its exit status'
	@echo 'make try     a small tree of services for yourself, here, without any privilege'
	@echo 'make test    formatting, lints, and every test, up to whole machines in QEMU'
	@echo 'make soak    fifty services under everything that may happen, for SOAK=120 seconds'
	@echo 'make fuzz    archives and documents such as nobody should send, to the provisioner, for FUZZ=60 seconds'
	@echo 'make bench   restart and memory beside a bare loop'
	@echo 'make clean   remove what was built'
	@echo
	@echo 'make image and make boot take MESOS=PREFIX|FILE.deb|ARCHIVE.tar (a Mesos to put into the image; without'
	@echo 'it the image carries a stand-in) and SSH_KEY=FILE (the key to log in with). make boot takes PORTS=free'
	@echo 'or PORTS=ssh=2223,5050=5060 and APPEND="kernel arguments".'

setup:
	@scripts/setup

build: setup
	@$(MAKE) --no-print-directory programs

# A make of its own reads what setup wrote.
.PHONY: programs
programs:
	@echo 'build: the programs for $(TARGET)'
	@$(CARGO_MUSL) build --quiet --release --target $(TARGET) -p init -p supervise -p svctl -p svlog -p image -p containerizer -p $(STANDIN)
	@echo 'build: the image builder and the machine runner'
	@$(CARGO) build --quiet -p rootfs -p qemu

image: build
	@target/debug/rootfs build --out $(IMAGE) --programs $(PROGRAMS) $(image_options)

boot: image
	@target/debug/qemu run --image $(IMAGE) $(run_options)

# With whatever cargo there is: nothing has to be installed for this.
try:
	@echo 'build: the four programs, for this system'
	@$(CARGO) build --quiet -p init -p supervise -p svctl -p svlog
	@scripts/try $${CARGO_TARGET_DIR:-target}/debug

test: lint unit system

# Debian's packaged compiler has neither rustfmt nor clippy; where changes are judged both must be there.
lint: setup
	@if $(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1; then \
		echo 'test: formatting' && $(CARGO) fmt --check && \
		echo 'test: lints' && $(CARGO) clippy --quiet --workspace --all-targets -- -D warnings; \
	else \
		echo 'test: NOT CHECKED: formatting and lints (this toolchain has no rustfmt or no clippy)'; [ -z "$$CI" ]; \
	fi

unit: build
	@echo 'test: the pure parts, the system calls, the tools'
	@$(CARGO) test --quiet --workspace --exclude tests

system: image
	@scripts/oracle-root
	@scripts/image-oracle
	@echo 'test: processes, PID namespaces and virtual machines'
	@$(CARGO) test --quiet -p tests

# Seconds; SOAK_SEED= repeats what was done.
SOAK ?= 120
soak: build
	@SOAK=$(SOAK) $(CARGO) test --quiet -p tests --test soak -- --nocapture

# FUZZ_SEED= repeats a run. `make test` has one of ten seconds.
fuzz: setup
	@FUZZ=$(or $(FUZZ),60) $(CARGO) test --quiet -p image --test fuzz -- --nocapture

bench: build
	@$(CARGO) run --quiet --release -p bench

clean:
	@$(CARGO) clean
