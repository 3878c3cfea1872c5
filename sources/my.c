/* The source contract, kept by the modules that my.h lists.
 *
 * Nothing is made on the server: what it keeps of its log does not depend on who
 * reads it.  So the place to begin at is where the log ends when the pipeline is
 * first opened, and whether it can still go on from a cursor is asked each time
 * before the dump begins. */
#include "config.h"
#include "sources/my.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/pattern.h"
#include "sources/my_check.h"
#include "sources/my_read.h"
#include "sources/my_seek.h"

#define TLS_HEARTBEAT_MS 200

static const char *const tls_choices[] = {"off", "require", "verify-ca",
					  "verify-full", NULL};

static const struct opt opts[] = {
	{.name = "host", .type = OPT_TEXT, .dflt = "127.0.0.1",
	 .offset = offsetof(struct my_conf, host),
	 .help = "The server's host."},
	{.name = "port", .type = OPT_INT, .dflt = "3306", .min = 1, .max = 65535,
	 .offset = offsetof(struct my_conf, port),
	 .help = "The server's port."},
	{.name = "socket", .type = OPT_TEXT,
	 .offset = offsetof(struct my_conf, socket),
	 .help = "Path of the server's socket, instead of host and port."},
	{.name = "user", .type = OPT_TEXT, .flags = OPT_REQUIRED,
	 .offset = offsetof(struct my_conf, user),
	 .help = "The user to connect as."},
	{.name = "password", .type = OPT_SECRET,
	 .offset = offsetof(struct my_conf, password),
	 .help = "The user's password, read again at each connect."},
	{.name = "tables", .type = OPT_LIST,
	 .flags = OPT_REQUIRED | OPT_PATTERN,
	 .offset = offsetof(struct my_conf, tables),
	 .help = "Patterns of the tables to capture."},
	{.name = "exclude_tables", .type = OPT_LIST, .flags = OPT_PATTERN,
	 .offset = offsetof(struct my_conf, exclude_tables),
	 .help = "Patterns of tables to leave out again."},
	{.name = "tls", .type = OPT_CHOICE, .dflt = "off",
	 .choices = tls_choices, .offset = offsetof(struct my_conf, tls),
	 .help = "Whether connections are encrypted, and what is verified."},
	{.name = "tls_ca", .type = OPT_TEXT,
	 .offset = offsetof(struct my_conf, tls_ca),
	 .help = "File of the authorities that a server's certificate may be from."},
	{.name = "tls_cert", .type = OPT_TEXT,
	 .offset = offsetof(struct my_conf, tls_cert),
	 .help = "File of the certificate to show."},
	{.name = "tls_key", .type = OPT_TEXT,
	 .offset = offsetof(struct my_conf, tls_key),
	 .help = "File of that certificate's key."},
	{.name = "connect_timeout", .type = OPT_TIME, .dflt = "10s",
	 .min = 1000, .max = 600000,
	 .offset = offsetof(struct my_conf, connect_timeout),
	 .help = "How long the server may take to let us in."},
	{.name = "heartbeat", .type = OPT_TIME, .dflt = "10s",
	 .min = 100, .max = 600000,
	 .offset = offsetof(struct my_conf, heartbeat),
	 .help = "How often a server that has nothing to send says so."},
	{.name = "server_id", .type = OPT_INT, .dflt = "0", .min = 0,
	 .max = UINT32_MAX, .offset = offsetof(struct my_conf, server_id),
	 .help = "The number to read as, like a replica's (0: made from the pipeline's name)."},
	OPT_END,
};

/* --- names ------------------------------------------------------------------- */

static int check_patterns(const struct opt_list *list, struct err *e)
{
	for (size_t i = 0; i < list->n; i++)
		if (pattern_check(slice_of(list->v[i]), e) < 0)
			return -1;
	return 0;
}

static void set_up_session(struct my *my, struct my_session *s)
{
	s->conf = my->conf;
	s->pipeline = my->base.pipeline;
	s->flavour = my->flavour;
}

