/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An archive becomes files.
 *
 * Whatever gets a name is made without one, or under one that nobody knows, beside its place, and then
 * gets it: so an entry is there whole or not at all, what stood there before is never opened
 * or followed, and nothing is left of a copy that is cut off. Regular files have no name at all until
 * they are whole, where the file system can do that (O_TMPFILE): then not even SIGKILL leaves anything.
 *
 * A directory's mode and time are set when the archive leaves it, since making files in it would change
 * the one and may need another of the other. Those that wait are all on the way to the newest of them:
 * one path and how much of it each is.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "copy.h"
#include "fd.h"
#include "wire/tar.h"

#define INPUT_BYTES      (64 * KIB)
#define ROOM_BYTES       (1 * MIB)
#define DIRECTORIES_MAX  (WIRE_TAR_PATH_BYTES_MAX / 2 + 1)
#define SEND_BYTES       (1 * MIB)
#define DEVICE_MAJOR_MAX 0xfff
#define DEVICE_MINOR_MAX 0xfffff
#define RESOLVE_TRIES    16 /* while others rename directories on the way */
#define TEMPORARY_PREFIX ".krun."
#define TEMPORARY_BYTES  32

/* musl has no <linux/openat2.h>. */
struct open_how {
	uint64_t flags, mode, resolve;
};
#define BENEATH 0x08
#define IN_ROOT 0x10

struct directory {
	size_t path_bytes;
	uint32_t mode;
	struct timespec mtime;
};

static struct {
	int base_fd;
	uint64_t resolve;
	bool is_root;         /* the user, not the directory: who may change owners */
	bool warned_of_owner; /* once is enough */
	struct failure *failure;

	char path[WIRE_TAR_PATH_BYTES_MAX + 1]; /* of the current entry, below the base */
	int parent_fd;                          /* its directory */
	const char *name;                       /* in it */
	int file_fd;                            /* a regular file that is being written */

	struct directory directories[DIRECTORIES_MAX]; /* that wait */
	size_t directory_count;
	char directory_path[WIRE_TAR_PATH_BYTES_MAX + 1];

	struct wire_tar_reader reader;
	uint64_t room[ROOM_BYTES / sizeof(uint64_t)];
	uint8_t input[INPUT_BYTES];
} put;

/* What a signal has to take away. */
static struct {
	volatile sig_atomic_t fd; /* of the directory; -1: nothing */
	char name[TEMPORARY_BYTES];
} temporary = {.fd = -1};

static int fail_entry(enum wire_copy_code code, const char *what)
{
	return failure_set(put.failure, code, "%.400s: %s", put.path, what);
}

/* ENOENT would say that the directory of the copy is not there: that one was opened before. */
static int fail_entry_errno(const char *what)
{
	int r;

	if (errno == EXDEV)
		return fail_entry(WIRE_COPY_REFUSED,
				  "a symbolic link on its way leads out of the directory");
	r = copy_fail_errno(put.failure, "cannot %s %.400s", what, put.path);
	if (put.failure->code == WIRE_COPY_NOT_FOUND)
		put.failure->code = WIRE_COPY_FAILED;
	return r;
}

/* ---- names ---- */

/* "/a//./b/" is "a/b". */
static int normalize(const char *from, char *ret_path)
{
	size_t length = 0;

	while (*(from += strspn(from, "/")) != '\0') {
		size_t bytes = strcspn(from, "/");

		if (bytes == 2 && from[0] == '.' && from[1] == '.')
			return failure_set(put.failure, WIRE_COPY_BROKEN,
					   "the archive has a name with \"..\" in it: %.400s",
					   from);
		if (bytes != 1 || from[0] != '.') {
			if (length > 0)
				ret_path[length++] = '/';
			memcpy(ret_path + length, from, bytes);
			length += bytes;
		}
		from += bytes;
	}
	ret_path[length] = '\0';
	return 0;
}

