"""What a machine may reach."""

import http.server
import threading

import pytest

from conftest import IMAGE

HOST = "192.168.127.254"
LOOP = "while :; do sleep 1; done"


@pytest.fixture(scope="module")
def page():
    """Port on this host's loopback that answers with a page."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"a page from the host\n")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        yield listener.server_address[1]
        listener.shutdown()
        thread.join()


def wget(server, name, port, host=HOST):
    """Exit code 1: refused; a request that nobody answers would end with 143, killed by timeout."""
    command = ["timeout", "10", "wget", "-q", "-O", "-", f"http://{host}:{port}/"]
    return server.krunctl("exec", "--timeout", "30", name, *command, check=False)


def test_allow_list_lets_pass_what_it_names(server, launch, name, page):
    launch(LOOP, "--allow", f"{HOST}:{page}")
    done = wget(server, name, page)
    assert (done.returncode, done.stdout) == (0, b"a page from the host\n"), done.stderr
    # Another port of the same address is refused, at once.
    assert wget(server, name, 1).returncode == 1


def test_allow_list_stops_everything_else(server, launch, name, page):
    launch(LOOP, "--allow", "10.0.0.0/8", "--allow", "*.example.org:443")
    assert wget(server, name, page).returncode == 1
    # A name that is not on the list does not resolve either.
    done = server.krunctl("exec", "--timeout", "30", name, "nslookup", "not-on-the-list.example.com", check=False)
    assert done.returncode != 0


def test_without_a_list_this_host_is_out_of_reach(server, launch, name, page):
    launch(LOOP)
    assert wget(server, name, page).returncode == 1
    assert server.text("exec", name, "hostname", "-i").strip() != ""


def test_no_network_at_all(server, launch, name):
    launch(LOOP, "--network", "none")
    assert "net" not in server.pids(name)
    assert server.machine(name)["guest_ip"] is None
    interfaces = server.text("exec", name, "ls", "/sys/class/net").split()
    assert "eth0" not in interfaces


def test_rule_that_is_none_is_refused(server):
    done = server.krun_run("--allow", "10.0.0.1/8", IMAGE, check=False)
    assert done.returncode == 125
    assert b"10.0.0.1/8" in done.stderr
    assert server.get("/v1/machines")["machines"] == []