int my_prepare(struct my *my, struct err *e)
{
	my->conf = my->base.conf;
	my->flavour = my->base.ops == &my_source_mariadb ? MY_MARIADB : MY_MYSQL;
	set_up_session(my, &my->side);
	set_up_session(my, &my->dump);
	if (check_patterns(&my->conf->tables, e) < 0 ||
	    check_patterns(&my->conf->exclude_tables, e) < 0)
		return -1;
	return 0;
}

static bool in_list(const struct opt_list *list, struct slice db,
		    struct slice name)
{
	for (size_t i = 0; i < list->n; i++)
		if (pattern_match(slice_of(list->v[i]), db, name))
			return true;
	return false;
}

bool my_wants(const struct my *my, struct slice db, struct slice name)
{
	return in_list(&my->conf->tables, db, name) &&
	       !in_list(&my->conf->exclude_tables, db, name);
}

static bool is_wanted(void *arg, struct slice db, struct slice name)
{
	return my_wants(arg, db, name);
}

/* Replicas' numbers are mostly small: this is one of the upper half. */
static uint32_t reader_id(const struct my *my)
{
	if (my->conf->server_id != 0)
		return (uint32_t)my->conf->server_id;
	return (uint32_t)slice_hash(slice_of(my->base.pipeline)) | UINT32_C(1) << 31;
}

int my_side(struct my *my, struct err *e)
{
	return my_conn_is_open(&my->side) ? 0 : my_conn_open(&my->side, e);
}

/* --- claim --------------------------------------------------------------------- */

/* Names of locks have at most 64 characters and one case; the hash keeps two
 * pipelines apart. */
static void put_lock(const struct my *my, struct buf *b)
{
	const char *name = my->base.pipeline;
	char lock[64];

	snprintf(lock, sizeof(lock), "leat/%.40s/%08" PRIx32, name,
		 (uint32_t)slice_hash(slice_of(name)));
	my_quote_text(b, slice_of(lock));
}

static void name_holder(struct my *my, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct my_result *res = NULL;
	struct buf sql = BUF_INIT;

	buf_text(&sql, "SELECT IS_USED_LOCK(");
	put_lock(my, &sql);
	buf_put(&sql, ")", 2);
	if (!sql.failed)
		res = my_query(&my->side, sql.p, &ignored);
	if (res != NULL)
		err_detail(e, "It is connection %.*s of the server.",
			   SLICE_ARG(my_cell(res, 0, 0)));
	my_result_free(res);
	buf_fini(&sql);
}

static enum claim take_lock(struct my *my, struct err *e)
{
	struct my_result *res = NULL;
	struct buf sql = BUF_INIT;
	bool got;

	buf_text(&sql, "SELECT GET_LOCK(");
	put_lock(my, &sql);
	buf_put(&sql, ", 0)", 5);
	if (sql.failed)
		err_no_memory(e);
	else
		res = my_query(&my->side, sql.p, e);
	buf_fini(&sql);
	if (res == NULL)
		return CLAIM_ERROR;
	got = my_cell_is(res, 0, 0, "1");
	my_result_free(res);
	if (got)
		return CLAIM_OK;
	err_set(e, CODE_claim_held,
		"another connection holds the claim of pipeline \"%s\"",
		my->base.pipeline);
	name_holder(my, e);
	return CLAIM_HELD;
}

static void my_close(struct source *src);

static enum claim my_claim(struct source *src, struct err *e)
{
	struct my *my = (struct my *)src;
	enum claim got = CLAIM_ERROR;

	my_close(src);
	if (my_prepare(my, e) < 0)
		return CLAIM_ERROR;
	if (my_side(my, e) == 0)
		got = take_lock(my, e);
	if (got != CLAIM_OK)
		my_close(src);
	return got;
}

/* --- resuming ------------------------------------------------------------------- */

static int refuse_purged(const struct my *my, struct err *e)
{
	struct buf purged = BUF_INIT;

	my_gtid_set_print(&my->server.purged, &purged);
	err_set(e, CODE_purged,
		"the server has purged transactions that were not delivered");
	err_detail(e, "gtid_purged is %.*s; binlog_expire_logs_seconds is %s.",
		   purged.n < 300 ? (int)purged.n : 300,
		   purged.p ? purged.p : "", my->server.value[MY_EXPIRES]);
	err_hint(e, "To go on with what there is, with a gap: leat offsets set %s now --accept-gap",
		 my->base.pipeline);
	buf_fini(&purged);
	return -1;
}

