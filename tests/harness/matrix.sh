#!/usr/bin/env bash
# Runs every test in many combinations of build, poller and number of Ps.
#
#   matrix.sh [--quick | --full | --chaos SEED] [--filter 'suite/name*']
#
# Expects the builds in build/; ./dev test makes them.  A line per combination,
# the end of the log of what failed, and at last "N passed, M failed", which
# counts every test once per combination.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# kind: unit = the programs in build/<build>/tests, chaos = the same under
# GUST_CHAOS, integration = the scripts in tests/integration, deny-MODE = the programs
# under tests/harness/deny, which takes io_uring from them.
# By default a sanitizer sees each poller with one number of Ps: all of them take well
# over an hour on a slow machine.
#   kind        build pollers     GUST_MAXPROCS
usual=(
    "unit        dev   uring,epoll 1,2,8"
    "integration dev   uring       2,8"
    "integration dev   epoll       2"
    "unit        dev   sqpoll      2"
    "integration dev   sqpoll      2"
    "unit        asan  uring       2"
    "unit        asan  epoll       1"
    "integration asan  uring       2"
    "unit        tsan  uring       8"
    "unit        tsan  epoll       2"
    "integration tsan  uring,epoll 2"
    "chaos       dev   uring       2"
    "deny-eperm  dev   auto        2"
    "deny-kill   dev   epoll       2"
)
full=(
    "unit        dev   uring,epoll 1,2,8"
    "integration dev   uring,epoll 1,2,8"
    "unit        dev   sqpoll      1,2,8"
    "integration dev   sqpoll      2"
    "unit        asan  uring,epoll 1,2,8"
    "unit        asan  sqpoll      2"
    "integration asan  uring,epoll 2"
    "unit        tsan  uring,epoll 1,2,8"
    "unit        tsan  sqpoll      2"
    "integration tsan  uring,epoll 2"
    "chaos       dev   uring,epoll 2"
    "deny-eperm  dev   auto        1,2,8"
    "deny-enosys dev   auto        2"
    "deny-enter  dev   auto        2"
    "deny-register dev auto        2"
    "deny-kill   dev   epoll       1,2,8"
)
chaos=(
    "chaos       dev   uring,epoll 1,2,8"
    "chaos       asan  uring,epoll 2"
    "chaos       tsan  uring,epoll 2,8"
)
quick=(
    "unit        dev   uring,epoll 2"
    "integration dev   uring,epoll 2"
)
# Scripts of tests/integration that run only here: what they look at does not depend on the rest.
declare -A rows_of=(
    [clients.py]=" dev-uring-2 dev-epoll-2 asan-uring-2 "
    [proxy_interop.py]=" dev-uring-2 dev-epoll-2 asan-uring-2 tsan-epoll-2 "
    [proxy_memory.py]=" dev-uring-2 dev-uring-8 dev-epoll-2 " # sanitizers keep what is freed
    [load.py]=" dev-uring-2 dev-epoll-2 asan-uring-2 tsan-uring-2 "
    [fuzz.py]=" dev-epoll-2 "
    [bench.py]=" dev-epoll-2 "
)
# They ask for io_uring whatever the environment says, and so would be killed.
asks_for_ring='core/test_(uring_limits|sqpoll|netpoll_choice)$'
# Seconds one program or script may take.
declare -A bound=([dev]=180 [asan]=360 [tsan]=600)

rows=("${usual[@]}")
# ./dev chaos goes through many.
chaos_seed=${GUST_CHAOS:-1}
unset GUST_CHAOS
pattern='*'
while (($#)); do
    case $1 in
    --quick) rows=("${quick[@]}") ;;
    --full) rows=("${full[@]}") ;;
    --chaos)
        rows=("${chaos[@]}")
        chaos_seed=$2
        shift
        ;;
    --filter)
        pattern=$2
        shift
        ;;
    *)
        echo "matrix.sh: unknown argument '$1'" >&2
        exit 2
        ;;
    esac
    shift
done

