# The scenarios on real libkrun (and one on QEMU with KVM), run inside the outer guest as an ordinary user.
#
#   scenarios.sh all NAME...   runs these: a line `PASS name` or `FAIL name` each, what went wrong before it
#   scenarios.sh run NAME      runs one, with krun-api running
#
# Each stands alone: it makes its machines and deletes them. busybox sh; see lib.sh for the words used.
. /lib.sh

LOOP='"exec_path": "/bin/sh", "args": ["-c", "echo up; while :; do sleep 1; done"]'
# Of the outer guest: both answer on the host's side, one is on the allow list.
ADDRESS_LISTED=10.1.2.3
ADDRESS_OTHER=10.1.2.4
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
	until_true 10 logged life '^up$'
	is "$(exec_in life '["/bin/echo", "hello"]')" hello "exec"
	is "$(krunctl exec life echo by krunctl)" "by krunctl" "krunctl exec"
	# One after the other at once: what is left of the ones before must not keep the next one out.
	meter http -n 20 -o "$ANSWER" -b '{"cmd": ["/bin/true"], "timeout_s": 20}' "$SOCKET" POST /v1/machines/life/exec >/dev/null ||
		die "20 in a row: $(cat "$ANSWER")"
	is "$(answer exit_code)" 0 "exec after 19"
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
	machine seven '"exec_path": "/bin/sh", "args": ["-c", "sleep 1; exit 7"]'
	wait_for seven stopped
	is "$(answer exit.code)" 7 "exit code"
	is "$(answer exit.requested)" false "requested"
	remove seven
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

# fetch ADDRESS: what the machine `web` gets from a server of the host; what it says when it gets nothing.
fetch()
{
	call POST /v1/machines/web/exec "{\"cmd\": [\"/bin/wget\", \"-O\", \"-\", \"http://$1/\"], \"timeout_s\": 20}"
	answer stdout
	[ "$(answer exit_code)" = 0 ] || answer stderr
}

scenario_network()
{
	echo "a page from the host" >"$HOME/index.html"
	for address in 127.0.0.1 $ADDRESS_LISTED $ADDRESS_OTHER; do
		busybox httpd -p "$address:8099" -h "$HOME" || die "no server at $address"
	done
	machine web "$WEB, \"ports\": [{\"host_port\": 0, \"guest_port\": 80}]" \
		"{\"allow_list\": [\"192.168.127.254/32\", \"$ADDRESS_LISTED/32\"]}"
	port=$(answer ports.0.host_port)
	until_true 20 timeout 5 wget -O "$HOME/page" "http://127.0.0.1:$port/"
	is "$(cat "$HOME/page")" "a page from the guest" "page by the published port"
	is "$(fetch 192.168.127.254:8099)" "a page from the host" "page from the host's loopback"
	is "$(fetch "$ADDRESS_LISTED:8099")" "a page from the host" "page from a listed address"
	timeout 5 wget -O /dev/null "http://$ADDRESS_OTHER:8099/" 2>/dev/null || die "the host does not reach $ADDRESS_OTHER"
	fetch "$ADDRESS_OTHER:8099" | grep -q "can't connect" || die "not refused: $(cat "$ANSWER")"
	call POST /v1/machines "{\"name\": \"late\", \"config\": {\"image\": \"$IMAGE\", \"ports\": [{\"host_port\": $port, \"guest_port\": 80}]}}"
	meter http -o "$ANSWER" "$SOCKET" POST "/v1/machines/late/start?wait=ready" >/dev/null 2>&1
	call GET /v1/machines/late
	grep -q "$port" "$ANSWER" || die "the refusal does not name the port: $(cat "$ANSWER")"
	remove late
	stop web
	remove web
	timeout 5 wget -O /dev/null "http://127.0.0.1:$port/" 2>/dev/null && die "the port still answers"
	return 0
}

