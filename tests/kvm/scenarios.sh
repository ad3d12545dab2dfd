# The scenarios on real libkrun (and one on QEMU with KVM), run inside the outer guest as an ordinary user.
#
#   scenarios.sh all NAME...   runs these: a line `PASS name` or `FAIL name` each, what went wrong before it
#   scenarios.sh run NAME      runs one, with krun-api running
#
# Each stands alone: it makes its machines and deletes them. busybox sh; see lib.sh for the words used.
. /lib.sh

LOOP='"exec_path": "/bin/sh", "args": ["-c", "echo up; while :; do sleep 1; done"]'
WEB='"exec_path": "/bin/httpd", "args": ["-f", "-p", "80", "-h", "/www"]'

scenario_backend_is_usable()
{
	call GET /v1/info
	answer backends | grep -q '"libkrun"' || die "no libkrun among the backends: $(cat "$ANSWER")"
	is "$(answer backends.0.name)" libkrun "first backend"
	is "$(answer backends.0.usable)" true "libkrun usable"
}

scenario_create_logs_exec_stop_delete()
{
	machine life "$LOOP"
	is "$(answer backend)" libkrun backend
	id=$(answer id)
	vm=$(record life vm.pid)
	krunctl logs life | grep -q '^up$' || die "no output in the logs: $(krunctl logs life)"
	is "$(exec_in life '["/bin/echo", "hello"]')" hello "exec"
	is "$(krunctl exec life echo by krunctl)" "by krunctl" "krunctl exec"
	krunctl exec life sh -c 'exit 9'
	is $? 9 "exit code of krunctl exec"
	refused 409 DELETE /v1/machines/life
	stop life '{"timeout_s": 2}'
	is "$(answer state)" stopped "state"
	is "$(answer exit.requested)" true "requested"
	gone "$vm" 2>/dev/null || die "the VM process lives on"
	remove life
	refused 404 GET "/v1/machines/$id"
	[ ! -e "$STATE/machines/$id" ] || die "its directory is still there"
}

scenario_exit_codes()
{
	for code in 0 7; do
		machine "exit$code" "\"exec_path\": \"/bin/sh\", \"args\": [\"-c\", \"sleep 1; exit $code\"]"
		wait_for "exit$code" stopped
		is "$(answer exit.code)" $code "exit code"
		is "$(answer exit.requested)" false "requested"
		remove "exit$code"
	done
	machine killed '"exec_path": "/bin/sh", "args": ["-c", "sleep 1; kill -KILL $$"]'
	wait_for killed stopped
	is "$(answer exit.signal)" 9 "signal"
	is "$(answer exit.code)" 137 "code"
	remove killed
}

scenario_workload_not_found()
{
	call POST /v1/machines "{\"name\": \"none\", \"config\": {\"image\": \"$IMAGE\", \"exec_path\": \"/no/such\"}}"
	meter http -o "$ANSWER" "$SOCKET" POST "/v1/machines/none/start?wait=ready&timeout=60" >/dev/null 2>&1
	wait_for none failed
	is "$(answer exit.code)" 127 "exit code"
	answer status_reason | grep -q /no/such || die "the reason does not name the program: $(answer status_reason)"
	remove none
}

scenario_ignores_sigterm()
{
	machine deaf '"exec_path": "/bin/sh", "args": ["-c", "trap \"\" TERM; while :; do sleep 1; done"]'
	stop deaf '{"timeout_s": 1}'
	is "$(answer state)" stopped "state"
	is "$(answer exit.signal)" 9 "signal"
	remove deaf
}

scenario_published_port()
{
	machine web "$WEB, \"ports\": [{\"host_port\": 0, \"guest_port\": 80}]"
	port=$(answer ports.0.host_port)
	until_true 20 wget -q -T 5 -O "$HOME/page" "http://127.0.0.1:$port/"
	is "$(cat "$HOME/page")" "a page from the guest" "page"
	call POST /v1/machines "{\"name\": \"late\", \"config\": {\"image\": \"$IMAGE\", \"ports\": [{\"host_port\": $port, \"guest_port\": 80}]}}"
	meter http -o "$ANSWER" "$SOCKET" POST "/v1/machines/late/start" >/dev/null 2>&1 && die "a taken port was accepted"
	grep -q "$port" "$ANSWER" || die "the refusal does not name the port: $(cat "$ANSWER")"
	remove late
	stop web
	remove web
	wget -q -T 5 -O /dev/null "http://127.0.0.1:$port/" 2>/dev/null && die "the port still answers"
	return 0
}