static int open_below(const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.resolve = put.resolve,
	};
	int fd = -1;

	if (path[0] == '\0')
		path = ".";
	for (int i = 0; i < RESOLVE_TRIES; i++) {
		fd = (int)syscall(SYS_openat2, put.base_fd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd;
}

/* The directory of a path, which is cut in two for that; *ret_name is the rest. -1: errno. */
static int open_directory_of(char *path, const char **ret_name)
{
	char *slash = strrchr(path, '/');
	int fd;

	if (slash == NULL) {
		*ret_name = path;
		return open_below("", O_PATH | O_DIRECTORY);
	}
	*slash = '\0';
	fd = open_below(path, O_PATH | O_DIRECTORY);
	*slash = '/';
	*ret_name = slash + 1;
	return fd;
}

static int make_directory(char *path)
{
	const char *name;
	_cleanup_fd_ int fd = open_directory_of(path, &name);

	if (fd < 0 || (mkdirat(fd, name, 0755) < 0 && errno != EEXIST))
		return -1;
	return 0;
}

/* What the archive does not mention of the way to an entry. */
static int make_parents(char *path)
{
	for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		int r;

		*slash = '\0';
		r = make_directory(path);
		*slash = '/';
		if (r < 0)
			return -1;
	}
	return 0;
}

static int open_parent(void)
{
	put.parent_fd = open_directory_of(put.path, &put.name);
	if (put.parent_fd < 0 && errno == ENOENT && make_parents(put.path) == 0)
		put.parent_fd = open_directory_of(put.path, &put.name);
	return put.parent_fd < 0 ? fail_entry_errno("reach") : 0;
}

/* ---- temporary names ---- */

static void remove_temporary(void)
{
	int fd = temporary.fd;

	temporary.fd = -1;
	if (fd >= 0)
		(void)unlinkat(fd, temporary.name, 0);
}

static void on_signal(int number)
{
	remove_temporary();
	_exit(CODE_SIGNAL_BASE + number);
}

static void handle_signals(void)
{
	static const int numbers[] = {SIGHUP, SIGINT, SIGTERM};
	struct sigaction action = {.sa_handler = on_signal};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaction(numbers[i], &action, NULL);
}

/* Whatever is made under it in the parent goes away by remove_temporary(). */
static const char *choose_temporary(void)
{
	uint64_t number = 0;

	(void)!getrandom(&number, sizeof(number), 0);
	snprintf(temporary.name, sizeof(temporary.name), TEMPORARY_PREFIX "%016llx",
		 (unsigned long long)number);
	temporary.fd = put.parent_fd;
	return temporary.name;
}

static void end_entry(void)
{
	remove_temporary();
	fd_close(&put.file_fd);
	fd_close(&put.parent_fd);
}

/* ---- what an entry says of its file ---- */

static int check_owner(const struct wire_tar_entry *entry)
{
	/* The last number means "no change" to the kernel. */
	if (entry->uid < 0 || entry->uid >= UINT32_MAX || entry->gid < 0 ||
	    entry->gid >= UINT32_MAX)
		return fail_entry(WIRE_COPY_BROKEN, "its owner is out of range");
	return 0;
}

/* Some file systems have no owners. */
static int own(int fd, const char *name, const struct wire_tar_entry *entry)
{
	int flags = name[0] == '\0' ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;

	if (!put.is_root || fchownat(fd, name, (uid_t)entry->uid, (gid_t)entry->gid, flags) == 0)
		return 0;
	if (errno != EPERM && errno != EINVAL && errno != EOPNOTSUPP)
		return fail_entry_errno("set the owner of");
	if (!put.warned_of_owner)
		copy_warn("%.400s: its file system does not take owners", put.path);
	put.warned_of_owner = true;
	return 0;
}

static void set_time(int fd, const char *name, const struct wire_tar_entry *entry)
{
	struct timespec times[2] = {
		{.tv_nsec = UTIME_NOW},
		{.tv_sec = (time_t)entry->mtime_s, .tv_nsec = (long)entry->mtime_ns},
	};

	if (name == NULL)
		(void)futimens(fd, times);
	else
		(void)utimensat(fd, name, times, AT_SYMLINK_NOFOLLOW);
}

static bool is_wanted_attribute(const char *name)
{
	/* What speaks to the machine's overlayfs is not for an archive to say. */
	if (strncmp(name, "trusted.overlay.", 16) == 0)
		return false;
	return strncmp(name, "user.", 5) == 0 || strncmp(name, "trusted.", 8) == 0 ||
	       strncmp(name, "security.", 9) == 0 || strncmp(name, "system.posix_acl_", 17) == 0;
}

