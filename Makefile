# Everything a person or CI does with this project. `make help` lists it.
# Works with the make of macOS (3.81); needs python3 3.11 or later with venv or pip.

PYTHON ?= python3
VENV ?= .venv
BENCH ?= .venv-bench
BENCH_HTTP ?= .venv-bench-http
BENCH_MLSERVER ?= .venv-bench-mlserver
INTEROP ?= .venv-interop
EXPORTS ?= .venv-exports
MANIFESTS ?= .venv-manifests
FUZZ ?= .venv-fuzz
DATA ?= data
MINUTES ?= 60
COUNTS ?= 100
# As many processes as tests/conftest.py says; a file stays in one of them, where its fixtures are made once.
# PARALLEL= runs one test at a time.
PARALLEL ?= --numprocesses auto --dist loadfile --no-loadscope-reorder
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet --require-hashes --requirement
LOCK := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE)

# Tests and changed modules are compiled once, not by each of the processes that import them.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo run teach install test test-web test-slow test-cluster cluster-tools fuzz nightly chaos soak lint format types openapi docs page-pictures parity bench bench-http bench-cluster accuracy accuracy-transfer clients interop onnx-exports manifests manifests-tools fuzz-readers image-proof lock clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## install, start the service, train on digits over HTTP, predict, stop
	@$(VENV)/bin/convserve demo

run: $(VENV)/.runtime ## install and serve on http://127.0.0.1:8000
	@$(VENV)/bin/convserve serve

teach: $(VENV)/.runtime ## teach a model the pictures in DATA=folder, a folder of class folders (ARGS="--name pets")
	@$(VENV)/bin/convserve teach $(if $(filter command line environment,$(origin DATA)),"$(DATA)",--help) $(ARGS)

install: $(VENV)/.runtime ## make .venv with the convserve command in it
	@echo "Ready: $(VENV)/bin/convserve --help"

test: $(VENV)/.dev ## run the tests but for the slow ones and those in a browser (ARGS="tests/engine -k conv" narrows them)
	@$(PY) -m pytest $(PARALLEL) -m "not slow and not nightly and not web and not cluster" $(ARGS)

test-web: $(VENV)/.web ## test the pages in a browser (Debian: apt-get install chromium)
	@$(PY) -m pytest -m web -s $(ARGS)

test-slow: $(VENV)/.dev ## run the large matrices: all presets, what survives being killed, Prometheus (Debian: apt-get install prometheus)
	@$(PY) -m pytest $(PARALLEL) -m "slow and not nightly and not cluster" $(ARGS)

cluster-tools: $(VENV)/.cluster ## install the services that make test-cluster starts
	@$(MAKE) --no-print-directory $(VENV)/.ray || echo "Tests on Ray are skipped: it could not be installed."

test-cluster: cluster-tools ## test PostgreSQL, an object store (SeaweedFS), Ray and several servers, which are started for it
	@$(PY) -m pytest $(PARALLEL) -m cluster $(ARGS)

fuzz: $(VENV)/.dev ## make 500 random calls of each operation by the OpenAPI document (CALLS=N); slow; writes its part of docs/fuzzing.md
	@$(PY) -m pytest $(PARALLEL) tests/fuzz/test_calls.py -p tests.fuzz.page --calls $(or $(CALLS),500) $(ARGS)

nightly: cluster-tools ## run what takes longer, and the tests of the HTTP interface with shared services; writes docs/nightly.md
	@$(PY) -m pytest -m nightly -p tests.nightly -s $(ARGS)
	@$(PY) -m pytest $(PARALLEL) -p tests.cluster.everywhere tests/http -m "not slow and not nightly and not web and not cluster" $(ARGS)

chaos: cluster-tools ## try every fault, for an hour (COUNTS=10 tries a tenth as often); writes docs/faults.md
	@$(PY) -m pytest $(PARALLEL) -m chaos -p tests.chaos.page --counts $(COUNTS) $(ARGS)

soak: $(VENV)/.dev ## do mixed work for MINUTES=60, and look whether the server grows; writes its line of docs/faults.md
	@$(PY) -m pytest tests/chaos/test_soak.py -m chaos -p tests.chaos.page --minutes $(MINUTES) -s $(ARGS)

lint: $(VENV)/.dev ## check style, formatting and the Dockerfile
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/hadolint Dockerfile

format: $(VENV)/.dev ## rewrite the code in the project's format
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

types: $(VENV)/.dev ## check the types
	@$(VENV)/bin/mypy

parity: $(BENCH)/.bench ## compare layers, losses, optimizers and explanations with PyTorch; writes the golden files and docs/parity.md
	@$(BENCH)/bin/python -m benchmarks.parity

bench: $(BENCH)/.bench ## time everything beside PyTorch and ONNX Runtime (leave the machine alone meanwhile; ARGS='--only "mobilenet-v2*"' narrows)
	@$(BENCH)/bin/python -m benchmarks all --data $(DATA) $(ARGS)

