/* The source contract, kept by the modules that pg.h lists.
 *
 * Order of a first start: tables and publication are looked at, the agent
 * records its intent, the publication is made, then the slot.  Order of every
 * other: server, timeline, end of the log, slot, options (pg_slot.c), then the
 * publication. */
#include "config.h"
#include "sources/pg.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/note.h"
#include "base/pattern.h"
#include "sources/pg_catalog.h"
#include "sources/pg_catchup.h"
#include "sources/pg_check.h"
#include "sources/pg_orphans.h"
#include "sources/pg_publication.h"
#include "sources/pg_query.h"
#include "sources/pg_read.h"
#include "sources/pg_seek.h"
#include "sources/pg_slot.h"

static const char *const failover_choices[] = {"auto", "no", NULL};
static const char *const catchup_choices[] = {"auto", "off", NULL};

static const struct opt opts[] = {
	{.name = "conninfo", .type = OPT_TEXT,
	 .flags = OPT_REQUIRED | OPT_CONNINFO,
	 .offset = offsetof(struct pg_conf, conninfo),
	 .help = "Connection string of libpq; several hosts are tried in turn."},
	{.name = "password", .type = OPT_SECRET,
	 .offset = offsetof(struct pg_conf, password),
	 .help = "The role's password, read again at each connect."},
	{.name = "tables", .type = OPT_LIST,
	 .flags = OPT_REQUIRED | OPT_PATTERN,
	 .offset = offsetof(struct pg_conf, tables),
	 .help = "Patterns of the tables to capture."},
	{.name = "exclude_tables", .type = OPT_LIST, .flags = OPT_PATTERN,
	 .offset = offsetof(struct pg_conf, exclude_tables),
	 .help = "Patterns of tables to leave out again."},
	{.name = "publication", .type = OPT_TEXT,
	 .offset = offsetof(struct pg_conf, publication),
	 .help = "Name of the publication to use (default: leat_PIPELINE)."},
	{.name = "create_publication", .type = OPT_BOOL, .dflt = "yes",
	 .offset = offsetof(struct pg_conf, create_publication),
	 .help = "Create the publication when it does not exist."},
	{.name = "partition_root", .type = OPT_BOOL, .dflt = "yes",
	 .offset = offsetof(struct pg_conf, partition_root),
	 .help = "Report changes of partitions as changes of the partitioned table."},
	{.name = "messages", .type = OPT_BOOL, .dflt = "yes",
	 .offset = offsetof(struct pg_conf, messages),
	 .help = "Deliver logical messages (pg_logical_emit_message)."},
	{.name = "slot_timeout", .type = OPT_TIME, .dflt = "60s",
	 .min = 1000, .max = 86400000,
	 .offset = offsetof(struct pg_conf, slot_timeout),
	 .help = "How long the creation of the slot may wait for open transactions."},
	{.name = "connect_timeout", .type = OPT_TIME, .dflt = "10s",
	 .min = 100, .max = 600000,
	 .offset = offsetof(struct pg_conf, connect_timeout),
	 .help = "How long each host may take to let us in."},
	{.name = "failover", .type = OPT_CHOICE, .dflt = "auto",
	 .choices = failover_choices,
	 .offset = offsetof(struct pg_conf, failover),
	 .help = "Create the slot so that standbys synchronise it (PostgreSQL 17 and later)."},
	{.name = "catchup", .type = OPT_CHOICE, .dflt = "auto",
	 .choices = catchup_choices,
	 .offset = offsetof(struct pg_conf, catchup),
	 .help = "Read in chunks instead of streaming while far behind."},
	{.name = "catchup_threshold", .type = OPT_SIZE, .dflt = "16MiB",
	 .offset = offsetof(struct pg_conf, catchup_threshold),
	 .help = "How much of the server's log makes it far."},
	{.name = "catchup_temp", .type = OPT_SIZE, .dflt = "1GiB",
	 .min = 1 << 20, .max = INT64_C(1) << 40,
	 .offset = offsetof(struct pg_conf, catchup_temp),
	 .help = "Limit of the temporary bytes that a chunk may take on the server."},
	{.name = "catchup_memory", .type = OPT_SIZE, .dflt = "64MiB",
	 .min = 64 << 10, .max = INT64_C(1) << 30,
	 .offset = offsetof(struct pg_conf, catchup_memory),
	 .help = "Memory for a chunk on the server (work_mem); what is more goes to its disk."},
	OPT_END,
};

/* --- names */

