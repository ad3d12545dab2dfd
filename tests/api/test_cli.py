"""krunctl's commands against a krun-api with the fake backend."""

import json
import os
import re
import shutil
import signal
import subprocess

import pytest
from conftest import BUILD, MARK, PATIENCE_S, make_image, until
from terminal import Terminal

KRUNCTL = BUILD / "src/cli/krunctl"
KRUN_RUN = BUILD / "src/cli/krun-run"


class Cli:
    def __init__(self, api):
        self.api = api
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KRUN_")}
        self.env = {**clean, "KRUN_API": f"unix://{api.socket}"}

    def run(self, *arguments, program=KRUNCTL, code=0, **options):
        argv = [str(argument) for argument in (program, *arguments)]
        options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
        if "input" in options:
            del options["stdin"]
        env = {**self.env, **options.pop("env", {})}
        done = subprocess.run(argv, capture_output=True, timeout=PATIENCE_S, env=env, **options)
        assert done.returncode == code, (argv, done)
        return done

    def text(self, *arguments, **options):
        return self.run(*arguments, **options).stdout.decode()

    def error(self, *arguments, code=1, **options):
        return self.run(*arguments, code=code, **options).stderr.decode()

    def start(self, *arguments, program=KRUNCTL, **options):
        argv = [str(argument) for argument in (program, *arguments)]
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=self.env, **options)

    def terminal(self, *arguments, program=KRUNCTL, columns=80, rows=24, **env):
        return Terminal([program, *arguments], columns, rows, **{**self.env, **env})

    def machine(self, script, *options):
        """Arguments of krun-run for a machine that runs a script on the host's own root."""
        run = ["--rootfs", "--network", "none", "--entrypoint", "/bin/sh", "-e", f"{MARK}={self.api.mark}"]
        return [*run, *options, "/", "--", "-c", script]


@pytest.fixture
def cli(api):
    return Cli(api)


# ---- lists ----


@pytest.mark.parametrize("command", ["ps", "images", "info", "doctor"])
def test_lists_refuse_operands(cli, command):
    assert cli.error(command, "x") == f"krunctl: {command} takes no 'x'\n"


# ---- restart, kill, signal ----


def test_restart(cli, api):
    first, second = api.run(name="first"), api.create(name="second")
    assert cli.text("restart", "first", "second") == "first\nsecond\n"
    assert api.look(first)["generation"] == 2
    assert api.look(second)["state"] == "running"
    assert "no machine" in cli.error("restart", "third")


def test_restart_on_a_terminal_is_a_summary(cli, api):
    api.run(name="web")
    with cli.terminal("restart", "web") as terminal:
        assert terminal.end() == 0
        assert re.fullmatch(r"\u2713 restarted web  \d+\.\d s\n?", "\n".join(terminal.screen()))


def test_stop_on_a_terminal_shows_that_it_waits(cli, api):
    api.run_trap("'sleep 0.3; exit 0' TERM", name="web")
    with cli.terminal("stop", "web") as terminal:
        assert terminal.end() == 0
        assert any("stopping web" in line for line in terminal.drawings())
        assert re.fullmatch(r"\u2713 stopped web  \d+\.\d s\n?", "\n".join(terminal.screen()))
    # A program that reads the names gets them, whoever sees the line.
    with cli.terminal("-c", f"{KRUNCTL} start web | cat", program="sh") as terminal:
        assert terminal.end() == 0
        assert terminal.screen()[0].startswith("\u2713 started web") and terminal.screen()[1] == "web"


def test_signal_reaches_the_workload(cli, api):
    machine = api.run_trap("'echo got; exit 3' HUP")
    assert cli.text("signal", machine["id"], "HUP") == ""
    assert api.wait(machine)["exit"]["code"] == 3
    assert "got\n" in api.logs(machine)
    assert "there is no signal 'SIGNO'" in cli.error("signal", machine["id"], "SIGNO")
    assert "one machine and one signal" in cli.error("signal", "a", "SIGHUP", "b")


