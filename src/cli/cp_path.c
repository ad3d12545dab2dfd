/* SPDX-License-Identifier: Apache-2.0 */
#include "cp_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int cp_place_parse(const char *text, struct cp_place *ret_place, struct err *err)
{
	const char *colon = strchr(text, ':');
	const char *path;

	if (*text == '\0')
		return err_set(err, EINVAL, "a path is empty");
	*ret_place = (struct cp_place){0};
	/* A slash in front of the colon, or nothing: no machine has such a name. */
	if (colon == NULL || colon == text || memchr(text, '/', (size_t)(colon - text)) != NULL) {
		ret_place->path = mem_strdup(text);
		ret_place->is_stream = strcmp(text, "-") == 0;
		return 0;
	}
	path = colon + 1;
	ret_place->machine = mem_printf("%.*s", (int)(colon - text), text);
	ret_place->path = mem_printf("%s%s", *path == '/' ? "" : "/", path);
	return 0;
}

void cp_place_done(struct cp_place *place)
{
	free(place->machine);
	free(place->path);
	*place = (struct cp_place){0};
}

bool cp_path_is_contents(const char *path)
{
	size_t length = strlen(path);

	if (strcmp(path, ".") == 0 || strspn(path, "/") == length)
		return true;
	return length >= 2 && strcmp(path + length - 2, "/.") == 0;
}

bool cp_path_has_slash(const char *path)
{
	return path[strlen(path) - 1] == '/';
}

char *cp_path_trim(const char *path)
{
	size_t length = strlen(path);

	for (;;) {
		if (length > 1 && path[length - 1] == '/')
			length--;
		else if (length > 1 && path[length - 1] == '.' && path[length - 2] == '/')
			length--;
		else
			return mem_printf("%.*s", (int)length, path);
	}
}

char *cp_path_directory(const char *trimmed)
{
	const char *slash = strrchr(trimmed, '/');

	if (slash == NULL)
		return mem_strdup(".");
	while (slash > trimmed && slash[-1] == '/')
		slash--;
	return slash == trimmed ? mem_strdup("/")
				: mem_printf("%.*s", (int)(slash - trimmed), trimmed);
}

char *cp_path_name(const char *trimmed)
{
	const char *slash = strrchr(trimmed, '/');

	return mem_strdup(slash != NULL ? slash + 1 : trimmed);
}

char *cp_path_follow(const char *path, const char *target)
{
	_cleanup_free_ char *trimmed = cp_path_trim(path);
	_cleanup_free_ char *directory = cp_path_directory(trimmed);

	return *target == '/' ? mem_strdup(target) : mem_printf("%s/%s", directory, target);
}
