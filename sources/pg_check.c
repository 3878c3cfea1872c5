/* Findings, in the order in which a person would mend them; costs last.  Only
 * reads: the walsender that is tried does no more than log in. */
#include "config.h"
#include "sources/pg_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "sources/pg_catchup.h"
#include "sources/pg_orphans.h"
#include "sources/pg_publication.h"
#include "sources/pg_query.h"
#include "sources/pg_slot.h"

#define WHERE_SIZE 160

#define PEEK "pg_logical_slot_peek_binary_changes(name, pg_lsn, integer, text[])"
#define ADVANCE "pg_replication_slot_advance(name, pg_lsn)"

struct check {
	struct pg *pg;
	struct report *r;
	char where[WHERE_SIZE];
};

/* Settings that a server does not have are empty. */
static const char server_sql[] =
	"SELECT pg_catalog.pg_is_in_recovery(), current_user,"
	" r.rolsuper OR r.rolreplication OR EXISTS (SELECT 1"
	" FROM pg_catalog.pg_roles m WHERE m.rolname = 'rds_replication'"
	" AND pg_catalog.pg_has_role(m.oid, 'MEMBER')),"
	" pg_catalog.has_database_privilege("
	"pg_catalog.current_database(), 'CREATE'),"
	" pg_catalog.current_setting('wal_level'),"
	" pg_catalog.current_setting('max_replication_slots'),"
	" (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots),"
	" pg_catalog.current_setting('max_wal_senders'),"
	" (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication),"
	" pg_catalog.current_setting('synchronous_standby_names'),"
	" pg_catalog.current_setting('wal_sender_timeout'),"
	" pg_catalog.current_setting('max_slot_wal_keep_size'),"
	" pg_catalog.current_setting('idle_replication_slot_timeout', true),"
	" pg_catalog.current_setting('server_encoding'),"
	" pg_catalog.current_setting('logical_decoding_work_mem'),"
	" pg_catalog.current_setting('synchronized_standby_slots', true)"
	" FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
enum {
	IN_RECOVERY, USER, MAY_REPLICATE, MAY_CREATE, WAL_LEVEL, MAX_SLOTS,
	SLOTS, MAX_SENDERS, SENDERS, SYNCHRONOUS, SENDER_TIMEOUT, KEEP_SIZE,
	IDLE_TIMEOUT, ENCODING, WORK_MEM, STANDBY_SLOTS,
};

#define FOUND(c, level, code, sql, ...) \
	report_add((c)->r, (level), (code), (c)->where, (sql), __VA_ARGS__)

/* --- the server */

bool pg_check_is_synchronous(struct slice names, const char *application)
{
	while (names.n > 0) {
		struct slice one = slice_cut(&names, ',');
		struct slice head = one;

		/* FIRST 2 (a, "b") */
		slice_cut(&head, '(');
		if (head.p != NULL)
			one = head;
		while (one.n > 0 && strchr(" \t\"", one.p[0]) != NULL)
			one = (struct slice){one.p + 1, one.n - 1};
		while (one.n > 0 && strchr(" \t\")", one.p[one.n - 1]) != NULL)
			one.n--;
		if (slice_is(one, "*") ||
		    (one.n == strlen(application) &&
		     strncasecmp(one.p, application, one.n) == 0))
			return true;
	}
	return false;
}

static void check_version(struct check *c)
{
	int major = c->pg->side.version / 10000;

	if (major < 14)
		FOUND(c, FINDING_ERROR, CODE_source_config, NULL,
		      "the server is PostgreSQL %d; 14 or later is needed", major);
	else if (major > 18)
		FOUND(c, FINDING_WARNING, CODE_source_config, NULL,
		      "the server is PostgreSQL %d; this leat was made for 14 to 18",
		      major);
	else
		FOUND(c, FINDING_OK, CODE_none, NULL,
		      "the server is PostgreSQL %d.%d", major,
		      c->pg->side.version % 10000);
}