/* A slot's name is of lower-case letters, digits and underscores, 63 of them.  A
 * pipeline's that cannot be kept as it is gets a hash behind it, so that two
 * pipelines never share one. */
void pg_default_name(char out[PG_NAME_SIZE], const char *pipeline)
{
	size_t n = strlen(pipeline);
	bool kept = n <= PG_NAME_SIZE - 6;
	size_t len;

	len = (size_t)snprintf(out, PG_NAME_SIZE, "leat_%.*s", 49, pipeline);
	if (kept)
		len = (size_t)snprintf(out, PG_NAME_SIZE, "leat_%s", pipeline);
	for (size_t i = 0; i < len; i++) {
		char c = out[i];

		if (c >= 'A' && c <= 'Z')
			out[i] = (char)(c - 'A' + 'a');
		else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			   c == '_'))
			out[i] = '_';
		kept &= out[i] == c;
	}
	if (!kept) {
		len = len < 54 ? len : 54;
		snprintf(out + len, PG_NAME_SIZE - len, "_%08" PRIx32,
			 (uint32_t)slice_hash(slice_of(pipeline)));
	}
}

static int check_patterns(const struct opt_list *list, struct err *e)
{
	for (size_t i = 0; i < list->n; i++)
		if (pattern_check(slice_of(list->v[i]), e) < 0)
			return -1;
	return 0;
}

static void set_up_session(struct pg *pg, struct pg_session *s, bool walsender)
{
	s->conf = pg->conf;
	s->pipeline = pg->base.pipeline;
	s->wake_fd = -1;
	s->is_walsender = walsender;
}

/* What changes the numbering of changes inside a transaction. */
static uint32_t options_hash(const struct pg *pg)
{
	char text[PG_NAME_SIZE + 64];
	int n = snprintf(text, sizeof(text), "proto=1 messages=%d publication=%s",
			 pg->conf->messages, pg->publication);

	return (uint32_t)slice_hash((struct slice){text, (size_t)n});
}

int pg_prepare(struct pg *pg, struct err *e)
{
	const char *given;

	pg->conf = pg->base.conf;
	given = pg->conf->publication;
	if (given != NULL && strlen(given) >= sizeof(pg->publication))
		return err_set(e, CODE_conf_value,
			       "option publication: \"%s\" is longer than %zu bytes",
			       given, sizeof(pg->publication) - 1);
	if (check_patterns(&pg->conf->tables, e) < 0 ||
	    check_patterns(&pg->conf->exclude_tables, e) < 0)
		return -1;
	pg_default_name(pg->slot, pg->base.pipeline);
	if (given != NULL)
		snprintf(pg->publication, sizeof(pg->publication), "%s", given);
	else
		pg_default_name(pg->publication, pg->base.pipeline);
	pg->opt = options_hash(pg);
	set_up_session(pg, &pg->walsender, true);
	set_up_session(pg, &pg->side, false);
	return 0;
}

static bool in_list(const struct opt_list *list, struct slice schema,
		    struct slice name)
{
	for (size_t i = 0; i < list->n; i++)
		if (pattern_match(slice_of(list->v[i]), schema, name))
			return true;
	return false;
}

bool pg_wants(const struct pg *pg, struct slice schema, struct slice name)
{
	return in_list(&pg->conf->tables, schema, name) &&
	       !in_list(&pg->conf->exclude_tables, schema, name);
}

static bool is_wanted(void *arg, struct slice schema, struct slice name)
{
	return pg_wants(arg, schema, name);
}

int pg_side(struct pg *pg, struct err *e)
{
	if (pg_conn_is_alive(&pg->side))
		return 0;
	return pg_conn_open(&pg->side,
			    pg_conn_is_open(&pg->walsender) ? &pg->walsender
							    : NULL,
			    pg->conf->connect_timeout, e);
}

void pg_hurry(struct pg *pg, int64_t ms)
{
	if (pg->stream.interval_ms > 0 && ms > pg->stream.interval_ms)
		ms = pg->stream.interval_ms;
	pg->side.until_ms = ms > 0 ? clock_mono_ms() + ms : 0;
}

/* --- claim */

static int identify(struct pg *pg, struct err *e)
{
	struct pg_result *res = pg_query(&pg->walsender, "IDENTIFY_SYSTEM", e);
	int64_t tli;
	bool good;

	if (res == NULL)
		return -1;
	tli = pg_int(res, 0, 1);
	good = slice_to_u64(pg_cell(res, 0, 0), &pg->sysid) && tli > 0 &&
	       tli <= UINT32_MAX;
	pg->tli = (uint32_t)tli;
	pg_result_free(res);
	return good ? 0
		    : err_set(e, CODE_source_protocol,
			      "the server's answer to IDENTIFY_SYSTEM makes no sense");
}

