/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "events.h"
#include "server.h"
#include "store.h"

#define SCHEME        "sha256:"
#define DIGEST_DIGITS 64
#define FILE_SUFFIX   ".ext4"
#define PREFIX_DIGITS 8
#define HEX           "0123456789abcdef"
#define NAME_CHARS    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:"

char *image_path(const struct server *server, const char *digest)
{
	return mem_printf("%s/%s" FILE_SUFFIX, server->images_dir, digest + strlen(SCHEME));
}

bool image_digest_is_valid(const char *digest)
{
	return strncmp(digest, SCHEME, strlen(SCHEME)) == 0 &&
	       strlen(digest) == IMAGE_DIGEST_BYTES - 1 &&
	       strspn(digest + strlen(SCHEME), HEX) == DIGEST_DIGITS;
}

int image_name_normalise(const char *text, char ret_name[IMAGE_NAME_BYTES_MAX + 1], struct err *err)
{
	const char *slash = strrchr(text, '/');
	const char *tag = strchr(slash == NULL ? text : slash, ':');
	size_t length = strlen(text);

	if (length == 0 || length > IMAGE_NAME_BYTES_MAX - strlen(":latest") ||
	    strspn(text, NAME_CHARS) != length || strchr("/:.-", text[0]) != NULL ||
	    text[length - 1] == '/' || text[length - 1] == ':' || strstr(text, "//") != NULL ||
	    strncmp(text, SCHEME, strlen(SCHEME)) == 0 ||
	    (tag != NULL && strchr(tag + 1, ':') != NULL))
		return err_set(err, EINVAL,
			       "'%.80s' is not an image's name: say name, name:tag or "
			       "registry/name:tag",
			       text);
	snprintf(ret_name, IMAGE_NAME_BYTES_MAX + 1, "%s%s", text, tag == NULL ? ":latest" : "");
	return 0;
}

static int find_by_name(struct server *server, const char *text, char **ret_digest, struct err *err)
{
	static const char *const prefixes[] = {"", "localhost/", "docker.io/library/",
					       "docker.io/"};
	char name[IMAGE_NAME_BYTES_MAX + 1];
	int r = image_name_normalise(text, name, err);

	if (r < 0)
		return r;
	r = -ENOENT;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes) && r == -ENOENT; i++) {
		_cleanup_free_ char *whole = mem_printf("%s%s", prefixes[i], name);

		r = store_image_find_name(server->store, whole, ret_digest, err);
	}
	return r;
}

static int find_by_digest(struct server *server, const char *digits, char **ret_digest,
			  struct err *err)
{
	_cleanup_free_ char *prefix = mem_printf(SCHEME "%s", digits);

	return store_image_find_prefix(server->store, prefix, ret_digest, err);
}

int image_resolve(struct server *server, const char *text, char ret_digest[IMAGE_DIGEST_BYTES],
		  struct err *err)
{
	bool has_scheme = strncmp(text, SCHEME, strlen(SCHEME)) == 0;
	const char *digits = has_scheme ? text + strlen(SCHEME) : text;
	size_t length = strlen(digits);
	_cleanup_free_ char *digest = NULL;
	int r = -ENOENT;

	if (!has_scheme)
		r = find_by_name(server, text, &digest, err);
	if ((r == -ENOENT || r == -EINVAL) && length >= PREFIX_DIGITS && length <= DIGEST_DIGITS &&
	    strspn(digits, HEX) == length)
		r = find_by_digest(server, digits, &digest, err);
	if (r == -EMLINK)
		return err_set(err, EMLINK, "several images begin with '%.80s'", text);
	if (r == -ENOENT)
		return err_set(err, ENOENT,
			       "there is no image '%.80s': import it with POST /v1/images", text);
	if (r < 0)
		return r;
	snprintf(ret_digest, IMAGE_DIGEST_BYTES, "%s", digest);
	return 0;
}

static int check_unused(struct server *server, const char *digest, struct err *err)
{
	int64_t users = 0;
	int r = store_image_count_users(server->store, digest, &users, err);

	/* A machine whose disk is being made has no row yet. */
	for (size_t i = 0; i < server->machines.count && r >= 0; i++) {
		const struct machine *machine = server->machines.by_id[i];

		if (machine->is_creating && machine->image_digest != NULL &&
		    strcmp(machine->image_digest, digest) == 0)
			users++;
	}
	if (r >= 0 && users > 0)
		return err_set(err, EBUSY, "%lld machine(s) use this image: delete them first",
			       (long long)users);
	return r;
}

static int delete_whole(struct server *server, const char *digest, const char *name,
			struct err *err)
{
	_cleanup_free_ char *path = image_path(server, digest);
	_cleanup_free_ char *attributes = NULL;
	struct store_event event =
		event_of_thing("image.deleted", name, "digest", digest, &attributes);
	int r = check_unused(server, digest, err);

	if (r >= 0)
		r = store_image_delete(server->store, digest, &event, err);
	if (r >= 0)
		events_wake(server);
	if (r >= 0 && unlink(path) < 0 && errno != ENOENT)
		log_warn("cannot remove '%s': %s", path, strerror(errno));
	return r;
}

/* The image's name that `text` stands for, or NULL when it names it by digest. */
static const char *find_own_name(const struct store_image *image, const char *text)
{
	size_t length = strlen(text);

	for (char **name = image->names; name != NULL && *name != NULL; name++) {
		const char *end = strrchr(*name, '/');
		const char *candidates[] = {*name, end == NULL ? *name : end + 1};

		for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
			if (strncmp(candidates[i], text, length) == 0 &&
			    (candidates[i][length] == '\0' ||
			     strcmp(candidates[i] + length, ":latest") == 0))
				return *name;
		}
	}
	return NULL;
}

int image_delete(struct server *server, const char *text, struct err *err)
{
	char digest[IMAGE_DIGEST_BYTES];
	struct store_image image;
	const char *name;
	int r = image_resolve(server, text, digest, err);

	if (r >= 0)
		r = store_image_find(server->store, digest, &image, err);
	if (r < 0)
		return r;
	name = find_own_name(&image, text);
	if (name != NULL && strv_length(image.names) > 1)
		r = store_image_delete_name(server->store, name, err);
	else
		r = delete_whole(server, digest, image.names == NULL ? digest : image.names[0],
				 err);
	store_image_done(&image);
	return r;
}

void images_clean(struct server *server)
{
	DIR *directory = opendir(server->images_dir);
	struct dirent *entry;

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		char digest[IMAGE_DIGEST_BYTES];
		struct store_image image;
		struct err err = {0};
		int r;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(digest, sizeof(digest), SCHEME "%.*s", DIGEST_DIGITS, entry->d_name);
		r = store_image_find(server->store, digest, &image, &err);
		store_image_done(&image);
		if (r != -ENOENT)
			continue;
		log_info("removing '%s' of images/, which belongs to no image", entry->d_name);
		unlinkat(dirfd(directory), entry->d_name, 0);
	}
	if (directory != NULL)
		closedir(directory);
}
