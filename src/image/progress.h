/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What krun-image says on standard output: one JSON object a line, written whole. The events are in
 * ARCHITECTURE.md. Numbers that no client asked to see are not in them.
 */
#ifndef IMAGE_PROGRESS_H
#define IMAGE_PROGRESS_H

#include <jansson.h>
#include <stdint.h>

#include "base/strv.h"
#include "fault.h"

struct progress_config {
	const char *digest;
	char **names;
	json_t *config; /* the `config` member; NULL for none */
	const char *architecture, *os;
};

/* 0, or a fault when the reader is gone or the event is too long. */
int progress_config(const struct progress_config *config, struct fault *fault) _must_check_;
int progress_layer(unsigned index, unsigned count, uint64_t bytes,
		   struct fault *fault) _must_check_;
int progress_done(uint64_t size_bytes, uint64_t content_bytes, struct fault *fault) _must_check_;

/* Nobody is told when this fails. */
void progress_error(const struct fault *error);

#endif