bench-http: $(VENV)/.runtime $(BENCH_HTTP)/.bench ## time requests beside other servers (ARGS="--cases lenet --rounds 3" narrows)
	@$(MAKE) --no-print-directory $(BENCH_MLSERVER)/.bench || echo "MLServer is left out: it could not be installed."
	@$(BENCH_HTTP)/bin/python -m benchmarks.http --service $(PY) --mlserver $(BENCH_MLSERVER)/bin/python $(ARGS)

bench-cluster: $(VENV)/.cluster ## time databases in which a million jobs have been (JOBS=), two servers on one, and jobs on Ray where that is installed
	@$(PY) -m benchmarks.many_jobs $(if $(JOBS),--jobs $(JOBS))
	@$(PY) -m benchmarks.two_servers
	@$(PY) -m benchmarks.ray_workers

openapi: $(VENV)/.runtime ## write docs/openapi.json anew, after calls have changed
	@$(PY) -m app.cli.openapi docs/openapi.json

docs: $(VENV)/.runtime ## write docs/learn anew: a page per section of the article, by calls to a service of its own
	@$(PY) -m examples.learn.pages

page-pictures: $(VENV)/.web ## take the pictures of the page anew, in docs/figures/page (Debian: apt-get install chromium)
	@$(PY) -m examples.page_pictures

accuracy: $(BENCH)/.bench ## train to the end beside PyTorch (DATA=directory with the pictures); writes docs/accuracy.md
	@OPENBLAS_NUM_THREADS=1 $(BENCH)/bin/python -m benchmarks.accuracy --data $(DATA)

accuracy-transfer: $(VENV)/.runtime ## learn from few pictures, from scratch and by transfer (DATA as above); writes its part of docs/accuracy.md
	@$(PY) -m benchmarks.accuracy_transfer --data $(DATA)

clients: $(INTEROP)/tritonclient/.client $(INTEROP)/kserve/.client $(INTEROP)/open-inference-openapi/.client ## install the stock clients that make interop uses

interop: $(VENV)/.dev clients ## ask the service by stock clients of the Open Inference Protocol; writes docs/interop.md
	@$(PY) -m tests.interop.run $(INTEROP)

onnx-exports: $(VENV)/.dev $(EXPORTS)/.exports ## have PyTorch and Keras export networks (2 GB in build/), compare what is imported; writes golden files and its part of docs/onnx.md
	@KERAS_BACKEND=torch $(EXPORTS)/bin/python -m benchmarks.exported.write
	@$(PY) -m benchmarks.exported.compare

manifests-tools: $(MANIFESTS)/.manifests ## install the schemas of Kubernetes that make manifests uses

manifests: manifests-tools ## check docker/kubernetes against the schemas of Kubernetes, the Prometheus Operator and KubeRay
	@$(MANIFESTS)/bin/python -m tests.manifests.check

fuzz-readers: $(FUZZ)/.fuzz ## look for inputs that a reader does not refuse (RUNS=inputs for each, ARGS=names); writes its part of docs/fuzzing.md
	@$(FUZZ)/bin/python -m tests.fuzz.readers $(if $(RUNS),--runs $(RUNS)) $(ARGS)

image-proof: $(VENV)/.dev ## build the image without an engine, and run it (as root; Debian: apt-get install buildah debootstrap)
	@$(PY) -m tests.image_proof

lock: $(VENV)/.dev ## write the requirement locks anew (UPGRADE=--upgrade takes newer releases)
	$(LOCK) requirements/build.in --output-file requirements/build.txt
	$(LOCK) requirements/sbom.in --output-file requirements/sbom.txt
	$(LOCK) pyproject.toml --output-file requirements/runtime.txt
	$(LOCK) pyproject.toml --extra cluster --extra dev --extra onnx --extra otel --constraint requirements/build.txt --constraint requirements/runtime.txt \
		--output-file requirements/dev.txt
	for extra in cluster onnx onnxruntime otel ray; do \
		$(LOCK) pyproject.toml --extra $$extra --constraint requirements/dev.txt --output-file requirements/$$extra.txt || exit 1; \
	done
	$(LOCK) pyproject.toml --extra web --constraint requirements/dev.txt --constraint requirements/runtime.txt \
		--output-file requirements/web.txt
	$(LOCK) requirements/test-cluster.in --constraint requirements/dev.txt --output-file requirements/test-cluster.txt

clean: ## remove what make made: .venv, caches, build products (never your data)
	rm -rf $(VENV) $(BENCH) $(BENCH_HTTP) $(BENCH_MLSERVER) $(INTEROP) $(EXPORTS) $(MANIFESTS) $(FUZZ) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find app engine tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp in .venv says that an installation step is done; it is repeated when what it read has changed.