/* Some file systems have none. */
static void set_attributes(int fd, const struct wire_tar_entry *entry)
{
	char name[WIRE_TAR_XATTR_NAME_MAX + 1];
	struct wire_tar_xattr xattr;
	size_t at = 0;

	while (wire_tar_xattr_next(entry, &at, &xattr)) {
		if (xattr.name_bytes > WIRE_TAR_XATTR_NAME_MAX ||
		    memchr(xattr.name, '\0', xattr.name_bytes) != NULL)
			continue;
		memcpy(name, xattr.name, xattr.name_bytes);
		name[xattr.name_bytes] = '\0';
		if (is_wanted_attribute(name))
			(void)fsetxattr(fd, name, xattr.value, xattr.value_bytes, 0);
	}
}

/* Changing the owner takes setuid and capabilities away: those come afterwards. */
static int set_meta(int fd, const struct wire_tar_entry *entry, uint32_t mode)
{
	if (own(fd, "", entry) < 0)
		return -1;
	if (fchmod(fd, mode) < 0)
		return fail_entry_errno("set the mode of");
	set_attributes(fd, entry);
	return 0;
}

/* ---- names for what was made ---- */

/*
 * A file that is mounted there, as volumes and /etc/hosts are, keeps its place: what was made beside it
 * becomes its contents. It takes time, and who looks meanwhile sees a part of it.
 */