/* Slots on standbys are a matter of their own; to a slot that a failover will
 * bring here it may be promoted yet. */
static int refuse_standby(struct pg *pg, struct err *e)
{
	struct pg_result *res =
		pg_query(&pg->walsender,
			 "SELECT pg_catalog.pg_is_in_recovery(),"
			 " pg_catalog.current_setting('wal_level'),"
			 " (SELECT setting FROM pg_catalog.pg_settings"
			 " WHERE name = 'wal_sender_timeout')", e);
	bool standby, logical;

	if (res == NULL)
		return -1;
	standby = pg_is_true(res, 0, 0);
	logical = slice_is(pg_cell(res, 0, 1), "logical");
	pg->sender_timeout_ms = pg_int(res, 0, 2);
	pg_result_free(res);
	if (standby) {
		err_set(e, CODE_source_refused,
			"the server is a standby, not promoted yet");
		err_hint(e, "Name all servers in conninfo with target_session_attrs=read-write.");
		return -1;
	}
	if (!logical) {
		err_set(e, CODE_source_config, "wal_level is not logical");
		err_hint(e, "ALTER SYSTEM SET wal_level = logical, then restart the server (RDS: rds.logical_replication=1; Cloud SQL: cloudsql.logical_decoding=on).");
		return -1;
	}
	return 0;
}

static int refuse_old(struct pg *pg, struct err *e)
{
	if (pg->walsender.version >= 140000)
		return 0;
	err_set(e, CODE_source_config,
		"the server is PostgreSQL %d; 14 or later is needed",
		pg->walsender.version / 10000);
	err_hint(e, "Upgrade the server, or point conninfo at another.");
	return -1;
}

static void claim_keys(const struct pg *pg, int32_t key[2])
{
	key[0] = (int32_t)(uint32_t)slice_hash(SLICE("leat"));
	key[1] = (int32_t)(uint32_t)slice_hash(slice_of(pg->base.pipeline));
}

static void name_holder(struct pg *pg, const int32_t key[2], struct err *e)
{
	struct err ignored = ERR_INIT;
	struct pg_result *res;
	char sql[320];

	snprintf(sql, sizeof(sql),
		 "SELECT a.pid, a.client_addr FROM pg_catalog.pg_locks l"
		 " JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
		 " WHERE l.locktype = 'advisory' AND l.granted"
		 " AND l.classid = %" PRIu32 " AND l.objid = %" PRIu32
		 " AND l.objsubid = 2",
		 (uint32_t)key[0], (uint32_t)key[1]);
	res = pg_query(&pg->walsender, sql, &ignored);
	if (res != NULL && pg_rows(res) > 0)
		err_detail(e, "It is held by the server process with PID %s%s%s.",
			   pg_text(res, 0, 0),
			   pg_text(res, 0, 1)[0] ? ", client " : "",
			   pg_text(res, 0, 1));
	pg_result_free(res);
}

static enum claim take_lock(struct pg *pg, struct err *e)
{
	struct pg_result *res;
	int32_t key[2];
	char sql[96];
	bool got;

	claim_keys(pg, key);
	snprintf(sql, sizeof(sql),
		 "SELECT pg_catalog.pg_try_advisory_lock(%" PRId32 ", %" PRId32
		 ")", key[0], key[1]);
	res = pg_query(&pg->walsender, sql, e);
	if (res == NULL)
		return CLAIM_ERROR;
	got = pg_is_true(res, 0, 0);
	pg_result_free(res);
	if (got)
		return CLAIM_OK;
	err_set(e, CODE_claim_held,
		"another connection holds the claim of pipeline \"%s\"",
		pg->base.pipeline);
	name_holder(pg, key, e);
	return CLAIM_HELD;
}

static void pg_close(struct source *src);

static enum claim pg_claim(struct source *src, struct err *e)
{
	struct pg *pg = (struct pg *)src;
	enum claim got = CLAIM_ERROR;

	pg_close(src);
	if (pg_prepare(pg, e) < 0)
		return CLAIM_ERROR;
	pg->walsender.wake_fd = pg->side.wake_fd = src->wake_fd;
	if (pg_conn_open(&pg->walsender, NULL, pg->conf->connect_timeout, e) == 0 &&
	    refuse_old(pg, e) == 0 && refuse_standby(pg, e) == 0 &&
	    identify(pg, e) == 0)
		got = take_lock(pg, e);
	if (got != CLAIM_OK)
		pg_close(src);
	return got;
}