# Debian's python3 may lack ensurepip, and then fails after having made half an environment: there the
# system's pip puts the locked pip into an empty one.
$(VENV)/.build: requirements/build.txt
	@if ! $(PY) -m pip --version >/dev/null 2>&1; then \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
			echo "convserve needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1)." >&2; \
			echo "Name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }; \
		echo "Making $(VENV) ..."; \
		$(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 || { \
			$(PYTHON) -m venv --clear --without-pip $(VENV) && \
			$(PYTHON) -m pip --python $(PY) install --quiet --require-hashes --requirement $<; } || { \
			echo "$(PYTHON) can make no virtual environment: it has neither ensurepip nor a pip of 22.3 or later." >&2; \
			echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	fi
	@$(PIP) $<
	@touch $@

$(VENV)/.runtime: $(VENV)/.build requirements/runtime.txt pyproject.toml
	@echo "Installing convserve and the libraries it needs ..."
	@$(PIP) requirements/runtime.txt
	@$(PY) -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --no-index --editable .
	@$(PY) -m compileall -q app engine
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@echo "Installing what development and tests need ..."
	@$(PIP) requirements/dev.txt
	@touch $@

$(VENV)/.web: $(VENV)/.dev requirements/web.txt
	@echo "Installing what drives a browser ..."
	@$(PIP) requirements/web.txt
	@touch $@

$(VENV)/.cluster: $(VENV)/.dev requirements/test-cluster.txt
	@echo "Installing services for several servers ..."
	@$(PIP) requirements/test-cluster.txt
	@touch $@

$(VENV)/.ray: $(VENV)/.cluster requirements/ray.txt
	@echo "Installing Ray ..."
	@$(PIP) requirements/ray.txt
	@touch $@

# PyTorch has an environment of its own: what is installed there is never near the product.
$(BENCH)/.bench: $(VENV)/.runtime requirements/bench.in
	@echo "Installing PyTorch into $(BENCH) ..."
	@$(PY) -m venv --without-pip $(BENCH)
	@$(PY) -m pip --disable-pip-version-check --python $(BENCH)/bin/python install --quiet \
		--require-hashes --requirement requirements/runtime.txt
	@$(PY) -m pip --disable-pip-version-check --python $(BENCH)/bin/python install --quiet --requirement requirements/bench.in
	@touch $@

# So do the servers that this one is measured beside. The load generator comes from there, too.
$(BENCH_HTTP)/.bench: $(VENV)/.runtime requirements/bench-http.in
	@echo "Installing other servers into $(BENCH_HTTP) ..."
	@$(PY) -m venv --without-pip $(BENCH_HTTP)
	@$(PY) -m pip --disable-pip-version-check --python $(BENCH_HTTP)/bin/python install --quiet \
		--require-hashes --requirement requirements/runtime.txt
	@$(PY) -m pip --disable-pip-version-check --python $(BENCH_HTTP)/bin/python install --quiet \
		--requirement requirements/bench-http.in
	@touch $@

$(BENCH_MLSERVER)/.bench: $(VENV)/.build requirements/bench-mlserver.in
	@echo "Installing MLServer into $(BENCH_MLSERVER) ..."
	@$(PY) -m venv --without-pip $(BENCH_MLSERVER)
	@$(PY) -m pip --disable-pip-version-check --python $(BENCH_MLSERVER)/bin/python install --quiet \
		--requirement requirements/bench-mlserver.in
	@touch $@

# So does what exports networks of other frameworks.
$(EXPORTS)/.exports: $(VENV)/.build requirements/exports.in requirements/exports-files.in
	@echo "Installing exporters of ONNX files into $(EXPORTS) ..."
	@$(PY) -m venv --without-pip $(EXPORTS)
	@$(PY) -m pip --disable-pip-version-check --python $(EXPORTS)/bin/python install --quiet --requirement requirements/exports.in
	@$(PY) -m pip --disable-pip-version-check --python $(EXPORTS)/bin/python install --quiet --no-deps \
		--requirement requirements/exports-files.in
	@touch $@

# And each client that asks this one.
$(INTEROP)/%/.client: requirements/interop-%.in $(VENV)/.build
	@echo "Installing $* ..."
	@$(PY) -m venv --without-pip $(INTEROP)/$*
	@$(PY) -m pip --disable-pip-version-check --python $(INTEROP)/$*/bin/python install --quiet --requirement $<
	@touch $@

# And what knows Kubernetes.
$(MANIFESTS)/.manifests: requirements/manifests.in $(VENV)/.build
	@echo "Installing the schemas of Kubernetes ..."
	@$(PY) -m venv --without-pip $(MANIFESTS)
	@$(PY) -m pip --disable-pip-version-check --python $(MANIFESTS)/bin/python install --quiet --requirement $<
	@touch $@

# And what watches readers while it fuzzes them.
$(FUZZ)/.fuzz: requirements/runtime.txt requirements/fuzz.in $(VENV)/.build
	@echo "Installing what fuzzes readers ..."
	@$(PY) -m venv --without-pip $(FUZZ)
	@$(PY) -m pip --disable-pip-version-check --python $(FUZZ)/bin/python install --quiet \
		--require-hashes --requirement requirements/runtime.txt
	@$(PY) -m pip --disable-pip-version-check --python $(FUZZ)/bin/python install --quiet --requirement requirements/fuzz.in
	@touch $@