static int refuse_diverged(const struct my *my, struct err *e)
{
	struct buf has = BUF_INIT;

	my_gtid_set_print(&my->server.executed, &has);
	err_set(e, CODE_diverged,
		"transactions were delivered that the server does not have");
	err_detail(e, "The server has %.*s.", has.n < 300 ? (int)has.n : 300,
		   has.n ? has.p : "none");
	err_hint(e, "If this is the server to read from, with a gap: leat offsets set %s now --accept-gap",
		 my->base.pipeline);
	buf_fini(&has);
	return -1;
}

/* MariaDB's server looks for each domain's place in its log itself, when the dump
 * begins. */
int my_can_resume(struct my *my, const struct my_place *place, struct err *e)
{
	const struct my_server *srv = &my->server;

	if (!my_gtid_set_is_subset(&place->done, &srv->executed) ||
	    (place->flight.number != 0 &&
	     !my_gtid_set_has(&srv->executed, &place->flight)))
		return refuse_diverged(my, e);
	if (!my_gtid_set_is_subset(&srv->purged, &place->done))
		return refuse_purged(my, e);
	return 0;
}

/* --- open -------------------------------------------------------------------------- */

/* Batches of the connection before may be on their way to the sink and are read
 * by another thread: what has not changed is not written again. */
static void set_origin(struct my *my)
{
	if (my->origin.incarnation == my->base.incarnation)
		return;
	my->origin = (struct origin){
		.connector = slice_of(my->base.ops->type),
		.name = slice_of(my->base.name),
		.version = SLICE(PACKAGE_VERSION),
		.incarnation = my->base.incarnation,
	};
}

static int run(struct my_session *s, struct buf *sql, struct err *e)
{
	buf_u8(sql, '\0');
	return sql->failed ? err_no_memory(e) : my_query_run(s, sql->p, e);
}

/* What a replica says before it asks for the log.  Over TLS, what the library has
 * decrypted ahead shows only when more comes in, so heartbeats come often. */
static int introduce(struct my *my, const struct my_place *from, struct err *e)
{
	int64_t ms = my->dump.is_encrypted && my->conf->heartbeat > TLS_HEARTBEAT_MS
			     ? TLS_HEARTBEAT_MS
			     : my->conf->heartbeat;
	const char *name = my->flavour == MY_MYSQL ? "source" : "master";
	struct buf sql = BUF_INIT;
	int rc;

	buf_printf(&sql,
		   "SET @master_binlog_checksum = @@global.binlog_checksum,"
		   " @%s_binlog_checksum = @@global.binlog_checksum,"
		   " @master_heartbeat_period = %" PRId64 "000000,"
		   " @%s_heartbeat_period = %" PRId64 "000000",
		   name, ms, name, ms);
	if (my->flavour == MY_MARIADB) {
		buf_text(&sql, ", @mariadb_slave_capability = 4,"
			       " @slave_gtid_strict_mode = 1,"
			       " @slave_gtid_ignore_duplicates = 0,"
			       " @slave_connect_state = '");
		my_gtid_set_print(&from->done, &sql);
		buf_u8(&sql, '\'');
	} else {
		char uuid[MY_UUID_TEXT];
		uint8_t bytes[MY_UUID_SIZE] = {0};
		uint64_t h = slice_hash(slice_of(my->base.pipeline));

		memcpy(bytes, "leat", 4);
		memcpy(bytes + 8, &h, sizeof(h));
		my_uuid_print(uuid, bytes);
		buf_printf(&sql, ", @replica_uuid = '%s', @slave_uuid = '%s'",
			   uuid, uuid);
	}
	rc = run(&my->dump, &sql, e);
	buf_fini(&sql);
	return rc;
}

