#!/bin/bash
# What `make bench` runs: installs the peers that tests/bench/packages.debian names, if root and this is a Debian, and
# then
# bench.py, which writes docs/benchmarks.md and docs/benchmarks.svg. Options are bench.py's. A peer that is not there
# is told.

set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	install_packages "$top/tests/bench/packages.debian" || say "bench: some peers cannot be installed; they are left out, and named"
fi
results=${FUTURED%/*}/bench-results.json
exec /usr/bin/python3 -B "$top/tests/bench/bench.py" --docs "$top/docs" --results "$results" "$@"
