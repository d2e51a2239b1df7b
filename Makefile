# Every target sets up what it needs in .venv, from nothing but python3.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo gallery gallery-newest test test-all test-slow test-lowest lint docs bench clean
.DEFAULT_GOAL := test

# One stamp an extra: `.venv/.test` says that the extra `test` is installed.
# torch comes first: without a pinned version pip would choose a CUDA build.
.venv/.%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[$*]'
	touch $@

# Threads that wait for each other sleep, and leave the cores to other programs. Those of
# NumPy's BLAS cannot, and small products are faster with one.
demo gallery gallery-newest: export OMP_WAIT_POLICY = passive
demo gallery gallery-newest: export OPENBLAS_NUM_THREADS = 1

demo: .venv/.plot
	$(BIN)/python examples/plot_digits_features.py
	$(BIN)/python examples/plot_vae_digits.py

# Every example, each of which may take a minute on two idle cores. NAMES="plot_ising" and
# the like choose some.
gallery: .venv/.plot
	$(BIN)/python examples/benchmarks/gallery_times.py $(NAMES)

# The two that changed last, with twice the time, as machines of continuous integration are
# shared.
gallery-newest: .venv/.plot
	$(BIN)/python examples/benchmarks/gallery_times.py --newest 2 --limit 120

# One worker process per core; the tests of a file stay together, as they share fitted
# models. Plain `pytest` runs in one process and deselects nothing, so that a test named
# on the command line always runs, and a debugger works.
PYTEST = $(BIN)/python -m pytest -n logical --dist loadfile

test: .venv/.test .venv/.storage
	$(PYTEST) -m "not slow"

# The slow tests make ONNX files, and read them by the package onnx itself.
test-slow: .venv/.test .venv/.onnx .venv/.storage
	$(PYTEST) -m slow

test-all: .venv/.test .venv/.onnx .venv/.storage
	$(PYTEST)

# The oldest versions that pyproject.toml allows, in an environment of their own. On Linux
# an old PyTorch is a build for CUDA, of some gigabytes, unless CPU builds are at hand.
LOWEST := .venv-lowest
$(LOWEST)/.installed: pyproject.toml .ci/lowest_versions.py
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python .ci/lowest_versions.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/pip install -q --disable-pip-version-check -c $(LOWEST)/constraints.txt torch hatchling hatch-fancy-pypi-readme editables
	$(LOWEST)/bin/pip install -q --disable-pip-version-check -c $(LOWEST)/constraints.txt --no-build-isolation -e '.[test,onnx]'
	touch $@

# What old packages say of newer ones is no error. TESTS="tests/rbm" and the like choose.
test-lowest: $(LOWEST)/.installed
	$(LOWEST)/bin/python -m pytest -n logical --dist loadfile -W default::DeprecationWarning -m "not slow" $(TESTS)

lint: .venv/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m numpydoc lint $$(git ls-files 'skgen/*.py')

# SPHINXOPTS="-D plot_gallery=0" builds the site without running the examples.
docs: .venv/.docs
	$(BIN)/sphinx-build -W --keep-going $(SPHINXOPTS) -b html docs docs/_build/html
	$(BIN)/python docs/check_links.py docs/_build/html
	@echo "The site is docs/_build/html/index.html"

# The peers that skgen is measured beside; they fit into its environment. rbms asks for
# Python 3.12 and needs but one name of it, which the benchmark puts there: without
# dependencies, as the flag would hold for those too. h5py and tqdm are all it lacks.
.venv/.peers: .venv/.bench
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt learnergy==2.0.2 pythae==0.1.2 h5py tqdm
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --ignore-requires-python rbms==0.6.0
	touch $@

# BENCH="--data mnist.npz --output folder" and the like go to the script.
bench: .venv/.peers
	$(BIN)/python examples/benchmarks/speed.py $(BENCH)

clean:
	rm -rf .venv $(LOWEST) build dist docs/_build docs/auto_examples docs/generated