static void check_role(struct check *c, const struct pg_result *res)
{
	struct buf sql = BUF_INIT;

	if (pg_is_true(res, 0, MAY_REPLICATE))
		return;
	buf_text(&sql, "ALTER ROLE ");
	pg_quote_name(&sql, pg_cell(res, 0, USER));
	buf_text(&sql, " REPLICATION");
	buf_put(&sql, ";", 2);
	FOUND(c, FINDING_ERROR, CODE_source_refused, sql.failed ? NULL : sql.p,
	      "role \"%s\" may not replicate: it needs REPLICATION (on RDS: membership in rds_replication)",
	      pg_text(res, 0, USER));
	buf_fini(&sql);
}

static void check_room(struct check *c, const struct pg_result *res,
		       const struct pg_slot *slot)
{
	if (!slot->exists &&
	    pg_int(res, 0, SLOTS) >= pg_int(res, 0, MAX_SLOTS))
		FOUND(c, FINDING_ERROR, CODE_source_config, NULL,
		      "all %s replication slots are in use: raise max_replication_slots (needs a restart) or drop one",
		      pg_text(res, 0, MAX_SLOTS));
	if (slot->active_pid == 0 &&
	    pg_int(res, 0, SENDERS) >= pg_int(res, 0, MAX_SENDERS))
		FOUND(c, FINDING_ERROR, CODE_source_refused, NULL,
		      "all %s walsenders are in use: raise max_wal_senders (needs a restart)",
		      pg_text(res, 0, MAX_SENDERS));
}

static void check_settings(struct check *c, const struct pg_result *res)
{
	char application[PG_COMPONENT_SIZE];

	if (!slice_is(pg_cell(res, 0, WAL_LEVEL), "logical"))
		FOUND(c, FINDING_ERROR, CODE_source_config,
		      "ALTER SYSTEM SET wal_level = 'logical';",
		      "wal_level is %s; logical is needed (takes effect at a restart)",
		      pg_text(res, 0, WAL_LEVEL));
	snprintf(application, sizeof(application), "leat/%s",
		 c->pg->base.pipeline);
	if (pg_check_is_synchronous(pg_cell(res, 0, SYNCHRONOUS), application))
		FOUND(c, FINDING_ERROR, CODE_source_config, NULL,
		      "synchronous_standby_names = '%s' takes \"%s\" for a standby: commits would wait for the pipeline",
		      pg_text(res, 0, SYNCHRONOUS), application);
	if (slice_is(pg_cell(res, 0, ENCODING), "SQL_ASCII"))
		FOUND(c, FINDING_WARNING, CODE_value_invalid, NULL,
		      "the database's encoding is SQL_ASCII: text that is not UTF-8 stops the pipeline");
	if (slice_is(pg_cell(res, 0, SENDER_TIMEOUT), "0"))
		FOUND(c, FINDING_WARNING, CODE_source_config,
		      "ALTER SYSTEM SET wal_sender_timeout = '60s';",
		      "wal_sender_timeout is off: after a network failure the slot stays busy until TCP gives up");
	if (pg_text(res, 0, IDLE_TIMEOUT)[0] != '\0' &&
	    !slice_is(pg_cell(res, 0, IDLE_TIMEOUT), "0"))
		FOUND(c, FINDING_WARNING, CODE_slot_at_risk, NULL,
		      "idle_replication_slot_timeout = %s: when the agent is away for longer, the slot is lost",
		      pg_text(res, 0, IDLE_TIMEOUT));
}

/* --- publication and tables */