scenario_guest_to_host()
{
	mkdir -p "$HOME/served"
	echo "a page from the host" >"$HOME/served/index.html"
	busybox httpd -f -p 127.0.0.1:8099 -h "$HOME/served" &
	httpd=$!
	machine allowed "$LOOP" '{"allow_list": ["192.168.127.254/32"]}'
	is "$(exec_in allowed '["/bin/wget", "-q", "-T", "10", "-O", "-", "http://192.168.127.254:8099/"]')" \
		"a page from the host" "page"
	machine fenced "$LOOP" '{"allow_list": ["10.0.0.0/8"]}'
	call POST /v1/machines/fenced/exec \
		'{"cmd": ["/bin/wget", "-q", "-T", "10", "-O", "-", "http://192.168.127.254:8099/"], "timeout_s": 30}'
	[ "$(answer exit_code)" != 0 ] || die "the list did not hold"
	kill $httpd
	remove allowed "?force=true"
	remove fenced "?force=true"
}

scenario_large_output()
{
	machine chatty '"exec_path": "/bin/sh", "args": ["-c", "yes 0123456789abcdef | head -c 5000000; sleep 1"]'
	wait_for chatty stopped
	krunctl logs chatty >"$HOME/chatty"
	is "$(wc -c <"$HOME/chatty")" 5000000 "bytes of output"
	remove chatty
}

