#!/bin/sh
# Installs phased into an environment of its own; run by the dev container's build, as root.
set -eu
VERSION="${VERSION:-}"
PYTHON="${PYTHON:-python3}"
"$PYTHON" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' || {
  echo "cannot install phased: it needs Python 3.11 or newer with venv; add the feature python" >&2
  exit 1
}
"$PYTHON" -m venv /usr/local/lib/phased
/usr/local/lib/phased/bin/pip install --disable-pip-version-check --no-cache-dir \
  "${PHASED_PACKAGE:-phased${VERSION:+==$VERSION}}"
ln -sf /usr/local/lib/phased/bin/phased /usr/local/bin/phased

# phased-start [TRIGGER]: start the daemon unless it runs, then fire the trigger (default: postEnvironmentStart).
cat > /usr/local/bin/phased-start << 'SCRIPT'
#!/bin/sh
set -eu
log="${TMPDIR:-/tmp}/phased-$(id -u).log"
if ! phased status --quiet > /dev/null 2>&1; then
  setsid phased serve -C "$PWD" > /dev/null 2>> "$log" < /dev/null &
  until phased status --quiet > /dev/null 2>&1; do
    kill -0 $! 2> /dev/null || { cat "$log" >&2; exit 1; }
    sleep 0.2
  done
fi
phased trigger "${1:-postEnvironmentStart}"
SCRIPT
chmod 755 /usr/local/bin/phased-start