def test_kill_keeps_down_what_would_restart(cli, api):
    always = {"policy": "always"}
    machine = api.run(name="web", restart=always)
    other = api.run_trap("'echo term' TERM", name="other", restart=always)
    assert cli.text("kill", "web") == "web\n"
    ended = api.look(machine)
    assert (ended["state"], ended["exit"]["signal"], ended["restart_count"]) == ("stopped", 9, 0)
    # Any other signal is the workload's affair.
    assert cli.text("kill", "-s", "TERM", "other") == "other\n"
    until(lambda: "term\n" in api.logs(other), "the signal was caught")
    assert api.look(other)["state"] == "running"


# ---- events ----


def test_events_since(cli, api):
    machine = api.run("exit 3", name="web")
    api.wait(machine)
    api.create(name="other")
    events = [json.loads(line) for line in cli.text("events", "--no-follow", "--json").splitlines()]
    assert [event["id"] for event in events] == sorted(event["id"] for event in events)
    types = [event["type"] for event in events if event["name"] == "web"]
    assert types[0] == "machine.created" and types[-1] == "machine.stopped"
    last = cli.text("events", "--no-follow", "--json", "--since", events[-2]["id"]).splitlines()
    assert [json.loads(line) for line in last] == events[-1:]
    web = cli.text("events", "--no-follow", "--json", "web").splitlines()
    assert {json.loads(line)["name"] for line in web} == {"web"}
    # By time: all of it is younger than an hour, none than the year 2100.
    assert len(cli.text("events", "--no-follow", "--since", "1h").splitlines()) == len(events)
    assert cli.text("events", "--no-follow", "--since", "2100-01-01T00:00:00Z") == ""
    assert "a time is" in cli.error("events", "--since", "soon")