# gust keeps goroutine stacks where the fake stacks of use-after-return
# detection would have to be switched too.
export ASAN_OPTIONS=detect_stack_use_after_return=0:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
[[ ! -e tests/harness/tsan.supp ]] || TSAN_OPTIONS+=:suppressions=$PWD/tests/harness/tsan.supp

ulimit -c 0
# Not beyond 1048576: some libraries walk over every descriptor there could be.
files_max=$(ulimit -Hn)
[[ $files_max != unlimited ]] && ((files_max <= 1048576)) || files_max=1048576
ulimit -n "$files_max"

# Tests wait for states, not for times: a CPU each is enough.
jobs_max=$(nproc)
((jobs_max <= 4)) || jobs_max=4

trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

# Sets `uring_refused` to the reason if io_uring cannot be used here.
probe_uring() {
    if uring_refused=$(build/dev/tests/harness/uring_probe); then
        uring_refused=""
    fi
}

# Sets `deny_refused` to the reason if there are no seccomp filters here.
probe_deny() {
    local status=0
    deny_refused=$(build/dev/tests/harness/deny kill true 2>&1) || status=$?
    ((status == 77)) || deny_refused=""
}

# ThreadSanitizer's shadow memory does not fit every layout a kernel may choose
# at random; without the randomness it does.
probe_tsan() {
    tsan_prefix=()
    local program=build/tsan/tests/harness/test_harness
    if [[ -x $program ]] && ! "$program" --list >/dev/null 2>&1 &&
        setarch -R "$program" --list >/dev/null 2>&1; then
        tsan_prefix=(setarch -R)
    fi
}

# run_one KIND BUILD PROGRAM LOG: runs it and writes LOG.count, "passed failed
# skipped".
run_one() {
    local kind=$1 build=$2 program=$3 log=$4 status=0 command
    if [[ $kind != integration ]]; then
        command=("$program" --verbose --jobs 1 --filter "$pattern")
    elif [[ $program == *.py ]]; then
        command=(python3 "$program" "$PWD/build/$build")
    else
        command=(bash "$program" "$PWD/build/$build")
    fi
    [[ $kind != deny-* ]] || command=("build/$build/tests/harness/deny" "${kind#deny-}" "${command[@]}")
    [[ $build != tsan ]] || command=("${tsan_prefix[@]}" "${command[@]}")
    timeout --kill-after=5 "${bound[$build]}" "${command[@]}" >"$log" 2>&1 </dev/null &
    # Whoever ends this script ends its programs: timeout passes the signal on.
    trap "kill $!" TERM
    wait $! || status=$?
    ((status != 124 && status != 137)) || echo "timed out after ${bound[$build]} s" >>"$log"
    "count_${kind%-*}" "$log" "$status" >"$log.count"
}

count_chaos() { count_unit "$@"; }
count_deny() { count_unit "$@"; }

count_unit() {
    local log=$1 status=$2 summary tested=0 passed=0 failed skipped
    summary=$(grep -a 'Synthesis: ' "$log" | tail -n 1) || true
    if [[ $summary =~ Tested:\ ([0-9]+)\ .*Passing:\ ([0-9]+) ]]; then
        tested=${BASH_REMATCH[1]}
        passed=${BASH_REMATCH[2]}
    fi
    failed=$((tested - passed))
    # It died outside its tests, or before it could say how they went.
    ((status == 0 || failed > 0)) || failed=1
    # Criterion also calls disabled what the filter leaves out.
    skipped=$(grep -a '^\[SKIP\]' "$log" | grep -avc 'Test is disabled') || true
    echo "$passed $failed $skipped"
}

# A script counts as one test unless its last line says "N passed, M failed".
count_integration() {
    local log=$1 status=$2 last
    last=$(tail -n 1 "$log")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
        local failed=${BASH_REMATCH[2]}
        ((status == 0 || failed > 0)) || failed=1
        echo "${BASH_REMATCH[1]} $failed ${BASH_REMATCH[4]:-0}"
    else
        echo "$((status == 0)) $((status != 0)) 0"
    fi
}

