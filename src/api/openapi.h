/* SPDX-License-Identifier: Apache-2.0 */
/* docs/openapi.yaml as JSON, with a NUL behind it. */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

#include <stddef.h>

extern const char openapi_json[];
extern const size_t openapi_json_length;

#endif
