# Sourced by the scripts here: says which of Debian's packages are needed, and installs them.

as_root=()
[[ $EUID -eq 0 ]] || as_root=(sudo)

missing=()
want() { # COMMAND PACKAGE...
    command -v "$1" >/dev/null || missing+=("${@:2}")
}

install_missing() {
    ((${#missing[@]})) || return 0
    "${as_root[@]}" apt-get update --quiet
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --quiet --yes --no-install-recommends "${missing[@]}"
}
