# shellcheck shell=bash
# What scripts/quickstart and scripts/test share; sourced by bash, which stops at the first error (set -eu).
#
#   install_packages [LIST]    installs those of LIST (scripts/packages.debian) that are missing, and nothing when none is
#   build_tree NAME [ARG…]     configures (with ARGs) and builds in $build_root/NAME, and sets $build_dir to it;
#                              what is up to date stays as it is. VAR=value among the ARGs goes to configure (CC=clang)
#   say TEXT, die TEXT         a line on standard error; die ends with status 1
#
# $top is the checkout. Builds go to $FUTURED_BUILD_DIR, else to build/ in the checkout.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_root=${FUTURED_BUILD_DIR:-$top/build}
jobs=$(nproc 2>/dev/null || echo 2)
umask 022
export LC_ALL=C.UTF-8
unset MAKEFLAGS CDPATH

say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "${0##*/}: $*"
	exit 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "installing packages takes root or sudo; missing: ${missing[*]}"
	fi
}

is_installed() {
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -y -qq \
		install --no-install-recommends "${missing[@]}" </dev/null
}

install_packages() {
	local name list=${1:-$top/scripts/packages.debian}

	missing=()
	while read -r name; do
		is_installed "$name" || missing+=("$name")
	done <"$list"
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || die "this is not Debian; install what stands for: ${missing[*]}"
	say "installing ${missing[*]}"
	# With lists that are there and fresh enough the first try does; else they are fetched once.
	if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || ! apt_install >/dev/null 2>&1; then
		as_root apt-get -o DPkg::Lock::Timeout=300 -qq update </dev/null
		apt_install
	fi
}

# Only the first time: from then on make sees what has changed.
generate_configure() {
	mkdir -p "$build_root"
	(
		flock 9
		cd "$top" || exit
		if [ ! -x configure ] || [ ! -f Makefile.in ] || [ ! -f config.h.in ]; then
			autoreconf -i >&2
		fi
	) 9>"$build_root/.lock"
}

build_tree() {
	local name=$1 wanted

	shift
	build_dir=$build_root/$name
	generate_configure
	mkdir -p "$build_dir"
	wanted="$top $*"
	if [ ! -f "$build_dir/Makefile" ] || [ "$(cat "$build_dir/.configured" 2>/dev/null)" != "$wanted" ]; then
		rm -rf "$build_dir"
		mkdir -p "$build_dir"
		# Left to itself configure takes bash, in which libtool costs a compilation half as much again.
		(cd "$build_dir" && CONFIG_SHELL=/bin/sh "$top/configure" -q "$@")
		printf '%s\n' "$wanted" >"$build_dir/.configured"
	fi
	make -s -C "$build_dir" -j"$jobs" all
}
