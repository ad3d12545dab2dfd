# A microVM as a Nomad task: krun-run -a stands in for it. Needs the raw_exec driver on the client
# (plugin "raw_exec" { config { enabled = true } }) and krun-api as the client's user.
#
#	krunctl import -t hello:latest hello.tar
#	nomad job run hello.nomad.hcl
job "hello" {
  type = "service"

  group "hello" {
    network {
      port "http" {}
    }

    restart {
      attempts = 3
      interval = "5m"
      delay    = "5s"
      mode     = "fail"
    }

    # What a krun-run left behind that was killed together with its whole group.
    task "clean" {
      driver = "raw_exec"

      lifecycle {
        hook = "prestart"
      }

      config {
        command = "/bin/sh"
        args    = ["-c", "krunctl rm -f hello-${NOMAD_ALLOC_INDEX} || true"]
      }
    }

    task "machine" {
      driver = "raw_exec"

      config {
        command = "krun-run"
        args = [
          "-a", "--rm",
          "-n", "hello-${NOMAD_ALLOC_INDEX}",
          "-p", "${NOMAD_IP_http}:${NOMAD_PORT_http}:80",
          "-m", "${NOMAD_MEMORY_LIMIT}",
          "-l", "nomad_alloc=${NOMAD_ALLOC_ID}",
          "hello:latest",
        ]
      }

      # Where this client's krun-api listens.
      env {
        KRUN_API = "unix:///run/krun-api/api.sock"
      }

      # SIGTERM stops the machine, which takes at most its own ten seconds.
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      resources {
        cpu    = 200
        memory = 256
      }

      service {
        name     = "hello"
        port     = "http"
        provider = "nomad"

        check {
          type     = "http"
          path     = "/"
          interval = "10s"
          timeout  = "2s"
        }
      }
    }
  }
}
