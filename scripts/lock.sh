#!/usr/bin/env bash
# Write constraints.txt: one version of every package that requirements.txt needs, directly or not, for every Python and
# platform. Versions that stand there stay where they still fit; `bash scripts/lock.sh --upgrade` takes the newest.
# Needs uv (`pip install uv`) and the package index.
set -euo pipefail
cd "$(dirname "$0")/.."
# Without its own line `-c constraints.txt`: a new version in requirements.txt wins over the old one in constraints.txt.
grep -v '^-c ' requirements.txt |
  uv pip compile --quiet --universal --python-version 3.11 --custom-compile-command "bash scripts/lock.sh" \
    --output-file constraints.txt "$@" - >/dev/null
