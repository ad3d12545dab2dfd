/* SPDX-License-Identifier: Apache-2.0 */
#include "enter.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"
#include "base/fd.h"
#include "base/proc.h"
#include "disk_lock.h"
#include "share_file.h"
#include "stdin.h"

#define OPEN_FILES_WANTED 65536
#define WATCH_STACK_BYTES 65536

/* A byte from the supervisor, or the end of this process when there is none any more. */
static char read_word(void)
{
	char word;
	ssize_t n;

	do {
		n = read(ENTER_FD_LINK, &word, 1);
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		kill(getpid(), SIGKILL);
		_exit(ENTER_STATUS_FAILED);
	}
	return word;
}

void enter_wait(void)
{
	while (read_word() != ENTER_GO)
		;
	(void)!fd_write_all(ENTER_FD_LINK, &(char){ENTER_ENTERED}, 1);
}

static void *watch(void *unused)
{
	(void)unused;
	for (;;)
		(void)read_word();
	return NULL;
}

int enter_watch_supervisor(struct err *err)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, old;
	int r;

	/* No signal that the VM's own threads wait for may end up here. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, WATCH_STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attributes, watch, NULL);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r != 0 ? err_set_errno(err, r, "cannot start a thread") : 0;
}

/* Comes back only when it has failed: else this process has become the VM. */
static int enter(const struct backend *backend, struct err *err)
{
	struct vmm_config config;
	struct plan plan = {0};
	struct buf text;
	struct host host;
	int r;

	vmm_config_init(&config);
	r = stdin_read_config(&config, &text, err);
	if (r >= 0)
		r = host_detect(&host, err);
	if (r >= 0)
		r = plan_make(&plan, &config, &host, err);
	if (r >= 0)
		r = backend->check(&plan, err);
	if (r >= 0)
		r = share_files_place(&plan, err);
	if (r >= 0)
		r = disk_lock_all(&plan, err);
	if (r >= 0)
		r = backend->enter(&plan, err);
	plan_done(&plan);
	buf_done(&text);
	vmm_config_done(&config);
	return r;
}

int enter_main(const char *backend_name)
{
	const struct backend *backend = backend_find(backend_name);
	struct err err = {0};
	char answer[ERR_TEXT_BYTES_MAX + 1];
	int length, r;

	if (backend == NULL) {
		fprintf(stderr, "krun-vmm: there is no backend '%s'\n", backend_name);
		return ENTER_STATUS_FAILED;
	}
	/* The peers of libkrun's and QEMU's sockets may go away at any time. */
	signal(SIGPIPE, SIG_IGN);
	(void)proc_raise_open_files(OPEN_FILES_WANTED);
	r = enter(backend, &err);
	length = snprintf(answer, sizeof(answer), "%c%s",
			  r == -ENOTSUP ? ENTER_UNUSABLE : ENTER_FAILED, err.text);
	(void)!fd_write_all(ENTER_FD_LINK, answer, (size_t)length);
	return ENTER_STATUS_FAILED;
}
