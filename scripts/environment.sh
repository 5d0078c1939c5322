# Sourced by scripts/run and scripts/test: the Python environment in .venv. Needs $root; bash.

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$1" >&2
    exit 1
}

# A Python that is new enough, or a message that says what to do.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed (Debian: apt-get install python3 python3-venv); PYTHON=path names another"
}

# What the installation depends on. A moved project needs a new one: paths are written into it.
fingerprint() (
    cd "$root"
    {
        printf '%s\n' "$root"
        sources | LC_ALL=C sort | xargs sha256sum
    } | sha256sum | cut -d' ' -f1
)

# Without what is built from them: the .c or .cpp beside a .pyx.
sources() {
    local file
    find pyproject.toml setup.py config/lock sfu/native -type f \
        ! -name '*.so' ! -name '*.pyc' 2>/dev/null | while read -r file; do
        case $file in
        *.c | *.cpp) [ -e "${file%.*}.pyx" ] || printf '%s\n' "$file" ;;
        *) printf '%s\n' "$file" ;;
        esac
    done || true # not all of these need be there
}

# ensure_environment STAMP LAYER...: .venv with the project and these layers of config/lock in it, quick when
# nothing has changed. An installation with all layers also serves those who want fewer.
ensure_environment() {
    local want stamp
    want=$(fingerprint)
    exec {lock}<"$root"
    flock "$lock" # two at once would install into one directory
    for stamp in "$root/.venv/stamp-$1" "$root/.venv/stamp-dev"; do
        if [ -x "$root/.venv/bin/parley" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then
            exec {lock}<&-
            return
        fi
    done
    install_environment "${@:2}"
    printf '%s\n' "$want" >"$root/.venv/stamp-$1"
    exec {lock}<&-
}

install_environment() {
    local python layer locks=()
    python=$(find_python)
    [ -w "$root" ] || fail "can't write to $root: run it once as its owner, or from a clone of your own"
    if ! "$root/.venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        "$python" -c 'import ensurepip, venv' 2>/dev/null || fail \
            "this Python can't make environments. On Debian: apt-get install python3-venv"
        rm -rf "$root/.venv"
        "$python" -m venv "$root/.venv" || fail "could not make $root/.venv"
    fi
    rm -f "$root"/.venv/stamp-*
    printf 'Installing Parley into .venv (a minute or two the first time) ...\n' >&2
    for layer in "$@"; do locks+=(--requirement "$root/config/lock/$layer.txt"); done
    if ! install_locked "${locks[@]}" >"$root/.venv/install.log" 2>&1; then
        tail -n 30 "$root/.venv/install.log" >&2
        fail "the installation failed, see above and .venv/install.log (pip needs to reach a package index)"
    fi
}

# What others made only as its hashes say; then the project, built by what has come with that.
install_locked() {
    local pip=("$root/.venv/bin/python" -m pip --disable-pip-version-check --no-input)
    "${pip[@]}" install --require-hashes "$@" &&
        "${pip[@]}" install --no-build-isolation --no-deps --editable "$root" &&
        "${pip[@]}" check
}
