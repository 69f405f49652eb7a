#!/usr/bin/env bash
# try_installed.sh PREFIX PKGCONFIG_FOLDER: a stranger's view of what `cmake --install` left: compiles
# and runs small programs against the installed headers and pkg-config files, starts the programs, and
# looks at sonames and exported names.
set -euo pipefail

prefix=$1
export PKG_CONFIG_PATH=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/engine.c" <<'END'
#include <stdio.h>
#include <urn.h>
int main(void)
{
    struct urn_engine_config config = {.data_dir = "data"};
    struct urn_error error;
    if (urn_engine_config_check(&config, &error) != URN_CONFIG)
        return 1;
    printf("%s %s: %s\n", URN_VERSION, urn_code_text(error.code), error.text);
    return 0;
}
END
cat >"$work/client.c" <<'END'
#include <urn/client.h>
#include <stdio.h>
int main(void)
{
    struct urnclient *client = NULL;
    struct urnclient_error error;
    struct urnclient_options options = {.address = "unix:/nowhere/urn.sock"};
    if (urnclient_connect(&options, &client, &error) != URNCLIENT_CONNECT)
        return 1;
    printf("%s\n", error.text);
    return 0;
}
END

try() {
    local source=$1 name=$2 library
    library=$(pkg-config --variable=libdir "$name")
    # shellcheck disable=SC2046 # flags are words
    cc -std=c17 -Wall -Wextra -Werror -o "$work/$source" "$work/$source.c" \
        $(pkg-config --cflags --libs "$name") -Wl,-rpath,"$library"
    "$work/$source"
    readelf -d "$work/$source" | grep -q "NEEDED.*\[lib$name\.so\.[0-9]*\]" || {
        echo "$source is not linked to a lib$name.so with a version" >&2
        return 1
    }
    if nm -D --defined-only "$library/lib$name.so" | awk '{ print $NF }' | grep -vE '^(urn|urnclient)_|^URN(CLIENT)?_'; then
        echo "lib$name.so exports names that are not urn's (above)" >&2
        return 1
    fi
}

try engine urn
try client urnclient

for program in sbin/urnd bin/urn bin/urn-bench bin/urn-wal; do
    "$prefix/$program" --version
done
