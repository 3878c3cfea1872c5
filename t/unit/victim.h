/* victim.h: this test's program once more, as a process that is to die.  What it
 * writes to its standard output is what it has told before. */
#ifndef LEAT_T_UNIT_VICTIM_H
#define LEAT_T_UNIT_VICTIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct victim {
	pid_t pid;
	int fd; /* what it tells */
};

/* True in the child, which sets its environment and ends with victim_exec(). */
static inline bool victim_fork(struct victim *v)
{
	int fds[2];

	fflush(stdout);
	if (pipe(fds) != 0 || (v->pid = fork()) < 0)
		abort();
	if (v->pid == 0)
		dup2(fds[1], STDOUT_FILENO);
	close(fds[1]);
	v->fd = fds[0];
	if (v->pid == 0)
		close(fds[0]);
	return v->pid == 0;
}

/* args: the first is the program, the last NULL. */
static inline _Noreturn void victim_exec(const char *const *args)
{
	execv(args[0], (char *const *)(uintptr_t)args);
	_exit(1);
}

/* After all it told was read; returns how it ended, as waitpid() does. */
static inline int victim_wait(struct victim *v)
{
	int status;

	close(v->fd);
	if (waitpid(v->pid, &status, 0) != v->pid)
		abort();
	return status;
}

#endif
