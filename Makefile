# make            what can be made
# Variables: PYTHON (3.11 to 3.13), VENV, TORCH_INDEX_URL (the index of another build of torch), PIP_FLAGS;
# TESTS (a part of the tests), TEST_WORKERS (processes that run them).
# Those of images: docker/build.sh
VENV ?= .venv
TESTS ?=
TEST_WORKERS ?= 2
IN_PARALLEL = -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder
# processes that share the cores must not each start a thread for every core
# nor does a short-lived Java pay for its second compiler
TEST_ENV = OMP_NUM_THREADS=1 SPARK_SUBMIT_OPTS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
export VENV PYTHON TORCH_INDEX_URL PIP_FLAGS

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint images clean kind-up kind-images kind-run kind-predict kind-down

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

setup:  ## make .venv and install everything (once; an interrupted set-up is repaired)
	@bash scripts/setup.sh

demo: setup  ## the whole pipeline on a demo shop: report, served recommendations
	@"$(VENV)/bin/longtail" demo

test: setup  ## every test, with ruff, mypy and import-linter among them
	@$(TEST_ENV) "$(VENV)/bin/python" -m pytest $(IN_PARALLEL) $(TESTS)

test-fast: setup  ## all but the slow tests and those of Spark
	@$(TEST_ENV) "$(VENV)/bin/python" -m pytest $(IN_PARALLEL) -m "not slow and not spark" $(TESTS)

lint: setup  ## format, lint, types, layers
	@"$(VENV)/bin/ruff" format .
	@"$(VENV)/bin/ruff" check .
	@"$(VENV)/bin/mypy"
	@"$(VENV)/bin/lint-imports"

images:  ## build the container images and print their names (docker/README.md)
	@bash docker/build.sh

kind-up:  ## a local cluster with Kubeflow Pipelines and KServe; docs/kind.md
	@bash scripts/kind/up.sh

kind-images:  ## build the images and load them into that cluster
	@bash scripts/kind/images.sh

kind-run: setup  ## run the pipeline there, print its address and follow it
	@bash scripts/kind/run.sh

kind-predict:  ## ask the service there for recommendations
	@bash scripts/kind/predict.sh

kind-down:  ## delete that cluster
	@bash scripts/kind/down.sh

clean:  ## remove .venv, caches and build outputs; runs stay
	@rm -rf "$(VENV)" build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
