# Figures on real libkrun, taken in the outer guest under -icount by bench/run: lines of `figure NAME BEST MIDDLE`.
# Every first run of a kind waits for the disk and is thrown away. busybox sh; the words are those of tests/kvm/lib.sh.
. /lib.sh

ROUNDS=${ROUNDS:-4}
IDLE_S=30
LOOP='"exec_path": "/bin/sh", "args": ["-c", "while :; do sleep 1000; done"]'

# keep NAME FILE FIELD: one line of a program's output becomes a figure.
keep()
{
	sed -n "s/^$3 /figure $1 /p" "$2" | grep . || die "no $3 in $2: $(cat "$2")"
}

bare()
{
	rm -rf /tmp/bare
	mkdir /tmp/bare
	if [ "$1" = -r ]; then
		ln -s "$STATE"/images/*.ext4 /tmp/bare/image
		/usr/libexec/krun-api/krun-image disk --size-mib 64 --output /tmp/bare/disk >/tmp/bare.disk || die "disk: $(cat /tmp/bare.disk)"
	else
		truncate -s 64M /tmp/bare/image /tmp/bare/disk
	fi
	timeout 120 bare_vmm -m 256 -d /tmp/bare/image -d /tmp/bare/disk "$@" /usr/lib/libkrun.so.1 /usr/lib/libkrunfw.so.5 \
		/usr/bin/bare_init /tmp/bare >/tmp/bare.out 2>/tmp/bare.err
}

figures_bare()
{
	for round in $(seq $((ROUNDS + 1))); do
		bare || die "bare: $(cat /tmp/bare.out /tmp/bare.err)"
		[ "$round" = 1 ] || keep bare_launch /tmp/bare.out launch_ms
	done
	bare -s $((IDLE_S + 15)) &
	child=$!
	until_true 60 grep -q ^idle /tmp/bare.out
	sleep 5
	set -- $(grep ^idle /tmp/bare.out)
	meter weigh -s $IDLE_S "$2" "$3" >/tmp/weight || die "weighing the bare machine"
	keep bare_pss_kib /tmp/weight pss_kib
	keep bare_cpu_ms /tmp/weight cpu_ms
	wait $child
}

# The same programs on the same root file system as in the product's machines.
figures_bare_programs()
{
	bare -r -n 20 -p 50 -e 20 -t 3 || die "bare: $(cat /tmp/bare.out /tmp/bare.err)"
	keep bare_exec /tmp/bare.out exec_ms
	keep bare_ping /tmp/bare.out ping_ms
	keep bare_echo /tmp/bare.out echo_ms
	keep bare_stream /tmp/bare.out stream_ms
}

figures_start()
{
	for round in $(seq $((ROUNDS + 1))); do
		meter http -o "$ANSWER" -b "{\"name\": \"m$round\", \"config\": {\"image\": \"$IMAGE\", $LOOP}}" "$SOCKET" POST \
			"/v1/machines?start=true&wait=ready&timeout=60" >/tmp/http.out 2>&1 || die "start: $(cat /tmp/http.out)"
		[ "$round" = 1 ] || keep start /tmp/http.out http_ms
		for part in spawn kernel root network ready; do
			[ "$round" = 1 ] || echo "figure boot_$part $(answer boot_ms.$part)"
		done
		remove "m$round" "?force=true"
	done
}

figures_run()
{
	for round in $(seq $((ROUNDS + 1))); do
		meter spawn -1 -x first-output krun-run -a --rm "$IMAGE" -- /bin/echo first-output >/tmp/spawn.out 2>&1 ||
			die "krun-run: $(cat /tmp/spawn.out)"
		[ "$round" = 1 ] || keep run /tmp/spawn.out spawn_ms
	done
}

figures_sessions()
{
	at="$SOCKET /v1/machines/warm/exec"
	for round in 1 2; do
		meter session -n 20 $at '{"cmd": ["/echo"]}' >/tmp/session.out 2>&1 || die "session: $(cat /tmp/session.out)"
	done
	keep session /tmp/session.out session_ms
	meter session -n 4 -w $at '{"cmd": ["/stream"]}' >/tmp/session.out 2>&1 || die "stream: $(cat /tmp/session.out)"
	keep session_stream /tmp/session.out session_ms
	meter session -p 50 $at '{"cmd": ["/bin/sh", "-c", "echo x; cat"]}' >/tmp/session.out 2>&1 || die "50 sessions: $(cat /tmp/session.out)"
	keep sessions /tmp/session.out session_ms
}

figures_warm()
{
	machine warm "$LOOP"
	for round in 1 2; do
		meter http -n 20 -o "$ANSWER" -b '{"cmd": ["/true"]}' "$SOCKET" POST /v1/machines/warm/exec >/tmp/http.out 2>&1 ||
			die "exec: $(cat /tmp/http.out)"
		is "$(answer exit_code)" 0 "exec"
		meter spawn -n 10 krunctl exec warm /true >/tmp/spawn.out 2>&1 || die "krunctl exec: $(cat /tmp/spawn.out)"
	done
	ln -s /usr/bin/bare_init /tmp/true
	meter spawn -n 20 /tmp/true >/tmp/true.out 2>&1 || die "a program that does nothing: $(cat /tmp/true.out)"
	keep nothing /tmp/true.out spawn_ms
	figures_sessions
	keep exec /tmp/http.out http_ms
	keep krunctl_exec /tmp/spawn.out spawn_ms
	sleep 5
	pids="$(record warm supervisor.pid) $(record warm vm.pid) $(record warm net.pid)"
	meter weigh -s $IDLE_S $pids >/tmp/weight || die "weighing the machine"
	keep pss_kib /tmp/weight pss_kib
	keep cpu_ms /tmp/weight cpu_ms
	for name in supervisor vm net; do
		meter weigh "$(record warm $name.pid)" >/tmp/weight && keep "pss_${name}_kib" /tmp/weight pss_kib
	done
	remove warm "?force=true"
}

export KRUN_API=unix://$SOCKET
mkdir -p "$RUN"
figures_bare
server_start
image_import
figures_bare_programs
figures_start
figures_warm
figures_run
server_end
