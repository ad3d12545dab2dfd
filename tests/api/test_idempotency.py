"""A call whose answer was lost is made again and makes nothing again. And lists of many machines."""

import json
import random
import sqlite3
import threading
import time

import pytest


def create(api, key, body, query="", **options):
    return api.post(f"/v1/machines{query}", body, headers={"Idempotency-Key": key}, **options)


def machines(api, query="?limit=1000"):
    return api.get(f"/v1/machines{query}").json["machines"]


def is_replayed(answer):
    return answer.headers["Idempotent-Replayed"] == "true"


# ---- keys ----


def test_the_first_answer_comes_again(api):
    body = api.body()
    first = create(api, "k1", body)
    assert first.status == 201
    assert not is_replayed(first)
    second = create(api, "k1", body)
    assert (second.status, second.body) == (201, first.body)
    assert is_replayed(second)
    assert second.headers["Content-Type"] == "application/json"
    assert len(machines(api)) == 1
    assert create(api, "k2", body).json["id"] != first.json["id"]


def test_also_when_the_machine_has_changed_or_is_gone(api):
    body = api.body()
    first = create(api, "k", body)
    api.post(f"/v1/machines/{first.json['id']}/start?wait=ready")
    assert create(api, "k", body).body == first.body
    api.delete(f"/v1/machines/{first.json['id']}?force=true")
    assert create(api, "k", body).body == first.body
    assert machines(api) == []


def test_a_failed_start_comes_again(api):
    body = api.body(exec_path="/nowhere")
    first = create(api, "k", body, "?start=true&wait=ready")
    assert (first.status, first.code) == (409, "machine_failed")
    second = create(api, "k", body, "?start=true&wait=ready")
    assert (second.status, second.body) == (409, first.body)
    assert is_replayed(second)
    assert len(machines(api)) == 1


def test_another_call_is_refused(api):
    body = api.body()
    create(api, "k", body)
    for other, query in ((api.body(name="other"), ""), (body, "?start=true"), ({}, "")):
        answer = create(api, "k", other, query)
        assert (answer.status, answer.code) == (422, "idempotency_key_reused")
        assert not is_replayed(answer)
    assert len(machines(api)) == 1


def test_a_refused_call_leaves_its_key_free(api):
    holder = api.create(name="web")
    body = api.body(name="web")
    assert create(api, "k", body).code == "name_taken"
    assert create(api, "k", {"config": {}}).status == 422
    api.delete(f"/v1/machines/{holder['id']}")
    answer = create(api, "k", body)
    assert answer.status == 201
    assert not is_replayed(answer)


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "\xe9"])
def test_bad_keys(api, key):
    answer = create(api, key.encode("latin-1"), api.body())
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert machines(api) == []


def test_the_longest_key(api):
    assert create(api, "x" * 255, api.body()).status == 201


