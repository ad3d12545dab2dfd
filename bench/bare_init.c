/*
 * The smallest useful PID 1, to compare vminit with: it dials the host, says that it is there, and then echoes, or forks
 * and executes itself as a program, for every byte asked. Static, on musl; it mounts nothing unless asked. The programs are
 * those that the product's guest is measured with, too.
 */
#include "bare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* musl has no <linux/vm_sockets.h>. */
#define VSOCK_FAMILY   40
#define VSOCK_CID_HOST 2

struct vsock_address {
	uint16_t family;
	uint16_t reserved;
	uint32_t port;
	uint32_t cid;
	uint8_t flags;
	uint8_t zero[3];
};

/* On any virtiofs descriptor: sets the exit status of the VM process. */
#define VIRTIOFS_SET_EXIT_CODE 0x7602

static int host_dial(void)
{
	struct vsock_address address = {
		.family = VSOCK_FAMILY,
		.port = BARE_VSOCK_PORT,
		.cid = VSOCK_CID_HOST,
	};
	int fd = socket(VSOCK_FAMILY, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	return fd;
}

/* With its standard output on `output`, unless that is -1. */
static int program_run(const char *path, int output)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (output >= 0)
			dup2(output, STDOUT_FILENO);
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	close(output);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* An image below, a disk of a machine's above. The first places that are there serve as mount points. */
static int root_enter(void)
{
	if (mount("dev", "/dev", "devtmpfs", 0, NULL) < 0 && errno != EBUSY)
		return -1;
	if (mount("/dev/vda", "/proc", "ext4", MS_RDONLY, NULL) < 0 ||
	    mount("/dev/vdb", "/sys", "ext4", 0, NULL) < 0 ||
	    mount("root", "/newroot", "overlay", 0,
		  "lowerdir=/proc,upperdir=/sys/upper,workdir=/sys/work") < 0)
		return -1;
	return chroot("/newroot") < 0 || chdir("/") < 0 ? -1 : 0;
}

static void host_serve(int fd)
{
	char request = BARE_READY;

	do {
		if (request == BARE_ROOT && root_enter() != 0)
			return;
		if (request == BARE_EXEC && program_run("/true", -1) != 0)
			return;
		if (request == BARE_ECHO && program_run("/echo", host_dial()) != 0)
			return;
		if (request == BARE_STREAM && program_run("/stream", host_dial()) != 0)
			return;
		if (write(fd, &request, 1) != 1)
			return;
	} while (read(fd, &request, 1) == 1 && request != BARE_QUIT);
}

static int bytes_write(size_t count)
{
	static char data[65536]; /* not in the file: /true is this program, too */

	while (count > 0) {
		ssize_t written =
			write(STDOUT_FILENO, data, count < sizeof(data) ? count : sizeof(data));

		if (written <= 0)
			return 1;
		count -= (size_t)written;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int root, fd;

	if (argc > 0 && strstr(argv[0], "true"))
		return 0;
	if (argc > 0 && strstr(argv[0], "echo"))
		return bytes_write(1);
	if (argc > 0 && strstr(argv[0], "stream"))
		return bytes_write(BARE_STREAM_BYTES);
	fd = host_dial();
	if (fd >= 0) {
		root = open("/", O_RDONLY | O_DIRECTORY);
		host_serve(fd);
		if (root >= 0)
			ioctl(root, VIRTIOFS_SET_EXIT_CODE, BARE_EXIT_CODE);
	}
	sync();
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}
