#!/usr/bin/env bash
# Checks that this machine has what the arguments name; says in one sentence what is missing, and how to get it.
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/..

fail() {
  echo "larder: $1" >&2
  exit 1
}

check_npm() {
  local least
  least=$(sed -n 's/.*"node": ">=\([0-9]*\)".*/\1/p' "$root/package.json")
  command -v npm >/dev/null || fail "npm is missing: install Node.js $least or later, with npm (https://nodejs.org, or your distribution's package)."
  node -e "process.exit(parseInt(process.versions.node) >= $least ? 0 : 1)" ||
    fail "Node.js $(node --version) is too old: install Node.js $least or later, with npm."
}

check_go() {
  local least minor version
  least=$(sed -n 's/^go 1\.\([0-9]*\).*/\1/p' "$root/store/distribution/go.mod")
  command -v go >/dev/null || fail "Go is missing: install Go 1.$least or later (https://go.dev/dl/) and put it on PATH; Kubernetes and the registry are built with it."
  version=$(go env GOVERSION)
  minor=$(sed -n 's/^go1\.\([0-9]*\).*/\1/p' <<<"$version")
  [ -n "$minor" ] && [ "$minor" -ge "$least" ] || fail "$version is too old: install Go 1.$least or later (https://go.dev/dl/)."
}

for need in "$@"; do
  case "$need" in
    npm) check_npm ;;
    go) check_go ;;
    linux) [ "$(uname -s)" = Linux ] || fail "this runs real Kubernetes nodes in network namespaces, which needs Linux, not $(uname -s)." ;;
    root) [ "$(id -u)" = 0 ] || fail 'this makes network namespaces, mounts and cgroups: run it as root (for example with sudo -E).' ;;
    *) fail "prerequisites.sh: unknown prerequisite '$need'." ;;
  esac
done
