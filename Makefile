.DEFAULT_GOAL := help
PYTHON ?= python

.PHONY: help install install-browser check quick format lint lint-javascript types test openapi serve bench networks soak crash-test flip-test fuzz image-check

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## install the package with everything development needs
	$(PYTHON) -m pip install -e '.[dev]'

install-browser: ## install Chromium for the tests of the pages
	$(PYTHON) -m playwright install --with-deps chromium

check: SEED = 1
check: lint types test fuzz ## all that CI runs; fuzzing repeats one seed, so that CI judges the change

QUICK = tests/core/compute tests/core/images tests/core/inspect tests/core/render \
	tests/core/gallery/test_rules.py tests/core/gallery/test_distances.py tests/core/explain/test_rise.py \
	tests/core/test_config.py tests/core/test_errors.py tests/service/test_settings.py \
	tests/service/requests/test_grammar.py tests/service/requests/test_negotiation.py \
	tests/service/requests/test_strictness.py tests/test_architecture.py

quick: lint types ## what is known in two minutes: style, types, tests without server, browser, database
	$(PYTHON) -m pytest -q $(QUICK)

format: ## format the code
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

lint: lint-javascript ## check style and formatting; the explorer's JavaScript where there is npm
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

ifeq ($(shell command -v npm 2>/dev/null),)
lint-javascript:
	@echo "there is no npm on this machine: the explorer's JavaScript was not linted"
else
lint-javascript: node_modules/.package-lock.json
	npm run --silent lint

node_modules/.package-lock.json: package-lock.json
	npm ci --no-audit --no-fund
	@touch $@
endif

types: ## check types
	$(PYTHON) -m mypy

test: ## run the tests
	$(PYTHON) -m pytest --durations=20

flip-test: ## flip 500 bytes of a data folder, one at a time, and look what is served
	$(PYTHON) -m tests.flips --flips 500 --output benchmarks/results/flips.md

fuzz: SECONDS = 60
fuzz: ## odd forms, headers, pictures and model folders for a minute; SECONDS=600 for longer
	$(PYTHON) -m tests.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

openapi: ## write openapi/openapi.json
	$(PYTHON) -m service openapi --output openapi/openapi.json

serve: ## serve on port 8000
	$(PYTHON) -m service serve

bench: ## measure against peers (needs wrk and the extra `bench`)
	$(PYTHON) -m benchmarks.serving
	$(PYTHON) -m benchmarks.explain
	$(PYTHON) -m benchmarks.neighbors
	$(PYTHON) -m benchmarks.projection
	$(PYTHON) -m benchmarks.placing
	$(PYTHON) -m benchmarks.interference

networks: ## check library networks against independent references (half an hour)
	$(PYTHON) -m benchmarks.networks

soak: ## 10 000 requests, many of them bad
	$(PYTHON) -m benchmarks.soak

crash-test: ## kill a busy server 50 times and look whether anything is lost
	$(PYTHON) -m tests.crash --rounds 50 --output benchmarks/results/crash.md

image-check: ## build the image without a Docker engine and test it (root, buildah, crun, debootstrap)
	$(PYTHON) -m tests.image $(if $(IMAGE_FOLDER),--folder $(IMAGE_FOLDER))
