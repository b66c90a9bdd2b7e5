#!/usr/bin/env bash
# Write constraints.txt: one version of every direct and indirect dependency in requirements.txt, for every Python and
# platform. The script keeps the versions in constraints.txt that still fit; `--upgrade` takes the newest ones.
# It needs uv (`pip install uv`) and the package index.
set -euo pipefail
cd "$(dirname "$0")/.."
# Drop the line `-c constraints.txt`, so that a new version in requirements.txt wins over constraints.txt.
grep -v '^-c ' requirements.txt |
  uv pip compile --quiet --universal --python-version 3.11 --custom-compile-command "bash scripts/lock.sh" \
    --output-file constraints.txt "$@" - >/dev/null
