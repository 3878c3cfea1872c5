/* my_event.h: the events of a binlog, taken apart: bytes in, fields out.
 *
 * MySQL source documentation, "Replication Protocol"; MariaDB knowledge base,
 * "Replication Protocol".  Rows and table maps have files of their own
 * (my_rows.h, my_map.h).  All numbers are little-endian but where said. */
#ifndef LEAT_SOURCES_MY_EVENT_H
#define LEAT_SOURCES_MY_EVENT_H

#include "base/err.h"
#include "sources/my_gtid.h"

enum my_event_type {
	MY_QUERY = 2,
	MY_STOP = 3,
	MY_ROTATE = 4,
	MY_INTVAR = 5,
	MY_RAND = 13,
	MY_USER_VAR = 14,
	MY_FORMAT = 15,
	MY_XID = 16,
	MY_TABLE_MAP = 19,
	MY_WRITE_V1 = 23,
	MY_UPDATE_V1 = 24,
	MY_DELETE_V1 = 25,
	MY_INCIDENT = 26,
	MY_HEARTBEAT = 27,
	MY_IGNORABLE = 28,
	MY_ROWS_QUERY = 29,
	MY_WRITE = 30,
	MY_UPDATE = 31,
	MY_DELETE = 32,
	MY_GTID = 33,
	MY_ANONYMOUS_GTID = 34,
	MY_PREVIOUS_GTIDS = 35,
	MY_TRANSACTION_CONTEXT = 36,
	MY_VIEW_CHANGE = 37,
	MY_XA_PREPARE = 38,
	MY_PARTIAL_UPDATE = 39,
	MY_PAYLOAD = 40,
	MY_HEARTBEAT_V2 = 41,
	MY_GTID_TAGGED = 42,
	/* MariaDB's own */
	MY_MARIA_ANNOTATE = 160,
	MY_MARIA_CHECKPOINT = 161,
	MY_MARIA_GTID = 162,
	MY_MARIA_GTID_LIST = 163,
	MY_MARIA_ENCRYPTION = 164,
	MY_MARIA_QUERY_COMPRESSED = 165,
	MY_MARIA_WRITE_COMPRESSED_V1 = 166,
	MY_MARIA_UPDATE_COMPRESSED_V1 = 167,
	MY_MARIA_DELETE_COMPRESSED_V1 = 168,
	MY_MARIA_WRITE_COMPRESSED = 169,
	MY_MARIA_UPDATE_COMPRESSED = 170,
	MY_MARIA_DELETE_COMPRESSED = 171,
};

enum { MY_FLAG_ARTIFICIAL = 0x20, MY_FLAG_IGNORABLE = 0x80 };

#define MY_HEADER_SIZE 19u

struct my_header {
	uint32_t time; /* seconds since 1970 */
	uint8_t type;
	uint32_t server_id;
	uint32_t size; /* with header and checksum */
	uint32_t end;  /* in the file, low 32 bits; 0: artificial */
	uint16_t flags;
};

/* One event: header and body, the checksum (when it has one) compared and cut
 * off.  A FORMAT event always has room for one. */
int my_event_open(struct slice event, bool has_checksum, struct my_header *h,
		  struct wire *body, struct err *e) MUST_CHECK;

/* All of the following take the body, to its end, and fail with
 * CODE_source_protocol when it is cut short.  Slices point into it. */

/* The file named, and where the dump goes on in it. */
int my_event_rotate(struct wire *w, struct slice *file, uint64_t *pos,
		    struct err *e) MUST_CHECK;
/* Do the events behind this FORMAT event have checksums? */
int my_event_format(struct wire *w, bool *has_checksum, struct slice *version,
		    struct err *e) MUST_CHECK;

struct my_query {
	uint16_t error; /* of the statement, where it failed halfway */
	struct slice db, sql;
};
int my_event_query(struct wire *w, struct my_query *q, struct err *e) MUST_CHECK;

struct my_begin {
	struct my_gtid id;   /* number 0: the server gives none */
	int64_t commit_us;   /* 0: not told */
	bool is_standalone;  /* MariaDB: one statement follows, and is all */
	bool is_prepared_xa; /* MariaDB: rows that an XA COMMIT will confirm */
	bool is_finished_xa;
};
/* GTID, ANONYMOUS_GTID, tagged GTID and MariaDB's, by the header's type. */
int my_event_begin(const struct my_header *h, struct wire *w,
		   struct my_begin *begin, struct err *e) MUST_CHECK;
/* PREVIOUS_GTIDS or MariaDB's GTID_LIST, into an empty set. */
int my_event_gtids(const struct my_header *h, struct wire *w,
		   struct my_gtid_set *set, struct err *e) MUST_CHECK;

/* "incident 1: message" into err, with CODE_poisoned. */
int my_event_incident(struct wire *w, struct err *e);

/* Length-encoded integer of the protocol: one byte, or 0xfc, fd, fe and two,
 * three, eight. */
uint64_t my_lenenc(struct wire *w);
/* The same and so many bytes. */
struct slice my_lenenc_slice(struct wire *w);
/* n bytes, up to 8 */
uint64_t my_le(struct wire *w, size_t n);
uint64_t my_be(struct wire *w, size_t n);

const char *my_event_name(uint8_t type);

#endif
