/* SPDX-License-Identifier: Apache-2.0 */
#include "vm.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "enter.h"

#define READ_BYTES 16384
/* Of a VM process's messages in vmm.log: a guest can make libkrun print without end. */
#define MESSAGES_BYTES_MAX (256 * KIB)
/* A pipe or socket holds less; more comes only from a process that is not ours to wait for. */
#define DRAIN_READS_MAX 256

static void close_watch(struct vm *vm, struct loop_watch *watch)
{
	int fd = watch->fd;

	loop_remove(vm->loop, watch);
	fd_close(fd);
}

/* Reads once. False when there is nothing (more) now. */
static bool read_some(struct vm *vm, struct loop_watch *watch,
		      void (*take)(struct vm *vm, const char *data, size_t length))
{
	char data[READ_BYTES];
	ssize_t n;

	if (watch->fd < 0)
		return false;
	n = read(watch->fd, data, sizeof(data));
	if (n > 0) {
		take(vm, data, (size_t)n);
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		close_watch(vm, watch);
	return false;
}

static void take_console(struct vm *vm, const char *data, size_t length)
{
	tail_add(&vm->console_tail, data, length);
	vm->calls->console(vm->owner, data, length);
}

static void take_messages(struct vm *vm, const char *data, size_t length)
{
	size_t left = MESSAGES_BYTES_MAX - vm->messages_bytes;

	tail_add(&vm->messages_tail, data, length);
	if (left == 0)
		return;
	vm->messages_bytes += MIN(length, left);
	(void)!fd_write_all_until(STDERR_FILENO, data, MIN(length, left), 0);
	if (length >= left)
		log_warn("the VM process prints too much: the rest of it is left out here");
}

static void take_link(struct vm *vm, const char *data, size_t length)
{
	if (length > 0 && !vm->entered && data[0] == ENTER_ENTERED) {
		vm->entered = true;
		vm->calls->entered(vm->owner);
		data++;
		length--;
	}
	if (buf_append(&vm->answer, data, length) < 0)
		log_warn("the VM process says too much");
}

/* The answer is whole at the link's end. */
static void finish_link(struct vm *vm)
{
	_cleanup_free_ char *answer = NULL;

	if (vm->link.fd >= 0 || vm->answer.length == 0)
		return;
	answer = buf_take_string(&vm->answer);
	vm->calls->failed(vm->owner, answer[0] == ENTER_UNUSABLE, answer + 1);
}

static void on_console(struct loop_watch *watch, short events)
{
	(void)events;
	(void)read_some(watch->owner, watch, take_console);
}

static void on_messages(struct loop_watch *watch, short events)
{
	(void)events;
	(void)read_some(watch->owner, watch, take_messages);
}

static void on_link(struct loop_watch *watch, short events)
{
	struct vm *vm = watch->owner;

	(void)events;
	(void)read_some(vm, watch, take_link);
	finish_link(vm);
}

void vm_init(struct vm *vm, struct loop *loop, const struct vm_calls *calls, void *owner)
{
	*vm = (struct vm){
		.calls = calls,
		.owner = owner,
		.loop = loop,
		.link = {.fd = -1, .events = POLLIN, .ready = on_link, .owner = vm},
		.console = {.fd = -1, .events = POLLIN, .ready = on_console, .owner = vm},
		.messages = {.fd = -1, .events = POLLIN, .ready = on_messages, .owner = vm},
	};
	buf_init(&vm->answer, ERR_TEXT_BYTES_MAX + 1);
}

void vm_done(struct vm *vm)
{
	if (vm->loop == NULL)
		return;
	close_watch(vm, &vm->link);
	close_watch(vm, &vm->console);
	close_watch(vm, &vm->messages);
	buf_done(&vm->answer);
}

/* The supervisor's ends, and those of the VM process, which are closed when it has them. */
struct ends {
	int link[2], console[2], messages[2];
};

static void close_ends(struct ends *ends)
{
	for (int i = 0; i < 2; i++) {
		fd_close(ends->link[i]);
		fd_close(ends->console[i]);
		fd_close(ends->messages[i]);
	}
}

/* In each pair the first is the supervisor's, and does not block it. */
static int make_ends(const struct backend *backend, struct ends *ends)
{
	int r;

	*ends = (struct ends){.link = {-1, -1}, .console = {-1, -1}, .messages = {-1, -1}};
	r = fd_socketpair(ends->link);
	if (r >= 0)
		r = backend->console_socket ? fd_socketpair(ends->console) : fd_pipe(ends->console);
	if (r >= 0)
		r = fd_pipe(ends->messages);
	if (r >= 0)
		r = fd_set_nonblock(ends->link[0], true);
	if (r >= 0)
		r = fd_set_nonblock(ends->console[0], true);
	if (r >= 0)
		r = fd_set_nonblock(ends->messages[0], true);
	return r;
}

static void watch_fd(struct vm *vm, struct loop_watch *watch, int *fd)
{
	watch->fd = take_fd(*fd);
	loop_add(vm->loop, watch);
}

static size_t list_fds(const struct ends *ends, const struct vm_input *input, struct spawn_fd *list)
{
	size_t n = 0;

	list[n++] = (struct spawn_fd){ends->messages[1], STDOUT_FILENO};
	list[n++] = (struct spawn_fd){ends->messages[1], STDERR_FILENO};
	list[n++] = (struct spawn_fd){ends->link[1], ENTER_FD_LINK};
	list[n++] = (struct spawn_fd){ends->console[1], ENTER_FD_CONSOLE};
	list[n++] = (struct spawn_fd){input->net, ENTER_FD_NET};
	list[n++] = (struct spawn_fd){input->control, ENTER_FD_CONTROL};
	list[n++] = (struct spawn_fd){input->monitor, ENTER_FD_MONITOR};
	for (size_t i = 0; i < input->port_count; i++)
		list[n++] = (struct spawn_fd){input->ports[i], ENTER_FD_PORT + (int)i};
	return n;
}

static int start_child(struct vm *vm, const struct vm_input *input, const struct ends *ends,
		       struct err *err)
{
	_cleanup_free_ char *self = NULL, *name = mem_strdup(vm->backend->name);
	_cleanup_strv_ char **env = NULL;
	char *argv[] = {NULL, (char[]){"--enter"}, name, NULL};
	struct spawn_fd list[SPAWN_FDS_MAX];
	struct spawn spawn = {.argv = argv, .fds = list, .fd_count = list_fds(ends, input, list)};
	int r;

	r = proc_self_path(&self);
	if (r < 0)
		return err_set_errno(err, -r, "cannot find the file of krun-vmm itself");
	argv[0] = self;
	spawn.path = self;
	if (vm->backend->environment != NULL)
		env = vm->backend->environment(input->plan->config);
	spawn.env = env;
	return child_start(&vm->child, &spawn, input->config_text, err);
}

int vm_start(struct vm *vm, const struct vm_input *input, struct err *err)
{
	struct ends ends;
	int r;

	vm->backend = input->backend;
	vm->entered = false;
	r = make_ends(input->backend, &ends);
	if (r < 0)
		err_set_errno(err, -r, "cannot make the descriptors of the VM process");
	else
		r = start_child(vm, input, &ends, err);
	if (r >= 0) {
		watch_fd(vm, &vm->link, &ends.link[0]);
		watch_fd(vm, &vm->console, &ends.console[0]);
		watch_fd(vm, &vm->messages, &ends.messages[0]);
	}
	close_ends(&ends);
	return r;
}

void vm_go(struct vm *vm)
{
	char go = ENTER_GO;

	if (vm->link.fd >= 0)
		(void)!write(vm->link.fd, &go, 1);
}

void vm_drain(struct vm *vm)
{
	for (int i = 0; i < DRAIN_READS_MAX && read_some(vm, &vm->console, take_console); i++)
		;
	for (int i = 0; i < DRAIN_READS_MAX && read_some(vm, &vm->messages, take_messages); i++)
		;
	for (int i = 0; i < DRAIN_READS_MAX && read_some(vm, &vm->link, take_link); i++)
		;
	close_watch(vm, &vm->link);
	close_watch(vm, &vm->console);
	close_watch(vm, &vm->messages);
	finish_link(vm);
}
