/* my_gtid.h: global transaction identifiers and sets of them, of both flavours.
 *
 *	MySQL    3e11fa47-71ca-11e1-9e33-c80aa9429562:23, and from 8.3 on with a
 *	         tag between the two; a set is intervals per source and tag
 *	MariaDB  0-1-23: domain, server, sequence number; a set is the last of
 *	         each domain and everything in front of it
 *
 * MySQL manual, "GTID Format and Storage"; MariaDB manual, "Global Transaction
 * ID".  A set prints the same text however it came about. */
#ifndef LEAT_SOURCES_MY_GTID_H
#define LEAT_SOURCES_MY_GTID_H

#include "base/buf.h"
#include "base/wire.h"

enum my_flavour { MY_MYSQL, MY_MARIADB };

#define MY_UUID_SIZE 16
#define MY_TAG_SIZE 33	 /* 32 characters and a NUL */
#define MY_GTID_SIZE 100 /* text of one, and a NUL */

struct my_gtid {
	uint8_t uuid[MY_UUID_SIZE]; /* MySQL */
	char tag[MY_TAG_SIZE];
	uint32_t domain, server; /* MariaDB */
	uint64_t number;	 /* from 1; 0: none */
};

/* Both ends are part of it. */
struct my_interval {
	uint64_t first, last;
};

/* MySQL: the transactions of one source under one tag, intervals sorted and
 * apart from each other.  MariaDB: `last` of a domain. */
struct my_gtid_part {
	struct my_gtid id; /* its number is MariaDB's last, and 0 for MySQL */
	struct my_interval *v;
	size_t n, cap;
};

/* Sorted by source and tag, or by domain. */
struct my_gtid_set {
	enum my_flavour flavour;
	struct my_gtid_part *v;
	size_t n, cap;
};

void my_gtid_set_init(struct my_gtid_set *set, enum my_flavour flavour);
void my_gtid_set_fini(struct my_gtid_set *set);
/* -1 on lack of memory, and the set is as before. */
int my_gtid_set_add(struct my_gtid_set *set, const struct my_gtid *id) MUST_CHECK;
/* All of `from` into `to`.  -1 on lack of memory, and `to` may have a part. */
int my_gtid_set_merge(struct my_gtid_set *to, const struct my_gtid_set *from)
	MUST_CHECK;
/* MySQL: is it in the set?  MariaDB: not behind the last of its domain? */
bool my_gtid_set_has(const struct my_gtid_set *set, const struct my_gtid *id);
/* Is all of a in b?  MariaDB: does b reach as far in each domain of a? */
bool my_gtid_set_is_subset(const struct my_gtid_set *a,
			   const struct my_gtid_set *b);

/* As the server prints it, without blanks; "" for the empty set. */
void my_gtid_set_print(const struct my_gtid_set *set, struct buf *out);
/* Into an empty set.  Blanks and line ends behind commas are allowed.  False
 * when it is none, or on lack of memory. */
bool my_gtid_set_parse(struct my_gtid_set *set, struct slice text);
/* As COM_BINLOG_DUMP_GTID takes a MySQL set. */
void my_gtid_set_encode(const struct my_gtid_set *set, struct buf *out);

/* Its length. */
size_t my_gtid_print(char out[MY_GTID_SIZE], enum my_flavour flavour,
		     const struct my_gtid *id);
bool my_gtid_parse(struct my_gtid *id, enum my_flavour flavour,
		   struct slice text);
bool my_gtid_eq(const struct my_gtid *a, const struct my_gtid *b);

/* "3e11fa47-71ca-11e1-9e33-c80aa9429562" */
#define MY_UUID_TEXT 37
void my_uuid_print(char out[MY_UUID_TEXT], const uint8_t uuid[MY_UUID_SIZE]);
bool my_uuid_parse(uint8_t uuid[MY_UUID_SIZE], struct slice text);

#endif
