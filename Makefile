# `make demo`, `make test`, and what they consist of. Tested with Python 3.11; needs neither root nor a GPU.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO := demo
SERVE ?= yes
PROCESSES ?= 2
REGIONS := north west south

DEMO_SETTINGS := FUNGARIUM_DATA=$(DEMO)/data FUNGARIUM_FLORA_INDEXES=$(DEMO)/flora_indexes
FUNGARIUM := $(DEMO_SETTINGS) $(RUN) -m fungarium

INSTALL_HERE := $(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable . # .venv/bin/fungarium

PAGES := web/static/built/manifest.json
PAGE_SOURCES := $(wildcard web/frontend/*.* web/frontend/.npmrc web/frontend/src/*.ts web/frontend/src/*/* web/static/*.css)
TFHUB := .venv-tfhub

.PHONY: demo test test-tfhub check lint environment development pages screenshots clean-demo

demo: environment pages ## draw a collection, build its index, identify an observation, serve the pages (SERVE=no: do not serve)
	@echo "== 1/6 drawing the demo collection: invented fungi, drawn by this project"
	@$(FUNGARIUM) demo draw $(DEMO)/collection
	@echo "== 2/6 importing the archive and three regional checklists"
	@$(FUNGARIUM) collection import dwca $(DEMO)/collection/archive --dataset drawings --title "Drawings of fungi that do not exist"
	@for region in $(REGIONS); do \
	  $(FUNGARIUM) collection checklist import $(DEMO)/collection/checklists/$$region --id $$region --title "The $$region of the drawn world" && \
	  $(FUNGARIUM) collection flora add $$region --title "The $$region of the drawn world" --checklist $$region || exit 1; \
	done
	@echo "== 3/6 embedding"
	@$(FUNGARIUM) index embed
	@echo "== 4/6 building, calibrating scores on held-out observations, and publishing"
	@$(FUNGARIUM) index build
	@$(FUNGARIUM) index publish
	@$(FUNGARIUM) evaluate calibrate
	@$(FUNGARIUM) index publish
	@echo "== 5/6 identifying two drawings of an observation that is not in the index"
	@$(FUNGARIUM) identify --flora north --count 5 $(DEMO)/collection/held_out/find-01/*.jpg
	@$(RUN) -c 'import json, sys; print("It was drawn as", json.load(open(sys.argv[1]))["observations"][0]["scientificName"])' \
	  $(DEMO)/collection/held_out/answers.json
ifeq ($(SERVE),yes)
	@echo "== 6/6 serving the pages; stop with Ctrl-C. Photos to try are in $(DEMO)/collection/held_out"
	@$(FUNGARIUM) serve
else
	@echo "== 6/6 not serving; to serve it later: $(DEMO_SETTINGS) $(VENV)/bin/fungarium serve"
endif

test: development pages lint ## lint, types and all tests
	$(RUN) -m pytest --numprocesses $(PROCESSES) -rfEs $(TEST_OPTIONS)

check: test ## alias of test

test-tfhub: $(TFHUB)/installed ## tests that need TensorFlow (2 GB), in a separate environment
	$(TFHUB)/bin/python -m pytest -s -p no:cacheprovider tests/retrieval/models/test_tfhub.py

$(TFHUB)/installed: requirements-dev.txt requirements-tfhub.txt
	$(PYTHON) -m venv $(TFHUB)
	$(TFHUB)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -r requirements-tfhub.txt
	@touch $@

lint: development pages
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy .
	@if [ -x web/frontend/node_modules/.bin/tsc ]; then echo "tsc"; PATH="$$PATH:$(CURDIR)/$(VENV)/bin" web/frontend/node_modules/.bin/tsc --noEmit -p web/frontend; fi

pages: $(PAGES) ## build the pages' scripts and styles

$(PAGES): $(PAGE_SOURCES) | $(VENV)/installed
	@echo "building the pages' scripts and styles"
	@sh web/frontend/build.sh $(CURDIR)/$(RUN) || \
	  echo "not built, for the reason above: the pages work without scripts; 'make pages' tries again" >&2

environment: $(VENV)/installed

development: $(VENV)/installed-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; name it so: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "no environment could be made; Debian needs: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/installed: requirements.txt requirements-evaluation.txt pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-evaluation.txt
	$(INSTALL_HERE)
	@touch $@

$(VENV)/installed-dev: requirements.txt requirements-evaluation.txt requirements-dev.txt pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(INSTALL_HERE)
	@touch $@ $(VENV)/installed

screenshots: development pages ## take the pictures of docs/images from the demo, with Chromium
	@[ -e $(DEMO)/flora_indexes/CURRENT ] || $(MAKE) demo SERVE=no
	$(RUN) -m benchmarks.server.screenshots $(DEMO) docs/images

clean-demo: ## remove the files of make demo
	rm -rf $(DEMO)
