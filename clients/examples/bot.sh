#!/bin/sh
# A bot in shell, with nothing but stock ssh: answers each message of a stream, once, whatever happens to the server or to it.
#
#   bot.sh HOST SSH_CONFIG NODE [STREAM [SUBJECT]]
#
# HOST and SSH_CONFIG are ssh's (`ssh -F SSH_CONFIG HOST`), NODE is the bot's durable name: as consumer NODE of STREAM (WORK) it
# publishes an answer to each message on SUBJECT (answers.NODE) under the id NODE-SEQ, and acknowledges when the answer is stored.
# What was not acknowledged comes again, and an answer that was stored is not stored twice under its id. Ends with SIGTERM.
host=$1 config=$2 node=${3:?usage: bot.sh HOST SSH_CONFIG NODE [STREAM [SUBJECT]]} stream=${4:-WORK} subject=${5:-answers.$3}
fifo=$(mktemp -u) && mkfifo -m 600 "$fifo" || exit 1
trap 'rm -f "$fifo"' EXIT
trap 'kill "$!" 2>/dev/null; exit 0' INT TERM
while :; do
    # shellcheck disable=SC2094 # a pipe in both directions is what the fifo is for
    ssh -F "$config" -o BatchMode=yes -s "$host" kedge-json <"$fifo" | {
        exec 3>"$fifo"
        say() { printf '%s\n' "$1" >&3; } # not echo: it would take the backslashes of JSON for its own
        say '{"op":"hello","node":"'"$node"'"}'
        say '{"op":"consume","stream":"'"$stream"'","consumer":"'"$node"'","start":"first"}'
        while read -r line; do
            case $line in
            '{"op":"msg",'*) # its body, still escaped, and the end of the object are at the end: reused as they are
                seq=${line#*,\"seq\":} && seq=${seq%%[!0-9]*} body=${line##*,\"data\":\"}
                [ "$body" != "$line" ] || body='something that is no text"}'
                say '{"op":"pub","id":"'"$node-$seq"'","subject":"'"$subject"'","data":"did '"$body" ;;
            '{"op":"ok","id":"'"$node-"*)
                seq=${line#*\"id\":\""$node-"}
                say '{"op":"ack","consumer":"'"$node"'","seq":'"${seq%%\"*}"'}' ;;
            '{"op":"error",'* | '{"op":"bye",'*) printf '%s\n' "$line" >&2 && break ;;
            esac
        done
    } &
    wait "$!"
    sleep 1
done
