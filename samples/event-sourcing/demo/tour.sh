#!/usr/bin/env bash
# A tour of the showcase over HTTP: tour.sh BUILD_FOLDER
#
# Starts a real server on a fresh file that an older version of the program has filled, sends it the
# requests of a day, and prints each with its answer.  On a terminal the server then stays until
# Ctrl-C; without one the tour ends there.  Whatever happens, the server is stopped and the file goes.
#
# An answer that is not the expected one ends the tour with a failure: a demonstration that has gone
# wrong must not look like one that has not.
set -euo pipefail

bin=$(cd "${1:?Usage: tour.sh BUILD_FOLDER}" && pwd)
showcase=$bin/showcase
folder=$(mktemp -d "${TMPDIR:-/tmp}/kumiko-demo.XXXXXX")
database=sqlite:$folder/demo.db
server=

tenant=00000000-0000-4000-8000-000000000001
other_tenant=00000000-0000-4000-8000-000000000042

clean_up() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP PIPE
    if [[ -n $server ]]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$folder"
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'exit 141' PIPE

# ---- how it looks -------------------------------------------------------------------------------

bold= dim= plain=
if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi
chapter=0
heading() { printf '\n%s%d. %s%s\n' "$bold" $((++chapter)) "$1" "$plain"; }
say() { printf '%s\n' "$@"; }
show_request() { printf '\n%s$ %s%s\n' "$bold" "$1" "$plain"; }
indented() { sed 's/^/    /'; }

fail() {
    printf '\nThe tour failed: %s\n' "$1" >&2
    if [[ -s $folder/log ]]; then
        printf 'The server said:\n' >&2
        indented <"$folder/log" >&2
    fi
    exit 1
}

# ---- requests -----------------------------------------------------------------------------------

# send PATH TYPE PAYLOAD: prints the request and the answer; leaves them in $status and $body.
send() {
    local path=$1 request
    request=$(jq -cn --arg type "$2" --argjson payload "$3" '{type: $type, payload: $payload}')
    show_request "POST $path  $request"
    status=$(curl -sS --max-time 30 -o "$folder/body" -w '%{http_code}' -H "@$auth" \
        --data-raw "$request" "$url$path") || fail "no answer to POST $path"
    body=$(<"$folder/body")
    printf '%s%s%s\n' "$dim" "$status" "$plain" | indented
    jq . <<<"$body" | indented
}
write() { send /api/write "showcase:write:$1" "$2"; }
query() { send /api/query "showcase:query:$1" "$2"; }

# expect STATUS [JQ-CONDITION]: the answer just printed is what the tour says it is.
expect() {
    [[ $status == "$1" ]] || fail "expected status $1, not $status"
    [[ -z ${2:-} ]] || jq -e "$2" >/dev/null <<<"$body" || fail "expected an answer where $2"
}

# run COMMAND…: a subcommand of the program, beside the running server.
run() {
    show_request "showcase $*"
    "$showcase" "$@" --database "$database" | indented
}

# sign_in FILE [TENANT]: headers of an administrator's requests.
sign_in() {
    token=$("$showcase" token --role Admin --tenant "${2:-$tenant}")
    printf '%s\n' "Authorization: Bearer $token" 'Content-Type: application/json' >"$1"
    auth=$1
}

# ---- the server ---------------------------------------------------------------------------------

# The secret exists only for this run.
JWT_SECRET=$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')
export JWT_SECRET
unset JWT_SECRET_CURRENT_VERSION KUMIKO_DISABLED_FEATURES KUMIKO_DOCS_URL KUMIKO_ENV NODE_ENV

# start ADDRESS: false if the address is in use.
start() {
    "$showcase" serve --database "$database" --listen "$1" >"$folder/ready" 2>"$folder/log" &
    server=$!
    until grep -q '^listening on ' "$folder/ready"; do
        if ! kill -0 "$server" 2>/dev/null; then
            local code=0
            wait "$server" || code=$?
            server=
            [[ $code == 75 ]] && return 1
            fail "the server ended with exit code $code"
        fi
        sleep 0.02
    done
    url=$(sed -n 's/^listening on //p' "$folder/ready")
}

say "${bold}Kumiko: the invoice showcase${plain}" "" \
    "A program of 2025 leaves a year of invoices in a fresh file:"
show_request "showcase-first-year $database"
"$bin/showcase-first-year" "$database" | indented

say "" "The program of today opens that file and serves it:"
show_request "showcase serve --database $database"
start 127.0.0.1:8080 || start 127.0.0.1:0 || fail "no address to listen on"
sed 's/^/    /' "$folder/ready"
sign_in "$folder/admin"

