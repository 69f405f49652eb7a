# shellcheck shell=bash
# packages.sh: what the build and the checks need, and how it gets onto the machine.
#
# Sourced by tools/run and tools/check, which set `assume_yes`. On Debian 12 missing packages are
# installed through apt; elsewhere they are only named, since names and versions differ.

# shellcheck disable=SC2034 # used by those who source this
packages_build=(gcc libc6-dev cmake ninja-build pkg-config
    libsodium-dev libssl-dev libtomcrypt-dev libisal-dev liburing-dev libmsgpack-dev libyaml-dev)

# shellcheck disable=SC2034
packages_check=(clang clang-14 libclang-rt-14-dev llvm-14 clang-format clang-tidy cppcheck shellcheck
    libcmocka-dev python3 python3-msgpack python3-pynvim python3-yaml
    e2fsprogs mandoc mount strace util-linux)

# shellcheck disable=SC2034
packages_package=(dpkg-dev file gzip lintian)

is_debian_12() {
    [[ -r /etc/os-release ]] || return 1
    # shellcheck source=/dev/null
    (. /etc/os-release && [[ ${ID:-} == debian && ${VERSION_ID:-} == 12 ]])
}

# Sets `missing` to those of the given packages that dpkg does not have installed. (Here and in phases.sh
# nothing uses <( ), which needs /proc, and a bare root has not mounted that yet.)
find_missing() {
    local package
    missing=()
    for package in "$@"; do
        if [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
            missing+=("$package")
        fi
    done
}

# as_root COMMAND...: through sudo when we are not root.
as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        printf 'This needs root and there is no sudo: run as root: %s\n' "$*" >&2
        return 1
    fi
}

# Asks on a terminal; without one, or with --yes, or in CI, goes ahead after having said so.
agree_to_install() {
    if [[ ${assume_yes:-no} == yes || ${CI:-} == true || ! -t 0 ]]; then
        echo "Installing them now (no question asked: --yes, CI, or no terminal)."
        return 0
    fi
    local answer
    read -r -p "Install them now? [Y/n] " answer
    [[ $answer == "" || $answer == [yY]* ]]
}

# install_packages PACKAGE...: makes sure that all of them are there.
install_packages() {
    if ! is_debian_12 || ! command -v apt-get >/dev/null; then
        printf '%s\n' "This is not Debian 12, so nothing is installed here. What is needed, by its names there:" \
            "  $*" "Going on with what this machine has."
        return 0
    fi
    local missing
    find_missing "$@"
    if ((${#missing[@]} == 0)); then
        return 0
    fi
    printf 'These Debian packages are missing:\n  %s\n' "${missing[*]}"
    if ! agree_to_install; then
        echo "Nothing was installed. Come back with them installed." >&2
        return 1
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
