#!/bin/sh
# Install what the Makefile's targets need. usage: setup.sh venv | test-tools | picture-tools
set -eu
VENV=${VENV:-.venv}

# install_debian PROGRAM=PACKAGE...: install the packages whose programs are missing, or say which they are.
install_debian() {
  missing=""
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || missing="$missing ${pair#*=}"
  done
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing Debian packages:$missing. Run as root: apt-get install$missing" >&2
    exit 1
  fi
  echo "Installing Debian packages:$missing" >&2
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

install_venv() {
  python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Chronos Synapse needs Python 3.11 or newer; '$python' is $("$python" -V). Set PYTHON to a newer one." >&2
    exit 1
  }
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    [ "$(id -u)" = 0 ] || { echo "Python's venv module is missing. Run as root: apt-get install python3-venv" >&2; exit 1; }
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
  fi
  [ -x "$VENV/bin/python" ] || "$python" -m venv "$VENV"
  echo "Installing the locked requirements into $VENV" >&2
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements.lock
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -e .
}

case "${1:-}" in
  venv) install_venv ;;
  test-tools) install_debian tmux=tmux ps=procps git=git strace=strace ;;
  picture-tools) install_debian tmux=tmux rsvg-convert=librsvg2-bin
    [ -n "$(fc-list 2>/dev/null | grep -i dejavu)" ] || install_debian chronos-no-such-font=fonts-dejavu-core ;;
  *) echo "usage: $0 venv | test-tools | picture-tools" >&2; exit 2 ;;
esac
