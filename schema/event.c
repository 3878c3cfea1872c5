#include "config.h"
#include "schema/event.h"

const char *op_name(enum op op)
{
	static const char *const names[] = {
		[OP_INSERT] = "insert",	    [OP_UPDATE] = "update",
		[OP_DELETE] = "delete",	    [OP_READ] = "read",
		[OP_TRUNCATE] = "truncate", [OP_SCHEMA] = "schema",
		[OP_MESSAGE] = "message",   [OP_GAP] = "gap",
	};

	return names[op];
}

/* A version of a table is named by what it is a version of, and a gap by the
 * seq it takes: neither has a place in the source's numbering of changes. */
void event_id(const struct event *ev, char branch, struct buf *out)
{
	const struct origin *o = ev->txn->origin;

	buf_slice(out, o->name);
	buf_u8(out, '/');
	buf_u64(out, o->incarnation);
	buf_u8(out, '/');
	if (ev->op == OP_SCHEMA) {
		buf_text(out, "schema/");
		buf_slice(out, ev->table->full_name);
		buf_u8(out, '/');
		buf_u64(out, ev->table->version);
		return;
	}
	if (ev->op == OP_GAP) {
		buf_text(out, "gap/");
		buf_u64(out, ev->seq);
		return;
	}
	buf_slice(out, ev->txn->coord);
	buf_u8(out, '/');
	buf_u64(out, ev->ordinal);
	if (branch != 0) {
		buf_u8(out, '/');
		buf_u8(out, (uint8_t)branch);
	}
}
