#!/bin/sh
# Builds the pages' scripts and styles: `build.sh PYTHON`. Uses the machine's Node, or one from a Python package.
# Fails without a trace where there is neither: the pages then work as plain forms and links.
set -eu
cd "$(dirname "$0")"
python=$1

if ! { command -v npm && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'; } >/dev/null 2>&1; then
  bin=$(dirname "$python")
  [ -x "$bin/npm" ] || "$python" -m pip install --quiet --disable-pip-version-check -r ../../requirements-pages.txt
  PATH=$bin:$PATH
fi
if [ ! -e node_modules/.installed ] || [ package-lock.json -nt node_modules/.installed ]; then
  npm ci --no-audit --no-fund --loglevel=error
  touch node_modules/.installed
fi
node build.mjs
