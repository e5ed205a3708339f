# Everything a user or a developer runs. `make demo` and `make test` need only git, make and Python 3.11.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RELEASE := build/digits
FRONTENDS := build/env-frontends
PINS := tests/support/frontends

.PHONY: help demo test lint types unit registry registry-newest nightly localstack frontends wheel format fuzz selftest bench-scan bench-tensors bench-trust bench-code bench-audit bench-backdoor bench-backdoor-texts bench-honest bench-registry race-registry bench-sealing bench-secrets bench-robustness freeze-rules redteam clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/base: pyproject.toml constraints.txt
	@echo "Setting up $(VENV): two minutes or so, once."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable ".[example]"
	@touch $@

$(VENV)/dev: $(VENV)/base
	$(PIP) install --constraint constraints.txt --editable ".[example,dev]"
	@touch $@

$(RELEASE)/release/MLmodel: $(VENV)/base $(wildcard examples/digits/*.py)
	@echo "Training and releasing a small CNN on handwritten digits: half a minute."
	@rm -rf $(RELEASE)
	$(BIN)/python examples/digits/build_release.py --out $(RELEASE)/release --statements $(RELEASE)/statements

demo: $(RELEASE)/release/MLmodel  ## train a small model, release it, gate it, attack it
	$(BIN)/zt-gate demo --release $(RELEASE)/release --statements $(RELEASE)/statements

test: $(VENV)/dev lint types unit registry wheel  ## everything that CI runs

lint: $(VENV)/dev  ## style, layering, docstrings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/interrogate zt_gate

types: $(VENV)/dev  ## mypy --strict
	$(BIN)/mypy

unit: $(VENV)/dev $(FRONTENDS)/done  ## all tests
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not mlflow and not nightly"

MLFLOW3 := build/env-mlflow3
MLFLOW2 := build/env-mlflow2

$(MLFLOW3)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(MLFLOW3)
	$(MLFLOW3)/bin/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt --editable ".[s3]" "mlflow[auth]==3.17.2" "psycopg[binary]" pymysql awscli
	@touch $@

$(MLFLOW2)/ready: pyproject.toml
	$(PYTHON) -m venv $(MLFLOW2)
	$(MLFLOW2)/bin/python -m pip --disable-pip-version-check --quiet install --editable ".[s3]" "mlflow[auth]==2.22.5" "sqlalchemy<2.1" psycopg2-binary pymysql
	@touch $@

# A faithful S3 on loopback, for tests that are skipped without it. The pins are versions that start together.
LOCALSTACK := build/env-localstack
PYTHON313 ?= python3.13

$(LOCALSTACK)/ready:
	$(PYTHON313) -m venv $(LOCALSTACK)
	$(LOCALSTACK)/bin/python -m pip --disable-pip-version-check --quiet install "localstack-core[runtime]==2026.3.0" service_identity
	$(LOCALSTACK)/bin/python -m pip --disable-pip-version-check --quiet install "cbor2<6" "pyopenssl==25.3.0" "cryptography<47"
	@touch $@

localstack: $(LOCALSTACK)/ready  ## an S3 for the tests of object stores; needs Python 3.13 (PYTHON313=PATH)

registry: $(VENV)/dev $(MLFLOW3)/ready $(MLFLOW2)/ready  ## real MLflow servers behind the gate, by every road (five minutes)
	$(BIN)/python -m pytest tests/registry -m "mlflow and not nightly" -n 2 --dist loadgroup

MLFLOW_NEWEST := build/env-mlflow-new

# The parts of 3.17.2, since mlflow-skinny and mlflow-tracing 3.18.0 cannot be had; the wheel of mlflow holds their modules.
$(MLFLOW_NEWEST)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(MLFLOW_NEWEST)
	$(MLFLOW_NEWEST)/bin/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt --editable ".[s3]" "mlflow[auth]==3.17.2" "psycopg[binary]" pymysql
	$(MLFLOW_NEWEST)/bin/python -m pip --disable-pip-version-check --quiet uninstall --yes mlflow mlflow-skinny mlflow-tracing
	$(MLFLOW_NEWEST)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps mlflow==3.18.0
	@touch $@

registry-newest: $(VENV)/dev $(MLFLOW_NEWEST)/ready  ## the same servers with MLflow 3.18.0
	ZT_GATE_MLFLOW_ENV=env-mlflow-new $(BIN)/python -m pytest tests/registry/servers -m "mlflow and not nightly" -n 2 --dist loadgroup

nightly: $(MLFLOW3)/ready $(MLFLOW2)/ready registry-newest  ## what takes too long for every change
	$(BIN)/python -m pytest -m nightly

# Runners of GitHub, GitLab and pre-commit. Without npm their tests are skipped, except where CI is set.
$(FRONTENDS)/done: $(PINS)/requirements.txt $(PINS)/package-lock.json
	@test -x $(FRONTENDS)/bin/python || $(PYTHON) -m venv $(FRONTENDS)
	@{ $(FRONTENDS)/bin/python -m pip --disable-pip-version-check --quiet install --requirement $(PINS)/requirements.txt && \
	  cp $(PINS)/package.json $(PINS)/package-lock.json $(FRONTENDS)/ && cd $(FRONTENDS) && \
	  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null && touch done; } || \
	  { test -z "$$CI" && echo "no runners of CI systems; their tests will be skipped"; }

frontends: $(VENV)/dev $(FRONTENDS)/done  ## the same releases through GitHub, GitLab, Jenkins and pre-commit
	$(BIN)/python -m pytest -m frontends

wheel: $(VENV)/dev  ## build the wheel and gate something with it in an environment of its own
	PYTHON=$(CURDIR)/$(BIN)/python sh tests/wheel.sh

format: $(VENV)/dev  ## rewrite the code in the house's format
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

fuzz: $(VENV)/dev  ## the fuzz tests with many more examples
	ZT_GATE_FUZZ=20000 $(BIN)/python -m pytest tests/fuzz -n 2

selftest: $(VENV)/base  ## scan a few hundred inert hostile constructs; fails if one passes
	$(BIN)/zt-gate selftest

bench-scan: $(VENV)/dev  ## time intake and scan against hashlib and against other scanners (half an hour)
	$(BIN)/python benchmarks/scan_speed.py
	$(BIN)/python benchmarks/scan_peers.py

bench-tensors: $(VENV)/dev  ## time the scan of files with hundreds of tensors against hashlib (three minutes)
	$(BIN)/python benchmarks/many_tensors.py

bench-trust: $(VENV)/dev  ## time admit, admit --fast and one bundle against hashlib and model-signing (20 minutes)
	$(BIN)/python benchmarks/trust_speed.py

bench-code: $(VENV)/dev  ## the code rules beside plain bandit: risky lines, false alarms, time (five minutes)
	$(BIN)/python benchmarks/code_rules.py

bench-honest: $(VENV)/dev  ## collect honest models, scan them, and list every false alarm
	$(BIN)/python benchmarks/honest_corpus.py

bench-secrets: $(VENV)/dev  ## search installed packages for secrets; every alarm there is a false one (a minute)
	$(BIN)/python benchmarks/secrets_honest.py

bench-audit: $(VENV)/dev  ## time the audit log beside SQLite, verify a million events, kill writers (ten minutes)
	$(BIN)/python benchmarks/audit_speed.py

bench-robustness: $(VENV)/dev  ## the attack ladder beside AutoAttack, torchattacks, ART and foolbox (half an hour)
	$(BIN)/python benchmarks/robustness.py

bench-sealing: $(VENV)/dev $(LOCALSTACK)/ready  ## time sealing 300 MB and 50,000 files in a bucket (five minutes)
	$(BIN)/python benchmarks/sealing_speed.py

bench-registry: $(VENV)/dev $(MLFLOW3)/ready  ## time a gated MLflow server beside a plain one (three minutes)
	$(BIN)/python benchmarks/registry_speed.py

race-registry: $(VENV)/dev $(MLFLOW3)/ready  ## load an alias 5,000 times while an editor replaces its model (ten minutes)
	$(BIN)/python benchmarks/registry_race.py

bench-backdoor: $(VENV)/dev  ## small models with and without backdoors: which are found, at what cost (eleven minutes)
	$(BIN)/python benchmarks/backdoor.py --fresh

bench-backdoor-texts: $(VENV)/dev  ## small text classifiers with and without a trigger word: which are found (3 minutes)
	PYTHONPATH=. $(BIN)/python benchmarks/backdoor_texts.py

PYTHONS ?= $(HOME)/.pyenv/versions
FROZEN := build/frozen

freeze-rules: $(VENV)/dev  ## make honest files with old and new libraries, and freeze the grammar of uses from them (hours; PYTHONS=DIR)
	$(BIN)/python tools/honest/make.py tools/honest/environments_core.yaml --pythons $(PYTHONS) --out $(FROZEN)
	$(BIN)/python tools/honest/make.py tools/honest/environments_third.yaml --pythons $(PYTHONS) --out $(FROZEN)
	$(BIN)/python tools/freeze_names.py $(FROZEN)/*/about.json
	$(BIN)/python tools/freeze_uses.py $(FROZEN) --only '*_pickle2.pkl' '*_joblib.joblib' '*.pt'

redteam: $(VENV)/dev  ## search the grammar of uses for gadgets in the libraries that are installed; fails on what has no review
	$(BIN)/python tools/redteam.py

clean:  ## remove what was built
	rm -rf $(VENV) build dist
