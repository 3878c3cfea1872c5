/* Which tables are wanted, and their publication.
 *
 * The publication stands before the slot: a stream whose publication was missing
 * at some place of the log can never pass that place (A12).  Only tables with an
 * identity are published: publishing another would make the application's
 * updates fail.
 *
 * With partition_root, a partition is published by way of the topmost table that
 * is wanted; its identity matters all the same, because it is the partition that
 * is updated. */
#include "config.h"
#include "sources/pg_publication.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/note.h"
#include "sources/pg_query.h"

/* A longer one is not put into a log line. */
#define STATEMENT_MOST 2000u

/* Every table that could be published, with its partitioned ancestors. */
static const char tables_sql[] =
	"SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence,"
	" c.relispartition,"
	" c.relreplident = 'f'"
	" OR c.relkind = 'p'"
	" OR EXISTS (SELECT 1 FROM pg_catalog.pg_index i"
	" WHERE i.indrelid = c.oid AND i.indisvalid AND i.indisunique"
	" AND i.indimmediate AND CASE c.relreplident"
	" WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident"
	" ELSE false END),"
	" pub.relid IS NOT NULL, c.reltuples::bigint, c.relpages::bigint * 8192,"
	" CASE WHEN c.relispartition THEN"
	" ARRAY(SELECT a.relid::oid FROM"
	" pg_catalog.pg_partition_ancestors(c.oid) a"
	" WHERE a.relid <> c.oid)::text END,"
	" c.relreplident = 'f', pg_catalog.pg_has_role(c.relowner, 'USAGE')"
	" FROM pg_catalog.pg_class c"
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	" LEFT JOIN (SELECT g.relid FROM pg_catalog.pg_publication p,"
	" LATERAL pg_catalog.pg_get_publication_tables(p.pubname::text) g"
	" WHERE p.pubname = $1) pub ON pub.relid = c.oid"
	" WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'"
	" AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
	" ORDER BY n.nspname, c.relname";

static const char publication_sql[] =
	"SELECT puballtables, pubviaroot, pubinsert, pubupdate, pubdelete,"
	" pubtruncate FROM pg_catalog.pg_publication WHERE pubname = $1";

/* --- reading */

static void read_row(const struct pg *pg, const struct pg_result *res, int row,
		     struct pg_table *t)
{
	char kind = pg_text(res, row, 3)[0], persistence = pg_text(res, row, 4)[0];

	*t = (struct pg_table){
		.oid = (uint32_t)pg_int(res, row, 0),
		.schema = pg_cell(res, row, 1),
		.name = pg_cell(res, row, 2),
		.kind = kind == 'f' || persistence == 'u' ? PG_UNPUBLISHABLE
			: kind == 'p'			  ? PG_PARTITIONED
							  : PG_TABLE,
		.is_partition = pg_is_true(res, row, 5),
		.has_identity = pg_is_true(res, row, 6),
		.is_published = pg_is_true(res, row, 7),
		.is_full = pg_is_true(res, row, 11),
		.is_owned = pg_is_true(res, row, 12),
		.rows = pg_int(res, row, 8),
		.bytes = pg_int(res, row, 9),
	};
	t->is_matched = pg_wants(pg, t->schema, t->name);
}

static int by_oid(const void *a, const void *b)
{
	const struct pg_table *const *x = a, *const *y = b;

	return ((*x)->oid > (*y)->oid) - ((*x)->oid < (*y)->oid);
}

static const struct pg_table *find(struct pg_table *const *index, size_t n,
				   uint64_t oid)
{
	struct pg_table key = {.oid = (uint32_t)oid};
	const struct pg_table *k = &key;
	struct pg_table *const *hit = bsearch(&k, index, n, sizeof(*index), by_oid);

	return hit ? *hit : NULL;
}

