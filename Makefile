# Two commands matter: `make run` and `make test`. Both install what they need, in .venv and nowhere else
# (Debian packages for the tests are installed only where root allows, and named where it does not).
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test check bench bench-insights screenshots lock clean

run: $(STAMP)
	$(BIN)/chronos up --import examples/crontab

# Not reordered: the files of few tests, which take long, come first as they are.
test: $(STAMP)
	scripts/setup.sh test-tools
	$(MAKE) --no-print-directory check
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(STAMP)
	$(BIN)/python -m benchmarks

bench-insights: $(STAMP)
	$(BIN)/python -m benchmarks.insights

screenshots: $(STAMP)
	scripts/setup.sh picture-tools
	$(BIN)/python -m scripts.screenshots

# Resolve pyproject.toml afresh; the lock names versions and hashes, never an index.
lock:
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate pyproject.toml -o requirements.lock

$(STAMP): requirements.lock pyproject.toml scripts/setup.sh
	VENV=$(VENV) scripts/setup.sh venv
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
