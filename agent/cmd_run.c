/* cmd_run.c: the agent itself.
 *
 * The main thread only waits: for signals and for pipelines that stop.  The
 * first SIGTERM or SIGINT commits what is in flight, the second ends at once. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/control.h"
#include "agent/orphans.h"
#include "agent/state.h"
#include "base/clock.h"
#include "base/note.h"

#define COMPONENT "agent"

/* Sent to the process by a pipeline's thread that has ended. */
#define SIG_STOPPED SIGUSR1

/* timeout(1) and some supervisors send the same signal to the process and to
 * its group: a second one that soon is still the first request. */
#define SAME_REQUEST_MS 500

struct agent {
	struct status_agent status;
	struct control *control;
	int state_lock;
};

static void on_stop(void *arg)
{
	(void)arg;
	kill(getpid(), SIG_STOPPED);
}

/* sd_notify(3)'s protocol: one datagram to the socket of the environment. */
static void tell_systemd(const char *what)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (n < 2 || n >= sizeof(a.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(a.sun_path, path, n);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)!sendto(fd, what, strlen(what), 0, (struct sockaddr *)&a,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	close(fd);
}

static void report_orphan(void *arg, const char *where, const char *name,
			  const char *what, const char *hint)
{
	(void)arg;
	note(NOTE_WARNING, COMPONENT, CODE_orphan,
	     NOTE_KV({"pipeline", name}, {"where", where}, {"hint", hint}), "%s",
	     what);
}

static int make_pipelines(struct agent *ag, const struct conf *conf,
			  struct err *e)
{
	size_t n = 0;

	for (const struct conf_pipeline *pc = conf->pipelines; pc; pc = pc->next)
		n++;
	ag->status.conf = conf;
	ag->status.started_us = clock_wall_us();
	ag->status.pipelines = calloc(n ? n : 1, sizeof(struct pipeline *));
	if (ag->status.pipelines == NULL)
		return err_no_memory(e);
	for (const struct conf_pipeline *pc = conf->pipelines; pc; pc = pc->next) {
		struct pipeline *p = pipeline_new(conf, pc);

		if (p == NULL)
			return err_no_memory(e);
		ag->status.pipelines[ag->status.n++] = p;
	}
	return 0;
}

/* Another agent with the same state is a mistake about the whole agent; any
 * other failure is the pipeline's own. */
static int start_pipelines(struct agent *ag, struct err *e)
{
	for (size_t i = 0; i < ag->status.n; i++) {
		struct pipeline *p = ag->status.pipelines[i];

		if (pipeline_start(p, on_stop, NULL, e) == 0)
			continue;
		if (e->code == CODE_state_held)
			return -1;
		on_stop(NULL);
		*e = ERR_INIT;
	}
	return 0;
}

static void agent_fini(struct agent *ag)
{
	control_close(ag->control);
	for (size_t i = 0; i < ag->status.n; i++)
		pipeline_free(ag->status.pipelines[i]);
	free(ag->status.pipelines);
	if (ag->state_lock >= 0)
		close(ag->state_lock);
}

static bool are_all_stopped(const struct agent *ag)
{
	for (size_t i = 0; i < ag->status.n; i++)
		if (!pipeline_is_stopped(ag->status.pipelines[i], NULL))
			return false;
	return true;
}

/* The exit status that a stopped pipeline with exit_on_stop asks for, or -1. */
static int wants_exit(const struct agent *ag)
{
	for (size_t i = 0; i < ag->status.n; i++) {
		struct pipeline *p = ag->status.pipelines[i];
		enum code code;

		if (pipeline_conf(p)->exit_on_stop &&
		    pipeline_is_stopped(p, &code))
			return code_exit(code);
	}
	return -1;
}

static void stop_all(struct agent *ag)
{
	tell_systemd("STOPPING=1");
	for (size_t i = 0; i < ag->status.n; i++)
		pipeline_stop(ag->status.pipelines[i]);
}

static int wait_for_end(struct agent *ag, const sigset_t *signals)
{
	bool is_stopping = false;
	int64_t asked_ms = 0;
	int status = 0;

	for (;;) {
		int sig = sigwaitinfo(signals, NULL);

		if (sig < 0 && errno == EINTR)
			continue;
		if (sig != SIG_STOPPED && is_stopping &&
		    clock_mono_ms() - asked_ms < SAME_REQUEST_MS)
			continue;
		if (sig != SIG_STOPPED && is_stopping) {
			note(NOTE_WARNING, COMPONENT, CODE_stopping, NULL,
			     "ending at once");
			_exit(128 + sig);
		}
		if (sig != SIG_STOPPED) {
			note(NOTE_INFO, COMPONENT, CODE_stopping, NULL,
			     "stopping: committing what is in flight");
			is_stopping = true;
			asked_ms = clock_mono_ms();
			stop_all(ag);
		} else if (!is_stopping && wants_exit(ag) >= 0) {
			status = wants_exit(ag);
			is_stopping = true;
			stop_all(ag);
		}
		if (is_stopping && are_all_stopped(ag))
			return status;
	}
}

static int serve(struct cli *cli, struct agent *ag, const sigset_t *signals,
		 struct err *e)
{
	const struct conf *conf = cli->conf;
	int status;

	if (make_pipelines(ag, conf, e) != 0 ||
	    state_make_dir(conf->state_dir, e) != 0)
		return -1;
	/* before the socket: of two agents that begin at once, the one that
	 * goes must not take away the socket of the one that stays */
	ag->state_lock = state_own_dir(conf->state_dir, e);
	if (ag->state_lock < 0)
		return -1;
	ag->control = control_open(conf->control_socket, &ag->status, e);
	if (ag->control == NULL)
		return -1;
	orphans_each(conf, report_orphan, NULL);
	if (start_pipelines(ag, e) != 0) {
		stop_all(ag);
		status = -1;
	} else {
		note(NOTE_INFO, COMPONENT, CODE_started,
		     NOTE_KV({"version", PACKAGE_VERSION},
			     {"conf", cli->conf_path}), "started");
		tell_systemd("READY=1");
		status = wait_for_end(ag, signals);
	}
	for (size_t i = 0; i < ag->status.n; i++)
		pipeline_join(ag->status.pipelines[i]);
	return status;
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct agent ag = {.state_lock = -1};
	struct err e = ERR_INIT;
	sigset_t signals;
	char text[16];
	int status;

	(void)argv;
	if (argc > 0)
		return cli_usage(cli, "run takes no words");
	status = cli_conf(cli);
	if (status != 0)
		return status;
	umask(0027);
	signal(SIGPIPE, SIG_IGN);
	/* blocked before any thread exists, so that only this one gets them */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIG_STOPPED);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	status = serve(cli, &ag, &signals, &e);
	agent_fini(&ag);
	if (status < 0)
		return cli_fail(&e);
	snprintf(text, sizeof(text), "%d", status);
	note(NOTE_INFO, COMPONENT, CODE_stopped, NOTE_KV({"status", text}),
	     "stopped");
	return status;
}

const struct command command_run = {
	.name = "run",
	.synopsis = "",
	.summary = "Runs the pipelines of the conf until told to stop",
	.help = "SIGTERM or SIGINT: commits what is in flight, then ends; a second "
		"one ends at once.\n",
	.run = run,
};
