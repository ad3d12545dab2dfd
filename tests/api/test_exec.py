"""Commands in a running machine."""

import json

from conftest import until


def test_result(api):
    machine = api.run()
    answer = api.exec(machine, "sh", "-c", "cat; echo $A; echo err >&2; exit 3", stdin="in\n", env={"A": "b"})
    assert answer.status == 200
    assert answer.json == {
        "exit_code": 3,
        "signal": None,
        "stdout": "in\nb\n",
        "stderr": "err\n",
        "timed_out": False,
        "truncated": False,
    }


def test_environment_of_the_machine(api):
    machine = api.run(env={"A": "of the machine", "B": "too"}, workdir="/tmp")
    assert api.exec(machine, "sh", "-c", "echo $A $B; pwd", env={"B": "over"}).json["stdout"] == (
        "of the machine over\n/tmp\n"
    )
    assert api.exec(machine, "pwd", workdir="/usr").json["stdout"] == "/usr\n"


def test_not_found(api):
    machine = api.run()
    result = api.exec(machine, "/nowhere/program").json
    assert result["exit_code"] == 127 and "/nowhere/program" in result["stderr"]
    result = api.exec(machine, "/etc/passwd").json
    assert result["exit_code"] == 126


def test_time_limit(api):
    machine = api.run()
    result = api.exec(machine, "sh", "-c", "echo before; exec sleep 1000", timeout_s=1).json
    assert result["timed_out"] is True and result["signal"] == 9 and result["stdout"] == "before\n"


def test_much_output(api):
    machine = api.run()
    result = api.exec(machine, "sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' a; echo done >&2").json
    assert result["exit_code"] == 0 and result["truncated"] is True
    assert result["stdout"] == "a" * (1 << 20) and result["stderr"] == "done\n"


def test_much_input(api):
    machine = api.run()
    data = "x" * 900_000
    assert api.exec(machine, "wc", "-c", stdin=data).json["stdout"].strip() == "900000"
    # A command that reads nothing does not hang on it.
    assert api.exec(machine, "true", stdin=data).json["exit_code"] == 0


def test_output_that_is_no_text(api):
    machine = api.run()
    assert api.exec(machine, "printf", r"\377\376x").json["stdout"] == "��x"


def test_needs_a_running_machine(api):
    machine = api.create()
    answer = api.exec(machine, "true")
    assert answer.status == 409 and answer.code == "wrong_state"
    ended = api.wait(api.run("true"))
    assert api.exec(ended, "true").status == 409


def test_bad_bodies(api):
    machine = api.run()
    path = f"/v1/machines/{machine['id']}/exec"
    for body, status, word in [
        ({}, 400, "cmd"),
        ({"cmd": []}, 422, "cmd"),
        ({"cmd": [""]}, 422, "cmd"),
        ({"cmd": "true"}, 400, "cmd"),
        ({"cmd": [1]}, 400, "cmd"),
        ({"cmd": ["true"], "timeout_s": 0}, 422, "timeout_s"),
        ({"cmd": ["true"], "workdir": "relative"}, 422, "workdir"),
        ({"cmd": ["true"], "extra": 1}, 400, "extra"),
        ({"cmd": ["x" * 60000]}, 422, "larger"),
    ]:
        answer = api.post(path, body)
        assert answer.status == status and word in answer.json["error"], (body, answer.text)


def test_many_at_once(api):
    machine = api.run()
    connections = [api.connection() for _ in range(40)]
    for number, connection in enumerate(connections):
        body = json.dumps({"cmd": ["sh", "-c", f"echo {number}; sleep 0.1"]})
        connection.request("POST", f"/v1/machines/{machine['id']}/exec", body, {"Content-Type": "application/json"})
    for number, connection in enumerate(connections):
        assert json.loads(connection.getresponse().read())["stdout"] == f"{number}\n"
        connection.close()


def test_too_many_at_once(api):
    machine = api.run()
    connections = [api.connection() for _ in range(65)]
    for connection in connections:
        body = json.dumps({"cmd": ["sleep", "1000"], "timeout_s": 100})
        connection.request("POST", f"/v1/machines/{machine['id']}/exec", body, {"Content-Type": "application/json"})
    answer = connections[-1].getresponse()
    assert answer.status == 429 and json.loads(answer.read())["code"] == "too_many_execs"
    for connection in connections:
        connection.close()


def test_a_client_that_goes_away_takes_its_command_with_it(api):
    machine = api.run()
    flag = api.directory / "flag"
    connection = api.connection()
    body = json.dumps({"cmd": ["sh", "-c", f"trap 'rm {flag}; exit' HUP; touch {flag}; while :; do sleep 0.01; done"]})
    connection.request("POST", f"/v1/machines/{machine['id']}/exec", body, {"Content-Type": "application/json"})
    until(flag.exists, "the command runs")
    connection.close()
    until(lambda: not flag.exists(), "the command was hung up on")


def test_the_machine_ends_meanwhile(api):
    machine = api.run()
    connection = api.connection()
    body = json.dumps({"cmd": ["sh", "-c", f"touch {api.directory / 'flag'}; sleep 1000"]})
    connection.request("POST", f"/v1/machines/{machine['id']}/exec", body, {"Content-Type": "application/json"})
    until((api.directory / "flag").exists, "the command runs")
    assert api.delete(f"/v1/machines/{machine['id']}?force=true").status == 204
    answer = connection.getresponse()
    assert answer.status in (200, 409)
    connection.close()


def test_one_after_the_other_and_in_the_next_start(api):
    machine = api.run()
    path = f"/v1/machines/{machine['id']}"
    for _ in range(2):
        for number in range(5):
            assert api.exec(machine, "sh", "-c", f"exit {number}").json["exit_code"] == number
            assert api.exec(machine, "/nowhere/program").json["exit_code"] == 127
            assert api.exec(machine, "cat", stdin="x" * 300_000).json["stdout"] == "x" * 300_000
        assert api.post(f"{path}/stop").status == 200
        assert api.post(f"{path}/start?wait=ready").status == 200
    assert api.exec(machine, "sh", "-c", "kill -9 $$").json["signal"] == 9
    assert api.exec(machine, "true").json["exit_code"] == 0