static void check_tables(struct check *c, const struct pg_publication *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct pg_table *t = &p->v[i];
		struct buf sql = BUF_INIT;

		if (t->is_matched && t->kind == PG_UNPUBLISHABLE)
			FOUND(c, FINDING_WARNING, CODE_unpublished, NULL,
			      "table \"%.*s.%.*s\" matches but is unlogged or foreign: its changes are not in the server's log",
			      SLICE_ARG(t->schema), SLICE_ARG(t->name));
		if (pg_publication_would_hurt(t)) {
			pg_publication_identity_sql(t, &sql);
			buf_put(&sql, ";", 2);
			FOUND(c, FINDING_ERROR, CODE_table_identity,
			      sql.failed ? NULL : sql.p,
			      "table \"%.*s.%.*s\" has no replica identity: once published, its updates and deletes fail",
			      SLICE_ARG(t->schema), SLICE_ARG(t->name));
		}
		buf_fini(&sql);
	}
}

static void check_missing(struct check *c, const struct pg_result *res,
			  const struct pg_publication *p)
{
	struct buf sql = BUF_INIT;
	size_t foreign = 0;

	for (size_t i = 0; i < p->n; i++)
		foreign += p->v[i].is_wanted && !p->v[i].is_owned;
	pg_publication_create_sql(c->pg, p, &sql);
	buf_put(&sql, ";", 2);
	if (!c->pg->conf->create_publication)
		FOUND(c, FINDING_ERROR, CODE_publication_missing, sql.p,
		      "publication \"%s\" does not exist, and create_publication is off",
		      c->pg->publication);
	else if (!pg_is_true(res, 0, MAY_CREATE) || foreign > 0)
		FOUND(c, FINDING_ERROR, CODE_source_refused, sql.p,
		      "role \"%s\" cannot create publication \"%s\": %s; let the owner do it",
		      pg_text(res, 0, USER), c->pg->publication,
		      foreign > 0 ? "it does not own all of the tables"
				  : "it lacks CREATE on the database");
	else
		FOUND(c, FINDING_OK, CODE_none, NULL,
		      "publication \"%s\" will be created for %zu tables at the first start",
		      c->pg->publication, p->wanted);
	buf_fini(&sql);
}

static void check_existing(struct check *c, const struct pg_publication *p)
{
	struct buf sql = BUF_INIT;

	if (p->unpublished > 0) {
		pg_publication_add_sql(c->pg, p, &sql);
		buf_put(&sql, ";", 2);
		FOUND(c, p->unpublished == p->wanted ? FINDING_ERROR
						     : FINDING_WARNING,
		      CODE_unpublished, sql.p,
		      "%zu of %zu wanted tables are not in publication \"%s\"",
		      p->unpublished, p->wanted, c->pg->publication);
	} else {
		FOUND(c, FINDING_OK, CODE_none, NULL,
		      "publication \"%s\" holds all %zu wanted tables",
		      c->pg->publication, p->wanted);
	}
	if (!p->inserts || !p->updates || !p->deletes || !p->truncates)
		FOUND(c, FINDING_WARNING, CODE_publication_missing, NULL,
		      "publication \"%s\" does not publish%s%s%s%s",
		      c->pg->publication, p->inserts ? "" : " insert",
		      p->updates ? "" : " update", p->deletes ? "" : " delete",
		      p->truncates ? "" : " truncate");
	buf_fini(&sql);
}

/* What no setting mends. */
static void check_partitions(struct check *c, const struct pg_publication *p)
{
	size_t partitions = 0;

	for (size_t i = 0; i < p->n; i++)
		partitions += p->v[i].kind == PG_TABLE && p->v[i].by_parent;
	if (partitions > 0 && c->pg->conf->partition_root)
		FOUND(c, FINDING_WARNING, CODE_none, NULL,
		      "TRUNCATE of a single partition (there are %zu) is not published by way of the partitioned table",
		      partitions);
}

static void check_publication(struct check *c, const struct pg_result *res,
			      const struct pg_publication *p)
{
	struct err why = ERR_INIT;

	if (p->wanted == 0) {
		if (pg_publication_preflight(c->pg, p, &why) < 0)
			report_err(c->r, c->where, &why);
		return;
	}
	check_tables(c, p);
	if (!p->exists) {
		check_missing(c, res, p);
		return;
	}
	check_existing(c, p);
	check_partitions(c, p);
	if (pg_publication_check_root(c->pg, p, &why) < 0) {
		char sql[sizeof(why.hint) + 1];

		snprintf(sql, sizeof(sql), "%s;", why.hint);
		FOUND(c, FINDING_ERROR, why.code, sql, "%s", why.msg);
	}
}

