/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workload for a machine that has nothing else: greets on its standard output, answers HTTP on
 * port 80 (or the port given as its argument), ends with 0 on SIGTERM. One connection at a time,
 * each with a deadline. With --greet it says what it would answer, and ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <unistd.h>

#define REQUEST_BYTES_MAX 8192

static void on_stop(int number)
{
	static const char text[] = "hello: asked to stop, good bye\n";

	(void)number;
	/* Nothing is left to do when even this fails. */
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(0);
}

/* Reads the head of a request. Returns whether it came whole. */
static int read_request(int fd)
{
	char request[REQUEST_BYTES_MAX + 1];
	size_t length = 0;

	while (length < REQUEST_BYTES_MAX) {
		ssize_t count = read(fd, request + length, REQUEST_BYTES_MAX - length);

		if (count <= 0)
			return 0;
		length += (size_t)count;
		request[length] = '\0';
		if (strstr(request, "\r\n\r\n") != NULL)
			return 1;
	}
	return 0;
}

/* Returns the greeting's length, -1 where the system does not say what it is. */
static int greet(char *text, size_t size)
{
	struct utsname system;

	if (uname(&system) < 0)
		return -1;
	return snprintf(text, size, "Hello from %s, a microVM with %s %s on %s.\n", system.nodename,
			system.sysname, system.release, system.machine);
}

static void answer(int fd)
{
	struct timeval limit = {.tv_sec = 5};
	char body[512];
	char head[160];
	int body_length = greet(body, sizeof(body));
	int head_length;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 || body_length < 0 ||
	    !read_request(fd))
		return;
	head_length = snprintf(head, sizeof(head),
			       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
			       "Content-Length: %d\r\nConnection: close\r\n\r\n",
			       body_length);
	/* A client that went away is its own affair. */
	if (send(fd, head, (size_t)head_length, MSG_NOSIGNAL) < 0 ||
	    send(fd, body, (size_t)body_length, MSG_NOSIGNAL) < 0)
		printf("hello: a client went away: %s\n", strerror(errno));
}

static int serve(int port)
{
	struct sigaction stop = {.sa_handler = on_stop};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_ANY)}};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int on = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	address.sin_port = htons((unsigned short)port);
	if (port < 1 || port > 65535 || listener < 0 ||
	    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 16) < 0) {
		printf("hello: cannot listen on port %d: %s\n", port, strerror(errno));
		return 1;
	}
	printf("Hello from a microVM! Ask me on port %d.\n", port);
	for (;;) {
		int client = accept(listener, NULL, NULL);

		if (client < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			printf("hello: cannot accept: %s\n", strerror(errno));
			return 1;
		}
		answer(client);
		close(client);
	}
}

int main(int argc, char **argv)
{
	char text[512];

	if (argc > 1 && strcmp(argv[1], "--greet") == 0)
		return greet(text, sizeof(text)) < 0 || fputs(text, stdout) < 0;
	return serve(argc > 1 ? atoi(argv[1]) : 80); /* NOLINT(cert-err34-c): 0 is refused */
}
