#include "config.h"
#include "sources/my_server.h"

#include <stdio.h>
#include <strings.h>

#define OLDEST_MYSQL 80000u
#define OLDEST_MARIADB 100500u

/* In the order of enum my_setting, then the two sets. */
static const char mysql_sql[] =
	"SELECT @@global.log_bin, @@global.binlog_format,"
	" @@global.binlog_row_image, @@global.binlog_row_metadata,"
	" @@global.gtid_mode, @@global.binlog_row_value_options,"
	" @@global.binlog_checksum, @@global.binlog_expire_logs_seconds,"
	" @@global.server_id, @@global.server_uuid, @@global.version,"
	" @@global.gtid_executed, @@global.gtid_purged";
static const char mariadb_sql[] =
	"SELECT @@global.log_bin, @@global.binlog_format,"
	" @@global.binlog_row_image, @@global.binlog_row_metadata,"
	" 'ON', '', @@global.binlog_checksum, @@global.expire_logs_days * 86400,"
	" @@global.server_id, '', @@global.version,"
	" @@global.gtid_binlog_pos, ''";

/* What must be set how, and what sets it (a flavour may have no such setting). */
static const struct {
	enum my_setting setting;
	const char *name, *wanted, *mysql, *mariadb;
} needs[] = {
	{MY_LOG_BIN, "log_bin", "1", NULL, NULL},
	{MY_BINLOG_FORMAT, "binlog_format", "ROW",
	 "SET PERSIST binlog_format = 'ROW';",
	 "SET GLOBAL binlog_format = 'ROW';"},
	{MY_ROW_IMAGE, "binlog_row_image", "FULL",
	 "SET PERSIST binlog_row_image = 'FULL';",
	 "SET GLOBAL binlog_row_image = 'FULL';"},
	{MY_ROW_METADATA, "binlog_row_metadata", "FULL",
	 "SET PERSIST binlog_row_metadata = 'FULL';",
	 "SET GLOBAL binlog_row_metadata = 'FULL';"},
	{MY_GTID_MODE, "gtid_mode", "ON",
	 "SET PERSIST enforce_gtid_consistency = ON; SET PERSIST gtid_mode = OFF_PERMISSIVE; SET PERSIST gtid_mode = ON_PERMISSIVE; SET PERSIST gtid_mode = ON;",
	 NULL},
	{MY_VALUE_OPTIONS, "binlog_row_value_options", "",
	 "SET PERSIST binlog_row_value_options = '';", NULL},
};

static int read_set(struct my_gtid_set *set, struct slice text, struct err *e)
{
	if (my_gtid_set_parse(set, text))
		return 0;
	return err_set(e, CODE_source_protocol,
		       "the server's set of GTIDs cannot be read: %.*s",
		       text.n < 200 ? (int)text.n : 200, text.p);
}

int my_server_read(struct my_session *s, struct my_server *srv, struct err *e)
{
	struct my_result *res;
	int rc;

	*srv = (struct my_server){.flavour = s->flavour};
	my_gtid_set_init(&srv->executed, s->flavour);
	my_gtid_set_init(&srv->purged, s->flavour);
	/* one is not asked for settings of the other */
	if (s->is_mariadb != (s->flavour == MY_MARIADB))
		return my_server_refuse(s, srv, e);
	res = my_query(s, s->is_mariadb ? mariadb_sql : mysql_sql, e);
	if (res == NULL)
		return -1;
	for (unsigned i = 0; i < MY_SETTINGS; i++)
		snprintf(srv->value[i], MY_SETTING_SIZE, "%.*s",
			 SLICE_ARG(my_cell(res, 0, i)));
	rc = read_set(&srv->executed, my_cell(res, 0, MY_SETTINGS), e);
	if (rc == 0)
		rc = read_set(&srv->purged, my_cell(res, 0, MY_SETTINGS + 1), e);
	my_result_free(res);
	return rc;
}

void my_server_fini(struct my_server *srv)
{
	my_gtid_set_fini(&srv->executed);
	my_gtid_set_fini(&srv->purged);
}

/* --- is it good enough? ---------------------------------------------------- */

