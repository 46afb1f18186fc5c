# What the runners share: arguments, how a command is run inside, counting and the closing line.  Sourced, POSIX sh.
#
#   RUNNER BUILD_DIR PLATFORM [--as-user] [NAME...]
#
# A runner that has set takes_all knows "all" as well: both platforms, in $platforms.
#
# Sets: build, platform, platforms, as_user (yes or empty), names, scratch (a directory, removed at the end), tests (this folder).
# --as-user runs everything as an ordinary user where the caller is root: as one that has no name and is not the one that
# files of others seem to belong to in a user namespace (65534).

usage() {
	echo "usage: $(basename "$0") BUILD_DIR PLATFORM [--as-user] [NAME...]" >&2
	exit 2
}

[ $# -ge 2 ] || usage
build=$(cd "$1" 2>/dev/null && pwd) || { echo "$(basename "$0"): no build directory $1: build first" >&2; exit 2; }
platform=$2
shift 2
case $platform in
ptrace | systrap | auto) platforms=$platform ;;
all) [ -n "${takes_all:-}" ] && platforms="systrap ptrace" || usage ;;
*) usage ;;
esac
as_user=
if [ "${1:-}" = --as-user ]; then
	as_user=yes
	shift
fi
names=$*
bailey=$build/bailey
tests=$(cd "$(dirname "$0")" && pwd)
passed=0 failed=0 skipped=0
user_id=65533

# Runs a command as the one the tests are run for.
as_caller() {
	if [ -n "$as_user" ] && [ "$(id -u)" = 0 ]; then
		HOME=/nonexistent setpriv --reuid $user_id --regid $user_id --clear-groups -- "$@"
	else
		"$@"
	fi
}

# native SECONDS CMD..., inside SECONDS CMD...: with a bound on the time.  The build directory is bound, for it may lie
# where the sandbox does not show the host's files (/tmp, a home).  do_options are words of the runner's.
do_options=
native() {
	bound=$1
	shift
	as_caller timeout -k 5 "$bound" "$@"
}

inside() {
	bound=$1
	shift
	# shellcheck disable=SC2086
	as_caller timeout -k 5 "$bound" "$bailey" do --platform "$platform" $do_options --ro-bind "$build" "$build" -- "$@"
}

# applies WHERE: whether a line of a known-failures file is meant for this run.  WHERE is a platform or *, and with /user
# behind it only what is run by an ordinary user; or "container": on a host of that condition (HOST_CONDITION, below).
applies() {
	case $1 in
	"$platform" | '*') return 0 ;;
	container) case ${HOST_CONDITION:-} in container*) return 0 ;; esac; return 1 ;;
	"$platform/user" | '*/user') [ -n "$as_user" ] || [ "$(id -u)" != 0 ] ;;
	*) return 1 ;;
	esac
}

ok() {
	passed=$((passed + 1))
	echo "ok $1"
}

fail() {
	failed=$((failed + 1))
	n=$1
	shift
	echo "FAIL $n: $*"
}

skip() {
	skipped=$((skipped + 1))
	n=$1
	shift
	echo "skip $n: $*"
}

finish() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
}

have() {
	command -v "$1" >/dev/null 2>&1
}

ulimit -S -c 0 # a test may raise it
scratch=$(mktemp -d /var/tmp/bailey-tests.XXXXXX) # not in /tmp, which is another one inside
chmod 1777 "$scratch"
trap 'rm -rf "$scratch"' EXIT
# HOST_CONDITION names one of host/under.c: Bailey then runs on a host that is so much poorer, and what is native does not.
if [ -n "${HOST_CONDITION:-}" ]; then
	printf '#!/bin/sh\nexec "%s/tests/host/under" "%s" "%s" "$@"\n' "$build" "$HOST_CONDITION" "$bailey" >"$scratch/bailey"
	chmod 755 "$scratch/bailey"
	bailey=$scratch/bailey
fi
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 141' PIPE # else the EXIT trap would not run
