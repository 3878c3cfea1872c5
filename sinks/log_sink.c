#include "config.h"
#include "sinks/log_sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "log/log.h"

struct log_sink {
	struct sink base;
	struct log_writer *w;
};

/* A writer that is dead cannot be asked again, but the log can be opened again:
 * that cuts off what is in doubt. */
static enum verdict verdict_of(const struct log_sink *ls, const struct err *e)
{
	if (e->code == CODE_event_rejected)
		return VERDICT_REJECT;
	if (code_kind(e->code) == CODE_STOP)
		return VERDICT_FATAL;
	return log_writer_is_dead(ls->w) ? VERDICT_REWIND : VERDICT_RETRY;
}

static int log_sink_open(struct sink *snk, struct sink_held *held,
			 struct err *e)
{
	struct log_sink *ls = (struct log_sink *)snk;

	ls->w = log_writer_open(snk->conf, snk->name, held->tables,
				&held->cursor, e);
	if (ls->w == NULL) {
		err_wrap(e, "log \"%s\"", snk->name);
		return -1;
	}
	held->is_known = true;
	held->has_cursor = held->cursor.n > 0;
	return 0;
}

static enum verdict log_sink_write(struct sink *snk, const struct batch *b,
				   size_t first, size_t count, struct err *e)
{
	struct log_sink *ls = (struct log_sink *)snk;

	if (log_writer_append(ls->w, b, first, count, e) == 0)
		return VERDICT_OK;
	return verdict_of(ls, e);
}

static enum verdict log_sink_commit(struct sink *snk, const struct cursor *c,
				    struct err *e)
{
	struct log_sink *ls = (struct log_sink *)snk;

	if (log_writer_commit(ls->w, c, e) == 0)
		return VERDICT_OK;
	return verdict_of(ls, e);
}

static enum verdict log_sink_apply_schema(struct sink *snk,
					  const struct event *ev, struct err *e)
{
	struct log_sink *ls = (struct log_sink *)snk;

	if (log_writer_table(ls->w, ev, e) == 0)
		return VERDICT_OK;
	return verdict_of(ls, e);
}

static void log_sink_close(struct sink *snk)
{
	struct log_sink *ls = (struct log_sink *)snk;

	log_writer_close(ls->w);
	ls->w = NULL;
}

/* All that the pipeline has in the log is its data. */
static int log_sink_drop(struct sink *snk, struct err *e)
{
	(void)snk, (void)e;
	return 0;
}

/* --- check ----------------------------------------------------------- */

/* statfs(2); on these a sync is no promise. */
static const struct {
	long magic;
	const char *name;
} volatile_fs[] = {
	{0x01021994, "tmpfs"},
	{0x858458f6, "ramfs"},
	{0x6969, "NFS"},
	{0x65735546, "FUSE"},
	{0xff534d42, "CIFS"},
};

/* The directory, or the nearest one above it that is there. */
static void nearest_directory(const char *path, char out[4096])
{
	int n = snprintf(out, 4096, "%s", path);

	if (n >= 4096)
		out[0] = '\0';
	while (access(out, F_OK) != 0) {
		char *slash = strrchr(out, '/');

		if (slash == NULL)
			snprintf(out, 4096, ".");
		else if (slash == out)
			slash[1] = '\0';
		else
			*slash = '\0';
		if (slash == NULL || slash == out)
			return;
	}
}

static void check_file_system(const char *dir, const char *where,
			      struct report *r)
{
	struct statfs fs;
	uint64_t free_bytes;

	if (statfs(dir, &fs) != 0)
		return;
	for (size_t i = 0; i < countof(volatile_fs); i++)
		if ((long)fs.f_type == volatile_fs[i].magic)
			report_add(r, FINDING_WARNING, CODE_none, where, NULL,
				   "\"%s\" is on %s, where what was synced may still be lost",
				   dir, volatile_fs[i].name);
	free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	report_add(r, FINDING_OK, CODE_none, where, NULL,
		   "%" PRIu64 " MiB are free at \"%s\"", free_bytes >> 20, dir);
}

static int log_sink_check(struct sink *snk, struct report *r, struct err *e)
{
	const struct log_conf *conf = snk->conf;
	char where[256], dir[4096];

	(void)e;
	snprintf(where, sizeof(where), "log \"%s\"", snk->name);
	nearest_directory(conf->path, dir);
	if (access(dir, W_OK | X_OK) != 0) {
		report_add(r, FINDING_ERROR, CODE_log_io, where, NULL,
			   "directory \"%s\" cannot be written to", dir);
		return 0;
	}
	check_file_system(dir, where, r);
	if (conf->retention_age == 0 && conf->retention_size == 0)
		report_add(r, FINDING_COST, CODE_none, where, NULL,
			   "nothing is ever deleted, as retention_age and retention_size are 0");
	else if (conf->retention_size == 0)
		report_add(r, FINDING_COST, CODE_none, where, NULL,
			   "its size has no limit, as retention_size is 0");
	return 0;
}

const struct sink_ops log_sink = {
	.type = "log",
	.class = SINK_TRANSACTIONAL,
	.caps = SINK_SEQ_ORDER,
	.opts = log_opts,
	.conf_size = sizeof(struct log_conf),
	.size = sizeof(struct log_sink),
	.check = log_sink_check,
	.open = log_sink_open,
	.write = log_sink_write,
	.commit = log_sink_commit,
	.apply_schema = log_sink_apply_schema,
	.drop = log_sink_drop,
	.close = log_sink_close,
};
