# What the scripts in the outer guest share: a krun-api of one's own, calls to it, answers taken apart.
# busybox sh. Every wait has a deadline. ANSWER is the body of the last call.

STATE=${STATE:-$HOME/state}
RUN=${RUN:-/run/krun}
BACKEND=${BACKEND:-libkrun}
SOCKET=$RUN/api.sock
ANSWER=$HOME/answer.json
IMAGE=${IMAGE:-test:latest}

die()
{
	echo "$*"
	exit 1
}

# until_true SECONDS COMMAND...: asks again until the command succeeds.
until_true()
{
	tries=$(($1 * 50))
	shift
	while ! "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || die "not true in time: $*"
		usleep 20000
	done
}

gone() { ! kill -0 "$1"; }

server_start()
{
	krun-api --socket-dir "$RUN" --state-dir "$STATE" --backend "$BACKEND" $SERVER_OPTIONS >>"$HOME/krun-api.log" 2>&1 &
	echo $! >"$HOME/krun-api.pid"
	until_true 20 meter http "$SOCKET" GET /healthz
}

# server_end [SIGNAL]
server_end()
{
	pid=$(cat "$HOME/krun-api.pid")
	kill "-${1:-TERM}" "$pid"
	until_true 20 gone "$pid"
}

# call METHOD PATH [BODY]: fails on a status of 400 and above; says why.
call()
{
	meter http -o "$ANSWER" ${3:+-b "$3"} "$SOCKET" "$1" "$2" >"$HOME/call.out" 2>&1 || die "$1 $2: $(cat "$HOME/call.out")"
}

# refused STATUS METHOD PATH [BODY]: must be answered with that status.
refused()
{
	wanted=$1
	shift
	meter http -o "$ANSWER" ${3:+-b "$3"} "$SOCKET" "$1" "$2" >"$HOME/call.out" 2>&1
	grep -q "^status $wanted\$" "$HOME/call.out" || die "$1 $2: wanted $wanted: $(cat "$HOME/call.out")"
}

image_import()
{
	meter http -o "$ANSWER" -f /image.tar -t application/x-tar "$SOCKET" POST "/v1/images?name=$IMAGE" >"$HOME/call.out" 2>&1 ||
		die "import: $(cat "$HOME/call.out" "$HOME/krun-api.log")"
}

answer() { meter json "$1" <"$ANSWER"; }

# is VALUE EXPECTED WHAT
is() { [ "$1" = "$2" ] || die "$3: '$1', expected '$2'; last answer: $(cat "$ANSWER")"; }

# machine NAME CONFIG-MEMBERS [NETWORK]: creates one and waits until it is ready.
machine()
{
	call POST "/v1/machines?start=true&wait=ready&timeout=60" \
		"{\"name\": \"$1\", \"config\": {\"image\": \"$IMAGE\"${2:+, $2}}${3:+, \"network\": $3}}"
	is "$(answer state)" running "state of $1"
}

# record NAME FIELD: of the machine's record on disk.
record() {
	call GET "/v1/machines/$1"
	meter json "$2" <"$STATE/machines/$(answer id)/record.json"
}

wait_for() { call GET "/v1/machines/$1/wait?state=$2&timeout=${3:-60}"; }
stop() { call POST "/v1/machines/$1/stop" "${2:-}"; }
remove() { call DELETE "/v1/machines/$1${2:-}"; }

# logged NAME PATTERN: a line of its output matches.
logged() { krunctl logs "$1" | grep -q "$2"; }

# exec_in NAME CMD-JSON: prints its standard output, fails unless it exits with 0.
exec_in()
{
	call POST "/v1/machines/$1/exec" "{\"cmd\": $2, \"timeout_s\": 30}"
	is "$(answer exit_code)" 0 "exit code of $2"
	answer stdout
}
