# make lint test · make bench · make article · make check-libreoffice; another interpreter: make PYTHON=.venv/bin/python test
PYTHON ?= python3

.PHONY: test lint bench check-libreoffice article

test:
	$(PYTHON) -m pytest -n auto

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

bench:
	$(PYTHON) benchmarks/startup.py
	$(PYTHON) benchmarks/arrays.py
	$(PYTHON) benchmarks/predict.py

check-libreoffice:
	$(PYTHON) benchmarks/check_libreoffice.py

article:
	$(PYTHON) benchmarks/article.py
