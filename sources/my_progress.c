#include "config.h"
#include "sources/my_progress.h"

#include <inttypes.h>
#include <xxhash.h>

int my_progress_init(struct my_progress *at, const struct my_place *from,
		     uint64_t seq)
{
	*at = (struct my_progress){.place = *from, .seq = seq,
				   .is_resuming = from->flight.number != 0};
	my_gtid_set_init(&at->place.done, from->done.flavour);
	return my_gtid_set_merge(&at->place.done, &from->done);
}

void my_progress_fini(struct my_progress *at)
{
	my_gtid_set_fini(&at->place.done);
}

static void print(const struct my_progress *at, char out[MY_GTID_SIZE],
		  const struct my_gtid *id)
{
	my_gtid_print(out, at->place.done.flavour, id);
}

static int malformed(struct err *e, const char *what)
{
	return err_set(e, CODE_source_protocol, "%s", what);
}

static int diverged(const struct my_progress *at, struct err *e, const char *what)
{
	char want[MY_GTID_SIZE], got[MY_GTID_SIZE];

	print(at, want, &at->place.flight);
	print(at, got, &at->id);
	err_set(e, CODE_diverged,
		"the server's log is not the one that was delivered from: %s",
		what);
	err_detail(e, "%" PRIu64 " changes of transaction %s were delivered; the server sends transaction %s.",
		   at->place.n, want, got);
	return -1;
}

/* What the set of complete transactions has already is sent again by a server
 * only if numbers of a domain went backwards; then nothing tells what was
 * delivered. */
static int refuse_backwards(const struct my_progress *at, struct err *e)
{
	char text[MY_GTID_SIZE];

	print(at, text, &at->id);
	err_set(e, CODE_source_config,
		"transaction %s comes behind one of its domain with a higher number",
		text);
	err_hint(e, "SET GLOBAL gtid_strict_mode = ON keeps the server from it");
	return -1;
}

static int refuse_anonymous(struct err *e)
{
	err_set(e, CODE_source_config,
		"transactions have no GTIDs: gtid_mode is not ON");
	err_hint(e, "SET PERSIST enforce_gtid_consistency = ON; then SET PERSIST gtid_mode = OFF_PERMISSIVE, ON_PERMISSIVE and ON, one after the other");
	return -1;
}

int my_progress_begin(struct my_progress *at, const struct my_gtid *id,
		      struct err *e)
{
	if (at->in_txn)
		return malformed(e, "a transaction begins inside another");
	if (id->number == 0)
		return refuse_anonymous(e);
	at->id = *id;
	at->is_done = my_gtid_set_has(&at->place.done, id);
	if (at->is_done && at->place.done.flavour == MY_MARIADB)
		return refuse_backwards(at, e);
	at->in_txn = true;
	at->ordinal = 0;
	at->hash = 0;
	at->number++;
	return 0;
}

int my_progress_count(struct my_progress *at, struct slice bytes,
		      struct my_before *before, bool *skip, struct err *e)
{
	*skip = at->is_done;
	if (at->is_done)
		return 0;
	if (at->is_resuming && !my_gtid_eq(&at->id, &at->place.flight))
		return diverged(at, e, "another transaction comes first");
	at->ordinal++;
	at->hash = XXH3_64bits_withSeed(bytes.p, bytes.n, at->hash);
	if (at->is_resuming && at->ordinal <= at->place.n) {
		*skip = true;
		if (at->ordinal < at->place.n)
			return 0;
		if (at->hash != at->place.hash)
			return diverged(at, e, "its changes are others");
		at->is_resuming = false;
		return 0;
	}
	at->is_resuming = false;
	*before = (struct my_before){0};
	if (at->ordinal > 1)
		*before = (struct my_before){at->place.flight, at->place.n,
					  at->place.hash};
	at->place.flight = at->id;
	at->place.n = at->ordinal;
	at->place.hash = at->hash;
	at->seq++;
	return 0;
}

/* One that had no changes proves nothing about the place to resume at, which
 * lies behind it. */
int my_progress_end(struct my_progress *at, struct err *e)
{
	if (!at->in_txn)
		return malformed(e, "a transaction ends that did not begin");
	at->in_txn = false;
	if (at->is_done)
		return 0;
	if (at->is_resuming && my_gtid_eq(&at->id, &at->place.flight))
		return diverged(at, e, "it has fewer changes");
	if (my_gtid_set_add(&at->place.done, &at->id) < 0)
		return err_no_memory(e);
	if (!at->is_resuming) {
		at->place.flight = (struct my_gtid){0};
		at->place.n = at->place.hash = 0;
	}
	return 0;
}

/* A transaction is written to the log when it commits; one that was rolled back
 * is there only where it changed a table that cannot be. */
int my_progress_rollback(struct my_progress *at, struct err *e)
{
	char text[MY_GTID_SIZE];

	if (at->ordinal == 0 || at->is_done)
		return my_progress_end(at, e);
	print(at, text, &at->id);
	err_set(e, CODE_poisoned,
		"transaction %s ends in ROLLBACK behind %" PRIu64 " changes",
		text, at->ordinal);
	err_detail(e, "It changed tables with transactions and tables without; which of the changes remain is not in the log.");
	return -1;
}

