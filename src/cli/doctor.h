/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Findings of krunctl doctor. A finding is good, worth knowing, or in the way of running machines;
 * the last two say what to do.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <jansson.h>

#include "base/macro.h"

enum doctor_grade {
	DOCTOR_OK,
	DOCTOR_WARN,
	DOCTOR_BAD,
};

struct doctor {
	json_t *findings; /* [{"check", "grade", "text"}] */
	enum doctor_grade worst;
};

void doctor_add(struct doctor *doctor, enum doctor_grade grade, const char *check, const char *fmt,
		...) _printf_(4, 5);

/* Path of a program of ours, beside this one or in $PATH, on the heap; NULL: not found. */
char *doctor_own_program(const char *name) _must_check_;

/* doctor_linux.c, doctor_darwin.c: the hypervisor and who may use it; low ports. */
void doctor_check_hypervisor(struct doctor *doctor);
void doctor_check_ports(struct doctor *doctor);

#endif
