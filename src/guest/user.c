/* SPDX-License-Identifier: Apache-2.0 */
#include "user.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "raw.h"

#define ID_MAX 0xfffffffeUL /* (uid_t)-1 means "unchanged" to the kernel */

/* Changes closer together than a tick of the clock leave the same time; this is many. */
#define SETTLED_S 2

#define PASSWD_FIELDS 7 /* name:password:uid:gid:gecos:home:shell */
#define GROUP_FIELDS  4 /* name:password:gid:members */

struct lines {
	int fd;
	size_t start, end;
	bool skipping; /* the rest of a line that was too long */
	char bytes[USER_LINE_BYTES];
};

static void lines_open(struct lines *lines, const char *path)
{
	struct stat st = {0};

	/* Not an initializer: it would write all of the buffer. */
	lines->fd = raw_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	lines->start = lines->end = 0;
	lines->skipping = false;
	if (lines->fd >= 0 && (raw_fstat(lines->fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		raw_close(lines->fd);
		lines->fd = -1;
	}
}

static void lines_close(struct lines *lines)
{
	if (lines->fd >= 0)
		raw_close(lines->fd);
}

static bool lines_fill(struct lines *lines)
{
	long n;

	memmove(lines->bytes, lines->bytes + lines->start, lines->end - lines->start);
	lines->end -= lines->start;
	lines->start = 0;
	if (lines->end == sizeof(lines->bytes)) {
		lines->skipping = true;
		lines->end = 0;
	}
	n = lines->fd < 0 ? 0
			  : raw_read(lines->fd, lines->bytes + lines->end,
				     sizeof(lines->bytes) - lines->end);
	if (n <= 0)
		return false;
	lines->end += (size_t)n;
	return true;
}

/* The next line, NUL in place of its newline; NULL at the end. */
static char *lines_next(struct lines *lines)
{
	for (;;) {
		char *line = lines->bytes + lines->start;
		char *newline = memchr(line, '\n', lines->end - lines->start);

		if (newline == NULL) {
			if (lines_fill(lines))
				continue;
			/* A last line without its newline counts, if there is room for its NUL. */
			if (lines->skipping || lines->start == lines->end ||
			    lines->end == sizeof(lines->bytes))
				return NULL;
			newline = lines->bytes + lines->end++;
			line = lines->bytes + lines->start;
		}
		*newline = '\0';
		lines->start = (size_t)(newline + 1 - lines->bytes);
		if (!lines->skipping)
			return line;
		lines->skipping = false;
	}
}

/* Cuts at colons; returns how many fields there are, at most `max`, the last with the rest in it. */
static size_t split(char *line, char *ret_fields[], size_t max)
{
	size_t count = 0;

	while (count < max) {
		ret_fields[count++] = line;
		line = count < max ? strchr(line, ':') : NULL;
		if (line == NULL)
			break;
		*line++ = '\0';
	}
	return count;
}

static bool parse_id(const char *text, unsigned long *ret_id)
{
	unsigned long id = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		id = id * 10 + (unsigned long)(*text - '0');
		if (id > ID_MAX)
			return false;
	}
	*ret_id = id;
	return true;
}

/* A line of either file matches by its name, or by its number. */
static bool matches(const char *wanted, const char *name, unsigned long id)
{
	unsigned long number;

	return strcmp(wanted, name) == 0 || (parse_id(wanted, &number) && number == id);
}

static bool find_user(const char *path, const char *wanted, struct user *user,
		      char ret_name[USER_NAME_BYTES + 1])
{
	struct lines lines;
	bool found = false;
	char *line;

	lines_open(&lines, path);
	while (!found && (line = lines_next(&lines)) != NULL) {
		char *fields[PASSWD_FIELDS];
		unsigned long uid, gid;

		if (split(line, fields, PASSWD_FIELDS) < PASSWD_FIELDS - 1 ||
		    !parse_id(fields[2], &uid) || !parse_id(fields[3], &gid) ||
		    !matches(wanted, fields[0], uid))
			continue;
		found = true;
		user->uid = (uid_t)uid;
		user->gid = (gid_t)gid;
		if (fields[5][0] != '\0' && strlen(fields[5]) < sizeof(user->home))
			strcpy(user->home, fields[5]);
		if (strlen(fields[0]) <= USER_NAME_BYTES)
			strcpy(ret_name, fields[0]);
	}
	lines_close(&lines);
	return found;
}

static bool lists_member(const char *members, const char *name)
{
	size_t length = strlen(name);

	while (members != NULL && *members != '\0') {
		if (strncmp(members, name, length) == 0 &&
		    (members[length] == ',' || members[length] == '\0'))
			return true;
		members = strchr(members, ',');
		if (members != NULL)
			members++;
	}
	return false;
}

static bool find_group(const char *path, const char *wanted, gid_t *ret_gid)
{
	struct lines lines;
	bool found = false;
	char *line;

	lines_open(&lines, path);
	while (!found && (line = lines_next(&lines)) != NULL) {
		char *fields[GROUP_FIELDS];
		unsigned long gid;

		if (split(line, fields, GROUP_FIELDS) < GROUP_FIELDS - 1 ||
		    !parse_id(fields[2], &gid) || !matches(wanted, fields[0], gid))
			continue;
		found = true;
		*ret_gid = (gid_t)gid;
	}
	lines_close(&lines);
	return found;
}

static void find_memberships(const char *path, const char *name, struct user *user)
{
	struct lines lines;
	char *line;

	lines_open(&lines, path);
	while (user->group_count < USER_GROUPS_MAX && (line = lines_next(&lines)) != NULL) {
		char *fields[GROUP_FIELDS];
		unsigned long gid;

		if (split(line, fields, GROUP_FIELDS) < GROUP_FIELDS ||
		    !parse_id(fields[2], &gid) || !lists_member(fields[3], name))
			continue;
		user->groups[user->group_count++] = (gid_t)gid;
	}
	lines_close(&lines);
}

static int resolve_group(const char *wanted, const char *path, struct user *user,
			 struct failure *failure)
{
	unsigned long gid;

	if (find_group(path, wanted, &user->gid))
		return 0;
	if (!parse_id(wanted, &gid))
		return failure_set(failure, CODE_SET_UP, "group %s is not in %s", wanted, path);
	user->gid = (gid_t)gid;
	return 0;
}

int user_resolve(const char *spec, const char *passwd_path, const char *group_path,
		 struct user *ret_user, struct failure *failure)
{
	struct user user = {.home = "/"};
	char wanted[USER_NAME_BYTES + 1];
	char name[USER_NAME_BYTES + 1] = "";
	const char *colon = strchr(spec, ':');
	size_t length = colon != NULL ? (size_t)(colon - spec) : strlen(spec);
	unsigned long uid;

	if (length > USER_NAME_BYTES)
		return failure_set(failure, CODE_SET_UP, "the user's name is too long");
	memcpy(wanted, spec, length);
	wanted[length] = '\0';
	if (length == 0)
		strcpy(wanted, "0");
	if (!find_user(passwd_path, wanted, &user, name)) {
		if (!parse_id(wanted, &uid))
			return failure_set(failure, CODE_SET_UP, "user %s is not in %s", wanted,
					   passwd_path);
		user.uid = (uid_t)uid;
	}
	if (user.uid == 0 && strcmp(user.home, "/") == 0 && name[0] == '\0')
		strcpy(user.home, "/root");
	if (colon != NULL && colon[1] != '\0') {
		if (resolve_group(colon + 1, group_path, &user, failure) < 0)
			return -1;
	} else if (name[0] != '\0') {
		find_memberships(group_path, name, &user);
	}
	*ret_user = user;
	return 0;
}

static struct user_stamp stamp_of(const char *path)
{
	struct user_stamp stamp = {0};
	struct stat st = {0};

	if (raw_stat(path, &st) < 0)
		return stamp;
	stamp.dev = st.st_dev;
	stamp.ino = st.st_ino;
	stamp.size = st.st_size;
	stamp.changed = st.st_ctim;
	return stamp;
}

static bool is_same(const struct user_stamp *a, const struct user_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static bool is_settled(const struct user_stamp *stamp)
{
	struct timespec now = {0};

	(void)raw_call(SYS_clock_gettime, CLOCK_REALTIME, (long)&now, 0, 0);
	return stamp->changed.tv_sec < now.tv_sec - SETTLED_S;
}

int user_resolve_cached(struct user_cache *cache, const char *spec, const char *passwd_path,
			const char *group_path, struct user *ret_user, struct failure *failure)
{
	struct user_stamp passwd = stamp_of(passwd_path), group = stamp_of(group_path);

	if (cache->spec[0] != '\0' && strcmp(cache->spec, spec) == 0 &&
	    is_same(&cache->passwd, &passwd) && is_same(&cache->group, &group)) {
		*ret_user = cache->user;
		return 0;
	}
	if (user_resolve(spec, passwd_path, group_path, ret_user, failure) < 0)
		return -1;
	cache->spec[0] = '\0';
	if (strlen(spec) >= sizeof(cache->spec) || !is_settled(&passwd) || !is_settled(&group))
		return 0;
	cache->passwd = passwd;
	cache->group = group;
	cache->user = *ret_user;
	strcpy(cache->spec, spec);
	return 0;
}
