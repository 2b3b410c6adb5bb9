# What the chains have in common: connections, parts that run beside each other and
# their times. Sourced by `chain.sh` and `chain-eight.sh`, which set `config` (an
# ssh_config of the lab's hosts) and `hosts` (their names); no chain by itself.
# shellcheck shell=bash

here=$(mktemp -d /tmp/chain.XXXXXX)

# One connection a host, as any tool would keep it.
ssh_to() { ssh -F "$config" -o ControlMaster=auto -o ControlPersist=60 -o ControlPath="$here/%n" -o LogLevel=ERROR "$@"; }

finish() {
    local pids
    pids=$(jobs -p)
    [ -z "$pids" ] || kill $pids 2>/dev/null || :
    for host in "${hosts[@]}"; do ssh_to -O exit "$host" 2>/dev/null || :; done
    rm -rf "$here"
}
trap finish EXIT

now() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
began=$(now)

# part NAME COMMAND...: runs it and notes from when to when it ran.
part() {
    local name=$1 from
    shift
    from=$(now)
    # A part runs in a shell of its own: inside of `||`, `set -e` would not hold.
    local ok=0
    ("$@") >"$here/said.$name" 2>&1 & wait $! || ok=$?
    if [ "$ok" != 0 ]; then
        echo "chain: $name failed:" >&2
        tail -30 "$here/said.$name" >&2
        return 1
    fi
    echo "$((from - began)) $(($(now) - began)) $name" >>"$here/parts"
}

all_of() { for pid in "$@"; do wait "$pid"; done; }

# on HOSTS COMMAND...: a function whose last word is a host's name, on all at once.
on() {
    local pids=() names=$1 host
    shift
    for host in $names; do "$@" "$host" & pids+=($!); done
    all_of "${pids[@]}"
}

# The function that polls is the same on every host: `until_true SECONDS COMMAND`.
# Whoever can tell by itself that it is ready is not asked; questions cost CPU.
prelude='
set -eu
cd /
until_true() {
    limit=$((SECONDS + $1)); shift
    until "$@"; do
        [ "$SECONDS" -lt "$limit" ] || { echo "not so in time: $*" >&2; exit 1; }
        sleep 0.25
    done
}
'
# run HOST: the script on standard input, there.
run() { { echo "$prelude" && cat; } | ssh_to "$1" bash; }

# told MS: the table of the parts to standard error, the seconds to standard output.
told() {
    {
        printf '%-16s %8s %8s %8s\n' 'part, seconds' from to took
        sort -n "$here/parts" | awk '{ printf "%-16s %8.2f %8.2f %8.2f\n", $3, $1 / 1000, $2 / 1000, ($2 - $1) / 1000 }'
    } >&2
    printf '%d.%03d\n' $(($1 / 1000)) $(($1 % 1000))
}