static int overwrite_mounted(const struct wire_tar_entry *entry)
{
	_cleanup_fd_ int fd = openat(put.parent_fd, put.name,
				     O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	off_t at = 0;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_entry_errno("write");
	if (!S_ISREG(st.st_mode))
		return fail_entry(WIRE_COPY_REFUSED, "something that is no file is mounted there");
	if (ftruncate(fd, 0) < 0)
		return fail_entry_errno("write");
	do {
		n = sendfile(fd, put.file_fd, &at, SEND_BYTES);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return fail_entry_errno("write");
	if (set_meta(fd, entry, entry->mode) < 0)
		return -1;
	set_time(fd, NULL, entry);
	remove_temporary();
	return 0;
}

/* The end of an entry: it gets its name. */
static int rename_temporary(const struct wire_tar_entry *entry)
{
	int r = renameat(put.parent_fd, temporary.name, put.parent_fd, put.name);

	if (r < 0 && errno == EBUSY && put.file_fd >= 0)
		return overwrite_mounted(entry);
	if (r < 0)
		return fail_entry_errno("make");
	/* Of two names of one file the old one stays. */
	remove_temporary();
	return 0;
}

/* ---- directories ---- */

static void leave_directory(void)
{
	const struct directory *directory = &put.directories[--put.directory_count];
	const struct wire_tar_entry entry = {
		.mtime_s = directory->mtime.tv_sec,
		.mtime_ns = (uint32_t)directory->mtime.tv_nsec,
	};
	_cleanup_fd_ int fd = -1;

	put.directory_path[directory->path_bytes] = '\0';
	fd = open_below(put.directory_path, O_RDONLY | O_DIRECTORY);
	/* It may not be there any more. */
	if (fd < 0)
		return;
	(void)fchmod(fd, directory->mode);
	set_time(fd, NULL, &entry);
}

static bool is_on_the_way(const struct directory *directory, const char *path)
{
	return strncmp(path, put.directory_path, directory->path_bytes) == 0 &&
	       path[directory->path_bytes] == '/';
}

/* All that are not on the way to this path. */
static void leave_directories(const char *path)
{
	while (put.directory_count > 0 &&
	       !is_on_the_way(&put.directories[put.directory_count - 1], path))
		leave_directory();
}

static void enter_directory(const struct wire_tar_entry *entry)
{
	struct directory *directory = &put.directories[put.directory_count++];

	strcpy(put.directory_path, put.path);
	*directory = (struct directory){
		.path_bytes = strlen(put.path),
		.mode = entry->mode,
		.mtime = {.tv_sec = (time_t)entry->mtime_s, .tv_nsec = (long)entry->mtime_ns},
	};
}

static int put_directory(const struct wire_tar_entry *entry)
{
	_cleanup_fd_ int fd = -1;

	if (mkdirat(put.parent_fd, put.name, 0700) == 0)
		fd = openat(put.parent_fd, put.name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	else if (errno == EEXIST)
		fd = open_below(put.path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fail_entry_errno("make the directory");
	if (set_meta(fd, entry, entry->mode | 0700) < 0)
		return -1;
	enter_directory(entry);
	return 0;
}

/* ---- the others ---- */

static int open_file(void)
{
	int flags = O_RDWR | O_CLOEXEC;

	put.file_fd = openat(put.parent_fd, ".", flags | O_TMPFILE, 0600);
	/* Not every file system can; an old kernel takes it for the opening of a directory. */
	if (put.file_fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
		put.file_fd = openat(put.parent_fd, choose_temporary(),
				     flags | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	/* /proc says so. */
	if (put.file_fd < 0 && errno == ENOENT)
		return fail_entry(WIRE_COPY_REFUSED, "its directory takes no files");
	return put.file_fd < 0 ? fail_entry_errno("make") : 0;
}

static int begin_file(const struct wire_tar_entry *entry)
{
	(void)entry;
	return open_file();
}

static int write_file(const struct wire_tar_piece *piece)
{
	size_t done = 0;

	while (done < piece->length) {
		ssize_t n = pwrite(put.file_fd, piece->data + done, piece->length - done,
				   (off_t)(piece->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_entry_errno("write");
		done += (size_t)n;
	}
	return 0;
}

/* -1: errno. */
static int link_file(const char *name)
{
	char path[64];

	if (linkat(put.file_fd, "", put.parent_fd, name, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOENT && errno != EPERM)
		return -1;
	/* It takes a privilege, or this detour. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", put.file_fd);
	return linkat(AT_FDCWD, path, put.parent_fd, name, AT_SYMLINK_FOLLOW);
}

static int name_file(const struct wire_tar_entry *entry)
{
	if (temporary.fd < 0) {
		/* Mostly there is nothing yet. */
		if (link_file(put.name) == 0)
			return 0;
		if (errno != EEXIST || link_file(choose_temporary()) < 0)
			return fail_entry_errno("make");
	}
	return rename_temporary(entry);
}

static int end_file(const struct wire_tar_entry *entry)
{
	/* What is behind the last part of a sparse file is a hole. */
	if (entry->sparse && ftruncate(put.file_fd, (off_t)entry->bytes) < 0)
		return fail_entry_errno("write");
	if (set_meta(put.file_fd, entry, entry->mode) < 0)
		return -1;
	set_time(put.file_fd, NULL, entry);
	return name_file(entry);
}

static int put_symlink(const struct wire_tar_entry *entry)
{
	if (entry->target[0] == '\0')
		return fail_entry(WIRE_COPY_BROKEN, "the symbolic link has no target");
	if (symlinkat(entry->target, put.parent_fd, choose_temporary()) < 0)
		return fail_entry_errno("make the symbolic link");
	if (own(put.parent_fd, temporary.name, entry) < 0)
		return -1;
	set_time(put.parent_fd, temporary.name, entry);
	return rename_temporary(entry);
}

static int put_hardlink(const struct wire_tar_entry *entry)
{
	char target[WIRE_TAR_PATH_BYTES_MAX + 1];
	const char *name;
	_cleanup_fd_ int fd = -1;

	if (normalize(entry->target, target) < 0)
		return -1;
	fd = open_directory_of(target, &name);
	if ((fd < 0 && errno == ENOENT) || name[0] == '\0')
		return fail_entry(WIRE_COPY_BROKEN, "the file it is a hard link to is not there");
	if (fd >= 0 && linkat(fd, name, put.parent_fd, choose_temporary(), 0) == 0)
		return rename_temporary(entry);
	if (errno == ENOENT)
		return fail_entry(WIRE_COPY_BROKEN, "the file it is a hard link to is not there");
	return fail_entry_errno("make the hard link");
}

static int put_node(const struct wire_tar_entry *entry, mode_t type)
{
	if (entry->major > DEVICE_MAJOR_MAX || entry->minor > DEVICE_MINOR_MAX)
		return fail_entry(WIRE_COPY_BROKEN, "its device number is out of range");
	if (mknodat(put.parent_fd, choose_temporary(), type | entry->mode,
		    makedev(entry->major, entry->minor)) < 0)
		return fail_entry_errno("make");
	if (own(put.parent_fd, temporary.name, entry) < 0)
		return -1;
	set_time(put.parent_fd, temporary.name, entry);
	return rename_temporary(entry);
}

static int put_char(const struct wire_tar_entry *entry)
{
	return put_node(entry, S_IFCHR);
}

static int put_block(const struct wire_tar_entry *entry)
{
	return put_node(entry, S_IFBLK);
}

static int put_fifo(const struct wire_tar_entry *entry)
{
	return put_node(entry, S_IFIFO);
}

/* ---- the archive ---- */

static int (*const makers[])(const struct wire_tar_entry *entry) = {
	[WIRE_TAR_FILE] = begin_file,     [WIRE_TAR_HARDLINK] = put_hardlink,
	[WIRE_TAR_SYMLINK] = put_symlink, [WIRE_TAR_CHAR] = put_char,
	[WIRE_TAR_BLOCK] = put_block,     [WIRE_TAR_DIRECTORY] = put_directory,
	[WIRE_TAR_FIFO] = put_fifo,
};

static int begin_entry(const struct wire_tar_entry *entry)
{
	if (normalize(entry->path, put.path) < 0 || check_owner(entry) < 0)
		return -1;
	leave_directories(put.path);
	if (put.path[0] == '\0') {
		if (entry->type == WIRE_TAR_DIRECTORY)
			return 0;
		return failure_set(put.failure, WIRE_COPY_BROKEN,
				   "the archive has an entry without a name");
	}
	if (open_parent() < 0)
		return -1;
	return makers[entry->type](entry);
}

/* Bytes of the archive. 1 behind its end. */
static int take(const uint8_t *data, size_t length)
{
	struct wire_tar_piece piece;
	int event, r = 0;

	while (r == 0 &&
	       (event = wire_tar_read(&put.reader, &data, &length, &piece)) != WIRE_TAR_MORE) {
		if (event < 0)
			return failure_set(put.failure, WIRE_COPY_BROKEN,
					   "the archive is damaged: %s", put.reader.problem);
		if (event == WIRE_TAR_END)
			return 1;
		if (event == WIRE_TAR_ENTRY)
			r = begin_entry(&put.reader.entry);
		else if (event == WIRE_TAR_DATA)
			r = write_file(&piece);
		else if (put.file_fd >= 0)
			r = end_file(&put.reader.entry);
		if (event == WIRE_TAR_DONE)
			end_entry();
	}
	return r;
}

static int take_all(int in_fd)
{
	bool ended = false;
	ssize_t n;

	/* Behind the end there is padding, which whoever sends it wants to get rid of. */
	while ((n = read(in_fd, put.input, sizeof(put.input))) != 0) {
		int r = 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return copy_fail_errno(put.failure, "cannot read the archive");
		if (!ended)
			r = take(put.input, (size_t)n);
		if (r < 0)
			return -1;
		ended = ended || r > 0;
	}
	if (wire_tar_reader_end(&put.reader) < 0)
		return failure_set(put.failure, WIRE_COPY_BROKEN, "the archive is damaged: %s",
				   put.reader.problem);
	return 0;
}

static int begin(const char *path, struct failure *failure)
{
	struct stat base, root;

	put.failure = failure;
	put.is_root = geteuid() == 0;
	put.warned_of_owner = false;
	put.parent_fd = put.file_fd = -1;
	put.directory_count = 0;
	wire_tar_reader_init(&put.reader, put.room, sizeof(put.room));
	put.base_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (put.base_fd < 0 || fstat(put.base_fd, &base) < 0 || stat("/", &root) < 0)
		return copy_fail_errno(failure, "cannot copy to %.400s", path);
	put.resolve = base.st_dev == root.st_dev && base.st_ino == root.st_ino ? IN_ROOT : BENEATH;
	return 0;
}

static void end(void)
{
	end_entry();
	while (put.directory_count > 0)
		leave_directory();
	fd_close(&put.base_fd);
}

int copy_put(int in_fd, const char *path, struct failure *failure)
{
	int r = begin(path, failure);

	if (r == 0) {
		handle_signals();
		r = take_all(in_fd);
	}
	end();
	return r;
}