/* Is one of the ancestors, "{16390,16384}", matched? */
static bool has_matched_ancestor(struct slice list, struct pg_table *const *index,
				 size_t n)
{
	if (list.n < 2)
		return false;
	list = (struct slice){list.p + 1, list.n - 2};
	while (list.n > 0) {
		const struct pg_table *t = NULL;
		uint64_t oid;

		if (slice_to_u64(slice_cut(&list, ','), &oid))
			t = find(index, n, oid);
		if (t != NULL && t->is_matched)
			return true;
	}
	return false;
}

/* Decides which tables have to be in the publication. */
static int choose(const struct pg *pg, struct pg_publication *p, struct err *e)
{
	bool by_root = pg->conf->partition_root;
	struct pg_table **index = calloc(p->n + 1, sizeof(struct pg_table *));

	if (index == NULL)
		return err_no_memory(e);
	for (size_t i = 0; i < p->n; i++)
		index[i] = &p->v[i];
	qsort(index, p->n, sizeof(struct pg_table *), by_oid);
	for (size_t i = 0; i < p->n; i++) {
		struct pg_table *t = &p->v[i];

		t->by_parent = by_root && t->is_partition &&
			       has_matched_ancestor(pg_cell(p->res, (int)i, 10),
						    index, p->n);
		t->is_wanted = t->is_matched && !t->by_parent &&
			       (t->kind == PG_TABLE ||
				(t->kind == PG_PARTITIONED && by_root));
		p->wanted += t->is_wanted;
		p->unpublished += t->is_wanted && !t->is_published;
	}
	free(index);
	return 0;
}

static int read_publication(struct pg *pg, struct pg_publication *p, struct err *e)
{
	const char *params[] = {pg->publication};
	struct pg_result *res =
		pg_query_params(&pg->side, publication_sql, params, 1, e);

	if (res == NULL)
		return -1;
	p->exists = pg_rows(res) > 0;
	p->all_tables = pg_is_true(res, 0, 0);
	p->via_root = pg_is_true(res, 0, 1);
	p->inserts = pg_is_true(res, 0, 2);
	p->updates = pg_is_true(res, 0, 3);
	p->deletes = pg_is_true(res, 0, 4);
	p->truncates = pg_is_true(res, 0, 5);
	pg_result_free(res);
	return 0;
}

int pg_publication_read(struct pg *pg, struct pg_publication *p, struct err *e)
{
	const char *params[] = {pg->publication};

	*p = (struct pg_publication){0};
	if (pg_side(pg, e) < 0 || read_publication(pg, p, e) < 0)
		return -1;
	p->res = pg_query_params(&pg->side, tables_sql, params, 1, e);
	if (p->res == NULL)
		return -1;
	p->n = (size_t)pg_rows(p->res);
	p->v = calloc(p->n + 1, sizeof(*p->v));
	if (p->v == NULL) {
		pg_publication_free(p);
		return err_no_memory(e);
	}
	for (size_t i = 0; i < p->n; i++)
		read_row(pg, p->res, (int)i, &p->v[i]);
	if (choose(pg, p, e) < 0) {
		pg_publication_free(p);
		return -1;
	}
	return 0;
}

void pg_publication_free(struct pg_publication *p)
{
	pg_result_free(p->res);
	free(p->v);
	*p = (struct pg_publication){0};
}

/* --- statements */

void pg_publication_put_name(const struct pg_table *t, struct buf *out)
{
	pg_quote_name(out, t->schema);
	buf_u8(out, '.');
	pg_quote_name(out, t->name);
}

static void put_tables(const struct pg_publication *p, bool all, struct buf *out)
{
	bool any = false;

	for (size_t i = 0; i < p->n; i++) {
		if (!p->v[i].is_wanted || (p->v[i].is_published && !all))
			continue;
		buf_text(out, any ? ", " : "");
		pg_publication_put_name(&p->v[i], out);
		any = true;
	}
}

