# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Every recipe goes through tools/env, which makes the Python environment of the lock file on first use.
SHELL := /bin/bash
SITE := tools/env site
TEST := tools/env test
# What runs here is ended by its own signal handling; make's "Error 2" is the last line all the same.
MAKEFLAGS += --no-print-directory

# An area of the tests, which tests/areas.py names: make test-full AREA=modules
AREA ?=
# More arguments for ansible-playbook: make site ARGS='-e kic_cluster_name=demo --check --diff'
ARGS ?=
# The container engine: auto, docker or podman.
ENGINE ?=
# The version that make release makes: make release VERSION=1.2.3
VERSION ?=
# What make test runs: make test T=tests/unit, make test T='tests/unit -k subnet'. All of them are streams, two at a
# time: that of this machine's engines, and what can run next to it (tests/conftest.py).
T ?= --numprocesses=2 --no-loadscope-reorder --durations=30 --durations-min=15 tests
PLAYBOOK := $(SITE) ansible-playbook $(if $(ENGINE),-e kic_engine=$(ENGINE))

.DEFAULT_GOAL := help
.PHONY: help site teardown test test-full lint format docs bench mutants host clusters record picture venv lock release

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

site: ## Prepare this machine, make the node image and bring up the cluster (ENGINE=, ARGS=)
	@$(PLAYBOOK) playbooks/site.yml $(ARGS)

teardown: ## Remove the clusters of this collection (ENGINE=, ARGS='-e kic_purge=true')
	@$(PLAYBOOK) playbooks/teardown.yml $(ARGS)

test: ## Run the quick set of the tests, or some: T=tests/unit
	@$(TEST) pytest $(T)

test-full: ## Run the full set, of each area what has not passed in this state of the checkout (AREA=stories: of one alone)
	@$(TEST) pytest -m 'not emulated_cluster' $(if $(AREA),--area='$(AREA)',--affected) $(T)

lint: ## Run the linters and ansible-test sanity alone
	@$(TEST) pytest tests/lint

format: ## Format the Python code
	@$(TEST) ruff check --quiet --fix-only .
	@$(TEST) ruff format .

docs: ## Write the README of each role and docs/troubleshooting.md
	@$(TEST) python tools/role_readme.py
	@$(TEST) sh -c 'PYTHONPATH=$$ANSIBLE_COLLECTIONS_PATH python tools/troubleshooting.py'

bench: ## Measure the cluster step against kind (ARGS=, see benchmarks/README.md)
	@$(TEST) python -m benchmarks $(ARGS)

mutants: ## How many small faults in what decides the unit tests notice (an hour, see tools/mutants.py)
	@tools/env mutants python tools/mutants.py $(ARGS)

host: ## A fresh virtual machine of the tests (ARGS=shell for a shell on it, ARGS=down to end it)
	@$(TEST) python -m tests.hosts $(ARGS)

clusters: ## Test Kubernetes in the tests' virtual machine: podman and docker, root's and a user's (4 to 9 min each on an idle machine, by its speed)
	@$(TEST) pytest -m "" tests/integration/test_host_nodes.py -k test_cluster

record: ## Record again what the engines of the tests' virtual machine answer, for the unit tests
	@$(TEST) python -m tests.hosts.record

picture: ## Record the README's picture of a run: makes the cluster kic of this machine, or finds it
	@$(TEST) python tools/recording.py docs/make-site.svg 'make site' 'podman exec kic-control-plane-1 kubectl get nodes'

venv: ## Make the Python environments and say where they are
	@$(SITE) bash -c 'echo "make site: $$VIRTUAL_ENV"'
	@$(TEST) bash -c 'echo "make test: $$VIRTUAL_ENV"'

lock: ## Renew the lock files in requirements/ (then run make test)
	@tools/lock

release: ## Make a version: changelog, checks, build, commit and tag (VERSION=1.2.3); publishes nothing
	@$(TEST) python tools/release.py '$(VERSION)' $(ARGS)
