/* my_event.c: see my_event.h.
 *
 * Header, 19 bytes: u32 time, u8 type, u32 server id, u32 size, u32 end in the
 * file, u16 flags.  Behind the body, when the FORMAT event before said so, a
 * CRC-32 (zlib's) of everything in front of it. */
#include "config.h"
#include "sources/my_event.h"

#include <string.h>
#include <zlib.h>

#define CHECKSUM_SIZE 4u
/* in a FORMAT event's header while the file is being written, and not part of
 * its checksum */
#define FLAG_IN_USE 0x01
#define FLAGS_AT 17
#define CHECKSUM_CRC32 1

static int truncated(struct err *e)
{
	return err_set(e, CODE_source_protocol, "it is truncated");
}

static int end_of(const struct wire *w, struct err *e)
{
	return wire_ok(w) ? 0 : truncated(e);
}

/* --- numbers ------------------------------------------------------------- */

uint64_t my_le(struct wire *w, size_t n)
{
	const uint8_t *p = wire_take(w, n);
	uint64_t v = 0;

	for (size_t i = n; p != NULL && i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

uint64_t my_be(struct wire *w, size_t n)
{
	const uint8_t *p = wire_take(w, n);
	uint64_t v = 0;

	for (size_t i = 0; p != NULL && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

uint64_t my_lenenc(struct wire *w)
{
	uint8_t first = wire_u8(w);

	switch (first) {
	case 0xfc:
		return wire_le16(w);
	case 0xfd:
		return my_le(w, 3);
	case 0xfe:
		return wire_le64(w);
	case 0xfb: /* NULL in a result set */
	case 0xff:
		w->failed = true;
		return 0;
	default:
		return first;
	}
}

struct slice my_lenenc_slice(struct wire *w)
{
	uint64_t n = my_lenenc(w);

	if (n > wire_left(w)) {
		w->failed = true;
		return (struct slice){0};
	}
	return wire_bytes(w, (size_t)n);
}

/* --- the envelope ---------------------------------------------------------- */

static uint32_t checksum_of(struct slice bytes, uint8_t type)
{
	const Bytef *p = (const Bytef *)bytes.p;
	uint8_t flags;
	uLong crc;

	if (type != MY_FORMAT)
		return (uint32_t)crc32_z(0, p, bytes.n);
	flags = (uint8_t)(p[FLAGS_AT] & ~FLAG_IN_USE);
	crc = crc32_z(0, p, FLAGS_AT);
	crc = crc32_z(crc, &flags, 1);
	return (uint32_t)crc32_z(crc, p + FLAGS_AT + 1, bytes.n - FLAGS_AT - 1);
}

int my_event_open(struct slice event, bool has_checksum, struct my_header *h,
		  struct wire *body, struct err *e)
{
	struct wire w = wire_of(event);
	size_t n = event.n;

	h->time = wire_le32(&w);
	h->type = wire_u8(&w);
	h->server_id = wire_le32(&w);
	h->size = wire_le32(&w);
	h->end = wire_le32(&w);
	h->flags = wire_le16(&w);
	if (!wire_ok(&w))
		return truncated(e);
	if (h->size != n)
		return err_set(e, CODE_source_protocol,
			       "it says that it has %u bytes, and has %zu",
			       h->size, n);
	if (h->type == MY_FORMAT) {
		/* the byte in front of the checksum tells what kind it is */
		if (n < MY_HEADER_SIZE + CHECKSUM_SIZE + 1)
			return truncated(e);
		has_checksum = event.p[n - CHECKSUM_SIZE - 1] == CHECKSUM_CRC32;
		if (!has_checksum)
			n -= CHECKSUM_SIZE;
	}
	if (has_checksum) {
		struct wire at;

		if (n < MY_HEADER_SIZE + CHECKSUM_SIZE)
			return truncated(e);
		n -= CHECKSUM_SIZE;
		at = wire_of((struct slice){event.p + n, CHECKSUM_SIZE});
		if (wire_le32(&at) !=
		    checksum_of((struct slice){event.p, n}, h->type))
			return err_set(e, CODE_source_protocol,
				       "its checksum does not match");
	}
	*body = wire_of((struct slice){event.p + MY_HEADER_SIZE,
				       n - MY_HEADER_SIZE});
	return 0;
}

/* --- files ------------------------------------------------------------------ */

int my_event_rotate(struct wire *w, struct slice *file, uint64_t *pos,
		    struct err *e)
{
	*pos = wire_le64(w);
	*file = wire_bytes(w, wire_left(w));
	return end_of(w, e);
}

/* u16 version of the format, 50 bytes version of the server, u32 time, u8 size
 * of headers, a byte for each type of event, u8 kind of checksums. */
int my_event_format(struct wire *w, bool *has_checksum, struct slice *version,
		    struct err *e)
{
	uint16_t format = wire_le16(w);
	uint8_t header, kind = 0;

	*version = wire_bytes(w, 50);
	wire_le32(w);
	header = wire_u8(w);
	while (wire_left(w) > 0)
		kind = wire_u8(w);
	if (!wire_ok(w))
		return truncated(e);
	if (format != 4 || header != MY_HEADER_SIZE)
		return err_set(e, CODE_source_protocol,
			       "version %u of the format, with headers of %u bytes",
			       format, header);
	if (kind > CHECKSUM_CRC32)
		return err_set(e, CODE_source_protocol,
			       "unknown kind of checksum %u", kind);
	version->n = strnlen(version->p, version->n);
	*has_checksum = kind == CHECKSUM_CRC32;
	return 0;
}

/* --- statements ---------------------------------------------------------- */

/* u32 thread, u32 seconds it took, u8 length of db, u16 error, u16 length of
 * the status variables, those, db and a NUL, the statement. */
int my_event_query(struct wire *w, struct my_query *q, struct err *e)
{
	uint8_t db;
	uint16_t status;

	wire_le32(w);
	wire_le32(w);
	db = wire_u8(w);
	q->error = wire_le16(w);
	status = wire_le16(w);
	wire_bytes(w, status);
	q->db = wire_bytes(w, db);
	wire_u8(w);
	q->sql = wire_bytes(w, wire_left(w));
	return end_of(w, e);
}

/* --- transactions -------------------------------------------------------- */

/* Seven bytes of microseconds; their highest bit says that the time at the
 * original server follows. */
static int64_t commit_time(struct wire *w)
{
	uint64_t v = my_le(w, 7);

	if (v & UINT64_C(1) << 55)
		my_le(w, 7);
	return (int64_t)(v & ~(UINT64_C(1) << 55));
}

/* u8 flags, uuid, i64 number; then, by the server's version, u8 2, i64 and i64
 * of the parallel replica, the time, and more that is of no interest. */
static int begin_mysql(const struct my_header *h, struct wire *w,
		       struct my_begin *begin, struct err *e)
{
	const uint8_t *uuid;
	uint64_t number;

	wire_u8(w);
	uuid = wire_take(w, MY_UUID_SIZE);
	number = wire_le64(w);
	if (!wire_ok(w))
		return truncated(e);
	if (h->type == MY_GTID) {
		if (number == 0 || number > INT64_MAX)
			return err_set(e, CODE_source_protocol,
				       "a GTID with number %llu",
				       (unsigned long long)number);
		memcpy(begin->id.uuid, uuid, MY_UUID_SIZE);
		begin->id.number = number;
	}
	if (wire_left(w) < 1 + 8 + 8 + 7 || wire_u8(w) != 2)
		return 0;
	wire_le64(w);
	wire_le64(w);
	begin->commit_us = commit_time(w);
	return end_of(w, e);
}

/* The integer of MySQL's serialization library: as many bits set at the low end
 * of the first byte as bytes follow, then the value; 0xff: eight bytes. */
static uint64_t serial(struct wire *w)
{
	uint8_t first = wire_u8(w);
	size_t more = 0;
	uint64_t v;

	while (more < 8 && first >> more & 1)
		more++;
	if (more == 8)
		return wire_le64(w);
	v = my_le(w, more);
	return (v << (7 - more)) | (uint64_t)(first >> (more + 1));
}

static int64_t serial_signed(struct wire *w)
{
	uint64_t v = serial(w);

	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

enum { FIELD_FLAGS, FIELD_UUID, FIELD_NUMBER, FIELD_TAG, FIELD_LAST_COMMITTED,
       FIELD_SEQUENCE, FIELD_COMMIT };

static void read_tag(struct wire *w, struct my_gtid *id)
{
	uint64_t n = serial(w);
	struct slice tag;

	if (n >= MY_TAG_SIZE) {
		w->failed = true;
		return;
	}
	tag = wire_bytes(w, (size_t)n);
	if (tag.p != NULL)
		memcpy(id->tag, tag.p, tag.n);
}

/* MySQL 8.3: version, size of all, last field that must be known, then fields
 * by number, ascending.  The ones wanted come first. */
static int begin_tagged(struct wire *w, struct my_begin *begin, struct err *e)
{
	uint64_t version = serial(w), field = 0, last = 0;

	serial(w);
	serial(w);
	if (wire_ok(w) && version != 1)
		return err_set(e, CODE_source_protocol,
			       "version %llu of its form",
			       (unsigned long long)version);
	while (wire_ok(w) && wire_left(w) > 0 && last < FIELD_COMMIT) {
		field = serial(w);
		switch (field) {
		case FIELD_UUID:
			for (size_t i = 0; i < MY_UUID_SIZE; i++)
				begin->id.uuid[i] = (uint8_t)serial(w);
			break;
		case FIELD_NUMBER:
			begin->id.number = (uint64_t)serial_signed(w);
			break;
		case FIELD_TAG:
			read_tag(w, &begin->id);
			break;
		case FIELD_COMMIT:
			begin->commit_us = (int64_t)serial(w);
			break;
		case FIELD_FLAGS:
			serial(w);
			break;
		case FIELD_LAST_COMMITTED:
		case FIELD_SEQUENCE:
			serial_signed(w);
			break;
		default:
			last = field;
			break;
		}
		last = field > last ? field : last;
	}
	if (!wire_ok(w))
		return truncated(e);
	if (begin->id.number == 0 || begin->id.number > INT64_MAX)
		return err_set(e, CODE_source_protocol, "it has no number");
	return 0;
}

enum { MARIA_STANDALONE = 1, MARIA_GROUP = 2, MARIA_PREPARED = 64,
       MARIA_COMPLETED = 128 };

/* u64 number, u32 domain, u8 flags, then by flags. */
static int begin_mariadb(const struct my_header *h, struct wire *w,
			 struct my_begin *begin, struct err *e)
{
	uint8_t flags;

	begin->id.number = wire_le64(w);
	begin->id.domain = wire_le32(w);
	begin->id.server = h->server_id;
	flags = wire_u8(w);
	if (!wire_ok(w))
		return truncated(e);
	if (begin->id.number == 0)
		return err_set(e, CODE_source_protocol, "it has no number");
	begin->is_standalone = flags & MARIA_STANDALONE;
	begin->is_prepared_xa = flags & MARIA_PREPARED;
	begin->is_finished_xa = flags & MARIA_COMPLETED;
	return 0;
}

int my_event_begin(const struct my_header *h, struct wire *w,
		   struct my_begin *begin, struct err *e)
{
	*begin = (struct my_begin){0};
	if (h->type == MY_MARIA_GTID)
		return begin_mariadb(h, w, begin, e);
	if (h->type == MY_GTID_TAGGED)
		return begin_tagged(w, begin, e);
	return begin_mysql(h, w, begin, e);
}

/* --- sets ------------------------------------------------------------------ */

static int bad_set(struct err *e)
{
	return err_set(e, CODE_source_protocol, "it holds no set of GTIDs");
}

/* All of an interval, by way of the text that the set's own parser takes. */
static int add_interval(struct my_gtid_set *set, const struct my_gtid *id,
			uint64_t first, uint64_t end, struct err *e)
{
	struct buf text = BUF_INIT;
	char uuid[MY_UUID_TEXT];
	bool good;

	if (first == 0 || end <= first)
		return bad_set(e);
	my_uuid_print(uuid, id->uuid);
	buf_printf(&text, "%s%s%s:%llu-%llu", uuid, id->tag[0] ? ":" : "",
		   id->tag, (unsigned long long)first,
		   (unsigned long long)(end - 1));
	good = !text.failed && my_gtid_set_parse(set, buf_get(&text));
	buf_fini(&text);
	return good ? 0 : bad_set(e);
}

static int gtids_mysql(struct wire *w, struct my_gtid_set *set, struct err *e)
{
	uint64_t n = wire_le64(w);
	bool tagged = n >> 56 == 1;

	if (tagged)
		n = n << 8 >> 16;
	for (uint64_t i = 0; i < n; i++) {
		struct my_gtid id = {0};
		const uint8_t *uuid = wire_take(w, MY_UUID_SIZE);
		uint64_t intervals;

		if (tagged)
			read_tag(w, &id);
		intervals = wire_le64(w);
		if (!wire_ok(w))
			return truncated(e);
		memcpy(id.uuid, uuid, MY_UUID_SIZE);
		for (uint64_t k = 0; k < intervals; k++) {
			uint64_t first = wire_le64(w), end = wire_le64(w);

			if (!wire_ok(w))
				return truncated(e);
			if (add_interval(set, &id, first, end, e) < 0)
				return -1;
		}
	}
	return end_of(w, e);
}

/* The highest four bits of the count are flags. */
static int gtids_mariadb(struct wire *w, struct my_gtid_set *set, struct err *e)
{
	uint32_t n = wire_le32(w) & 0x0fffffff;

	for (uint32_t i = 0; i < n; i++) {
		struct my_gtid id = {.domain = wire_le32(w)};

		id.server = wire_le32(w);
		id.number = wire_le64(w);
		if (!wire_ok(w))
			return truncated(e);
		if (my_gtid_set_add(set, &id) < 0)
			return err_no_memory(e);
	}
	return end_of(w, e);
}

int my_event_gtids(const struct my_header *h, struct wire *w,
		   struct my_gtid_set *set, struct err *e)
{
	return h->type == MY_MARIA_GTID_LIST ? gtids_mariadb(w, set, e)
					     : gtids_mysql(w, set, e);
}

/* --- others ---------------------------------------------------------------- */

int my_event_incident(struct wire *w, struct err *e)
{
	uint16_t kind = wire_le16(w);
	struct slice text = wire_bytes(w, wire_u8(w));

	if (!wire_ok(w))
		return truncated(e);
	err_set(e, CODE_poisoned,
		"the server says that changes may be missing from its log: incident %u: %.*s",
		kind, SLICE_ARG(text));
	return -1;
}

const char *my_event_name(uint8_t type)
{
	static const char *const names[] = {
		[MY_QUERY] = "QUERY", [MY_STOP] = "STOP",
		[MY_ROTATE] = "ROTATE", [MY_INTVAR] = "INTVAR",
		[MY_RAND] = "RAND", [MY_USER_VAR] = "USER_VAR",
		[MY_FORMAT] = "FORMAT_DESCRIPTION", [MY_XID] = "XID",
		[MY_TABLE_MAP] = "TABLE_MAP",
		[MY_WRITE_V1] = "WRITE_ROWS_V1",
		[MY_UPDATE_V1] = "UPDATE_ROWS_V1",
		[MY_DELETE_V1] = "DELETE_ROWS_V1",
		[MY_INCIDENT] = "INCIDENT", [MY_HEARTBEAT] = "HEARTBEAT",
		[MY_IGNORABLE] = "IGNORABLE", [MY_ROWS_QUERY] = "ROWS_QUERY",
		[MY_WRITE] = "WRITE_ROWS", [MY_UPDATE] = "UPDATE_ROWS",
		[MY_DELETE] = "DELETE_ROWS", [MY_GTID] = "GTID",
		[MY_ANONYMOUS_GTID] = "ANONYMOUS_GTID",
		[MY_PREVIOUS_GTIDS] = "PREVIOUS_GTIDS",
		[MY_TRANSACTION_CONTEXT] = "TRANSACTION_CONTEXT",
		[MY_VIEW_CHANGE] = "VIEW_CHANGE",
		[MY_XA_PREPARE] = "XA_PREPARE",
		[MY_PARTIAL_UPDATE] = "PARTIAL_UPDATE_ROWS",
		[MY_PAYLOAD] = "TRANSACTION_PAYLOAD",
		[MY_HEARTBEAT_V2] = "HEARTBEAT_V2",
		[MY_GTID_TAGGED] = "GTID_TAGGED",
		[MY_MARIA_ANNOTATE] = "ANNOTATE_ROWS",
		[MY_MARIA_CHECKPOINT] = "BINLOG_CHECKPOINT",
		[MY_MARIA_GTID] = "GTID", [MY_MARIA_GTID_LIST] = "GTID_LIST",
		[MY_MARIA_ENCRYPTION] = "START_ENCRYPTION",
		[MY_MARIA_QUERY_COMPRESSED] = "QUERY_COMPRESSED",
		[MY_MARIA_WRITE_COMPRESSED_V1] = "WRITE_ROWS_COMPRESSED_V1",
		[MY_MARIA_UPDATE_COMPRESSED_V1] = "UPDATE_ROWS_COMPRESSED_V1",
		[MY_MARIA_DELETE_COMPRESSED_V1] = "DELETE_ROWS_COMPRESSED_V1",
		[MY_MARIA_WRITE_COMPRESSED] = "WRITE_ROWS_COMPRESSED",
		[MY_MARIA_UPDATE_COMPRESSED] = "UPDATE_ROWS_COMPRESSED",
		[MY_MARIA_DELETE_COMPRESSED] = "DELETE_ROWS_COMPRESSED",
	};

	return type < countof(names) && names[type] ? names[type] : "unknown";
}
