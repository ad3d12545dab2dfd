/* SPDX-License-Identifier: Apache-2.0 */
#include "openapi.h"

/* The bytes of the document, made by the build (embed_openapi.py). */
const char openapi_json[] = {
#include "api/openapi_data.h"
};
const size_t openapi_json_length = sizeof(openapi_json) - 1;
