# Stages of ./test and .ci/run: each is shown when it begins and ends, and all stand in a table at the end. Sourced, never run.

STAGES=()
RESULTS=()
TIMES=()
SKIPPED=()
if [[ -t 1 && -z ${CI:-} ]]; then BOLD=$'\e[1m' PLAIN=$'\e[0m'; else BOLD='' PLAIN=''; fi
if [[ -n ${CI:-} ]]; then export CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never; fi

# stage NAME COMMAND...: runs a command or function in a shell of its own, without standard input. Its failure is remembered,
# and the stages behind it run all the same.
stage() {
    local name=$1 begun=$SECONDS result=ok
    shift
    printf '\n%s==> %s%s (%s s since start): %s\n' "$BOLD" "$name" "$PLAIN" "$SECONDS" "$*"
    ("$@") </dev/null || result=FAILED
    STAGES+=("$name") RESULTS+=("$result") TIMES+=($((SECONDS - begun)))
    printf '%s<== %s: %s%s in %s s\n' "$BOLD" "$name" "$result" "$PLAIN" $((SECONDS - begun))
    [[ $result == ok ]]
}

# skip NAME REASON: a stage that does not run here, said at once and again at the end.
skip() {
    STAGES+=("$1") RESULTS+=(SKIPPED) TIMES+=(0)
    SKIPPED+=("SKIPPED: $1: $2")
    printf '\nSKIPPED: %s: %s\n' "$1" "$2"
}

# finish PROGRAM: the table, and the verdict as the last line.
finish() {
    local index failed=()
    printf '\n%-26s %-8s %8s\n' stage result seconds
    for index in "${!STAGES[@]}"; do
        printf '%-26s %-8s %8s\n' "${STAGES[index]}" "${RESULTS[index]}" "${TIMES[index]}"
        if [[ ${RESULTS[index]} == FAILED ]]; then failed+=("${STAGES[index]}"); fi
    done
    printf '%-26s %-8s %8s\n' all '' "$SECONDS"
    if [[ ${#SKIPPED[@]} -gt 0 ]]; then printf '%s\n' "${SKIPPED[@]}"; fi
    if [[ ${#failed[@]} -eq 0 ]]; then
        printf '%s: ok\n' "$1"
        exit 0
    fi
    printf '%s: FAILED (stage %s)\n' "$1" "$(printf '%s, ' "${failed[@]}" | sed 's/, $//')"
    exit 1
}
