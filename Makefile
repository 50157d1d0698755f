# The commands of the project. Each sets up .venv first, once: with uv where it is on PATH, else venv and pip.

PYTHON ?= python3
BIN := .venv/bin
PINNED := --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup run dev reset report test test-slow test-all check doctor bench soak test-ui test-ui-twice test-deploy test-containers test-pythons test-lowest docs build screenshots clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/.ready ## set up .venv

.venv/.ready: pyproject.toml constraints.txt
	@if command -v uv >/dev/null 2>&1; then \
		echo "setting up .venv with uv"; \
		test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) .venv; \
		uv pip install --quiet --compile-bytecode --python $(BIN)/python $(PINNED) --group dev --editable '.[demo,ui]'; \
	else \
		echo "setting up .venv with pip (this takes a minute)"; \
		test -x $(BIN)/python || $(PYTHON) -m venv .venv; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1' && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINNED) --group dev --editable '.[demo,ui]'; \
	fi
	@touch $@

# A group of dependencies of pyproject.toml, installed once: .venv/.ready-docs brings the group `docs`.
.venv/.ready-%: .venv/.ready
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --compile-bytecode --python $(BIN)/python $(PINNED) --group $*; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINNED) --group $*; \
	fi
	@touch $@

run: setup ## load everything and print what happened; PAGE=name for one page of several
	@$(BIN)/python -m cachet_dagster run $(if $(PAGE),--page $(PAGE))

dev: setup ## the Dagster UI on http://localhost:3000, or the next free port; PORT=3001 for one of your own
	@PYTHONWARNINGS='ignore:Function `dev_command`' $(BIN)/dagster dev $(if $(PORT),--port $(PORT))

reset: ## delete the databases, Dagster's storage and the reports in this folder, after a question
	@printf 'This deletes *.duckdb, .dagster and reports in %s. Go on? [y/N] ' "$$PWD"; \
	read answer; [ "$$answer" = y ] && rm -rf -- *.duckdb *.duckdb.* .dagster reports && echo 'Nothing is loaded now.'

report: setup ## a period of each page as one HTML file: PAGE=cachet PERIOD=2026-10 POLICY=sla
	@$(BIN)/python -m cachet_dagster report $(if $(PAGE),--page $(PAGE)) $(if $(PERIOD),--period $(PERIOD)) $(if $(POLICY),--policy $(POLICY))

doctor: setup ## report on the Cachet, the token and the database; PAGE=name as above
	@$(BIN)/python -m cachet_dagster doctor $(if $(PAGE),--page $(PAGE))

test: setup ## what a change usually breaks, on this machine alone
	@$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: setup ## what `make test` leaves out because it is long
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m 'slow and not soak and not ui and not deploy and not containers'

test-all: test-slow test ## both

test-pythons: ## the wheel on each Python from 3.11 to 3.14 that is here: demo, tests of source and Component
	@.ci/test-pythons

test-lowest: ## the lowest versions that pyproject.toml allows: demo, tests of the source
	@.ci/test-lowest

check: setup ## lint, format, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

soak: setup ## the long proofs: kills, a thousand syncs, ten processes, a year
	@$(BIN)/python -m pytest -m soak -s cachet_dagster_tests/soak
	@$(BIN)/python -m pytest -m hypothesis --hypothesis-profile others

test-ui: setup .venv/.ready-browser ## the UI in headless Chromium, which has to be on PATH
	@$(BIN)/python -m pytest -m ui cachet_dagster_tests/ui

test-ui-twice: setup .venv/.ready-browser ## the same, with one more try for what failed, which is named
	@PYTHON=$(BIN)/python .ci/test-twice -m ui cachet_dagster_tests/ui

test-deploy: setup .venv/.ready-deploy ## what deploy/ holds, as far as it runs without a cluster; WITHOUT=file leaves one out
	@$(BIN)/python -m pytest -m deploy cachet_dagster_tests/deploy $(if $(WITHOUT),--deselect=$(WITHOUT))

CONTAINERS ?= cachet_dagster_tests/deploy/test_image.py

test-containers: setup .venv/.ready-deploy .venv/.ready-browser ## the image in containers, as root on Debian, whose packages it installs; CONTAINERS=file for another test
	@$(BIN)/python -m pytest -m containers -rs $(CONTAINERS)

docs: setup .venv/.ready-docs ## the documentation as a site in site/, its links checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir site

build: setup .venv/.ready-build ## wheel and sdist in dist/, checked as PyPI checks them
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation --outdir dist . >/dev/null
	@$(BIN)/twine check --strict dist/*

screenshots: setup .venv/.ready-browser ## the pictures of the documentation, taken from the running program
	@$(BIN)/python -m cachet_dagster_tests.ui.screenshots

bench: setup .venv/.ready-deploy ## side by side with the public recipe and with the floor
	@$(BIN)/python -m benchmarks
	@$(BIN)/python -m benchmarks.destinations
	@$(BIN)/python -m benchmarks.pages
	@$(BIN)/python -m benchmarks.idle
	@$(BIN)/python -m benchmarks.hosts
	@$(BIN)/python -m benchmarks.events
	@$(BIN)/python -m benchmarks.models
	@$(BIN)/python -m benchmarks.unchanged

clean: ## remove .venv and caches, not your data
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
