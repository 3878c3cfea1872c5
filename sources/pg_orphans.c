/* A slot that nobody reads from keeps the server's log for ever, so it is pointed
 * at; whether another agent with another conf will come back to it nobody can
 * know, so it is never touched. */
#include "config.h"
#include "sources/pg_orphans.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/note.h"
#include "sources/pg_query.h"

static const char orphans_sql[] =
	"SELECT slot_name, pg_catalog.pg_wal_lsn_diff("
	"pg_catalog.pg_current_wal_flush_lsn(), restart_lsn)::bigint"
	" FROM pg_catalog.pg_replication_slots WHERE plugin = 'pgoutput'"
	" AND slot_name LIKE 'leat\\_%' AND NOT active AND NOT temporary"
	" ORDER BY slot_name";

/* Is it the slot of a pipeline of the conf, on whatever server? */
static bool is_known(const struct pg *pg, const char *slot)
{
	char name[PG_NAME_SIZE];

	for (const char *const *s = pg->base.siblings; *s != NULL; s++) {
		pg_default_name(name, *s);
		if (strcmp(name, slot) == 0)
			return true;
	}
	return false;
}

static struct pg_result *ask(struct pg *pg, struct err *e)
{
	return pg_side(pg, e) < 0 ? NULL
				  : pg_query_params(&pg->side, orphans_sql, NULL,
						    0, e);
}

static void tell(const struct pg_result *res, int row, char *out, size_t size)
{
	snprintf(out, size,
		 "replication slot \"%s\" belongs to no pipeline of this conf; nobody reads from it, and it keeps %" PRId64 " MiB of the server's log",
		 pg_text(res, row, 0), pg_int(res, row, 1) >> 20);
}

static void tell_how(const struct pg_result *res, int row, char *out, size_t size)
{
	snprintf(out, size,
		 "if no other agent needs it: SELECT pg_drop_replication_slot('%s')",
		 pg_text(res, row, 0));
}

int pg_orphans_check(struct pg *pg, struct report *r, const char *where,
		     struct err *e)
{
	struct pg_result *res;
	char what[256], how[160];

	if (pg->base.siblings == NULL)
		return 0;
	res = ask(pg, e);
	if (res == NULL)
		return -1;
	for (int i = 0; i < pg_rows(res); i++) {
		if (is_known(pg, pg_text(res, i, 0)))
			continue;
		tell(res, i, what, sizeof(what));
		tell_how(res, i, how, sizeof(how));
		report_add(r, FINDING_WARNING, CODE_orphan, where, NULL,
			   "%s\nhint: %s", what, how);
	}
	pg_result_free(res);
	return 0;
}

void pg_orphans_note(struct pg *pg)
{
	struct err ignored = ERR_INIT;
	struct pg_result *res;
	char component[PG_COMPONENT_SIZE], what[256], how[160];

	if (pg->base.siblings == NULL)
		return;
	res = ask(pg, &ignored);
	for (int i = 0; res != NULL && i < pg_rows(res); i++) {
		if (is_known(pg, pg_text(res, i, 0)))
			continue;
		tell(res, i, what, sizeof(what));
		tell_how(res, i, how, sizeof(how));
		note(NOTE_WARNING, pg_component(component, pg->base.pipeline),
		     CODE_orphan, NOTE_KV({"slot", pg_text(res, i, 0)}, {"hint", how}),
		     "%s", what);
	}
	pg_result_free(res);
}
