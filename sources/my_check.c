/* Findings, in the order in which a person would mend them; costs last.  Only
 * reads. */
#include "config.h"
#include "sources/my_check.h"

#include <stdio.h>

struct check {
	struct my *my;
	struct report *r;
	char where[160];
};

#define FOUND(c, level, code, sql, ...) \
	report_add((c)->r, (level), (code), (c)->where, (sql), __VA_ARGS__)

/* What SHOW GRANTS prints of a role that one has is not looked into: not finding
 * it is a warning. */
static void check_grants(struct check *c, struct my_result *grants)
{
	uint64_t n = my_result_rows(grants);

	for (uint64_t i = 0; i < n; i++) {
		struct slice s = my_cell(grants, i, 0);

		if (memmem(s.p, s.n, "REPLICATION SLAVE", 17) != NULL ||
		    memmem(s.p, s.n, "ALL PRIVILEGES ON *.*", 21) != NULL)
			return;
	}
	FOUND(c, FINDING_WARNING, CODE_source_refused, NULL,
	      "user \"%s\" seems to lack REPLICATION SLAVE: GRANT REPLICATION SLAVE ON *.* TO it",
	      c->my->conf->user);
}

static const char tables_sql[] =
	"SELECT table_schema, table_name, engine, table_rows,"
	" data_length + index_length FROM information_schema.tables"
	" WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')"
	" AND table_schema NOT IN"
	" ('mysql', 'sys', 'information_schema', 'performance_schema')";

static void check_tables(struct check *c, struct my_result *tables)
{
	uint64_t n = my_result_rows(tables), wanted = 0, rows = 0, v;

	for (uint64_t i = 0; i < n; i++) {
		if (!my_wants(c->my, my_cell(tables, i, 0), my_cell(tables, i, 1)))
			continue;
		wanted++;
		if (slice_to_u64(my_cell(tables, i, 3), &v))
			rows += v;
	}
	if (wanted == 0)
		FOUND(c, FINDING_WARNING, CODE_conf_value, NULL,
		      "no table that the user can see matches `tables`");
	else
		FOUND(c, FINDING_COST, CODE_none, NULL,
		      "captures %llu tables of about %llu rows",
		      (unsigned long long)wanted, (unsigned long long)rows);
}

static void check_costs(struct check *c)
{
	FOUND(c, FINDING_COST, CODE_none, NULL,
	      "2 connections: an ordinary one that holds the claim, and a dump of the whole binlog, like a replica's");
}

static int check_side(struct check *c, struct err *e)
{
	struct my_session *s = &c->my->side;
	struct my_server srv;
	struct my_result *res;
	int rc = my_server_read(s, &srv, e);

	if (rc == 0)
		my_server_check(s, &srv, c->r, c->where);
	my_server_fini(&srv);
	if (rc < 0)
		return -1;
	res = my_query(s, "SHOW GRANTS", e);
	if (res == NULL)
		return -1;
	check_grants(c, res);
	my_result_free(res);
	res = my_query(s, tables_sql, e);
	if (res == NULL)
		return -1;
	check_tables(c, res);
	my_result_free(res);
	check_costs(c);
	return 0;
}

int my_check(struct source *src, struct report *r, struct err *e)
{
	struct my *my = (struct my *)src;
	struct check c = {.my = my, .r = r};
	int rc;

	snprintf(c.where, sizeof(c.where), "source \"%s\"", src->name);
	if (my_prepare(my, e) < 0 || my_side(my, e) < 0)
		return -1;
	rc = check_side(&c, e);
	/* the other flavour is a finding like others */
	if (rc < 0 && e->code == CODE_wrong_server) {
		report_err(r, c.where, e);
		*e = ERR_INIT;
		rc = 0;
	}
	my_conn_close(&my->side);
	return rc;
}