void pg_publication_create_sql(const struct pg *pg, const struct pg_publication *p,
			       struct buf *out)
{
	buf_text(out, "CREATE PUBLICATION ");
	pg_quote_name(out, slice_of(pg->publication));
	buf_text(out, " FOR TABLE ");
	put_tables(p, true, out);
	buf_printf(out, " WITH (publish_via_partition_root = %s)",
		   pg->conf->partition_root ? "true" : "false");
}

void pg_publication_add_sql(const struct pg *pg, const struct pg_publication *p,
			    struct buf *out)
{
	buf_text(out, "ALTER PUBLICATION ");
	pg_quote_name(out, slice_of(pg->publication));
	buf_text(out, " ADD TABLE ");
	put_tables(p, false, out);
}

void pg_publication_identity_sql(const struct pg_table *t, struct buf *out)
{
	buf_text(out, "ALTER TABLE ");
	pg_publication_put_name(t, out);
	buf_text(out, " REPLICA IDENTITY FULL");
}

/* --- checks */

/* A statement that is cut off helps nobody. */
static void hint_statement(struct err *e, const char *before,
			   const struct buf *sql)
{
	if (!sql->failed && strlen(before) + sql->n < sizeof(e->hint))
		err_hint(e, "%s%.*s", before, SLICE_ARG(buf_get(sql)));
	else
		err_hint(e, "%s%s", before, "`leat check --sql` prints the statements.");
}

/* Publishing it would make its updates and deletes fail. */
bool pg_publication_would_hurt(const struct pg_table *t)
{
	return t->kind == PG_TABLE && !t->has_identity &&
	       (t->is_wanted || t->by_parent);
}

static int refuse_without_identity(const struct pg_publication *p, struct err *e)
{
	struct buf names = BUF_INIT, sql = BUF_INIT;
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct pg_table *t = &p->v[i];

		if (!pg_publication_would_hurt(t))
			continue;
		buf_text(&names, n ? ", " : "");
		pg_publication_put_name(t, &names);
		buf_text(&sql, n ? "; " : "");
		pg_publication_identity_sql(t, &sql);
		n++;
	}
	if (n > 0 && !names.failed && !sql.failed) {
		err_set(e, CODE_table_identity,
			"%zu table%s no replica identity: %.*s", n,
			n == 1 ? " has" : "s have",
			(int)(names.n < 300 ? names.n : 300), names.p);
		err_detail(e, "Once published, their updates and deletes would fail.");
		hint_statement(e, "Give them a primary key, or leave them out by exclude_tables, or: ",
			       &sql);
	}
	buf_fini(&names);
	buf_fini(&sql);
	return n > 0 ? -1 : 0;
}

int pg_publication_preflight(struct pg *pg, const struct pg_publication *p,
			     struct err *e)
{
	if (p->wanted == 0) {
		err_set(e, CODE_source_config,
			"no table of database \"%s\" matches the option tables",
			pg_conn_database(&pg->side));
		err_hint(e, "Patterns are of the form schema.table, and see only tables that exist; unlogged, foreign and system tables cannot be published.");
		return -1;
	}
	if (p->exists)
		return 0;
	if (!pg->conf->create_publication) {
		struct buf sql = BUF_INIT;

		pg_publication_create_sql(pg, p, &sql);
		err_set(e, CODE_publication_missing,
			"publication \"%s\" does not exist, and create_publication is off",
			pg->publication);
		hint_statement(e, "", &sql);
		buf_fini(&sql);
		return -1;
	}
	return refuse_without_identity(p, e);
}

/* An existing publication that publishes partitions otherwise than the conf
 * says would name the tables otherwise. */
int pg_publication_check_root(struct pg *pg, const struct pg_publication *p,
			      struct err *e)
{
	bool partitions = false;

