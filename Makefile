# Everything a person or CI does here is one of these words; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

BIN := .venv/bin
ROUNDS ?= 5
PROCESSES ?= 2
CLUSTER := $(or $(LONGSTREAM_TEST_CLUSTER),../shared/tools/cluster/cluster)

# No package that we use may report home or ask a hub, in no command run from here.
export DO_NOT_TRACK := 1
export VLLM_NO_USAGE_STATS := 1
export HF_HUB_DISABLE_TELEMETRY := 1
# Threads that wait shall sleep: engines and a trainer that spin beside each other on two cores cost each other tenfold.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: help
help: ## List these commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: ## Make or update .venv (all other commands do it by themselves)
	@scripts/setup.sh

.PHONY: demo
demo: setup ## Documents in, a judged model out; MODEL=path-or-hub-id DOCS=folder for real ones, BUS=kafka
	@$(BIN)/python -m demo.run $(if $(MODEL),--model "$(MODEL)") $(if $(DOCS),--docs "$(DOCS)") \
		$(if $(filter kafka,$(BUS)),--kafka)

.PHONY: test
test: setup ## Run all tests, two files at a time (PROCESSES=2); ARGS="-k bus -x" goes to pytest
	@$(BIN)/pytest --ignore=tests/cluster --numprocesses $(PROCESSES) --dist loadfile $(ARGS) || { printf '\nNext: make test ARGS="--lf -x" repeats the first failure alone.\n'; exit 1; }
	@printf '\nNext: `make demo` shows the whole loop at work; docs/verified.md says which test shows which claim.\n'

.PHONY: check
check: setup ## Format, lint, types, contract: everything but the tests
	@echo "==> ruff format"; $(BIN)/ruff format --check .
	@echo "==> ruff check"; $(BIN)/ruff check .
	@echo "==> mypy"; $(BIN)/mypy
	@echo "==> shell scripts"; for script in scripts/*.sh deploy/images/*.sh deploy/images/*/*.sh .ci/run; do bash -n "$$script"; done
	@echo "==> buf lint"; $(BIN)/buf lint
	@echo "==> buf breaking"; $(BIN)/buf breaking --against proto/released.binpb
	@echo "==> stubs"; $(BIN)/python scripts/proto.py --check
	@echo "==> monitoring"; $(BIN)/python -m scripts.monitoring.write --check

.PHONY: format
format: setup ## Put the code into the form that `make check` asks for
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: proto
proto: setup ## Write longstream/v1 anew from proto/
	@$(BIN)/buf lint
	@$(BIN)/python scripts/proto.py

.PHONY: proto-release
proto-release: setup ## Make today's contract the one that later changes must not break
	@$(BIN)/buf build --exclude-source-info -o proto/released.binpb
	@echo "proto/released.binpb is today's contract."