# ---- the tour -----------------------------------------------------------------------------------

heading "An invoice is created"
say "What is stored is the event at the end of the answer."
write invoice:create '{"customer":"Acme"}'
expect 200 '.data.data.status == "draft"'
id=$(jq -r .data.id <<<"$body")

heading "Somebody approves it"
write invoice:approve "{\"id\":\"$id\",\"amountCents\":2500,\"approvedBy\":\"cfo\"}"
expect 200 .isSuccess
sleep 0.01
before_payment=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
sleep 0.01

heading "A payment of the wrong amount is refused, and says why"
write invoice:pay "{\"id\":\"$id\",\"amountCents\":2400}"
expect 422 '.error.details.reason == "wrong_amount"'

heading "The right amount is taken"
write invoice:pay "{\"id\":\"$id\",\"amountCents\":2500}"
expect 200 .isSuccess

heading "The state now, folded from the events"
query invoice:state "{\"id\":\"$id\"}"
expect 200 '.data.status == "paid" and .data.paid'

heading "The state before the payment"
say "Nothing was overwritten, so every moment can be asked about."
query invoice:state "{\"id\":\"$id\",\"asOf\":\"$before_payment\"}"
expect 200 '.data.status == "approved" and (.data.paid | not)'

heading "How it came about"
run inspect showcase-invoice "$id"

heading "An event of version 1 is seen as version 2"
say "Approvals of 2025 hold their amount as text. One of them, as it is stored:"
run events show 2 --stored
say "" "And as every reader sees it. What is stored is never rewritten."
run events show 2
old_id=$("$showcase" events show 2 --json --database "$database" | jq -r .aggregateId)
query invoice:state "{\"id\":\"$old_id\"}"
expect 200 '.data.amountCents == 1550 and .data.approvedBy == "legacy-cfo"'

heading "Revenue per customer"
say "A projection over all streams; it follows the writes a moment later."
for _ in {1..500}; do
    curl -sS --max-time 30 -H "@$auth" --data-raw '{"type":"showcase:query:revenue:list"}' \
        "$url/api/query" | jq -e 'any(.data[]; .customer == "Acme")' >/dev/null && break
    sleep 0.02
done
query revenue:list '{}'
expect 200 '(.data | length) == 5 and any(.data[]; .customer == "Acme" and .totalCents == 2500)'

heading "An invoice is archived"
say "Its stream is closed and hidden; its events stay history."
write invoice:archive "{\"id\":\"$old_id\"}"
expect 200 .isSuccess
query invoice:state "{\"id\":\"$old_id\"}"
expect 200 '.data.status == "missing"'

heading "Another tenant sees nothing of all this"
sign_in "$folder/other" "$other_tenant"
query invoice:state "{\"id\":\"$id\"}"
expect 200 '.data.status == "missing"'
query revenue:list '{}'
expect 200 '.data == []'

heading "The log is whole"
run check

# ---- what now -----------------------------------------------------------------------------------

sign_in "$folder/admin"
post="curl -sH @$auth $url/api"
lines=(
    "$post/write -d '{\"type\":\"showcase:write:invoice:create\",\"payload\":{\"customer\":\"Me\"}}'"
    "$post/query -d '{\"type\":\"showcase:query:invoice:state\",\"payload\":{\"id\":\"$id\"}}'"
    "$post/query -d '{\"type\":\"showcase:query:revenue:list\"}'"
)

# Nobody is there to paste the lines: try whether they would have worked, and end.
if [[ ! -t 0 || ! -t 1 ]]; then
    heading "The lines to paste"
    say "On a terminal the server stays, and prints its address, a token and these lines."
    for line in "${lines[@]}"; do
        show_request "$line"
        body=$(bash -c "$line") || fail "no answer"
        jq -c . <<<"$body" | indented
        jq -e '.isSuccess or (.data | length > 0)' >/dev/null <<<"$body" || fail "not an answer"
    done
    say "" "The tour is done: every answer was as expected."
    exit 0
fi

say "" "${bold}It is your turn.${plain} The showcase is at $url until you press Ctrl-C." "" \
    "The token of an administrator, for 24 hours:" "" "$token" "" \
    "Three lines to paste into another terminal; $auth holds that token:" "" "${lines[@]}" ""

trap 'printf "\nThe server has been stopped and its file is gone.\n"; exit 0' INT
code=0
wait "$server" || code=$?
server=
fail "the server ended by itself, with exit code $code"
