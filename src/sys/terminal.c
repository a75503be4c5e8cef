/* SPDX-License-Identifier: ISC */
#include "sys/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted; /* what a signal handler can reach */

static fault read_line(int fd, struct buf *line)
{
	fault f = OK;
	for (;;) {
		char c;
		ssize_t n = read(fd, &c, 1);
		if (n < 0)
			return errno == EINTR ? F_STATE : F_SYS;
		if (n == 0 || c == '\n')
			return f;
		if (f == OK)
			f = buf_add_char(line, c);
	}
}

static void note(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* While the echo is off, an interruption ends the reading instead of the process. */
static fault read_hidden(int fd, const char *prompt, struct buf *line_out)
{
	static const int kinds[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP };
	struct sigaction wake = { .sa_handler = note }, before[sizeof(kinds) / sizeof(kinds[0])];
	struct termios shown, hidden;
	if (tcgetattr(fd, &shown) != 0)
		return F_SYS;
	interrupted = 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		(void)sigaction(kinds[i], &wake, &before[i]);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	hidden.c_lflag |= ECHONL;
	fault f = tcsetattr(fd, TCSAFLUSH, &hidden) == 0 && write(fd, prompt, strlen(prompt)) >= 0 ? OK : F_SYS;
	if (f == OK)
		f = read_line(fd, line_out);
	(void)tcsetattr(fd, TCSAFLUSH, &shown);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		(void)sigaction(kinds[i], &before[i], NULL);
	return f == OK && interrupted ? F_STATE : f;
}

fault terminal_ask_secret(const char *prompt, struct buf *line_out)
{
	if (isatty(STDIN_FILENO) != 1)
		return F_ABSENT;
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return F_ABSENT;
	fault f = read_hidden(fd, prompt, line_out);
	(void)close(fd);
	return f;
}
