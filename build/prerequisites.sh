#!/usr/bin/env bash
# Says in one sentence what is missing on this machine, before anything else is tried.
set -euo pipefail

fail() {
  echo "larder: $1" >&2
  exit 1
}

for need in "$@"; do
  case "$need" in
    npm)
      command -v npm >/dev/null || fail 'npm is missing: install Node.js 20 or later with npm (https://nodejs.org, or your distribution'"'"'s package).'
      node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' ||
        fail "Node.js $(node --version) is too old: install Node.js 20 or later with npm."
      ;;
    go)
      command -v go >/dev/null || fail 'Go is missing: install Go 1.26 or later (https://go.dev/dl/); Kubernetes and the registry are built with it.'
      version=$(go env GOVERSION)
      minor=$(sed -n 's/^go1\.\([0-9]*\).*/\1/p' <<<"$version")
      [ -n "$minor" ] && [ "$minor" -ge 26 ] || fail "$version is too old: install Go 1.26 or later (https://go.dev/dl/)."
      ;;
    linux)
      [ "$(uname -s)" = Linux ] || fail "this command runs real Kubernetes nodes in network namespaces, which needs Linux, not $(uname -s)."
      ;;
    root)
      [ "$(id -u)" = 0 ] || fail 'this command makes network namespaces, mounts and cgroups: run it as root (for example: sudo -E make …).'
      ;;
    *) fail "prerequisites.sh: unknown prerequisite '$need'." ;;
  esac
done