/* --- the slot, and what it all costs */

static void check_slot(struct check *c, const struct pg_slot *slot)
{
	struct err why = ERR_INIT;

	if (slot->exists && pg_slot_refuse_lost(c->pg, slot, &why) < 0)
		report_err(c->r, c->where, &why);
}

static void put_bytes(char *out, size_t size, int64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double v = (double)bytes;
	size_t u = 0;

	for (; v >= 1024 && u + 1 < countof(units); u++)
		v /= 1024;
	snprintf(out, size, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static void cost_tables(struct check *c, const struct pg_publication *p)
{
	int64_t rows = 0, bytes = 0;
	size_t tables = 0, full = 0;
	char size[40];

	for (size_t i = 0; i < p->n; i++) {
		const struct pg_table *t = &p->v[i];

		if (t->kind != PG_TABLE || !(t->is_wanted || t->by_parent))
			continue;
		tables++;
		full += t->is_full;
		rows += t->rows > 0 ? t->rows : 0;
		bytes += t->bytes;
	}
	put_bytes(size, sizeof(size), bytes);
	FOUND(c, FINDING_COST, CODE_none, NULL,
	      "captures %zu tables of about %" PRId64 " rows, %s", tables, rows,
	      size);
	if (full > 0)
		FOUND(c, FINDING_COST, CODE_none, NULL,
		      "%zu of them with REPLICA IDENTITY FULL: each update and delete writes the whole old row to the server's log",
		      full);
}

static void cost_server(struct check *c, const struct pg_result *res,
			const struct pg_slot *slot)
{
	char kept[40];
	int64_t bytes = slot->exists && slot->restart != 0 &&
					slot->server > slot->restart
				? (int64_t)(slot->server - slot->restart)
				: 0;

	put_bytes(kept, sizeof(kept), bytes);
	FOUND(c, FINDING_COST, CODE_none, NULL,
	      "2 connections: a walsender (%s of %s in use), and an ordinary one with one query per 10 s",
	      pg_text(res, 0, SENDERS), pg_text(res, 0, MAX_SENDERS));
	FOUND(c, FINDING_COST, CODE_none, NULL,
	      "1 replication slot, \"%s\" (%s of %s in use): it now keeps %s of the server's log; %s%s",
	      c->pg->slot, pg_text(res, 0, SLOTS), pg_text(res, 0, MAX_SLOTS), kept,
	      slice_is(pg_cell(res, 0, KEEP_SIZE), "-1")
		      ? "no limit is set (max_slot_wal_keep_size), so a pipeline that stands still fills the disk"
		      : "at most ",
	      slice_is(pg_cell(res, 0, KEEP_SIZE), "-1")
		      ? ""
		      : pg_text(res, 0, KEEP_SIZE));
	FOUND(c, FINDING_COST, CODE_none, NULL,
	      "the walsender decodes the whole log of the server, with up to %s of memory (logical_decoding_work_mem); larger transactions go through its disk",
	      pg_text(res, 0, WORK_MEM));
}

static void cost_catchup(struct check *c, const struct pg_result *res)
{
	const struct pg_conf *conf = c->pg->conf;
	bool is_exact = !slice_is(pg_cell(res, 0, 1), "-1") ||
			pg_is_true(res, 0, 2);
	char far[40], temp[40], memory[40];

	put_bytes(far, sizeof(far), conf->catchup_threshold);
	put_bytes(temp, sizeof(temp), conf->catchup_temp);
	put_bytes(memory, sizeof(memory), conf->catchup_memory);
	FOUND(c, FINDING_COST, CODE_none, NULL,
	      "while it is more than %s behind (catchup), at most %s at a time for decoded changes: up to %s in memory (work_mem), larger results in temporary files%s",
	      far, temp, memory,
	      is_exact ? ""
		       : "; the role may not set temp_file_limit, so that is watched twice a second and not enforced by the server");
}

static int check_catchup(struct check *c, const struct pg_result *server,
			 struct err *e)
{
	struct pg_result *res;
	char sql[600];

	if (c->pg->conf->catchup == PG_CATCHUP_OFF)
		return 0;
	snprintf(sql, sizeof(sql),
		 "SELECT pg_catalog.has_function_privilege('" PEEK "', 'EXECUTE')"
		 " AND pg_catalog.has_function_privilege('" ADVANCE
		 "', 'EXECUTE'), pg_catalog.current_setting('temp_file_limit'),"
		 " %s", pg_catchup_may_limit(c->pg->side.version));
	res = pg_query(&c->pg->side, sql, e);
	if (res == NULL)
		return -1;
	if (pg_is_true(res, 0, 0)) {
		cost_catchup(c, res);
	} else {
		struct buf grant = BUF_INIT;

		buf_text(&grant, "GRANT EXECUTE ON FUNCTION " PEEK ", " ADVANCE
				 " TO ");
		pg_quote_name(&grant, pg_cell(server, 0, USER));
		buf_put(&grant, ";", 2);
		FOUND(c, FINDING_WARNING, CODE_source_refused,
		      grant.failed ? NULL : grant.p,
		      "role \"%s\" may not execute the functions that catchup needs: a backlog will be streamed",
		      pg_text(server, 0, USER));
		buf_fini(&grant);
	}
	pg_result_free(res);
	return 0;
}

/* --- all of it */

static int check_side(struct check *c, const struct pg_result *res, struct err *e)
{
	struct pg_publication p;
	struct pg_slot slot;

	check_version(c);
	check_role(c, res);
	check_settings(c, res);
	if (pg_is_true(res, 0, IN_RECOVERY)) {
		FOUND(c, FINDING_ERROR, CODE_source_refused, NULL,
		      "the server is a standby; with several hosts in conninfo, target_session_attrs=read-write finds the primary");
		return 0;
	}
	if (c->pg->side.version < 140000)
		return 0;
	if (pg_slot_read(c->pg, &slot, e) < 0 ||
	    pg_publication_read(c->pg, &p, e) < 0)
		return -1;
	check_room(c, res, &slot);
	check_publication(c, res, &p);
	check_slot(c, &slot);
	cost_tables(c, &p);
	cost_server(c, res, &slot);
	pg_publication_free(&p);
	if (check_catchup(c, res, e) < 0)
		return -1;
	return pg_orphans_check(c->pg, c->r, c->where, e);
}

/* Only a connection tells whether one is let in. */
static void try_walsender(struct check *c)
{
	struct err why = ERR_INIT;

	/* a pooler may let one in as an ordinary session */
	if (pg_conn_open(&c->pg->walsender, NULL, c->pg->conf->connect_timeout,
			 &why) < 0 ||
	    pg_query_run(&c->pg->walsender, "IDENTIFY_SYSTEM", &why) < 0) {
		err_wrap(&why, "replication connection");
		report_err(c->r, c->where, &why);
	}
	pg_conn_close(&c->pg->walsender);
}

int pg_check(struct source *src, struct report *r, struct err *e)
{
	struct pg *pg = (struct pg *)src;
	struct check c = {.pg = pg, .r = r};
	struct pg_result *res;
	int rc;

	snprintf(c.where, sizeof(c.where), "source \"%s\"", src->name);
	if (pg_prepare(pg, e) < 0 || pg_side(pg, e) < 0)
		return -1;
	res = pg_query(&pg->side, server_sql, e);
	if (res == NULL)
		return -1;
	rc = check_side(&c, res, e);
	if (rc == 0)
		try_walsender(&c);
	pg_result_free(res);
	pg_conn_close(&pg->side);
	return rc;
}
