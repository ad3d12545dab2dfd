/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only program in the guests of these tests, static: each word of its command line is something to
 * do, in order. It prints what it sees; the tests judge.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void print_file(const char *path)
{
	char text[4096];
	FILE *file = fopen(path, "r");
	size_t n;

	if (file == NULL) {
		printf("%s: %s\n", path, strerror(errno));
		return;
	}
	while ((n = fread(text, 1, sizeof(text), file)) > 0)
		fwrite(text, 1, n, stdout);
	fclose(file);
}

static void print_identity(void)
{
	char name[256], directory[1024];
	gid_t groups[64];
	int count = getgroups(64, groups);

	gethostname(name, sizeof(name));
	printf("hostname %s\nuid %d gid %d groups", name, getuid(), getgid());
	for (int i = 0; i < count; i++)
		printf(" %d", groups[i]);
	printf("\ncwd %s\nhome %s\n", getcwd(directory, sizeof(directory)), getenv("HOME"));
}

/* A datagram to the gateway's echo, within a second. */
static void echo(const char *address)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7)};
	struct timeval second = {.tv_sec = 10};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char answer[16] = "";

	inet_pton(AF_INET, address, &to.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	if (sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)) != 5 ||
	    recv(fd, answer, sizeof(answer) - 1, 0) < 0)
		printf("echo: %s\n", strerror(errno));
	else
		printf("echo %s\n", answer);
	close(fd);
}

static void make(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0)
		printf("make %s: %s\n", path, strerror(errno));
	else
		printf("made %s\n", path);
	close(fd);
}

static void copy_input(void)
{
	char data[65536];
	ssize_t n;

	while ((n = read(0, data, sizeof(data))) > 0) {
		if (write(1, data, (size_t)n) != n)
			_exit(1);
	}
}

static void eat_memory(void)
{
	for (;;) {
		/* Volatile, or the compiler sees that nobody reads it. */
		volatile char *block = malloc(1 << 20);

		for (int i = 0; block != NULL && i < 1 << 20; i += 4096)
			block[i] = 1;
	}
}

static void print_size(void)
{
	struct winsize size = {0};

	ioctl(0, TIOCGWINSZ, &size);
	printf("terminal %d rows %d columns %d\n", isatty(0), size.ws_row, size.ws_col);
}

static void say_bye(int number)
{
	(void)number;
	echo("192.168.127.1");
	exit(3);
}

/* A process that outlives its parent and ignores everything. */
static void leave_orphan(void)
{
	if (fork() == 0) {
		setsid();
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		for (;;)
			pause();
	}
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(word, "identity") == 0)
			print_identity();
		else if (strcmp(word, "file") == 0)
			print_file(next);
		else if (strcmp(word, "make") == 0)
			make(next);
		else if (strcmp(word, "echo") == 0)
			echo(next);
		else if (strcmp(word, "say") == 0)
			printf("%s\n", next);
		else if (strcmp(word, "env") == 0)
			printf("%s=%s\n", next, getenv(next));
		else if (strcmp(word, "time") == 0)
			printf("%lld\n", (long long)time(NULL));
		else if (strcmp(word, "cat") == 0)
			copy_input();
		else if (strcmp(word, "size") == 0)
			print_size();
		else if (strcmp(word, "ignore") == 0)
			signal(SIGTERM, SIG_IGN);
		else if (strcmp(word, "bye") == 0)
			signal(SIGTERM, say_bye);
		else if (strcmp(word, "orphan") == 0)
			leave_orphan();
		else if (strcmp(word, "eat") == 0)
			eat_memory();
		else if (strcmp(word, "wait") == 0)
			for (;;)
				pause();
		else if (strcmp(word, "exit") == 0)
			exit(atoi(next));
	}
	return 0;
}
