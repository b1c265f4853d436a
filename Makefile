# Needs Rust, Python 3.11 or later with pip, and a C compiler; all else goes into `.venv` and `out`.
# Another Python: `make PYTHON=python3.13 …`, after `make clean`.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
MATURIN := env -u CONDA_PREFIX VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/maturin

.DEFAULT_GOAL := help
.PHONY: help demo c-extension test check dev conformance bench cases soak fuzz fuzz-native loom valgrind docs wheel clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: dev  ## builds everything and runs one job on every rung of the ladder, with the verdict as a page
	@$(VENV)/bin/python examples/gcd/demo.py

c-extension: dev  ## the same job in C, by SWIG and pybind11, with the interpreter's lock released and held
	@$(VENV)/bin/python examples/c_extension

test: dev  ## the whole gate: lints, types, Rust and Python tests, models, CPython's own tests
	@$(VENV)/bin/python tests/support/browser.py >/dev/null || true
	@$(VENV)/bin/python scripts/gate.py

check: dev  ## the quick part of the gate, a minute or two
	@$(VENV)/bin/python scripts/gate.py --quick

dev: $(READY)  ## builds the extension (release) and installs the package, editable, into .venv
	@$(MATURIN) develop --release --locked --quiet

conformance: wheel  ## CPython's executor tests on every supported Python found, over both links
	@$(VENV)/bin/python tests/conformance/run_all.py --wheel out/wheels/*.whl

bench: wheel  ## every question of benchmarks/ against every peer, then the bars; half an hour
	@$(VENV)/bin/python -m venv --clear out/bench
	@out/bench/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt out/wheels/*.whl
	@out/bench/bin/python -m benchmarks
	@out/bench/bin/python -m benchmarks.bars

soak: dev  ## pools under random kills, every task accounted for; MINUTES=5, SEED=… repeats the decisions
	@PYTHONPATH=tests $(VENV)/bin/python -m soak --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

fuzz: $(READY)  ## every decoder of another process's bytes, guided by coverage; SECONDS=60
	@$(VENV)/bin/python scripts/fuzz.py --seconds $(or $(SECONDS),60)

fuzz-native: dev  ## random functions as machine code and in CPython; EXECUTIONS=1000000, SEED=… repeats them
	@PYTHONPATH=tests $(VENV)/bin/python -m native.differences --executions $(or $(EXECUTIONS),1000000) $(if $(SEED),--seed $(SEED))

cases: wheel  ## docs/cases.md: every reported failure, gone through by allcores and its peers; as long
	@$(VENV)/bin/python -m venv --clear out/bench
	@out/bench/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt out/wheels/*.whl
	@out/bench/bin/python -m benchmarks.cases

loom: $(READY)  ## the protocols under the model checker
	@$(VENV)/bin/python scripts/gate.py loom loom-slot

valgrind: $(READY)  ## the two-process tests under valgrind, which must be installed
	@$(VENV)/bin/python scripts/gate.py valgrind

docs: $(READY)  ## the crates' pages, in target/doc; a broken link is an error
	@$(VENV)/bin/python scripts/gate.py rustdoc

wheel: $(READY)  ## one wheel for all supported versions of Python, in out/wheels
	@rm -rf out/wheels
	@$(MATURIN) build --release --locked --quiet --out out/wheels

clean:  ## removes everything that was built or installed here
	cargo clean
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache python/allcores/_core*.so
	find python tests benchmarks examples scripts -name __pycache__ -prune -exec rm -rf {} +

$(READY): requirements-dev.txt
	@command -v cargo >/dev/null || { echo "cargo is not on the path: install Rust, see https://rustup.rs"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed: make PYTHON=python3.13 …")'
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
