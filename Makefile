# Everything runs in .venv, made from requirements.txt; `make PYTHON=python3.12 ...` chooses the Python it is made with.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# dvc.yaml says `python -m stages...`: that must be the environment's own
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: reproduce with-or-without-git named-input counted-examples predict test benchmark benchmark-speed ablation label-efficiency generalist wild fuzz check format clean

reproduce: $(VENV)/.stamp with-or-without-git  ## the whole pipeline, only the stages that something changed for
	$(RUN) dvc repro

with-or-without-git: | $(VENV)/.stamp
	@git rev-parse 2>/dev/null || { \
	  echo "no git repository, such as in a ZIP download: DVC works without (.dvc/config.local); dvc exp needs a clone"; \
	  $(BIN)/dvc config --local core.no_scm true; }

predict: named-input $(VENV)/.stamp-video  ## a moving figure in 3D from a video, or from keypoints: make predict INPUT=video.mp4
	@$(BIN)/python -m stages.predict "$(INPUT)" --world --viewer --format json,bvh,glb $(OPTIONS)

named-input:  # before anything is installed
	@test -n "$(INPUT)" || { echo "error: name a video, or a file or folder of keypoints: make predict INPUT=video.mp4"; exit 1; } >&2
	@test -e "$(INPUT)" || { echo "error: INPUT=$(INPUT) is missing: name a video, or a file or folder of keypoints"; exit 1; } >&2

test: $(VENV)/.stamp  ## lint, types, tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(RUN) python -m pytest -q -n auto --dist loadfile

benchmark: $(VENV)/.stamp  ## the accuracy table on data/raw/h36m, three seeds for each kind of 2D it holds
	$(RUN) python -m stages.benchmark accuracy --seeds 3

benchmark-speed: $(VENV)/.stamp  ## how fast the parts are, each beside what bounds it; after a pipeline run, with nothing beside it
	$(RUN) python -m stages.speed
	$(RUN) python -m stages.overhead

ablation: $(VENV)/.stamp  ## the tables of terms, windows, and what detectors see, on the validation subjects
	$(RUN) python -m stages.benchmark ablation --keypoints gt --split validation --epochs 12 --seeds 3
	$(RUN) python -m stages.benchmark windows --split validation --epochs 12 --seeds 3
	$(RUN) python -m stages.benchmark detections --keypoints gt --split validation

generalist: $(VENV)/.stamp with-or-without-git  ## the model that pre-training can start from: on the prior and the sample
	$(RUN) dvc repro download
	$(RUN) python -m stages.generalist

label-efficiency: $(VENV)/.stamp  ## error against labels, pre-trained and from scratch, on data/raw/h36m
	$(RUN) python -m stages.label_efficiency --seeds 3

wild: $(VENV)/.stamp-video  ## real people in the videos of four cameras: fetch, detect, triangulate, and lift
	$(RUN) python -m stages.wild

fuzz: counted-examples $(VENV)/.stamp  ## every reader of files against bytes that nobody chose, for some minutes
	$(RUN) FUZZ_EXAMPLES=$(or $(EXAMPLES),300) python -m pytest -q tests/security/test_fuzz.py

counted-examples:
	@test "$(or $(EXAMPLES),300)" -gt 0 2>/dev/null || { echo "error: EXAMPLES=$(EXAMPLES) is no number above 0: make fuzz EXAMPLES=300"; exit 1; } >&2

check:  ## what CI runs
	@test -e .git || { echo "error: what CI runs needs a clone, and this is no git repository: git clone the project"; exit 1; } >&2
	bash .ci/run

format: $(VENV)/.stamp  ## the code, as ruff writes it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.DEFAULT:
	@echo "error: there is neither a target nor a file $@: make $$(sed -n 's/^\([a-z-]*\):.*##.*/\1/p' Makefile | paste -sd '|' -)" >&2; exit 1

clean:  ## the environment and the tools' caches; data, metrics and plots stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find lib stages tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.stamp: requirements.txt requirements-export.txt requirements-tuning.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "error: Python 3.10 to 3.13 is needed, but $(PYTHON) is $$($(PYTHON) --version 2>&1 | tail -n 1): make PYTHON=python3.12 ..."; \
	  exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: $(PYTHON) cannot make environments: install its venv (such as apt install python3-venv), or name another: make PYTHON=python3.12 ..."; \
	  exit 1; } >&2
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.stamp-video: requirements-video.txt $(VENV)/.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-video.txt
	@touch $@
