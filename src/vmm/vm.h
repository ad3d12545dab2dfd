/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM process as its supervisor sees it: started, told to go, drained, ended (enter.h has the
 * other side). Its kernel console and its standard error are always drained, whatever comes; the
 * last lines of both are kept.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include "backend.h"
#include "child.h"
#include "loop.h"
#include "tail.h"

struct vm_calls {
	void (*entered)(void *owner);
	/* It could not enter; it is about to end. `unusable`: the backend cannot be used here. */
	void (*failed)(void *owner, bool unusable, const char *sentence);
	void (*console)(void *owner, const char *data, size_t length);
};

struct vm {
	const struct vm_calls *calls;
	void *owner;
	struct loop *loop;
	const struct backend *backend;
	struct child child;
	struct loop_watch link, console, messages;
	struct buf
		answer; /* bytes of the link behind ENTER_UNUSABLE or ENTER_FAILED, and that byte */
	struct tail console_tail, messages_tail;
	size_t messages_bytes; /* passed on so far */
	bool entered;
};

/* What a VM process is started with. */
struct vm_input {
	const struct backend *backend;
	const struct plan *plan;
	const struct buf *config_text; /* the JSON that the supervisor itself was given */
	/* Its ends of the sockets; the caller closes its copies. */
	int net;     /* -1: none */
	int control; /* -1: none */
	int monitor; /* -1: none */
	int ports[PLAN_SESSION_PORTS];
	size_t port_count;
};

void vm_init(struct vm *vm, struct loop *loop, const struct vm_calls *calls, void *owner);
void vm_done(struct vm *vm);

int vm_start(struct vm *vm, const struct vm_input *input, struct err *err) _must_check_;

void vm_go(struct vm *vm);

/* After its end: takes what is left in its pipes and forgets it, so that it may be started again. */
void vm_drain(struct vm *vm);

#endif
