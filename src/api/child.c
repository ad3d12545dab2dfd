/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <uv.h>

#include "base/mem.h"
#include "server.h"

struct child {
	struct child *next;
	pid_t pid;                               /* 0: reaped, on_exit was called */
	void (*on_exit)(void *user, int status); /* NULL: forgotten */
	void *user;
};

struct children {
	uv_signal_t signal;
	struct child *first;
};

/* The list may change in a callback: look from the start again after each. */
static void reap(struct children *children)
{
	struct child **link = &children->first;

	while (*link != NULL) {
		struct child *child = *link;
		int status = 0;
		pid_t pid = child->pid == 0 ? -1 : waitpid(child->pid, &status, WNOHANG);

		if (pid == 0 || (pid < 0 && errno == EINTR)) {
			link = &child->next;
			continue;
		}
		*link = child->next;
		if (child->on_exit != NULL)
			child->on_exit(child->user, status);
		free(child);
		link = &children->first;
	}
}

static void on_signal(uv_signal_t *signal, int number)
{
	reap(signal->data);
}

int children_init(struct server *server)
{
	struct children *children = mem_new(struct children);
	int r = uv_signal_init(server->loop, &children->signal);

	if (r >= 0)
		r = uv_signal_start(&children->signal, on_signal, SIGCHLD);
	if (r < 0) {
		free(children);
		return r;
	}
	/* Waiting for children alone is no reason to stay. */
	uv_unref((uv_handle_t *)&children->signal);
	children->signal.data = children;
	server->children = children;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct children *children = handle->data;

	while (children->first != NULL) {
		struct child *child = children->first;

		children->first = child->next;
		free(child);
	}
	free(children);
}

void children_done(struct server *server)
{
	if (server->children != NULL)
		uv_close((uv_handle_t *)&server->children->signal, on_closed);
	server->children = NULL;
}

struct child *child_watch(struct server *server, pid_t pid, void (*on_exit)(void *user, int status),
			  void *user)
{
	struct child *child = mem_new(struct child);

	child->pid = pid;
	child->on_exit = on_exit;
	child->user = user;
	child->next = server->children->first;
	server->children->first = child;
	/* It may have ended before it was in the list. */
	raise(SIGCHLD);
	return child;
}

void child_forget(struct child *child)
{
	if (child != NULL)
		child->on_exit = NULL;
}

void child_try_reap(struct child *child)
{
	void (*on_exit)(void *user, int status);
	int status = 0;

	if (child == NULL || child->pid == 0 || waitpid(child->pid, &status, WNOHANG) <= 0)
		return;
	child->pid = 0;
	on_exit = child->on_exit;
	child->on_exit = NULL;
	if (on_exit != NULL)
		on_exit(child->user, status);
}

void child_describe(int status, char *ret_text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(ret_text, size, "was killed by signal %d", WTERMSIG(status));
	else
		snprintf(ret_text, size, "ended with status %d", WEXITSTATUS(status));
}
