# To add a test: a unit test goes into tests/unit/local.mk, a story into tests/story/ (the runner finds it by its name).

include tests/unit/local.mk
