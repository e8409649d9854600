.PHONY: up test demo bench chaos chaos-controls prepare linearizability linearizability-guests

# Installs what is missing, builds the template once, starts everything and stays in the foreground.
up: prepare
	@node dist/src/mains/up.js

# Every test, on real parts; starts what it needs and stops it again.
test: prepare
	@node test/run.mjs

# Against a running service: the user document's story, narrated.
demo:
	@setup/demo.sh

# Figures beside their goals, on services of its own: `make bench ARGS="--only light-use --runs 3"`. `--json FILE` writes
# the rows as JSON, too, `--page docs` the results page. Fails when a row that must hold does not.
bench: prepare
	@node dist/src/mains/bench.js $(ARGS)

# Many clients at once on the real api and workflow code: 10 000 operations, 1 000 rounds of each race; a short form is part of `make test`.
linearizability: prepare
	@DORMOUSE_TEST_OPERATIONS=10000 DORMOUSE_TEST_RACES=1000 npx vitest run --reporter=verbose test/linearizability test/machineless/races.test.ts

# The same with 500 operations on real guests.
linearizability-guests: prepare
	@npx vitest run --reporter=verbose --config test/linearizability/guests.config.ts

# The crash matrix, on a service of its own: `make chaos ARGS="--seed 2 --minutes 30"`. Restarts libvirtd.
chaos: prepare
	@node dist/src/mains/chaos.js $(ARGS)

# Four defects put into a copy of the service on purpose: the crash matrix has to find each.
chaos-controls: prepare
	@node test/chaos-controls/run.mjs

prepare:
	@setup/prepare.sh
