/*
 * PID 1 for bare_qemu.py: the first thing it does is to tell QEMU's debug console (an I/O port, so there is no driver and
 * no device name to wait for) that it runs; then it ends the machine. The kernel has no ioperm, but has /dev/port.
 */
#include <fcntl.h>
#include <sys/reboot.h>
#include <unistd.h>

#define DEBUG_CONSOLE_PORT 0xe9

int main(void)
{
	int fd = open("/dev/port", O_WRONLY);

	if (fd >= 0 && pwrite(fd, "R", 1, DEBUG_CONSOLE_PORT) != 1)
		close(fd);
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}