def test_in_progress(api):
    """Of many at once one makes it; the others hear so, or have its answer."""
    body = api.body("sleep 1000", name="slow", disk_mib=64)
    barrier = threading.Barrier(20)
    answers = []

    def call():
        connection = api.connection()
        barrier.wait(20)
        answers.append(create(api, "k", body, "?start=true&wait=ready", connection=connection))
        connection.close()

    callers = [threading.Thread(target=call) for _ in range(20)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert len(answers) == 20
    made = [answer for answer in answers if answer.status == 201]
    assert made
    assert all(answer.code == "idempotency_in_progress" for answer in answers if answer.status != 201)
    assert len({answer.json["id"] for answer in made}) == 1
    assert len(machines(api)) == 1


# ---- and the server's end ----


def test_keys_survive_the_server(api):
    body = api.body()
    first = create(api, "k", body)
    api.restart()
    second = create(api, "k", body)
    assert (second.status, second.body) == (201, first.body)
    assert is_replayed(second)
    assert create(api, "k", api.body(name="x")).code == "idempotency_key_reused"


def test_a_lost_answer(api):
    """The server was killed between the machine and its answer: the machine is shown as it is."""
    body = api.body()
    first = create(api, "k", body, "?start=true")
    api.kill()
    with sqlite3.connect(api.state_dir / "krun.db") as database:
        database.execute("UPDATE answers SET status = 0, body = NULL")
    database.close()
    api.start()
    api.wait(first.json, "running")
    second = create(api, "k", body, "?start=true")
    assert second.status == 201
    assert is_replayed(second)
    assert (second.json["id"], second.json["state"]) == (first.json["id"], "running")
    api.delete(f"/v1/machines/{first.json['id']}?force=true")
    api.kill()
    with sqlite3.connect(api.state_dir / "krun.db") as database:
        database.execute("UPDATE answers SET status = 0, body = NULL")
    database.close()
    api.start()
    assert create(api, "k", body, "?start=true").code == "machine_not_found"


def test_killed_at_any_moment_it_makes_one(api):
    """Nothing lost, nothing twice, whenever the server was killed."""
    chance = random.Random(4)
    for index in range(12):
        key, body = f"key-{index}", api.body(name=f"m{index}")
        connection = api.connection()
        connection.request(
            "POST",
            "/v1/machines?start=true&wait=ready",
            json.dumps(body),
            {"Idempotency-Key": key, "Content-Type": "application/json"},
        )
        # No event tells how far it has come, which is the point.
        time.sleep(chance.uniform(0, 0.02))
        api.restart()
        connection.close()
        answer = create(api, key, body, "?start=true&wait=ready")
        assert answer.status == 201, answer.text
        assert api.get(f"/v1/machines/m{index}").json["id"] == answer.json["id"]
    assert len(machines(api)) == 12
    assert len(list((api.state_dir / "machines").iterdir())) == 12


def test_old_keys_are_forgotten(api):
    body = api.body()
    first = create(api, "k", body)
    api.kill()
    with sqlite3.connect(api.state_dir / "krun.db") as database:
        database.execute("UPDATE answers SET created_at = created_at - 86400000000000")
    database.close()
    api.start()
    second = create(api, "k", body)
    assert second.status == 201
    assert second.json["id"] != first.json["id"]


# ---- lists ----


def test_lists_of_a_thousand(api):
    connection = api.connection(60)
    for index in range(1000):
        labels = {"n": str(index), "parity": "even" if index % 2 == 0 else "odd"}
        if index % 10 == 0:
            labels["ten"] = ""
        answer = api.post("/v1/machines", api.body(name=f"m{index}", labels=labels), connection=connection)
        assert answer.status == 201
    assert [machine["name"] for machine in machines(api)] == [f"m{index}" for index in reversed(range(1000))]
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = api.get(f"/v1/machines?limit=64&label=parity%3Dodd{cursor and '&cursor=' + cursor}").json
        seen += page["machines"]
        cursor = page["next_cursor"]
        pages += 1
    assert [machine["name"] for machine in seen] == [f"m{index}" for index in reversed(range(1, 1000, 2))]
    assert pages == 8
    assert len(machines(api, "?limit=1000&label=ten")) == 100
    assert len(machines(api, "?limit=1000&label=ten&label=parity%3Deven")) == 100
    assert machines(api, "?label=ten&label=parity%3Dodd") == []
    assert [machine["name"] for machine in machines(api, "?label=n%3D77")] == ["m77"]
    assert machines(api, "?label=te") == []
    assert len(machines(api, "?limit=1000&label=ten%3D")) == 100
    assert api.get("/v1/machines?label=").status == 400
    assert api.get("/v1/machines?label=%3Dx").status == 400
    for machine in machines(api):
        assert api.delete(f"/v1/machines/{machine['id']}", connection=connection).status == 204
    connection.close()


def test_a_page_is_not_moved_by_what_comes_and_goes(api):
    made = [api.create(name=f"m{index}") for index in range(6)]
    page = api.get("/v1/machines?limit=2").json
    assert [machine["name"] for machine in page["machines"]] == ["m5", "m4"]
    api.create(name="new")
    api.delete(f"/v1/machines/{made[4]['id']}")
    page = api.get(f"/v1/machines?limit=2&cursor={page['next_cursor']}").json
    assert [machine["name"] for machine in page["machines"]] == ["m3", "m2"]