static int make_decoder(struct my *my, const struct my_place *from, uint64_t seq,
			struct registry *reg, struct err *e)
{
	bool has_checksum =
		strcmp(my->server.value[MY_CHECKSUM], "CRC32") == 0;

	set_origin(my);
	my->hooks = (struct my_hooks){
		.arg = my,
		.is_wanted = is_wanted,
		.cursor_source = my_cursor_source,
	};
	my->charsets = my_charsets_new();
	if (my->charsets == NULL)
		return err_no_memory(e);
	if (my_server_charsets(&my->side, my->charsets, e) < 0)
		return -1;
	my->decoder = my_binlog_new(&my->origin, reg, my->charsets,
				    &my->hooks, from, seq, has_checksum);
	return my->decoder != NULL ? 0 : err_no_memory(e);
}

static int begin(struct my *my, const struct my_place *from, uint64_t seq,
		 struct registry *reg, struct err *e)
{
	if (make_decoder(my, from, seq, reg, e) < 0 ||
	    my_conn_open(&my->dump, e) < 0 || introduce(my, from, e) < 0 ||
	    my_conn_dump(&my->dump, reader_id(my), &from->done, e) < 0)
		return -1;
	my->events = my->told = 0;
	my->moved_ms = my->left_ms = my->heard_ms = clock_mono_ms();
	return 0;
}

static int open_cursor(struct my *my, const struct cursor *at,
		       struct registry *reg, struct err *e)
{
	struct my_place place;
	int rc;

	if (!my_cursor_parse(at->source, my->flavour, &place)) {
		err_set(e, CODE_wrong_server,
			"the pipeline has read from another kind of source: %.*s",
			at->source.n < 200 ? (int)at->source.n : 200,
			at->source.p);
		err_hint(e, "To go on from now, with a gap: leat offsets set %s now --accept-gap",
			 my->base.pipeline);
		rc = -1;
	} else {
		rc = my_can_resume(my, &place, e);
		if (rc == 0)
			rc = begin(my, &place, at->seq, reg, e);
	}
	my_gtid_set_fini(&place.done);
	return rc;
}

static int open_intent(struct my *my, const struct cursor *at,
		       struct registry *reg, struct err *e)
{
	const struct my_place from = {.done = my->server.executed};

	my->is_fresh = true;
	return begin(my, &from, at->seq, reg, e);
}

static int my_open(struct source *src, const struct cursor *at,
		   struct registry *reg, struct err *e)
{
	struct my *my = (struct my *)src;

	if (!my_conn_is_open(&my->side))
		return err_set(e, CODE_source_unreachable, "not connected");
	src->incarnation = at->incarnation;
	my_server_fini(&my->server);
	if (my_server_read(&my->side, &my->server, e) < 0 ||
	    my_server_refuse(&my->side, &my->server, e) < 0)
		return -1;
	if (slice_is(at->source, "intent new"))
		return 0;
	if (slice_is(at->source, "intent"))
		return open_intent(my, at, reg, e);
	return open_cursor(my, at, reg, e);
}

static void my_close(struct source *src)
{
	struct my *my = (struct my *)src;

	my_binlog_free(my->decoder);
	my->decoder = NULL;
	my_charsets_free(my->charsets);
	my->charsets = NULL;
	my_server_fini(&my->server);
	my->is_fresh = false;
	my->pending = ERR_INIT;
	my_conn_close(&my->dump);
	my_conn_close(&my->side);
}

/* Nothing is kept on the server for a pipeline. */
static int my_drop(struct source *src, struct err *e)
{
	(void)src, (void)e;
	return 0;
}

#define OPS(word)                                                             \
	{                                                                     \
		.type = word, .caps = SOURCE_NEEDS_INITIAL, .opts = opts,     \
		.conf_size = sizeof(struct my_conf),                          \
		.size = sizeof(struct my), .check = my_check,                 \
		.claim = my_claim, .open = my_open, .read = my_read,          \
		.ack = my_ack, .seek = my_seek, .drop = my_drop,              \
		.close = my_close,                                            \
	}

const struct source_ops my_source_mysql = OPS("mysql");
const struct source_ops my_source_mariadb = OPS("mariadb");
