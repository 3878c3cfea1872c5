#include "config.h"
#include "sources/pg_state.h"

#include <string.h>

#define POOLER "If a connection pooler stands in between: logical replication needs a direct connection to the server."

/* The first line that fits decides.  RETRY codes are those where the same
 * request may succeed later without a change of the conf. */
static const struct {
	const char *class;
	enum code code;
	const char *hint;
} states[] = {
	{"08P01", CODE_source_config, POOLER},
	{"08", CODE_source_unreachable, NULL},
	{"28", CODE_source_refused,
	 "Check user and password, and pg_hba.conf: a logical replication connection matches an ordinary database line there, not the keyword replication."},
	{"3D000", CODE_source_refused, "Check dbname in conninfo."},
	{"3F000", CODE_source_config, NULL},
	{"40", CODE_source_unreachable, NULL},
	/* a command of replication, in an ordinary session */
	{"42601", CODE_source_config, POOLER},
	{"42501", CODE_source_refused,
	 "Give the role what it lacks: ALTER ROLE ... REPLICATION (on RDS: GRANT rds_replication TO ...), and for create_publication CREATE on the database and ownership of the tables."},
	{"53100", CODE_source_unreachable, NULL},
	{"53200", CODE_source_unreachable, NULL},
	{"53300", CODE_source_refused,
	 "Raise max_wal_senders or max_connections, or free a connection."},
	{"53400", CODE_source_config,
	 "Raise max_replication_slots (needs a restart), or drop a slot that nobody uses."},
	{"53", CODE_source_unreachable, NULL},
	{"55006", CODE_slot_busy, NULL},
	{"55P03", CODE_source_refused,
	 "Another session holds a conflicting lock; leat does not wait longer than lock_timeout."},
	{"57P04", CODE_source_refused, NULL},
	{"57", CODE_source_unreachable, NULL},
	{"58P01", CODE_source_unreachable, NULL},
	{"58", CODE_source_unreachable, NULL},
	{"F0", CODE_source_unreachable, NULL},
};

bool pg_state_in(const char *state, const char *class)
{
	return strncmp(state, class, strlen(class)) == 0;
}

int pg_state_error(const char *state, const char *message, const char *detail,
		   struct err *e)
{
	enum code code = CODE_source_config;
	const char *hint = NULL;

	if (state[0] == '\0')
		code = CODE_source_unreachable;
	for (size_t i = 0; i < countof(states); i++) {
		if (pg_state_in(state, states[i].class)) {
			code = states[i].code;
			hint = states[i].hint;
			break;
		}
	}
	err_set(e, code, "%s", message);
	if (detail != NULL && detail[0] != '\0')
		err_detail(e, "%s", detail);
	if (hint != NULL)
		err_hint(e, "%s", hint);
	return -1;
}
