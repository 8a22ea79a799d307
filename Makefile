# Targets for people who work on firn. Nothing but Go, git and make is needed, except for
# bench, which compares with restic and borg where they are installed.

GO       ?= go
PREFIX   ?= /usr/local
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 60s
MINUTES  ?= 10
SEED     ?= 1
LDFLAGS  := -s -w -X main.version=$(VERSION)

.PHONY: build test demo bench bench-quick torture fuzz lint install clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/firn ./cmd/firn

# The race detector needs a C compiler; without one the tests run without it. The simulation
# runs once more without it, as it leaves out there what would take minutes.
test:
	$(GO) vet ./...
	@if [ "$$($(GO) env CGO_ENABLED)" = 1 ]; then set -ex; $(GO) test -race ./...; $(GO) test ./cmd/firntorture/sim; else \
		echo 'no C compiler: the tests run without the race detector'; set -x; $(GO) test ./...; fi

# A backup of a real tree and back, in a temporary place. DEMO_TREE names another tree.
demo: build
	@GO='$(GO)' sh cmd/firn/demo.sh bin/firn

# The same data through firn, restic and borg, where those are installed; the table goes to
# docs/benchmarks.md. It takes about an hour and 25 GB below TMPDIR.
bench: build
	$(GO) run ./cmd/firnbench -firn bin/firn -out docs/benchmarks.md

# The same in small, under five minutes, printed only; then the benchmarks of the packages.
bench-quick: build
	$(GO) run ./cmd/firnbench -quick -firn bin/firn
	$(GO) test -short -run '^$$' -bench . -benchtime 200ms ./chunk ./pack ./index

# Kills, full disks, power failures, damage and simulated crashes for MINUTES minutes, and
# the scorecard of docs/reliability.md. PARTS names some of them.
torture: build
	$(GO) build -o bin/firntorture ./cmd/firntorture
	bin/firntorture -firn bin/firn -minutes $(MINUTES) -seed $(SEED) $(if $(PARTS),-parts $(PARTS))

# Every fuzz target for FUZZTIME. On a busy machine go test may end one with "context deadline
# exceeded" and nothing found; what it did find fails again at once.
fuzz:
	@set -e; for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
			run="$(GO) test -run ^$$f\$$ -fuzz ^$$f\$$ -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p"; \
			echo "== $$p $$f"; $$run || $$run; \
		done; \
	done

lint:
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "gofmt: $$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

install: build
	install -D -m 0755 bin/firn $(DESTDIR)$(PREFIX)/bin/firn
	bin/firn man --quiet --dir $(DESTDIR)$(PREFIX)/share/man/man1
	mkdir -p $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	bin/firn completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/firn
	bin/firn completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_firn
	bin/firn completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/firn.fish

clean:
	rm -rf bin