def test_events_for_people(cli, api):
    api.wait(api.run("exit 3", name="web"))
    last = cli.text("events", "--no-follow", "web").splitlines()[-1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  machine\.stopped     web  +exit_code=3", last), last


def test_events_follow(cli, api):
    process = cli.start("events", "--since", "0")
    try:
        api.run(name="web")
        seen = ""
        while "machine.running" not in seen:
            seen += process.stdout.readline().decode()
        assert "machine.created" in seen
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def test_events_outlive_the_server(cli, api):
    """A server that is started anew is found again, and what happened meanwhile is told."""
    process = cli.start("events", "--since", "0", "--json")
    try:
        api.create(name="before")
        assert json.loads(process.stdout.readline())["name"] == "before"
        api.restart()
        api.create(name="after")
        assert json.loads(process.stdout.readline())["name"] == "after"
        assert b"looking for it" in process.stderr.readline()
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
    # One that was never there is not waited for.
    assert "no krun-api answers" in cli.error("--api", "unix:///no/such.sock", "events")


# ---- stats ----


def test_stats_once(cli, api):
    api.run(name="one")
    api.run(name="two")
    lines = cli.text("stats", "--no-stream").splitlines()
    assert re.split(r"  +", lines[0]) == ["NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "DISK I/O"]
    assert {line.split()[0] for line in lines[1:]} == {"one", "two"}
    assert all(re.search(r"  \d+\.\d\d%  ", line) for line in lines[1:])
    figures = [json.loads(line) for line in cli.text("stats", "--no-stream", "--json").splitlines()]
    assert {figure["name"] for figure in figures} == {"one", "two"}
    # One that is not there costs the exit code and not the others.
    done = cli.run("stats", "--no-stream", "one", "three", code=1)
    assert [line.split()[0] for line in done.stdout.decode().splitlines()] == ["NAME", "one"]
    assert b"there is no machine 'three'" in done.stderr


def test_stats_end_with_the_machines(cli, api):
    machine = api.run(name="one")
    process = cli.start("stats", "--json", "one")
    assert json.loads(process.stdout.readline())["name"] == "one"
    api.post(f"/v1/machines/{machine['id']}/stop", {"signal": "SIGKILL"})
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def test_stats_are_drawn_in_place(cli, api):
    for number in range(6):
        api.run(name=f"machine-with-a-long-name-{number}")
    with cli.terminal("stats", columns=40, rows=6) as terminal:
        terminal.until("and 3 more").until(re.compile(r"\033\[\d+A.*\033\[\d+A", re.S))
        # Nothing wraps and nothing scrolls: the table, and the cursor below it.
        assert max(map(len, terminal.drawings())) < 40
        assert len(terminal.screen()) <= 6
        assert terminal.screen()[0].startswith("NAME ")
        terminal.resize(100, 24)
        terminal.until("DISK I/O")
        terminal.type("\x03")
        assert terminal.end() == -signal.SIGINT
        # The interrupt's own echo is gone, too.
        assert terminal.screen()[-1] == ""
        assert sum("NAME" in line for line in terminal.screen()) == 1


# ---- volumes ----


def test_volumes(cli, api):
    assert cli.text("volume", "create", "-s", "64", "data", "more") == "data\nmore\n"
    lines = cli.text("volume", "ls").splitlines()
    assert re.split(r"  +", lines[0]) == ["NAME", "SIZE", "CREATED", "MACHINES"]
    assert re.match(r"data   64 MiB   .* ago   -$", lines[1])
    assert cli.text("volume", "ls", "-q") == "data\nmore\n"
    assert json.loads(cli.text("volume", "inspect", "data"))["size_mib"] == 64
    assert "data" in cli.error("volume", "create", "data")
    assert "no volume 'less'" in cli.error("volume", "rm", "less", "more")
    assert [volume["name"] for volume in json.loads(cli.text("volume", "ls", "--json"))] == ["data"]
    assert "ls takes no 'x'" in cli.error("volume", "ls", "x")
    assert "no command 'frob'" in cli.error("volume", "frob")
    assert cli.text("volume", "--help").count("\n  rm ") == 1
    cli.text("volume", "rm", "data")


# ---- import ----


def test_import(cli, api, tmp_path):
    archive, digest = make_image()
    path = tmp_path / "web.tar"
    path.write_bytes(archive)
    done = cli.run("import", "-t", "web:1", path)
    assert done.stdout.decode() == digest + "\n"
    said = done.stderr.decode().splitlines()
    assert said[0] == f"krunctl: importing {path}"
    assert re.fullmatch(r"krunctl: imported web:1: .* in 1 layer in \d+\.\d s", said[1])
    done = cli.run("import", "-t", "web:2", "-", input=archive)
    assert done.stdout.decode() == digest + "\n"
    assert "imported web:2, which was there" in done.stderr.decode()
    assert "importing standard input" in done.stderr.decode()
    cli.run("rmi", digest)


def test_import_on_a_terminal(cli, tmp_path):
    archive, digest = make_image()
    path = tmp_path / ("a-name-that-is-longer-than-the-terminal-is-wide" + ".tar")
    path.write_bytes(archive)
    with cli.terminal("import", path, columns=40) as terminal:
        assert terminal.end() == 0
        lines = terminal.drawings()
        assert any("importing" in line for line in lines)
        assert max(len(line) for line in lines if "sha256" not in line) < 40
        assert terminal.screen()[-2:] == [digest, ""]
        assert "\033[32m" in terminal.text
    with cli.terminal("import", path, NO_COLOR="1") as terminal:
        assert terminal.end() == 0
        assert not re.search(r"\033\[[0-9;]*m", terminal.text)
    with cli.terminal("import", path, TERM="dumb") as terminal:
        assert terminal.end() == 0
        assert "\033" not in terminal.text
    cli.run("rmi", digest)


def test_broken_import_on_a_terminal(cli, tmp_path):
    path = tmp_path / "broken.tar"
    path.write_bytes(b"no archive" * 100)
    with cli.terminal("import", path) as terminal:
        assert terminal.end() == 1
        assert re.match(r"\u2717 importing .*", terminal.screen()[0])
        assert terminal.screen()[1].startswith("krunctl: ")


# ---- builds, with a builder that does as it is told ----

BUILDER = """#!/bin/sh
case $1 in
info) echo amd64 ;;
build) {build} ;;
save) cat {archive} ;;
esac
"""


@pytest.fixture
def builder(cli, tmp_path):
    """builder(script): podman is a script now; its arguments for krun-run."""
    archive, digest = make_image(config={"Cmd": ["/bin/true"]})
    (tmp_path / "web.tar").write_bytes(archive)
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "bin").mkdir()

    def make(build):
        program = tmp_path / "bin" / "podman"
        program.write_text(BUILDER.format(build=build, archive=tmp_path / "web.tar"))
        program.chmod(0o755)
        cli.env["PATH"] = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        return ["--builder", "podman", "--no-start", "-n", "built", tmp_path / "web"]

    yield make
    cli.run("rm", "-f", "built", code=1 if "built" not in cli.text("ps", "-a") else 0)
    if "web:latest" in cli.text("images"):
        cli.run("rmi", "web:latest")


def test_build_in_a_pipe(cli, builder):
    done = cli.run(*builder("echo STEP 1; echo a warning >&2"), program=KRUN_RUN)
    said = done.stderr.decode().splitlines()
    assert said[:3] == ["krun-run: building web:latest with podman", "STEP 1", "a warning"]
    assert re.fullmatch(r"krun-run: built web:latest with podman in \d+\.\d s", said[3])
    assert done.stdout.decode().startswith("Created machine: id=")


def test_build_on_a_terminal_shows_a_line(cli, builder):
    long = "STEP 1/2: " + "word " * 40
    arguments = builder(f"echo '{long}'; printf '\\033[31mred\\033[0m 50%%\\r\\033[31mred\\033[0m 100%%\\n'; sleep 0.3")
    with cli.terminal(*arguments, program=KRUN_RUN, columns=60) as terminal:
        assert terminal.end() == 0
        drawn = terminal.drawings()
        assert any(line.startswith("\u2819 building web:latest with podman  red 100%") for line in drawn) or any(
            "podman  red 100%" in line for line in drawn
        )
        assert max(len(line) for line in drawn if "Created" not in line) < 60
        screen = terminal.screen()
        assert re.fullmatch(r"\u2713 built web:latest with podman  \d+\.\d s", screen[0])
        assert screen[1].startswith("\u2713 imported web:latest: ")
        assert screen[2].startswith("Created machine: ")


def test_failed_build_on_a_terminal_shows_all_output(cli, builder):
    arguments = builder("seq -f 'line %.0f' 2000; exit 3")
    with cli.terminal(*arguments, program=KRUN_RUN) as terminal:
        assert terminal.end() == 125
        screen = terminal.screen()
        assert screen[0].startswith("\u2717 building web:latest with podman")
        assert screen[1:2001] == [f"line {number}" for number in range(1, 2001)]
        assert screen[2001].startswith("krun-run: the build of ")


def test_warnings_of_saving_do_not_break_the_line(cli, builder, tmp_path):
    arguments = builder("echo STEP 1")
    program = tmp_path / "bin" / "podman"
    text = program.read_text()
    program.write_text(text.replace("save) ", "save) echo a warning >&2; "))
    with cli.terminal(*arguments, program=KRUN_RUN) as terminal:
        assert terminal.end() == 0
        assert "a warning" not in terminal.text
    cli.run("rm", "built")
    # Of a saving that fails they are the reason.
    program.write_text(text.replace("save) ", "save) echo a warning >&2; exit 1; "))
    with cli.terminal(*arguments, program=KRUN_RUN) as terminal:
        assert terminal.end() == 125
        assert "a warning" in terminal.screen()
        assert any("could not save the image" in line for line in terminal.screen())


def test_verbose_build_on_a_terminal(cli, builder):
    with cli.terminal("--verbose", *builder("echo STEP 1; echo STEP 2"), program=KRUN_RUN) as terminal:
        assert terminal.end() == 0
        screen = terminal.screen()
        assert screen[:3] == ["\u2022 building web:latest with podman", "STEP 1", "STEP 2"]
        assert screen[3].startswith("\u2713 built web:latest")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_takes_the_line_away(cli, builder, number):
    with cli.terminal(*builder("echo STEP 1; exec sleep 1000"), program=KRUN_RUN) as terminal:
        terminal.until("STEP 1")
        child = until(lambda: children(terminal.pid), "the builder runs")
        terminal.kill(number)
        # Its own group's terminal is gone with it.
        assert terminal.end() == -number
        assert terminal.screen() == [""]
    for pid in child:
        until(lambda pid=pid: not os.path.exists(f"/proc/{pid}") or is_zombie(pid), "the builder has ended")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


# ---- krun-run attached ----


def attach(cli, script, *options, **popen):
    return cli.start("-a", *cli.machine(script, *options), program=KRUN_RUN, **popen)


@pytest.mark.parametrize("code", [0, 7])
def test_attached_machine_is_removed(cli, api, code):
    process = attach(cli, f"echo out; echo err >&2; exit {code}", "--rm", "-n", "web")
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (code, b"out\n")
    assert err.decode().splitlines()[1:] == ["err"]
    assert api.get("/v1/machines/web").status == 404


def test_attached_machine_that_cannot_start_is_removed(cli, api):
    arguments = ["-a", "--rm", "-n", "web", "--rootfs", "--network", "none", "--entrypoint", "/no/such", "/"]
    assert "/no/such" in cli.error(*arguments, program=KRUN_RUN, code=127)
    assert api.get("/v1/machines/web").status == 404


def test_attached_outlives_restarts(cli, api):
    process = attach(cli, "echo out; exit 4", "--rm", "--restart", "on-failure:2")
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (4, b"out\n" * 3)


def test_killed_krun_run_leaves_no_machine(cli, api):
    process = attach(cli, "echo up; read line </dev/stdin; while [ ! -e go ]; do sleep 0.01; done", "--rm", "-n", "web",
                     "-w", str(api.directory))  # fmt: skip
    assert process.stdout.readline() == b"up\n"
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert api.get("/v1/machines/web").json["state"] == "running"
    (api.directory / "go").touch()
    until(lambda: api.get("/v1/machines/web").status == 404, "the server has deleted it")


def test_second_signal_kills_and_removes(cli, api):
    process = attach(cli, "trap '' TERM; echo up; while :; do sleep 0.01; done", "--rm", "-n", "web",
                     "--stop-timeout", "600")  # fmt: skip
    assert process.stdout.readline() == b"up\n"
    process.terminate()
    until(lambda: api.get("/v1/machines/web").json["state"] == "stopping", "the stop was asked for")
    process.terminate()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 137
    assert api.get("/v1/machines/web").status == 404


def test_deleted_under_the_hand(cli, api):
    process = attach(cli, "echo up; sleep 1000", "-n", "web")
    assert process.stdout.readline() == b"up\n"
    assert api.delete("/v1/machines/web?force=true").status == 204
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode in (125, 137)


def test_time_to_live(cli, api):
    process = attach(cli, "exec sleep 1000", "--rm", "--ttl", "1")
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143


def test_without_attaching_the_server_removes(cli, api):
    cli.run("--rm", "-n", "web", *cli.machine("sleep 0.1"), program=KRUN_RUN)
    until(lambda: api.get("/v1/machines/web").status == 404, "the server has deleted it")


def test_rm_and_always_contradict_each_other(cli):
    said = cli.error("--rm", "--restart", "always", *cli.machine("true"), program=KRUN_RUN, code=125)
    assert "contradict" in said


def test_environment_file(cli, api, tmp_path):
    (tmp_path / "env").write_text("# what it needs\nA=of the file\nB=too\n")
    process = attach(cli, 'echo "$A, $B"', "--rm", "--env-file", str(tmp_path / "env"), "-e", "A=said")
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert out == b"said, too\n"


def test_workload_output_is_clean_on_a_terminal(cli):
    """The line that shows the boot is gone before the workload's first byte."""
    arguments = ["-a", "--rm", *cli.machine("echo first; sleep 0.3; echo second")]
    with cli.terminal(*arguments, program=KRUN_RUN) as terminal:
        assert terminal.end() == 0
        assert terminal.screen()[-3:] == ["first", "second", ""]


# ---- completion ----

COMPLETE = """
source /dev/stdin <<<"$SCRIPT"
complete -p krunctl krun-run >/dev/null || exit 9
COMP_LINE=$1 COMP_POINT=${#1}
_krunctl
[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def complete(cli):
    """complete(line): what bash would offer."""
    path = f"{KRUNCTL.parent}:{os.environ['PATH']}"
    script = cli.text("completion", "bash")

    def ask(line, **options):
        done = cli.run("--norc", "-c", COMPLETE, "bash", line, program="bash", env={"SCRIPT": script, "PATH": path}, **options)
        assert done.stderr == b""
        return done.stdout.decode().split("\n")[:-1]

    return ask


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(cli, shell, tmp_path):
    script = cli.text("completion", shell)
    helped = cli.text("--help")
    for command in re.findall(r"^  ([a-z]+) ", helped.partition("Commands:")[2], re.M):
        assert command in script
        if command in ("volume",):
            continue
        for option in re.findall(r"--([a-z-]+)", cli.text(command, "--help").partition("Options:")[2]):
            assert option in script, (command, option)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(script)
    cli.run("-n", path, program=shell)


def test_completion_knows_commands_and_options(complete):
    assert complete("krunctl sto") == ["stop"]
    assert complete("krunctl volume ") == ["ls", "create", "rm", "inspect"]
    assert set(complete("krunctl ps --")) >= {"--all", "--json", "--state", "--api"}
    assert complete("krunctl ps --state s") == ["starting", "stopping", "stopped"]
    assert complete("krunctl ps --state=r") == ["running"]
    assert complete("krunctl kill -s SIGTE") == ["SIGTERM"]
    assert complete("krunctl completion f") == ["fish"]
    assert complete("krun-run --restart on") == ["on-failure"]
    assert complete("krunctl logs a ") == []
    assert complete("krunctl nonsense ") == []


def test_completion_asks_the_server(complete, cli, api):
    archive, digest = make_image(names=("web:latest",))
    cli.run("import", "-", input=archive)
    api.create(name="one")
    api.create(name="two")
    assert set(complete("krunctl rm ")) == {"one", "two"}
    assert complete("krunctl rm -f one t") == ["two"]
    assert complete("krunctl signal t") == ["two"]
    assert complete("krunctl signal two SIGH") == ["SIGHUP"]
    assert complete("krunctl rmi w") == ["web:latest"]
    # bash has "web:" already.
    assert complete("krunctl rmi web:") == ["latest"]
    assert complete(f"krunctl --api unix://{api.socket} start o") == ["one"]
    cli.run("volume", "create", "-s", "16", "store-1")
    assert complete("krun-run -v stor") == ["store-1"]
    cli.run("volume", "rm", "store-1")
    # A server that is not there offers nothing, and says nothing.
    assert complete("krunctl --api unix:///no/such.sock start o") == []
    cli.run("rmi", digest)


def test_completion_knows_files(complete, tmp_path):
    (tmp_path / "web.tar").touch()
    assert complete("krunctl import we", cwd=tmp_path) == ["web.tar"]
    assert complete("krunctl --token-file we", cwd=tmp_path) == ["web.tar"]
