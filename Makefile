# Every command a contributor needs. `make help` lists them; variables may be given: make test PYTEST_ARGS='-k plan'
# STATUS_FILE is where `make test` writes pytest's own exit code, since make ends with 2 whatever it was.

ENOUGH      := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON      ?= $(shell for one in python3 python3.13 python3.12 python3.11; do \
                 "$$one" -c '$(ENOUGH)' 2> /dev/null && echo "$$one" && break; done)
VENV        ?= .venv
BIN         := $(VENV)/bin
STAMP       := $(VENV)/.setup-is-done
EXTRAS      ?= proto,test,dev,web-test
PYTEST_ARGS ?=
STATUS_FILE ?=
DEMO_FILE   ?= $(CURDIR)/configs/examples/quickstart.yaml
DEMO_TASKS  ?= release
BENCH_ARGS  ?=
CHAOS_SEED  ?= 1
CHAOS_COUNT ?= 200

# pytest with these arguments; its exit code goes to STATUS_FILE.
define pytest
@$(BIN)/python -m pytest $(1) $(PYTEST_ARGS); status=$$?; \
  if [ -n '$(STATUS_FILE)' ]; then echo $$status > '$(STATUS_FILE)'; fi; exit $$status
endef

TEST_WORKERS ?= 2
# Processes among which `make test` shares its files: most tests wait for something. 0 is one after another.

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-chaos lint format types docs reference bench build clean

help: ## list these commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv and install everything into it

$(STAMP): pyproject.toml constraints.txt
	@test -n '$(PYTHON)' && '$(PYTHON)' -c '$(ENOUGH)' || { echo "cannot set up: phased needs Python 3.11 or newer;" \
	  "name one: make setup PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || '$(PYTHON)' -m venv $(VENV) || { \
	  echo "cannot create $(VENV); Debian and Ubuntu need: apt install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV) (about a minute, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 10 -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

demo: setup ## run the example file in the foreground, in a throwaway directory
	@set -e; scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; mkdir "$$scratch/workspace"; \
	  ours() { verb=$$1; shift; '$(abspath $(BIN))/phased' --directory "$$scratch/workspace" \
	    --file '$(DEMO_FILE)' --state-dir "$$scratch/state" "$$verb" "$$@"; }; \
	  echo '--- phased plan $(DEMO_TASKS)'; ours plan $(DEMO_TASKS); \
	  echo '--- phased run $(DEMO_TASKS)'; ours run $(DEMO_TASKS); \
	  echo '--- phased executions'; ours executions

test: setup ## run every test that needs no special host, and say what was skipped and why
	$(call pytest,-q -n $(TEST_WORKERS) --dist loadfile)

test-chaos: setup ## random work, random deaths, full disks, reboots: CHAOS_COUNT seeds from CHAOS_SEED on
	@$(BIN)/python -m tests.chaos --seed $(CHAOS_SEED) --count $(CHAOS_COUNT)

lint: setup ## ruff, and the modules that are worth another look
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/ruff format --quiet --check . || { echo "cannot pass: these files are not formatted; run: make format" >&2; \
	  $(BIN)/ruff format --check . >&2; exit 1; }
	@find src -name '*.py' -exec awk 'END { if (FNR > 400) print "look again: " FILENAME " has " FNR " lines" }' {} \;
	@echo "lint: nothing to complain about"

format: setup ## let ruff format and mend what it can
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

types: setup ## mypy, strict
	@$(BIN)/mypy

docs: setup ## check that the generated reference is current, and build the site into site/
	@$(BIN)/python docs/generate.py --check
	@$(BIN)/python -m mkdocs build --quiet --strict --clean
	@echo "docs: built into site/"

reference: setup ## write the generated pages of docs/reference anew
	@$(BIN)/python docs/generate.py

bench: setup ## measure this project beside other tools
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

build: setup ## wheel and source distribution, into dist/
	@$(BIN)/python -m hatchling build --directory dist

clean: ## remove what these commands made
	@rm -rf $(VENV) dist build site .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Suites that need something of the host (a container engine, systemd, clients of other languages) follow here:
# each with a target of its own, named test-WHAT, which is not part of `make test`.

.PHONY: test-clients
test-clients: setup ## clients that others published, against a real daemon; installs them into .cache/clients
	$(call pytest,-q -rs tests/clients)

SOAK_MINUTES ?= 60

.PHONY: test-soak
test-soak: setup ## a daemon under mixed work for SOAK_MINUTES: its memory, descriptors and threads must not grow
	@$(BIN)/python -m tests.soak --minutes $(SOAK_MINUTES)

.PHONY: test-services
test-services: setup ## real PostgreSQL and Redis as services; installs nothing, says what is missing
	$(call pytest,-q -rs tests/integration -m services)

.PHONY: test-faults
test-faults: setup ## a daemon whose disk fails, by strace; installs nothing, says what is missing
	$(call pytest,-q -rs tests/faults/processes.py)

RIGS ?= ../shared/rigs

.PHONY: test-systemd
test-systemd: export PHASED_TEST_SYSTEMD ?= $(RIGS)
test-systemd: setup ## the service under a real systemd; needs root, and in RIGS the programs that boot one
	$(call pytest,-q -rs tests/systemd --timeout=900)

.PHONY: test-docker
test-docker: export PHASED_TEST_DOCKER ?= 1
test-docker: setup ## steps in containers, wherever DOCKER_HOST answers; PHASED_TEST_IMAGE names an image with a shell
	$(call pytest,-q -rs tests/docker --timeout=900)

.PHONY: test-podman
test-podman: export PHASED_TEST_DOCKER ?= 1
test-podman: export PHASED_TEST_ENGINE := podman
test-podman: setup ## the same with podman as the engine, where it works
	$(call pytest,-q -rs tests/docker --timeout=900)

.PHONY: test-image
test-image: setup ## the image of Dockerfile, wherever DOCKER_HOST answers; PHASED_TEST_IMAGE_BASE names its base
	$(call pytest,-q -rs tests/image --timeout=900)

.PHONY: test-install
test-install: export PHASED_TEST_INSTALL ?= 1
test-install: setup ## wheel and source distribution, installed as a user does; needs the package index
	$(call pytest,-q -rs tests/install --timeout=900)

.PHONY: test-web
test-web: export PHASED_TEST_WEB ?= 1
test-web: setup ## the web page in a real browser: chromium, which PHASED_TEST_CHROMIUM may name
	$(call pytest,-q -rs tests/web/browser)

.PHONY: pictures
pictures: setup ## make the pictures of the web page for docs/images anew, with the same browser
	@$(BIN)/python -m tests.web.pictures