static int refuse_kind(const struct my_session *s, struct err *e)
{
	unsigned oldest = s->is_mariadb ? OLDEST_MARIADB : OLDEST_MYSQL;

	if (s->is_mariadb != (s->flavour == MY_MARIADB)) {
		err_set(e, CODE_wrong_server, "the server is %s",
			s->is_mariadb ? "a MariaDB" : "a MySQL");
		err_hint(e, "Set the source's type to %s.",
			 s->is_mariadb ? "mariadb" : "mysql");
		return -1;
	}
	if (s->version >= oldest)
		return 0;
	return err_set(e, CODE_source_config,
		       "the server is %s %u.%u; %u.%u or later is needed",
		       s->is_mariadb ? "MariaDB" : "MySQL", s->version / 10000,
		       s->version / 100 % 100, oldest / 10000,
		       oldest / 100 % 100);
}

static bool is_met(const struct my_server *srv, size_t i)
{
	return strcasecmp(srv->value[needs[i].setting], needs[i].wanted) == 0;
}

static void print_need(const struct my_server *srv, size_t i, char *out,
		       size_t size)
{
	const char *has = srv->value[needs[i].setting];

	if (needs[i].setting == MY_LOG_BIN)
		snprintf(out, size, "the server keeps no binlog: log_bin is off (needs a line in its configuration, and a restart)");
	else
		snprintf(out, size, "%s is %s; %s is needed", needs[i].name,
			 has[0] ? has : "not set",
			 needs[i].wanted[0] ? needs[i].wanted : "''");
}

static const char *mend(const struct my_server *srv, size_t i)
{
	return srv->flavour == MY_MYSQL ? needs[i].mysql : needs[i].mariadb;
}

int my_server_refuse(const struct my_session *s, const struct my_server *srv,
		     struct err *e)
{
	char text[200];

	if (refuse_kind(s, e) < 0)
		return -1;
	for (size_t i = 0; i < countof(needs); i++) {
		if (is_met(srv, i))
			continue;
		print_need(srv, i, text, sizeof(text));
		err_set(e, CODE_source_config, "%s", text);
		if (mend(srv, i) != NULL)
			err_hint(e, "%s", mend(srv, i));
		return -1;
	}
	return 0;
}

void my_server_check(const struct my_session *s, const struct my_server *srv,
		     struct report *r, const char *where)
{
	struct err why = ERR_INIT;
	size_t bad = 0;
	char text[200];

	if (refuse_kind(s, &why) < 0) {
		report_err(r, where, &why);
		return;
	}
	for (size_t i = 0; i < countof(needs); i++) {
		if (is_met(srv, i))
			continue;
		print_need(srv, i, text, sizeof(text));
		report_add(r, FINDING_ERROR, CODE_source_config, where,
			   mend(srv, i), "%s", text);
		bad++;
	}
	if (bad == 0)
		report_add(r, FINDING_OK, CODE_none, where, NULL,
			   "the server is %s %s, with all settings as they must be",
			   s->is_mariadb ? "MariaDB" : "MySQL",
			   srv->value[MY_VERSION]);
}

/* --- collations ------------------------------------------------------------------ */

static const char collations_sql[] =
	"SELECT id, character_set_name FROM information_schema.collations"
	" WHERE id IS NOT NULL";
/* MariaDB 10.10 and later: a collation can be of several character sets */
static const char applicability_sql[] =
	"SELECT id, character_set_name"
	" FROM information_schema.collation_character_set_applicability"
	" WHERE id IS NOT NULL";

int my_server_charsets(struct my_session *s, struct my_charsets *charsets,
		       struct err *e)
{
	bool several = s->is_mariadb && s->version >= 101000;
	struct my_result *res =
		my_query(s, several ? applicability_sql : collations_sql, e);
	uint64_t n, id;
	int rc = 0;

	if (res == NULL)
		return -1;
	n = my_result_rows(res);
	for (uint64_t i = 0; i < n && rc == 0; i++)
		if (slice_to_u64(my_cell(res, i, 0), &id) && id <= UINT32_MAX)
			rc = my_charsets_set(charsets, (uint32_t)id,
					     my_cell(res, i, 1), e);
	my_result_free(res);
	return rc;
}
