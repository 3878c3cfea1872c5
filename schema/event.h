/* event.h: one committed change, typed and versioned. */
#ifndef LEAT_SCHEMA_EVENT_H
#define LEAT_SCHEMA_EVENT_H

#include "schema/table.h"
#include "schema/value.h"

/* Stored in logs: add at the end only. */
enum op {
	OP_INSERT = 1,
	OP_UPDATE,
	OP_DELETE,
	OP_READ, /* from a backfill */
	OP_TRUNCATE,
	OP_SCHEMA, /* a version comes into force; takes no ordinal and no seq */
	OP_MESSAGE,
	OP_GAP, /* by order of the operator, changes are missing here */
};

/* Where events come from.  Lives as long as the pipeline, or in the arena. */
struct origin {
	struct slice connector; /* Debezium's word: postgresql, mysql, mariadb */
	struct slice name;	/* of the source section */
	struct slice db;
	struct slice version;	/* of the leat that read it */
	uint32_t incarnation;
};

/* The source's transaction; in the batch's arena, each batch its own copy. */
struct txn {
	const struct origin *origin;
	struct slice coord;  /* in ids: PostgreSQL the commit LSN in hex; MySQL
				the GTID */
	struct slice id;     /* in envelopes: PostgreSQL "xid:commit LSN" */
	int64_t commit_us;   /* microseconds since 1970 UTC */
	uint64_t xid;	     /* 0: none */
	uint64_t commit_pos; /* PostgreSQL: commit LSN */
	uint64_t prev_pos;   /* PostgreSQL: end LSN of the transaction before */
	struct slice replicated_from; /* replication origin, or empty */
};

/* A logical message.  Outside a transaction txn->xid is 0 and ordinal is 0. */
struct message {
	bool is_transactional;
	struct slice prefix, content;
};

enum { TRUNCATE_CASCADE = 1, TRUNCATE_RESTART_IDENTITY = 2 };

/* One TRUNCATE is one change, whatever number of tables it names. */
struct truncate {
	unsigned flags;
	uint32_t ntables;
	struct table **tables; /* the first is also the event's table */
};

/* Comes directly before the first event of the version, in the same batch. */
struct schema_change {
	struct table *prev; /* NULL: the table is seen for the first time */
	/* source part of the cursor that stands directly before this event, for
	 * the commit of a barrier (its seq is seq - 1) */
	struct slice cursor_source;
};

struct gap {
	struct slice from, to; /* source parts of cursors */
	struct slice reason;
};

enum event_before {
	BEFORE_NONE,
	BEFORE_KEY, /* identity columns only; the others are VALUE_NULL and mean
		       nothing */
	BEFORE_FULL,
};

struct event {
	enum op op;
	enum event_before before_kind;
	bool key_changed; /* OP_UPDATE: leaves as delete of the old key and
			     insert of the new */
	struct table *table; /* NULL for message and gap; kept by the batch */
	struct value *before, *after; /* table->ncols each, or NULL */
	const struct txn *txn;
	uint64_t seq;	      /* of OP_SCHEMA: that of the event behind it */
	uint64_t ordinal;     /* in the transaction, from 1, before any filter */
	uint64_t table_ordinal; /* the same among its table's, from 1 */
	uint64_t pos;	      /* PostgreSQL: LSN of the change */
	int64_t read_us;      /* when leat took it from the source */
	union {
		struct message *message;
		struct truncate *truncate;
		struct schema_change *schema;
		struct gap *gap;
	};
};

const char *op_name(enum op op); /* insert, update, ... */

/* "shop/1/16E9BB8/3" and, for branch 'd' or 'i', "/d" or "/i" behind. */
void event_id(const struct event *ev, char branch, struct buf *out);

#endif
