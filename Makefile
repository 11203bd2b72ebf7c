# Every target sets up what it needs. Set-up talks on stderr and never reads stdin,
# so that `printf 'hello\n' | make -s run` has the answer alone on stdout.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What to pass to `hermes serve --chat`, to pytest, to the bench: make test ARGS=-x
ARGS ?=

PIP_INSTALL = $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check

# $(call install,LOCK): a virtualenv with exactly what LOCK names, and the project.
# One .pth file points at the checkout, so an edit needs no new set-up.
define install
	{ $(check_python) && \
	echo "hermes: installing $(1) into $(VENV) (once for each change of it)" && \
	{ $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV); } && \
	$(PIP_INSTALL) --require-hashes -r $(1) && \
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable . && \
	touch $@; } </dev/null >&2
endef

define check_python
	{ $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	{ echo "hermes: needs Python 3.11 or newer, and '$(PYTHON)' is not that;" \
	"install it, then name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }; } && \
	{ $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "hermes: this Python cannot make virtualenvs; install what is missing" \
	"(Debian, Ubuntu: apt install python3-venv)"; exit 1; }; }
endef

.PHONY: run test check bench lock format clean

run: $(VENV)/run.stamp
	@exec $(BIN)/hermes serve --chat $(ARGS)

test: $(VENV)/dev.stamp
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.stamp
	@$(BIN)/python -m bench $(ARGS)

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The one target that needs uv. run.lock is a part of dev.lock, so that the tests
# run on the very versions that a user gets. A plain `make lock` keeps what is
# locked where it still fits; `make lock ARGS=--upgrade` takes what is new.
lock:
	uv pip compile $(LOCK_OPTIONS) --group dev --output-file requirements/dev.lock \
		$(ARGS) pyproject.toml
	uv pip compile $(LOCK_OPTIONS) --group build --constraint requirements/dev.lock \
		--output-file requirements/run.lock $(ARGS) pyproject.toml

LOCK_OPTIONS = --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/run.stamp: requirements/run.lock pyproject.toml
	@$(call install,requirements/run.lock)

$(VENV)/dev.stamp: requirements/dev.lock pyproject.toml
	@$(call install,requirements/dev.lock)