# The programs of a combination.  By their sources: a build folder keeps the programs of
# sources that are gone.
list_programs() {
    local kind=$1 build=$2 poller=$3 procs=$4 source name
    if [[ $kind != integration ]]; then
        for source in tests/*/test_*.c; do
            name=${source%.c}
            [[ $kind == deny-kill && $name =~ $asks_for_ring ]] || echo "build/$build/$name"
        done
        return
    fi
    for source in tests/integration/*.py tests/integration/*.sh; do
        name=${source##*/}
        [[ -z ${rows_of[$name]:-} || ${rows_of[$name]} == *" $build-$poller-$procs "* ]] || continue
        # Unquoted on the right: a pattern.
        [[ integration/${name%.*} != $pattern ]] || echo "$source"
    done
}

# show_failures LABEL LOG...: what went wrong in the programs whose count says so.
show_failures() {
    local label=$1 log passed failed skipped
    for log in "${@:2}"; do
        read -r passed failed skipped <"$log.count"
        ((failed > 0)) || continue
        echo "---- $label: ${log##*/}: $failed failed; the end of $log:"
        grep -avE '^\[(RUN |PASS|SKIP)\]' "$log" | tail -n 40
        echo "----"
    done
}

# run_combination KIND BUILD POLLER PROCS
run_combination() {
    local kind=$1 build=$2 poller=$3 procs=$4 program log passed failed skipped
    local label="$build $poller P=$procs" dir=build/log/test/$kind-$build-$poller-$procs
    local programs logs=() began=${EPOCHREALTIME/[.,]/} verdict=ok sum=(0 0 0)
    [[ $kind == unit ]] || label+=" $kind"
    [[ $kind != chaos ]] || label+="=$chaos_seed"
    mapfile -t programs < <(list_programs "$kind" "$build" "$poller" "$procs")
    ((${#programs[@]})) || return 0
    local refused=""
    [[ $poller != @(uring|sqpoll) ]] || refused=$uring_refused
    [[ $kind != deny-* ]] || refused=$deny_refused
    if [[ -n $refused ]]; then
        echo "skip  $label: $refused"
        return
    fi

    rm -rf "$dir"
    mkdir -p "$dir"
    export GUST_NETPOLL=$poller GUST_MAXPROCS=$procs
    unset GUST_CHAOS
    [[ $kind != chaos ]] || export GUST_CHAOS=$chaos_seed GUST_TEST_SEED=$chaos_seed
    for program in "${programs[@]}"; do
        while (($(jobs -rp | wc -l) >= jobs_max)); do
            wait -n || true
        done
        log=$dir/$(basename "$(dirname "$program")")-${program##*/}
        logs+=("$log")
        run_one "$kind" "$build" "$program" "$log" &
    done
    wait

    for log in "${logs[@]}"; do
        read -r passed failed skipped <"$log.count"
        ((sum[0] += passed, sum[1] += failed, sum[2] += skipped)) || true
    done
    local ms=$(((${EPOCHREALTIME/[.,]/} - began) / 1000))
    ((sum[1] == 0)) || verdict=FAIL
    printf '%-4s  %s  %d tests %d.%d s\n' "$verdict" "$label" $((sum[0] + sum[1])) \
        $((ms / 1000)) $((ms % 1000 / 100))
    show_failures "$label" "${logs[@]}"
    ((total[0] += sum[0], total[1] += sum[1], total[2] += sum[2])) || true
}

probe_uring
probe_deny
probe_tsan
total=(0 0 0)
for row in "${rows[@]}"; do
    read -r kind build pollers procs_list <<<"$row"
    for poller in ${pollers//,/ }; do
        for procs in ${procs_list//,/ }; do
            run_combination "$kind" "$build" "$poller" "$procs"
        done
    done
done

summary="${total[0]} passed, ${total[1]} failed"
((total[2] == 0)) || summary+=", ${total[2]} skipped"
echo "$summary"
((total[0] > 0 && total[1] == 0))