scenario_rootfs_path()
{
	mkdir -p "$HOME/rootfs/bin" "$HOME/volume"
	cp /bin/busybox "$HOME/rootfs/bin/"
	ln -sf busybox "$HOME/rootfs/bin/sh"
	echo from the host >"$HOME/volume/in"
	call POST "/v1/machines?start=true&wait=ready&timeout=60" "{\"name\": \"dir\", \"config\": {\"rootfs_path\": \"$HOME/rootfs\",
		\"exec_path\": \"/bin/sh\", \"args\": [\"-c\", \"while :; do /bin/busybox sleep 1; done\"],
		\"volumes\": [{\"host_path\": \"$HOME/volume\", \"guest_path\": \"/data\"},
			{\"host_path\": \"$HOME/volume\", \"guest_path\": \"/fixed\", \"read_only\": true}]}}"
	is "$(exec_in dir '["/bin/busybox", "cat", "/data/in"]')" "from the host" "file"
	exec_in dir '["/bin/sh", "-c", "echo from the guest >/data/out"]' >/dev/null
	is "$(cat "$HOME/volume/out")" "from the guest" "what the guest wrote"
	call POST /v1/machines/dir/exec '{"cmd": ["/bin/sh", "-c", "echo no >/fixed/out"]}'
	[ "$(answer exit_code)" != 0 ] || die "a read-only volume was written"
	remove dir "?force=true"
}

scenario_two_at_once()
{
	for name in one two; do
		call POST "/v1/machines?start=true" "{\"name\": \"$name\", \"config\": {\"image\": \"$IMAGE\", $LOOP, \"hostname\": \"$name\"}}"
	done
	for name in one two; do
		wait_for $name running
		is "$(exec_in $name '["/bin/hostname"]')" $name "hostname"
	done
	[ "$(record one vm.pid)" != "$(record two vm.pid)" ] || die "one process for two"
	stop one '{"timeout_s": 1}'
	is "$(exec_in two '["/bin/hostname"]')" two "the other one, after"
	remove one
	remove two "?force=true"
}

# victim NAME: what must be true after kill -9 of one of its processes.
victim()
{
	wait_for "$1" failed 30
	[ -n "$(answer status_reason)" ] || die "no reason"
	for pid in $supervisor $vm $net; do
		until_true 10 gone "$pid"
	done
	krunctl logs "$1" | grep -q '^up$' || die "its output is missing"
}

processes()
{
	supervisor=$(record "$1" supervisor.pid)
	vm=$(record "$1" vm.pid)
	net=$(record "$1" net.pid)
}

scenario_kill_vm_process()
{
	machine victim "$LOOP"
	processes victim
	kill -9 "$vm"
	victim victim
	remove victim
}

scenario_kill_supervisor()
{
	machine victim "$LOOP"
	processes victim
	kill -9 "$supervisor"
	victim victim
	call POST "/v1/machines/victim/start?wait=ready&timeout=60"
	is "$(answer state)" running "state after another start"
	remove victim "?force=true"
}

scenario_kill_net()
{
	machine victim "$LOOP"
	processes victim
	kill -9 "$net"
	victim victim
	remove victim
}

scenario_kill_server()
{
	machine kept "$LOOP, \"ports\": [{\"host_port\": 0, \"guest_port\": 80}]"
	machine ending '"exec_path": "/bin/sh", "args": ["-c", "echo first; while [ ! -e /tmp/end ]; do sleep 1; done; echo last; exit 5"]'
	exec_in ending '["/bin/sh", "-c", "(sleep 2; touch /tmp/end) >/dev/null 2>&1 &"]'
	processes ending
	server_end KILL
	until_true 60 gone "$supervisor"
	server_start
	call GET /v1/machines/ending
	is "$(answer state)" stopped "state of the one that ended meanwhile"
	is "$(answer exit.code)" 5 "its exit code"
	krunctl logs ending | grep -q '^last$' || die "its last output is missing"
	call GET /v1/machines/kept
	is "$(answer state)" running "state of the one that ran on"
	is "$(exec_in kept '["/bin/echo", "still here"]')" "still here" "exec"
	krunctl logs kept | grep -q '^up$' || die "its output is missing"
	stop kept '{"timeout_s": 1}'
	is "$(answer state)" stopped "state after stop"
	remove kept
	remove ending
}

scenario_qemu_with_kvm()
{
	BACKEND=qemu STATE=$HOME/state-qemu RUN=/run/krun-qemu
	SOCKET=$RUN/api.sock
	export KRUN_API=unix://$SOCKET
	server_start
	image_import
	machine accelerated "$LOOP"
	is "$(answer backend)" qemu backend
	tr '\0' ' ' <"/proc/$(record accelerated vm.pid)/cmdline" | grep -q -e '-accel kvm' || die "not with KVM"
	is "$(exec_in accelerated '["/bin/echo", "hello"]')" hello "exec"
	stop accelerated '{"timeout_s": 1}'
	remove accelerated
	server_end
}

# Last: everything was deleted, so nothing may be left.
scenario_nothing_left()
{
	call GET /v1/machines
	is "$(answer machines.#)" 0 "machines"
	until_true 10 sh -c '! pidof krun-vmm krun-net krun-image qemu-system-x86_64'
	is "$(ls "$STATE/machines")" "" "machine directories"
	is "$(ls "$RUN")" api.sock "run directory"
	is "$(ls "$STATE/tmp")" "" "temporary files"
}

run_all()
{
	server_start
	image_import
	for name in "$@"; do
		echo "RUN $name"
		if timeout -k 5 "${SCENARIO_TIMEOUT_S:-150}" sh /scenarios.sh run "$name"; then
			echo "PASS $name"
		else
			echo "---- krun-api.log"
			tail -n 15 "$HOME/krun-api.log"
			for log in "$STATE"/machines/*/vmm.log; do
				[ -e "$log" ] && echo "---- $log" && tail -n 15 "$log"
			done
			echo "FAIL $name"
			clear_away
		fi
	done
	server_end
}

# A failed scenario must not fail the next one.
clear_away()
{
	meter http "$SOCKET" GET /healthz >/dev/null 2>&1 || server_start
	call GET /v1/machines
	left=$(answer machines.#)
	cp "$ANSWER" "$HOME/list.json"
	while [ "$left" -gt 0 ]; do
		left=$((left - 1))
		remove "$(meter json machines.$left.id <"$HOME/list.json")" "?force=true"
	done
}

export KRUN_API=unix://$SOCKET
word=$1
shift
case $word in
run) "scenario_$1" ;;
all) run_all "$@" ;;
esac
