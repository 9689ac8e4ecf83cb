#!/bin/sh
# Say Hello in the room lobby, and print the text of each message: the last 20, then each one that comes.
#
# To go on after the stream has ended, follow with {"roomId": "lobby", "after": {"epoch": "…", "seq": "…"}}: the epoch
# that `opened` has told in its position, and the seq of the last event that has one.
ADDRESS=$1 TOKEN=$2

call() {
    curl --silent --show-error --fail-with-body --no-buffer "$ADDRESS/chatkit.messages.v1.MessagesService/$1" \
        -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' -d "$2"
}

call SendMessage '{"roomId": "lobby", "parts": [{"contentType": "text/plain", "content": "Hello"}],
    "requestId": "'"$(date +%s%N)"'"}' >/dev/null || exit
call SubscribeRoom '{"roomId": "lobby"}' |
    jq --unbuffered -Rr 'ltrimstr("data: ") | fromjson? | .events[].messageCreated.parts[0].content // empty'