/* --- open */

int pg_stream_from(struct pg *pg, uint64_t at, struct err *e)
{
	struct buf sql = BUF_INIT, name = BUF_INIT;
	struct pg_result *res = NULL;
	char lsn[PG_LSN_SIZE];

	pg_lsn_print(lsn, at);
	pg_quote_name(&name, slice_of(pg->publication));
	buf_printf(&sql, "START_REPLICATION SLOT \"%s\" LOGICAL %s (proto_version '1', publication_names ",
		   pg->slot, lsn);
	pg_quote_text(&sql, buf_get(&name));
	buf_text(&sql, pg->conf->messages ? ", messages 'true')" : ")");
	buf_u8(&sql, '\0');
	if (sql.failed || name.failed)
		err_no_memory(e);
	else
		res = pg_query(&pg->walsender, sql.p, e);
	buf_fini(&name);
	buf_fini(&sql);
	if (res == NULL)
		return -1;
	pg_result_free(res);
	if (pg_stream_begin(&pg->stream, &pg->walsender, at,
			    pg->sender_timeout_ms, e) < 0)
		return -1;
	/* of what the sink has committed nothing was said on this stream */
	pg_stream_flushed(&pg->stream, pg->acked);
	pg->watch.asked_ms = clock_mono_ms() - 9000;
	pg->base.duty_ms = pg->stream.interval_ms;
	pg->base.gear = "streaming";
	return 0;
}

/* Batches of the connection before may be on their way to the sink and are read
 * by another thread: what has not changed is not written again. */
static void set_origin(struct pg *pg)
{
	const char *db = pg_conn_database(&pg->walsender);

	if (pg->origin.incarnation == pg->base.incarnation &&
	    strcmp(pg->db, db) == 0)
		return;
	snprintf(pg->db, sizeof(pg->db), "%s", db);
	pg->origin = (struct origin){
		.connector = slice_of(pg_source.connector),
		.name = slice_of(pg->base.name),
		.db = slice_of(pg->db),
		.version = SLICE(PACKAGE_VERSION),
		.incarnation = pg->base.incarnation,
	};
}

static int make_decoder(struct pg *pg, const struct pgoutput_place *from,
			uint64_t seq, struct registry *reg, struct err *e)
{
	set_origin(pg);
	pg->hooks = (struct pgoutput_hooks){
		.arg = pg,
		.is_wanted = is_wanted,
		.describe = pg_catalog_describe,
		.cursor_source = pg_cursor_source,
	};
	pg->decoder = pgoutput_new(&pg->origin, reg, &pg->hooks, from, seq);
	return pg->decoder != NULL ? 0 : err_no_memory(e);
}

int pg_restart_decoder(struct pg *pg, struct err *e)
{
	struct pgoutput *old = pg->decoder;
	struct pgoutput_place from = pgoutput_place(old);
	int rc = make_decoder(pg, &from, pgoutput_seq(old), pg->reg, e);

	pgoutput_free(old);
	return rc;
}

static int begin(struct pg *pg, const struct pgoutput_place *from, uint64_t seq,
		 const struct pg_slot *slot, struct registry *reg, struct err *e)
{
	pg->returned = *from;
	pg->idle_end = 0;
	pg->idle_ms = clock_mono_ms();
	pg->watch = (struct pg_watch){.asked_ms = clock_mono_ms() - 9000};
	pg_orphans_note(pg);
	pg->reg = reg;
	pg->acked = from->end;
	pg_gear_init(&pg->catchup.gear, pg->conf->catchup_threshold,
		     pg->conf->catchup_temp);
	if (make_decoder(pg, from, seq, reg, e) < 0)
		return -1;
	if (slot->exists && pg_catchup_pays(pg, slot))
		pg_catchup_begin(pg, slot);
	else if (pg_stream_from(pg, from->end, e) < 0)
		return -1;
	/* from here on a wake-up means work, not a stop */
	pg->walsender.wake_fd = pg->side.wake_fd = -1;
	return 0;
}

static int refuse_existing(const struct pg *pg, const struct pg_slot *slot,
			   struct err *e)
{
	if (!slot->exists)
		return 0;
	err_set(e, CODE_slot_exists,
		"replication slot \"%s\" exists, but nothing is known of a start of pipeline \"%s\"",
		pg->slot, pg->base.pipeline);
	err_detail(e, "Its state may have been lost; what was delivered before is not known.");
	err_hint(e, "To take the slot up where it stands: leat offsets set %s slot; to drop it: SELECT pg_drop_replication_slot('%s')",
		 pg->base.pipeline, pg->slot);
	return -1;
}