scenario_large_output()
{
	machine chatty '"exec_path": "/bin/sh", "args": ["-c", "yes 0123456789abcdef | head -c 5000000; sleep 1"]'
	wait_for chatty stopped
	is "$(answer exit.code)" 0 "exit code"
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

# A single file of the host, also one that an ordinary user may not link (it is root's).
scenario_single_files()
{
	mkdir -p "$HOME/files"
	echo "nobody sees this" >"$HOME/files/secret"
	echo "from the host" >"$HOME/files/file"
	machine files "$LOOP, \"volumes\": [{\"host_path\": \"$HOME/files/file\", \"guest_path\": \"/srv/file\"},
		{\"host_path\": \"$HOME/files/file\", \"guest_path\": \"/srv/fixed\", \"read_only\": true},
		{\"host_path\": \"/etc/hosts\", \"guest_path\": \"/srv/hosts\", \"read_only\": true}]" '{"mode": "none"}'
	is "$(exec_in files '["/bin/cat", "/srv/file", "/srv/fixed"]')" "from the host
from the host" "the file"
	is "$(exec_in files '["/bin/cat", "/srv/hosts"]')" "$(cat /etc/hosts)" "a file of root's"
	exec_in files '["/bin/sh", "-c", "echo from the guest >>/srv/file"]' >/dev/null
	is "$(tail -n 1 "$HOME/files/file")" "from the guest" "what the guest wrote"
	echo again >>"$HOME/files/file"
	until_true 10 sh /scenarios.sh sees files /srv/file again
	for path in /srv/fixed /srv/hosts; do
		call POST /v1/machines/files/exec "{\"cmd\": [\"/bin/sh\", \"-c\", \"echo no >>$path\"]}"
		[ "$(answer exit_code)" != 0 ] || die "$path is read-only and was written"
	done
	for tag in vol0 vol2; do
		is "$(exec_in files "[\"/bin/sh\", \"-c\", \"mkdir /$tag && mount -t virtiofs $tag /$tag && ls -A /$tag\"]")" file "names in the share"
	done
	is "$(stat -c %h "$HOME/files/file")" 3 "links of the user's file"
	is "$(stat -c %h /etc/hosts)" 1 "links of root's, which is mounted"
	remove files "?force=true"
	is "$(stat -c %h "$HOME/files/file")" 1 "links of the file, after"
}

scenario_named_volume()
{
	data='"volumes": [{"volume": "data", "guest_path": "/data"}]'
	machine first "$LOOP, $data" '{"mode": "none"}'
	exec_in first '["/bin/sh", "-c", "echo kept >/data/file; sync; echo also >/data/also"]' >/dev/null
	call POST /v1/machines "{\"name\": \"second\", \"config\": {\"image\": \"$IMAGE\", $LOOP, $data}, \"network\": {\"mode\": \"none\"}}"
	meter http -o "$ANSWER" "$SOCKET" POST "/v1/machines/second/start?wait=ready&timeout=60" >/dev/null 2>&1
	grep -q data "$ANSWER" || die "a volume in two machines at once: $(cat "$ANSWER")"
	stop first '{"timeout_s": 1}'
	call POST "/v1/machines/second/start?wait=ready&timeout=60"
	is "$(exec_in second '["/bin/cat", "/data/file", "/data/also"]')" "kept
also" "what the first one wrote"
	stop second '{"timeout_s": 1}'
	remove second
	remove first
	machine third "$LOOP, \"volumes\": [{\"volume\": \"data\", \"guest_path\": \"/data\", \"read_only\": true}]" '{"mode": "none"}'
	is "$(exec_in third '["/bin/cat", "/data/file"]')" kept "read-only"
	call POST /v1/machines/third/exec '{"cmd": ["/bin/sh", "-c", "mount -o remount,rw /data; echo no >/data/file"]}'
	[ "$(answer exit_code)" != 0 ] || die "a read-only volume was written"
	remove third "?force=true"
	call DELETE /v1/volumes/data
}

# The clock of a machine is within three seconds of ours; asking takes one of them here.
clock_is_right()
{
	off=$(($(exec_in "$1" '["/bin/busybox", "date", "+%s"]') - $(date +%s)))
	[ $off -ge -3 ] && [ $off -le 3 ]
}

scenario_clock()
{
	machine clock "$LOOP" '{"mode": "none"}'
	clock_is_right clock || die "wrong from the start: $off s"
	for jump in 100000 -100000; do
		target=$(($(date +%s) + jump))
		echo $target >/run/clock/set
		until_true 10 grep -q "^$target\$" /run/clock/done
		until_true 5 sh /scenarios.sh clock_is_right clock
	done
	vm=$(record clock vm.pid)
	kill -STOP "$vm"
	sleep 5
	kill -CONT "$vm"
	until_true 5 sh /scenarios.sh clock_is_right clock
	remove clock "?force=true"
}

scenario_two_at_once()
{
	deaf='"exec_path": "/bin/sh", "args": ["-c", "trap \"\" TERM; echo up; while :; do sleep 1; done"]'
	for name in one two; do
		call POST "/v1/machines?start=true" "{\"name\": \"$name\", \"config\": {\"image\": \"$IMAGE\", $deaf, \"hostname\": \"$name\"}}"
	done
	for name in one two; do
		wait_for $name running
		is "$(exec_in $name '["/bin/hostname"]')" $name "hostname"
		until_true 10 logged $name '^up$'
	done
	[ "$(record one vm.pid)" != "$(record two vm.pid)" ] || die "one process for two"
	stop one '{"timeout_s": 1}'
	is "$(answer state)" stopped "state of one that ignores SIGTERM"
	is "$(answer exit.signal)" 9 "signal"
	is "$(exec_in two '["/bin/hostname"]')" two "the other one, after"
	remove one
	remove two "?force=true"
}

processes()
{
	supervisor=$(record "$1" supervisor.pid)
	vm=$(record "$1" vm.pid)
	net=$(record "$1" net.pid)
}

scenario_kill_each_process()
{
	machine victim "$LOOP"
	for what in vm net supervisor; do
		until_true 10 logged victim '^up$'
		processes victim
		eval "kill -9 \$$what"
		wait_for victim failed 30
		answer status_reason | grep . || die "no reason after kill -9 of $what"
		for pid in $supervisor $vm $net; do
			until_true 10 gone "$pid"
		done
		logged victim '^up$' || die "its output is missing after kill -9 of $what"
		[ $what = supervisor ] || call POST "/v1/machines/victim/start?wait=ready&timeout=60"
	done
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
	logged ending '^last$' || die "its last output is missing"
	call GET /v1/machines/kept
	is "$(answer state)" running "state of the one that ran on"
	is "$(exec_in kept '["/bin/echo", "still here"]')" "still here" "exec"
	logged kept '^up$' || die "its output is missing"
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
clock_is_right) clock_is_right "$1" ;;
sees) exec_in "$1" "[\"/bin/cat\", \"$2\"]" | grep -q "$3" ;;
all) run_all "$@" ;;
esac
