# shellcheck shell=bash
# phases.sh: running the phases of tools/check one after the other, and adding up what they tested.
#
# A phase is a function phase_NAME. It runs in a subshell under `set -e`, its output goes to
# build/check/log/NAME.log, and its end is printed with its time. What it tested it reports with
# count_tests; a phase that fails is loud, makes the whole fail, and does not keep later ones from
# running, so that one run shows all there is to mend.

phases_failed=()

# phases_begin FOLDER: where logs and counts go.
phases_begin() {
    check_folder=$1
    counts_file=$check_folder/counts
    mkdir -p "$check_folder/log"
    : >"$counts_file"
}

# count_tests WHAT PASSED FAILED [SKIPPED]
count_tests() {
    printf '%d %d %d %s\n' "$2" "$3" "${4:-0}" "$1" >>"$counts_file"
}

# one_test WHAT COMMAND...: a command that counts as one test, by its exit status.
one_test() {
    local what=$1
    shift
    echo "--- $what"
    if "$@"; then
        count_tests "$what" 1 0
    else
        count_tests "$what" 0 1
        echo "FAILED: $what"
        return 1
    fi
}

# run_phase NAME TITLE
run_phase() {
    local name=$1 title=$2 log=$check_folder/log/$1.log began=$SECONDS lines status
    lines=$(wc -l <"$counts_file")
    printf '==> %s: %s\n' "$name" "$title"
    # Not in a condition: there `set -e` would not hold inside.
    set +e
    (
        set -e
        "phase_$name"
    ) >"$log" 2>&1 </dev/null
    status=$?
    set -e
    tail -n "+$((lines + 1))" "$counts_file" |
        while read -r passed failed skipped what; do
            printf '    %s: %d passed, %d failed' "$what" "$passed" "$failed"
            if ((skipped > 0)); then printf ', %d skipped' "$skipped"; fi
            printf '\n'
        done
    grep -aE '^(SKIPPED: |seed [0-9]+$|[0-9]+ crash-recoveries)' "$log" | sed 's/^/    /' || true
    if ((status != 0)); then
        phases_failed+=("$name")
        # A phase that failed without a failed test (a build, say) counts as one itself.
        if ! tail -n "+$((lines + 1))" "$counts_file" | awk '$2 > 0 { found = 1 } END { exit !found }'; then
            count_tests "$name" 0 1
        fi
        grep -anE '\[  FAILED  \]|\[   LINE   \]|ERROR: |VIOLATION|repeat with|: error:|^FAIL' "$log" |
            head -n 40 >"$check_folder/log/$name.failures" || true
        echo "    what its output says of failures:"
        sed 's/^/    | /' "$check_folder/log/$name.failures"
        echo "    and its end:"
        tail -n 40 "$log" | sed 's/^/    | /'
        printf '    FAILED after %d s; all of its output: %s\n' $((SECONDS - began)) "$log"
    else
        printf '    %d s\n' $((SECONDS - began))
    fi
}

# Prints the closing line; fails when anything failed or nothing was tested. Who keeps only the end of
# this output must find there what repeats a failure, a fresh seed above all.
phases_end() {
    local sums passed failed skipped name
    for name in "${phases_failed[@]}"; do
        printf '\n%s failed:\n' "$name"
        head -n 10 "$check_folder/log/$name.failures" | cut -c 1-300 | sed 's/^/    /'
    done
    sums=$(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$counts_file")
    read -r passed failed skipped <<<"$sums"
    printf '\n%d s in all' "$SECONDS"
    if ((${#phases_failed[@]} > 0)); then printf '; FAILED: %s' "${phases_failed[*]}"; fi
    printf '\n'
    if ((skipped > 0)); then
        printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    else
        printf '%d passed, %d failed\n' "$passed" "$failed"
    fi
    ((failed == 0 && passed > 0 && ${#phases_failed[@]} == 0))
}