.PHONY: bench
bench: setup ## Run every benchmark, or one: BENCH=embedded_log
	@for file in $(if $(BENCH),benchmarks/$(BENCH).py,$$(grep -l __main__ benchmarks/*.py)); do \
		name=$$(basename "$$file" .py); \
		echo "==> $$name"; \
		$(BIN)/python -m "benchmarks.$$name" || failed="$${failed:-} $$name"; \
	done; \
	[ -z "$${failed:-}" ] || { echo "Failed:$$failed"; exit 1; }

.PHONY: bench-instructor
bench-instructor: setup ## What the service adds to vLLM, and what three styles cost beside one; MODEL=folder JSON=1
	@$(BIN)/python -m benchmarks.instructor $(if $(MODEL),--model "$(MODEL)") $(if $(JSON),--json)

.PHONY: bench-trainer
bench-trainer: setup ## Fine-tuning beside TRL's SFTTrainer, packed and padded: useful tokens/s, memory; DATA=folder JSON=1
	@$(BIN)/python -m benchmarks.trainer $(if $(DATA),--data "$(DATA)") $(if $(JSON),--json)

.PHONY: bench-judge
bench-judge: setup ## Comparisons in both orders beside vLLM alone, the length-controlled fit beside scikit-learn; MODEL=folder JSON=1
	@$(BIN)/python -m benchmarks.judge $(if $(MODEL),--model "$(MODEL)") $(if $(DATA),--preferences "$(DATA)") $(if $(JSON),--json)

.PHONY: bench-curator
bench-curator: setup ## Choosing the k longest of files beside parsing, NLTK, tokenizers, datasets, polars, duckdb; TOKENIZER=model JSON=1
	@$(BIN)/python -m benchmarks.curator $(if $(INPUT),--input "$(INPUT)") $(if $(TOKENIZER),--tokenizer "$(TOKENIZER)") \
		$(if $(NLTK_DATA),--nltk-data "$(NLTK_DATA)") $(if $(K),--k $(K)) $(if $(JSON),--json)

.PHONY: kafka
kafka: setup ## Run a real Kafka broker and S3 gateway here until Ctrl-C (Java 17, Go); ONLY=kafka PORT=9092 DATA=folder
	@$(BIN)/python -m scripts.local $(if $(ONLY),--only $(ONLY)) $(if $(PORT),--port $(PORT)) $(if $(DATA),--data "$(DATA)")

.PHONY: images
images: setup ## Build the suite's container images with buildah, podman or docker; CPU=1 for engines without a GPU, BASE=image
	@$(BIN)/python -m scripts.images $(IMAGE) $(if $(CPU),--cpu) $(if $(BASE),--base "$(BASE)") $(if $(LAYOUT),--layout "$(LAYOUT)")

.PHONY: cluster-test
cluster-test: setup ## Run the suite on a real Kubernetes: the one of KUBECONFIG (which has the images), or one made for it
	@[ -n "$(KUBECONFIG)" ] || [ -x "$(CLUSTER)" ] || { \
		echo 'Name a cluster: KUBECONFIG=file, or LONGSTREAM_TEST_CLUSTER=program that makes one.'; exit 1; }
	@$(if $(KUBECONFIG),,$(BIN)/python -m scripts.images --cpu --layout .cache/images/layout)
	@LONGSTREAM_TEST_CLUSTER=$(if $(KUBECONFIG),kubeconfig,$(CLUSTER)) \
		$(BIN)/pytest tests/cluster --timeout=1800 $(ARGS)

.PHONY: policy
policy: setup ## Scan manifests and Dockerfiles with checkov and hadolint; exceptions stand in tests/deploy/policy.yaml
	@$(BIN)/python -m tests.deploy.policy

.PHONY: monitoring
monitoring: setup ## Write dashboards, the operator's rules and docs/metrics.md from their sources
	@$(BIN)/python -m scripts.monitoring.write

.PHONY: soak
soak: setup ## For ROUNDS=5 rounds: every kill again, and 2,000 new examples for each property; once: pods scaled on a cluster
	@for round in $$(seq $(ROUNDS)); do \
		echo "==> round $$round of $(ROUNDS)"; \
		SOAK=1 $(BIN)/pytest --ignore=tests/cluster -m kills $(ARGS); \
		$(BIN)/pytest --ignore=tests/cluster -m "not kills and not engine" --hypothesis-profile=soak --timeout=3600 $(ARGS); \
	done
	@if [ -n "$(KUBECONFIG)" ] || [ -x "$(CLUSTER)" ]; then \
		$(MAKE) cluster-test SOAK=1; \
	else \
		echo 'No cluster is named, so nothing was scaled: see make cluster-test.'; \
	fi

.PHONY: guards
guards: setup ## Take each guard of the eighteen rules (docs/rules.md) out and see its tests fail; RULES="6 8" for some
	@$(BIN)/python -m tests.rules.run $(RULES)

.PHONY: lock
lock: ## Resolve locks/*.in anew; UPGRADE=1 also takes newer versions
	@scripts/lock.sh $(if $(UPGRADE),--upgrade)

.PHONY: clean
clean: ## Remove caches and build leftovers; .venv and your data stay
	@rm -rf build dist ./*.egg-info services/*/{build,dist,*.egg-info} .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +

.PHONY: clean-all
clean-all: clean ## The same, and .venv
	@rm -rf .venv .venv-tools
