# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN    := .venv/bin
CLIP    = $$($(BIN)/python -c 'from pydicom.data import get_testdata_file as f; print(f("examples_ybr_color.dcm"))')

# One test file for each library whose lowest version is tried: readers, writers, service, node, model, training.
LOWEST  = tests/io tests/interop tests/report tests/serve tests/model/test_saved_models.py tests/training/test_past.py \
          tests/training/test_cache.py tests/nn/test_heads.py tests/cli/test_help.py
PRESETS = ours paper ours-one-view paper-two-views paper-more-pairs

.PHONY: demo test help lint docs test-slow test-lowest audit test-reliability test-page test-orthanc test-wheel figures tables tables-whole benchmarks bundle picture clean

demo: .venv/.ready                 ## set up, and read a real apical four-chamber DICOM
	$(BIN)/mcsdr predict "$(CLIP)" --report out/demo.html
	@echo "The report is out/demo.html; it opens in any browser, no network needed."

test: .venv/.ready lint            ## set up, and pass the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

help:                              ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lint: .venv/.ready                 ## style, types and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-page: .venv/.ready            ## the page in a real browser; needs Debian's chromium, and npm for axe-core
	mkdir -p out/axe && npm pack --silent --pack-destination out/axe axe-core@4 && tar -xzf out/axe/axe-core-*.tgz -C out/axe
	$(BIN)/python -m pytest -m browser tests/integration

test-orthanc: .venv/.ready         ## a report through a real archive; needs Debian's orthanc and orthanc-dicomweb
	$(BIN)/python -m pytest -m orthanc tests/integration

test-wheel:                        ## the wheel alone in an empty environment, every command tried; 5 minutes, 2 GB
	$(PYTHON) benchmarks/wheel.py

test-lowest:                       ## the lowest versions that pyproject.toml allows, in an environment of their own; 4 GB
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet uv
	VIRTUAL_ENV=.venv-lowest .venv-lowest/bin/uv pip install --quiet --resolution lowest-direct \
	  $(if $(OVERRIDE),--override $(OVERRIDE)) --editable '.[dev]'
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest $(LOWEST)

audit: .venv/.ready                ## known flaws of what is installed; asks the package index for its advisories
	@mkdir -p out
	@$(BIN)/python -m pip freeze --exclude-editable > out/installed.txt
	@$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement out/installed.txt --progress-spinner off \
	  > out/audit.txt 2>&1; told=$$?; cat out/audit.txt; \
	if grep -q '^ERROR' out/audit.txt; then \
	  echo "NOT TOLD: the package index at hand gives no advisories, so nothing is known of any flaw. Ask where pypi.org answers."; \
	fi; exit $$told

test-slow: .venv/.ready            ## the longer studies
	$(BIN)/python -m pytest -m slow

test-reliability: .venv/.ready     ## mutants, bombs, a soak, kills; docs/reliability.md; hours
	$(BIN)/python benchmarks/reliability.py

docs: .venv/.ready                 ## the pages, into out/docs; a warning is an error, and nothing is fetched
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -d out/doctrees docs out/docs
	@echo "The pages begin at out/docs/index.html."

figures: .venv/.ready              ## the figures that docs/results.md quotes
	$(BIN)/mcsdr evaluate phantom-a4c phantom:1000:3 --out out/phantoms
	$(BIN)/mcsdr evaluate phantom-a4c phantom:1000:3 --without attributes --out out/without-attributes
	$(BIN)/python benchmarks/prior.py

tables: .venv/.ready               ## the table of docs/reproduction.md, on equal terms; half an hour on a core of its own
	test -d out/sim/camus || $(BIN)/mcsdr simulate out/sim/camus --layout camus --n 300 --seed 12 --scale 0.35 --quirks
	for preset in $(PRESETS); do \
	  $(BIN)/mcsdr reproduce camus --root out/sim/camus --preset $$preset --frozen --folds --first 2 --draws 40 \
	    --out out/reproduce || exit 1; \
	done

tables-whole: .venv/.ready         ## the same with encoders that learn, ten folds, both layouts; a day on 2 cores
	test -d out/sim/camus || $(BIN)/mcsdr simulate out/sim/camus --layout camus --n 300 --seed 12 --scale 0.35 --quirks
	test -d out/sim/pediatric || $(BIN)/mcsdr simulate out/sim/pediatric --layout echonet-pediatric --n 300 --seed 11 --quirks
	for preset in $(PRESETS); do \
	  $(BIN)/mcsdr reproduce camus --root out/sim/camus --preset $$preset --reduced --folds --draws 40 \
	    --out out/reproduce-whole && \
	  $(BIN)/mcsdr reproduce echonet-pediatric --root out/sim/pediatric --preset $$preset --reduced --folds --draws 40 \
	    --out out/reproduce-whole || exit 1; \
	done

bundle: .venv/.ready               ## the model in the package, trained and measured anew; hours on 2 cores
	$(BIN)/mcsdr train configs/phantom.toml --out runs/phantom
	$(BIN)/mcsdr train configs/phantom-varied.toml --out runs/phantom-varied
	$(BIN)/mcsdr gate runs/phantom-varied/model phantom:500:12:varied:flat phantom:500:13:shifted-val:flat \
	    --share 0.016 --impostors 100 --out runs/phantom-varied/gated
	$(BIN)/mcsdr outline runs/phantom-varied/gated phantom:400:14:varied:flat phantom:200:10:varied:flat \
	    phantom:200:10:shifted-test:flat phantom:200:10:shifted-fourth:flat --out runs/phantom-varied/outlined
	$(BIN)/mcsdr calibrate runs/phantom-varied/outlined phantom:800:8:shifted-val:flat \
	    --long phantom:150:8:shifted-val:flat:3s --keep-median --out runs/phantom-varied/calibrated
	$(BIN)/python benchmarks/bundle.py runs/phantom-varied/calibrated

picture: .venv/.ready              ## the two pictures of the README; needs Debian's chromium
	$(BIN)/python docs/make_picture.py
	$(BIN)/python docs/make_page.py

benchmarks: .venv/.ready           ## speed, and the samplers against closed forms
	$(BIN)/mcsdr benchmark posterior --part exactness
	$(BIN)/python benchmarks/cost.py
	$(BIN)/python benchmarks/rendering.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/check.py

.venv/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

clean:                             ## remove the environment and all that was made
	rm -rf .venv .venv-lowest out runs