	for (size_t i = 0; i < p->n; i++)
		partitions |= p->v[i].is_matched &&
			      (p->v[i].is_partition ||
			       p->v[i].kind == PG_PARTITIONED);
	if (partitions && p->via_root != pg->conf->partition_root) {
		err_set(e, CODE_publication_missing,
			"publication \"%s\" has publish_via_partition_root %s, but option partition_root is %s",
			pg->publication, p->via_root ? "on" : "off",
			pg->conf->partition_root ? "yes" : "no");
		err_hint(e, "ALTER PUBLICATION \"%s\" SET (publish_via_partition_root = %s)",
			 pg->publication,
			 pg->conf->partition_root ? "true" : "false");
		return -1;
	}
	return 0;
}

static int check_existing(struct pg *pg, const struct pg_publication *p,
			  struct err *e)
{
	if (pg_publication_check_root(pg, p, e) < 0)
		return -1;
	if (p->unpublished == p->wanted) {
		struct buf sql = BUF_INIT;

		pg_publication_add_sql(pg, p, &sql);
		err_set(e, CODE_publication_missing,
			"publication \"%s\" holds none of the tables that the conf wants",
			pg->publication);
		hint_statement(e, "", &sql);
		buf_fini(&sql);
		return -1;
	}
	return 0;
}

static void note_unpublished(struct pg *pg, const struct pg_publication *p)
{
	char component[PG_COMPONENT_SIZE];
	struct buf names = BUF_INIT, sql = BUF_INIT;

	if (p->unpublished == 0 || p->all_tables)
		return;
	put_tables(p, false, &names);
	pg_publication_add_sql(pg, p, &sql);
	/* this is said at each connect */
	if (sql.n > STATEMENT_MOST) {
		buf_reset(&sql, SIZE_MAX);
		buf_text(&sql, "`leat check --sql` prints the statement.");
	}
	buf_u8(&sql, '\0');
	if (!names.failed && !sql.failed)
		note(NOTE_WARNING, pg_component(component, pg->base.pipeline),
		     CODE_unpublished, NOTE_KV({"hint", sql.p}),
		     "%zu table%s not in publication \"%s\": %.*s",
		     p->unpublished,
		     p->unpublished == 1 ? " matches but is" : "s match but are",
		     pg->publication, (int)(names.n < 600 ? names.n : 600),
		     names.p);
	buf_fini(&names);
	buf_fini(&sql);
}

static int create(struct pg *pg, const struct pg_publication *p, struct err *e)
{
	struct buf sql = BUF_INIT;
	char component[PG_COMPONENT_SIZE];
	int rc = -1;

	pg_publication_create_sql(pg, p, &sql);
	buf_u8(&sql, '\0');
	if (sql.failed)
		err_no_memory(e);
	else
		rc = pg_query_change(&pg->side, sql.p, e);
	buf_fini(&sql);
	if (rc == 0)
		note(NOTE_INFO, pg_component(component, pg->base.pipeline),
		     CODE_progress, NULL,
		     "created publication \"%s\" for %zu table%s",
		     pg->publication, p->wanted, p->wanted == 1 ? "" : "s");
	else
		err_wrap(e, "publication \"%s\"", pg->publication);
	return rc;
}

int pg_publication_ensure(struct pg *pg, struct pg_publication *p, struct err *e)
{
	if (!p->exists)
		return create(pg, p, e);
	if (check_existing(pg, p, e) < 0)
		return -1;
	note_unpublished(pg, p);
	return 0;
}

int pg_publication_recheck(struct pg *pg, const struct pg_publication *p,
			   struct err *e)
{
	if (p->exists) {
		note_unpublished(pg, p);
		return 0;
	}
	err_set(e, CODE_publication_missing, "publication \"%s\" does not exist",
		pg->publication);
	err_detail(e, "Changes that were made without it cannot be read any more, even if it is created again.");
	err_hint(e, "Create it again, and if the stream then fails as poisoned: leat offsets set %s now --accept-gap",
		 pg->base.pipeline);
	return -1;
}
