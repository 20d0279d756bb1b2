# skiff: build, try and test it. `make` alone builds; `make help` lists the rest.
#
#   make demo    sets up what this machine lacks and shows skiff at work
#   make test    sets up what the tests need and runs all of them

GO      ?= $(shell command -v go || echo /usr/local/go/bin/go)
PREFIX  ?= /usr/local
DESTDIR ?=
BENCH   ?= all
ARCH    ?= $(shell $(GO) env GOARCH)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

MODULE      := github.com/skiff-containers/skiff
LDFLAGS     := -s -w -X $(MODULE)/run.release=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
PACKAGES    := $(MODULE)/...

export CGO_ENABLED = 0
export PATH := $(PATH):$(patsubst %/,%,$(dir $(GO)))
# A clone that belongs to somebody else would be refused by git's stamping. Paths
# are trimmed everywhere, so that builds, lint and tests share what they compile.
export GOFLAGS += -buildvcs=false -trimpath

.PHONY: build
build: bin/skiff ## build bin/skiff, static, with the shim's small program inside

.PHONY: bin/skiff
bin/skiff:
	@SHIM_ARCH=$(ARCH) $(GO) generate ./conmon/program
	GOARCH=$(ARCH) $(GO) build -tags skiff_embed -ldflags '$(LDFLAGS)' -o $@ .

# What `go build` and `go install` give: the shim is the main program again.
.PHONY: bin/plain/skiff
bin/plain/skiff:
	GOARCH=$(ARCH) $(GO) build -ldflags '$(LDFLAGS)' -o $@ .

.PHONY: cross
cross: ## build dist/<arch>/skiff for linux/amd64 and linux/arm64
	@for arch in amd64 arm64; do \
		SHIM_ARCH=$$arch $(GO) generate ./conmon/program && \
		GOARCH=$$arch $(GO) build -tags skiff_embed -ldflags '$(LDFLAGS)' -o dist/$$arch/skiff . || exit 1; \
		echo dist/$$arch/skiff; \
	done

.PHONY: install
install: build ## install skiff and its completions below PREFIX (/usr/local)
	install -D -m 755 bin/skiff $(DESTDIR)$(PREFIX)/bin/skiff
	ln -sf skiff $(DESTDIR)$(PREFIX)/bin/skiff-runtime
	@$(MAKE) --no-print-directory install-completions

.PHONY: install-completions
install-completions:
	@share=$(DESTDIR)$(PREFIX)/share; cd completions && \
	install -D -m 644 skiff.bash $$share/bash-completion/completions/skiff && \
	install -D -m 644 _skiff $$share/zsh/site-functions/_skiff && \
	install -D -m 644 skiff.fish $$share/fish/vendor_completions.d/skiff.fish

.PHONY: demo
demo: ## set up what this machine lacks, then run skiff for real, with no outside registry
	@scripts/setup demo
	@$(MAKE) --no-print-directory build
	@GO=$(GO) scripts/demo

.PHONY: test
test: ## set up what the tests need, then lint and run all tests
	@scripts/setup test
	@$(MAKE) --no-print-directory lint build bin/plain/skiff
	@GO=$(GO) scripts/test

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@unformatted=$$($$($(GO) env GOROOT)/bin/gofmt -l .); [ -z "$$unformatted" ] || { echo "not formatted by gofmt:" $$unformatted; exit 1; }
	$(GO) vet $(PACKAGES)
	$(GO) run $(STATICCHECK) $(PACKAGES)

.PHONY: docs
docs: ## write docs/compat.md anew, from what the commands say
	$(GO) generate ./internal/compat

.PHONY: bench
bench: ## compare with other tools on this machine (BENCH=core|network|all); writes docs/bench*
	@scripts/setup bench
	@$(MAKE) --no-print-directory build
	@GO=$(GO) scripts/bench -part $(BENCH)

.PHONY: test-vm
test-vm: ## boot a Debian in QEMU and try skiff on it as its user would
	@scripts/setup vm demo
	@$(MAKE) --no-print-directory build
	@GO=$(GO) scripts/vm/test

.PHONY: clean
clean: ## delete what was built
	rm -rf bin dist conmon/program/shim_*

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 24
