/* SPDX-License-Identifier: Apache-2.0 */
/* Allow rules: one line is a rule, what follows is a name to match. */
#include "machine/allow.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[1024] = {0}, *name;
	struct allow_rule rule;

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	name = strchr(text, '\n');
	if (name != NULL)
		*name++ = '\0';
	if (allow_rule_parse(text, &rule, NULL) == 0 && name != NULL)
		allow_rule_matches_name(&rule, name);
	return 0;
}
