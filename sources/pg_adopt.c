/* pg_adopt.c: see pg_adopt.h.
 *
 * Debezium's offset stands beside each record that it has written.  Of its members
 *
 *	lsn_commit  the end of the last transaction that was whole
 *	txId        the transaction of the last change
 *	lsn         of that change
 *
 * so that all transactions up to lsn_commit were delivered, and of txId, if that
 * comes behind it, the changes up to lsn.  Changes of other transactions may have
 * smaller LSNs and were not.  "same" is ours: how many of the changes at lsn were
 * delivered, where a person had to count. */
#include "config.h"
#include "sources/pg_adopt.h"

/* The number behind "name":, which may be absent (false) or null. */
static bool find_number(struct slice text, const char *name, uint64_t *out)
{
	size_t n = strlen(name);

	*out = 0;
	for (size_t i = 0; i + n + 2 < text.n; i++) {
		struct slice rest = {text.p + i + n + 2, text.n - i - n - 2};
		size_t digits = 0;

		if (text.p[i] != '"' || text.p[i + n + 1] != '"' ||
		    memcmp(text.p + i + 1, name, n) != 0)
			continue;
		while (rest.n > 0 && (*rest.p == ' ' || *rest.p == ':')) {
			rest.p++;
			rest.n--;
		}
		while (digits < rest.n && rest.p[digits] >= '0' &&
		       rest.p[digits] <= '9')
			digits++;
		rest.n = digits;
		return digits > 0 && slice_to_u64(rest, out);
	}
	return false;
}

bool pg_adopt_is_offset(struct slice position)
{
	return position.n > 0 && position.p[0] == '{';
}

int pg_adopt_place(struct slice offset, uint64_t confirmed,
		   struct pgoutput_place *place, struct err *e)
{
	uint64_t commit, lsn, xid;
	bool has_commit = find_number(offset, "lsn_commit", &commit);

	*place = (struct pgoutput_place){.end = has_commit ? commit : confirmed};
	if (!find_number(offset, "lsn", &lsn) ||
	    !find_number(offset, "txId", &xid) || xid > UINT32_MAX) {
		err_set(e, CODE_usage, "this is no offset of Debezium's connector for PostgreSQL: lsn or txId is missing");
		err_hint(e, "Kafka Connect prints it at /connectors/NAME/offsets, when the connector has delivered a change.");
		return -1;
	}
	place->taken_xid = (uint32_t)xid;
	place->taken_lsn = lsn;
	find_number(offset, "same", &place->taken_n);
	return 0;
}

int pg_adopt_look(struct pg *pg, const char *name, struct pg_slot *slot,
		  struct err *e)
{
	if (pg_slot_read(pg, slot, e) < 0 || name == NULL)
		return name == NULL && !err_is_set(e) ? 0 : -1;
	if (slot->exists) {
		err_set(e, CODE_failed,
			"the pipeline has a replication slot already, \"%s\"",
			pg->slot);
		err_hint(e, "Leave --adopt out to use it, or drop it: SELECT pg_drop_replication_slot('%s')",
			 pg->slot);
		return -1;
	}
	if (pg_slot_read_other(pg, name, slot, e) < 0)
		return -1;
	if (!slot->exists)
		return err_set(e, CODE_failed,
			       "there is no replication slot \"%s\"", name);
	if (!slot->is_ours || slot->is_lost)
		return err_set(e, CODE_failed,
			       "replication slot \"%s\" cannot be adopted: it %s",
			       name, slot->is_lost ? "is lost" : slot->what);
	if (slot->active_pid == 0)
		return 0;
	err_set(e, CODE_failed, "somebody reads from replication slot \"%s\"",
		name);
	err_hint(e, "Stop the agent that it belongs to; it must not run again.");
	return -1;
}
