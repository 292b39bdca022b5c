# Every target works from a fresh clone with Python 3.11 or newer and make: it makes its own virtual environment.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
LAUNCH = $(BIN)/accelerate launch --config_file recipes/accelerate/cpu.yaml
INSTALLED = $(VENV)/installed

.PHONY: quickstart models test test-hub quality style bench

$(INSTALLED): setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hf_recipes needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test,quality]'
	touch $@

quickstart: $(INSTALLED)  ## train the U-Net on simulated cells, count an image
	$(LAUNCH) recipes/cell_counting.py --config recipes/cell_counting/quickstart.yaml
	$(BIN)/python recipes/quickstart.py outputs/quickstart

models: $(INSTALLED)  ## the few models that other tasks' studies need, into outputs/
	$(LAUNCH) recipes/question_answering.py --config recipes/question_answering/passages.yaml
	$(LAUNCH) recipes/rag.py --config recipes/rag/retriever.yaml
	$(LAUNCH) recipes/rag.py --config recipes/rag/retriever_words.yaml
	$(LAUNCH) recipes/rag.py --config recipes/rag/retriever_words.yaml --train false --output_dir outputs/rag_words

test: $(INSTALLED)  ## all tests that need no network
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m "not hub" -n 2 --dist loadfile

test-hub: $(INSTALLED)  ## checks on real data; needs HF_ENDPOINT
	$(BIN)/python -m pytest -m hub

quality: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

style: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)
	$(BIN)/python benchmarks/cell_counting.py
	$(BIN)/python benchmarks/cifar10.py
	$(BIN)/python benchmarks/transfer_learning.py
	$(BIN)/python benchmarks/super_resolution.py
	$(BIN)/python benchmarks/ner.py
	$(BIN)/python benchmarks/question_answering.py
	$(BIN)/python benchmarks/lyrics.py
	$(BIN)/python benchmarks/rag.py
