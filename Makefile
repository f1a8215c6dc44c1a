# make quickstart   makes .venv, installs, and runs the main job on the embedded data into runs/quickstart/
# make test         makes .venv, installs, and runs every check; stops at the first that fails; what needs a browser
#                   (Debian: chromium chromium-driver) or LaTeX is skipped without it, and fails where CI=true
# make test-slow    the fault tests with their full counts: fifty kills, four processes at once; takes minutes
# make paper        reads every claim of analyses/ off the committed results, and draws its figure into runs/analyses/
# make clean        removes .venv, caches and build output; runs/ and results/ stay
#
# Another interpreter: make PYTHON=python3.12 test

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Stamps: a second call installs again only when the dependencies or their pins have changed.
DEPENDENCIES := pyproject.toml constraints.txt
CREATED := $(VENV)/.created
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev

.PHONY: quickstart test test-slow paper clean

quickstart: $(INSTALLED)
	$(BIN)/xfer-bench run quickstart -o runs/quickstart

# pytest comes last, so that its closing line is the last line of all; one process for each core.
test: $(INSTALLED_DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n logical --dist loadfile

test-slow: $(INSTALLED_DEV)
	$(BIN)/python -m pytest -m slow

# All but calibration, which simulates for a quarter of an hour.
CLAIMS := english_vs_multilingual gain_correlation language_gains seed_spread selection_rules published_conventions \
	xcopa_question_defect

paper: $(INSTALLED)
	@for claim in $(CLAIMS); do echo "$$claim"; $(BIN)/python analyses/$$claim.py || exit 1; done

# `--group` needs pip 25.1, newer than what Python 3.11 to 3.13 bring along.
$(CREATED):
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "xfer-bench needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install 'pip>=25.1'
	@touch $@

# Byte code is left to the first import: compiling all of torch and its kin takes longer than everything else here.
INSTALL := $(BIN)/python -m pip install --no-compile -c constraints.txt -e '.[starter]'

$(INSTALLED): $(CREATED) $(DEPENDENCIES)
	$(INSTALL)
	@touch $@

$(INSTALLED_DEV): $(CREATED) $(DEPENDENCIES)
	$(INSTALL) --group dev
	@touch $(INSTALLED) $@

clean:
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
