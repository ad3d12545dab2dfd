"""HTTP itself: what a client may send, and what it gets for sending something else."""

import json
import socket
import time

import pytest

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def read_answers(sock, count):
    """`count` answers with a Content-Length, as (status, body)."""
    data, answers = b"", []
    while len(answers) < count:
        head, mark, rest = data.partition(b"\r\n\r\n")
        if mark:
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, value = line.split(b":", 1)
                length = int(value) if name.lower() == b"content-length" else length
            if len(rest) >= length:
                answers.append((int(head.split()[1]), rest[:length]))
                data = rest[length:]
                continue
        more = sock.recv(65536)
        if not more:
            break
        data += more
    return answers


def test_pipelining(api):
    with api.raw(GET * 100) as sock:
        answers = read_answers(sock, 100)
    assert [status for status, _ in answers] == [200] * 100


def test_pipelining_keeps_the_order(api):
    """An answer that takes its time holds up those behind it, and loses none of them."""
    machine = api.create()
    slow = f"GET /v1/machines/{machine['id']}/wait?state=running&timeout=0.2 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with api.raw(slow + GET + slow + GET) as sock:
        assert [status for status, _ in read_answers(sock, 4)] == [408, 200, 408, 200]


def test_pipelined_requests_are_answered_once(api):
    """Those that wait behind an answer that takes its time too."""
    machine = api.create()
    slow = f"GET /v1/machines/{machine['id']}/wait?state=running&timeout=0.1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with api.raw(slow + GET + slow + GET + slow + last) as sock:
        assert [status for status, _ in read_answers(sock, 100)] == [408, 200, 408, 200, 408, 200]


def test_much_pipelined_output_is_held_back(api):
    """Whoever asks without reading gets no more than a bounded amount."""
    with api.raw() as sock:
        sock.setblocking(False)
        request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        sent, deadline = 0, time.monotonic() + 0.5
        while time.monotonic() < deadline:
            try:
                sent += sock.send(request * 1000)
            except BlockingIOError:
                time.sleep(0.01)
        assert sent < 8 << 20
        sock.setblocking(True)
        sock.settimeout(20)
        assert read_answers(sock, 5)[4][0] == 200
    assert api.get("/healthz").status == 200


def test_byte_by_byte(api):
    body = json.dumps(api.body()).encode()
    request = (
        b"POST /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (len(body), body)
    )
    with api.raw() as sock:
        for byte in request:
            sock.send(bytes([byte]))
        assert read_answers(sock, 1)[0][0] == 201


def test_a_chunked_body(api):
    body = json.dumps(api.body()).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i : i + 7]), body[i : i + 7]) for i in range(0, len(body), 7))
    head = b"POST /v1/machines HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with api.raw(head + chunks + b"0\r\n\r\n" + GET) as sock:
        assert [status for status, _ in read_answers(sock, 2)] == [201, 200]


def test_a_half_closed_client_is_answered(api):
    with api.raw(GET * 3) as sock:
        sock.shutdown(socket.SHUT_WR)
        assert len(read_answers(sock, 3)) == 3
        assert sock.recv(1) == b""


def test_connection_close_and_http_1_0(api):
    with api.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + GET) as sock:
        assert len(read_answers(sock, 2)) == 1
    with api.raw(b"GET /healthz HTTP/1.0\r\n\r\n") as sock:
        assert read_answers(sock, 1)[0][0] == 200
        assert sock.recv(1) == b""
    machine = api.wait(api.run("echo x"))
    with api.raw(f"GET /v1/machines/{machine['id']}/logs HTTP/1.0\r\n\r\n".encode()) as sock:
        data = b""
        while more := sock.recv(65536):
            data += more
        assert data.endswith(b"\r\n\r\nx\n") and b"chunked" not in data


def test_expect_continue(api):
    body = json.dumps(api.body()).encode()
    head = b"POST /v1/machines HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    with api.raw(head) as sock:
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert read_answers(sock, 1)[0][0] == 201
    # A body that will not be taken is not asked for.
    with api.raw(head.replace(b"%d" % len(body), b"2000000")) as sock:
        assert read_answers(sock, 1)[0][0] == 413


@pytest.mark.parametrize(
    "data, status",
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"GET /healthz HTTP/0.9\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\nHost: x\n\n", 400),
        (b"POST /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /v1/machines HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 40000 + b"\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET /v1/machines/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /v1/machines/a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /v1/machines?limit=%f HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 400),
        (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /v1/machines/ HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /v1//machines HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"PUT /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
        (b"TRACE /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"POST /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415),
        (b"POST /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415),
    ],
)
def test_bad_requests(api, data, status):
    with api.raw(data) as sock:
        answers = read_answers(sock, 1)
        assert answers and answers[0][0] == status, answers
        error = json.loads(answers[0][1])
        assert set(error) == {"error", "code", "request_id"}
    assert api.get("/healthz").status == 200


def test_allow_names_the_methods(api):
    answer = api.request("PATCH", "/v1/machines/x")
    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD, DELETE"


def test_head(api):
    machine = api.create()
    connection = api.connection()
    answer = api.request("HEAD", f"/v1/machines/{machine['id']}", connection=connection)
    assert answer.status == 200 and answer.body == b"" and int(answer.headers["Content-Length"]) > 100
    assert api.get("/healthz", connection=connection).status == 200
    connection.close()


def test_a_body_of_2_mib(api):
    body = b'{"name": "' + b"a" * (2 << 20) + b'"}'
    answer = api.post("/v1/machines", body)
    assert answer.status == 413 and answer.code == "body_too_large"
    head = b"POST /v1/machines HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with api.raw() as sock:
        try:
            sock.sendall(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        except BrokenPipeError:
            pass
        assert read_answers(sock, 1)[0][0] == 413


def test_a_keep_alive_connection_survives_errors(api):
    connection = api.connection()
    for path, status in [("/nothing", 404), ("/healthz", 200), ("/v1/machines/x", 404), ("/healthz", 200)]:
        assert api.get(path, connection=connection).status == status
    assert api.post("/v1/machines", {"nonsense": 1}, connection=connection).status == 400
    assert api.post("/nothing", {"nonsense": 1}, connection=connection).status == 404
    assert api.get("/healthz", connection=connection).status == 200
    connection.close()


def test_many_idle_connections_cost_little(api):
    api.get("/healthz")
    before = api.memory_kib("VmRSS")
    socks = [api.raw(GET) for _ in range(400)]
    for sock in socks:
        assert read_answers(sock, 1)[0][0] == 200
    assert api.is_sanitized() or api.memory_kib("VmRSS") - before < 400 * 8
    for sock in socks:
        sock.close()


def test_a_client_in_the_middle_of_its_head_does_not_hold_up_others(api):
    with api.raw(b"GET /healthz HTTP/1.1\r\nHost: ") as sock:
        assert api.get("/healthz").status == 200
        sock.sendall(b"x\r\n\r\n")
        assert read_answers(sock, 1)[0][0] == 200


def test_request_ids_differ(api):
    ids = {api.get("/healthz").headers["X-Request-Id"] for _ in range(10)}
    assert len(ids) == 10
    answer = api.get("/nothing")
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
