# Two commands do everything on a fresh machine with Python 3.11-3.13 and make:
#   make book    set up, execute every notebook, build the HTML, print its path
#   make test    set up, run all tests, the notebooks included
# An environment of your own (conda, see environment.yml): make book RLVR_PYTHON=$$(which python)

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
PY := $(if $(RLVR_PYTHON),$(RLVR_PYTHON),$(VENV)/bin/python)

export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.DEFAULT_GOAL := help
.PHONY: help setup book render test notebooks checkpoints results bench url lint clean distclean

help:
	@echo "make book         set up, execute every notebook, build the HTML"
	@echo "make test         set up, run all tests, the notebooks included"
	@echo "make render       build the HTML from the committed outputs, in seconds"
	@echo "make notebooks    execute notebooks/src and renew the committed notebooks"
	@echo "make checkpoints  train the models that ship with the package anew (hours)"
	@echo "make results      run all studies again (about 20 CPU hours), write results/ and the page"
	@echo "                  anew; python -m rlvr_lite results --help lists the few others"
	@echo "make bench        compare speed with generate() and TRL, time all worlds; renews the page"
	@echo "make url          after a change of the repository's address in pyproject.toml"
	@echo "make clean        remove build/     make distclean: and the environment"

setup:
ifeq ($(RLVR_PYTHON),)
	@$(PYTHON) tools/setup.py --venv $(VENV)
endif

book: setup
	@$(PY) tools/build_notebooks.py --book
	@$(PY) tools/build_site.py --notebooks build/executed

render: setup
	@$(PY) tools/build_site.py

test: setup
	$(PY) -m pytest -n $(WORKERS) --dist loadfile --nbval-lax --nbval-current-env \
		--nbval-cell-timeout=900 --nbval-sanitize-with tests/nbval_sanitize.cfg \
		tests $(wildcard notebooks/*.ipynb)

lint: setup
	@$(PY) -m ruff check --no-cache --quiet .

notebooks: setup
	@$(PY) tools/build_notebooks.py

checkpoints: setup
	@$(PY) -m rlvr_lite checkpoints --rebuild

results: setup
	@$(PY) -m rlvr_lite results --run
	@$(PY) tools/make_results_page.py

bench: setup
	@$(PY) -m pip install --quiet -c constraints.txt -e ".[bench]"
	@$(PY) tools/bench.py --repeats 15
	@$(PY) tools/bench_video.py
	@$(PY) tools/bench_roofline.py
	@$(PY) tools/make_results_page.py

url: setup
	@$(PY) tools/project.py
	@$(PY) tools/build_notebooks.py --refill

clean:
	rm -rf build

distclean: clean
	rm -rf $(VENV)
