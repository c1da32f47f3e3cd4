# Every target installs what it needs; a step is skipped when its inputs did not change.
PYTHON := .venv/bin/python
export PYTHON3 ?= python3
FAULTS ?= 20
SEED ?= 1
MINUTES ?= 0
BENCH ?= latency logs events registry stats idle resync backup page push

.PHONY: help run demo demo-down install install-dev assets services test check bench chaos bare lock clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: install assets ## Start SSM with a database and Redis of its own, print URL and login
	@exec $(PYTHON) manage.py up

demo: ## The same, plus three real Docker hosts to look at (root on Linux)
	@sh scripts/install_debian.sh demo
	@$(MAKE) --no-print-directory install assets
	@exec $(PYTHON) manage.py up --demo

demo-down: ## Remove the demo's Docker hosts and all they left
	@exec $(PYTHON) manage.py demo_down

install: ## Create .venv from the lock files
	@sh scripts/bootstrap.sh base

install-dev: ## The same with the tools for checks and tests
	@sh scripts/bootstrap.sh dev

assets: install ## Fetch the browser assets into static/vendor
	@sh scripts/assets.sh

services: install ## Run only PostgreSQL and Redis, print their URLs
	@exec $(PYTHON) -m ssm.services start

test: ## Everything that CI runs: checks and all tests
	@sh scripts/install_debian.sh test
	@$(MAKE) --no-print-directory install-dev assets
	@$(MAKE) --no-print-directory check; checked=$$?; sh scripts/test.sh && exit $$checked

check: install-dev ## Format, lint, types, import contracts, migrations, templates
	@$(PYTHON) -m ssm.services run -- sh scripts/check.sh

bench: ## Measure against the targets; BENCH=latency|logs|events|registry|stats|idle|resync|backup|page|push for one
	@sh scripts/install_debian.sh bench
	@$(MAKE) --no-print-directory install-dev assets
	@for name in $(BENCH); do $(PYTHON) -m ssm.services run -- $(PYTHON) -m tests.bench.$$name || exit 1; done

chaos: ## Break things at random while people use it, see that all recovers; FAULTS=20 SEED=1 MINUTES=0 (root)
	@sh scripts/install_debian.sh demo
	@$(MAKE) --no-print-directory install-dev assets
	@$(PYTHON) -m tests.chaos --faults $(FAULTS) --seed $(SEED) --minutes $(MINUTES)

bare: ## Prove `make run` on an empty Debian 12 (root, needs debootstrap, some minutes)
	@sh scripts/bare_machine.sh

lock: install-dev ## Resolve requirements/*.in anew into the lock files
	@sh scripts/lock.sh

clean: ## Remove what can be made again; data in .data stays
	rm -rf .venv node_modules static/vendor .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