/* The first start: publication, then slot.  A slot that is there was made by a
 * start that was interrupted: nothing has been confirmed to it. */
static int first_start(struct pg *pg, struct pg_publication *p,
		       struct pg_slot *slot, uint64_t *lsn, struct err *e)
{
	if (slot->exists && !slot->is_ours)
		return pg_slot_refuse_lost(pg, slot, e);
	if (pg_slot_refuse_busy(pg, slot, e) < 0)
		return -1;
	/* useless, or older than the publication that it would need */
	if (slot->exists &&
	    (slot->is_lost || slot->confirmed == 0 || !p->exists)) {
		if (pg_slot_drop(pg, slot, e) < 0)
			return -1;
		slot->exists = false;
	}
	if (pg_publication_ensure(pg, p, e) < 0)
		return -1;
	if (!slot->exists)
		return pg_slot_create(pg, lsn, e);
	*lsn = slot->confirmed;
	return 0;
}

static int open_intent(struct pg *pg, const struct cursor *at, bool preflight,
		       struct registry *reg, struct err *e)
{
	struct pgoutput_place from = {0};
	struct pg_publication p;
	struct pg_slot slot;
	int rc = -1;

	if (pg_slot_read(pg, &slot, e) < 0 || pg_publication_read(pg, &p, e) < 0)
		return -1;
	if (pg_publication_preflight(pg, &p, e) == 0)
		rc = preflight ? refuse_existing(pg, &slot, e)
			       : first_start(pg, &p, &slot, &from.end, e);
	pg_publication_free(&p);
	if (rc < 0 || preflight)
		return rc;
	pg->is_fresh = true;
	return begin(pg, &from, at->seq, &slot, reg, e);
}

static int open_cursor(struct pg *pg, const struct cursor *at,
		       const struct pg_cursor *c, struct registry *reg,
		       struct err *e)
{
	struct pg_publication p;
	struct pg_slot slot;
	int rc;

	if (pg_slot_read(pg, &slot, e) < 0 ||
	    pg_slot_can_resume(pg, &slot, c, e) < 0 ||
	    pg_publication_read(pg, &p, e) < 0)
		return -1;
	rc = pg_publication_recheck(pg, &p, e);
	pg_publication_free(&p);
	return rc < 0 ? -1 : begin(pg, &c->place, at->seq, &slot, reg, e);
}

static int pg_open(struct source *src, const struct cursor *at,
		   struct registry *reg, struct err *e)
{
	struct pg *pg = (struct pg *)src;
	struct pg_cursor c;

	if (!pg_conn_is_open(&pg->walsender))
		return err_set(e, CODE_source_unreachable, "not connected");
	src->incarnation = at->incarnation;
	if (slice_is(at->source, "intent new"))
		return open_intent(pg, at, true, reg, e);
	if (slice_is(at->source, "intent"))
		return open_intent(pg, at, false, reg, e);
	if (!pg_cursor_parse(at->source, &c)) {
		err_set(e, CODE_wrong_server,
			"the pipeline has read from another kind of source: %.*s",
			SLICE_ARG(at->source));
		err_hint(e, "To go on from now, with a gap: leat offsets set %s now --accept-gap",
			 src->pipeline);
		return -1;
	}
	return open_cursor(pg, at, &c, reg, e);
}

static void pg_close(struct source *src)
{
	struct pg *pg = (struct pg *)src;

	pg_catchup_end(pg);
	pg_stream_end(&pg->stream);
	pgoutput_free(pg->decoder);
	pg->decoder = NULL;
	pg->is_fresh = false;
	pg->pending = ERR_INIT;
	pg_conn_close(&pg->walsender);
	pg_conn_close(&pg->side);
}

const struct source_ops pg_source = {
	.type = "postgres",
	.connector = "postgresql",
	.caps = SOURCE_NEEDS_INITIAL | SOURCE_ADOPTS,
	.opts = opts,
	.conf_size = sizeof(struct pg_conf),
	.size = sizeof(struct pg),
	.check = pg_check,
	.claim = pg_claim,
	.open = pg_open,
	.read = pg_read,
	.ack = pg_ack,
	.seek = pg_seek,
	.drop = pg_drop,
	.close = pg_close,
};
