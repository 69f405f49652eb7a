#!/usr/bin/env bash
# try_package.sh ROOT FOLDER: installs, uses, upgrades, removes and purges the Debian packages of FOLDER in
# the Debian root ROOT, which should be one to throw away:
#
#     debootstrap --variant=minbase bookworm /tmp/bare http://deb.debian.org/debian
#     tools/package && tools/lib/try_package.sh /tmp/bare build/package
#
# Wants root. Prints "packages: fine" when all went well.
# shellcheck disable=SC2016 # what stands in single quotes is for dpkg-query, or a shell in ROOT
set -euo pipefail

root=$1
folder=$2
here() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }
fail() {
    echo "try_package: $*" >&2
    exit 1
}

mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
server=
trap 'if [[ -n $server ]]; then kill "$server"; fi; umount "$root/proc"; rm -rf "$root/packages"' EXIT
rm -rf "$root/packages" "$root/var/lib/urn"
mkdir "$root/packages"
cp "$folder"/*.deb "$root/packages"
cp /etc/resolv.conf "$root/etc/resolv.conf"

echo "--- install"
here apt-get update -qq
here sh -c 'apt-get install -y -qq --reinstall --no-install-recommends /packages/*.deb gcc libc6-dev pkg-config'
[[ $(here stat -c '%U %a' /var/lib/urn) == "urn 700" ]] || fail "/var/lib/urn is not urn's own"
[[ $(here dpkg-query -W -f '${Conffiles}' urn) == *" /etc/urn/urn.yaml "* ]] || fail "no conffile"
here urnd --config /etc/urn/urn.yaml --check-config

echo "--- a start before the first one is refused"
status=0
here timeout 60 setpriv --reuid urn --regid urn --clear-groups \
    urnd --config /etc/urn/urn.yaml || status=$?
((status == 78)) || fail "exit status $status instead of 78"

# serve [OPTION]: runs urnd as its user; $server is its id, $lines what it says.
serve() {
    lines=$root/packages/log
    : >"$lines"
    chroot "$root" setpriv --reuid urn --regid urn --clear-groups \
        urnd --config /etc/urn/urn.yaml "$@" 2>"$lines" &
    server=$!
    until grep -q " serves " "$lines"; do
        kill -0 "$server" || fail "$(cat "$lines")"
        sleep 0.05
    done
}

stop() {
    kill "$server"
    wait "$server" || fail "urnd ended with $?"
    server=
}

echo "--- the first start, and a draw"
serve --create
here urn draw main 10
here urn --address unix:/run/urn/urn.sock info --format prometheus | grep '^urn_draws_total 10$'
stop
here urn-wal verify /var/lib/urn/data | grep '^verdict: sound'

echo "--- completion"
for program in urn urnd urn-wal urn-bench; do
    here bash -c '. "/usr/share/bash-completion/completions/$1" && COMP_WORDS=("$1" --) COMP_CWORD=1 &&
        _urn && [[ " ${COMPREPLY[*]} " == *" --version "* ]]' - "$program" || fail "$program: no completion"
done

echo "--- upgrade (the same version again) and go on"
echo '# mine' >>"$root/etc/urn/urn.yaml"
here sh -c 'apt-get install -y -qq --reinstall /packages/urn_*.deb'
grep -q '^# mine' "$root/etc/urn/urn.yaml" || fail "the upgrade lost a change of the configuration"
serve
here urn draw main 1 | grep ' 11  '
stop

echo "--- build against the development packages"
here sh -c 'cd /packages && printf "%s\n" "#include <urn/client.h>" "#include <urn.h>" \
    "int main(void) { struct urn_error e; struct urn_engine_config c = {0}; urnclient_close(0);" \
    "return urn_engine_config_check(&c, &e) == URN_OK; }" >try.c &&
    cc -Wall -Werror -o try try.c $(pkg-config --cflags --libs urn urnclient) && ./try'

echo "--- remove and purge"
here apt-get remove -y -qq urn
[[ -e $root/etc/urn/urn.yaml && -e $root/var/lib/urn/data/IDENTITY ]] || fail "removal took too much"
here apt-get purge -y -qq urn 'liburn*'
[[ ! -e $root/etc/urn && ! -e $root/run/urn ]] || fail "purge left the configuration"
[[ -e $root/var/lib/urn/data/IDENTITY ]] || fail "purge took the data"
rm -rf "$root/var/lib/urn"
left=$(find "$root" -xdev \( -path "$root/proc" -o -path "$root/packages" \) -prune -o \
    -name '*urn*' -newer "$root/packages" -print | grep -vE '/(apt|dpkg|lists|journal)' || true)
[[ -z $left ]] || fail "left behind: $left"
echo "packages: fine"
