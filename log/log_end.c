#include "config.h"
#include "log/log_end.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "log/scan.h"
#include "log/tip.h"

/* How long a writer may take to open a log. */
#define OPENING_MS 5000

static int no_log(const char *dir, struct err *e)
{
	err_set(e, CODE_log_wrong, "there is no log at \"%s\"", dir);
	err_hint(e, "Start the pipeline that writes it.");
	return -1;
}

static bool tip_is_there(const struct segment_list *l, const struct tip *t)
{
	ptrdiff_t i = segment_list_find(l, t->segment);

	return i >= 0 && l->v[i].first_seq == t->segment;
}

/* Of a log at rest whose tip is lost: the last commit frame is the end. */
static int scan_for_tip(const char *dir, const struct segment_list *l,
			struct tip *t, struct err *e)
{
	struct segment s = SEGMENT_NONE;
	int rc = 0;

	for (size_t i = l->n; i-- > 0 && rc == 0;) {
		struct scan scan = SCAN_INIT;
		struct err why = ERR_INIT;

		if (segment_open(&s, dir, l->v[i].first_seq, O_RDONLY, &why) != 0) {
			if (why.code == CODE_log_corrupt && i + 1 == l->n)
				continue; /* was being made */
			*e = why;
			rc = -1;
		} else if (log_scan(&s, 0, &scan, e) != 0) {
			rc = -1;
		} else if (scan.has_commit) {
			*t = (struct tip){.segment = s.first_seq,
					  .offset = scan.end,
					  .seq = scan.seq,
					  .crc = scan.crc};
			memcpy(t->uuid, s.head.uuid, UUID_SIZE);
			rc = 1;
		}
		log_scan_fini(&scan);
	}
	segment_close(&s);
	return rc;
}

int log_end_scan(const char *dir, struct tip *t, struct err *e)
{
	struct segment_list l;
	int found;

	if (segment_list_read(dir, &l, e) != 0)
		return -1;
	found = scan_for_tip(dir, &l, t, e);
	segment_list_fini(&l);
	return found;
}

int log_end_find(const char *dir, struct tip *t, int *fd, struct err *e)
{
	int64_t deadline = clock_mono_ms() + OPENING_MS;
	struct segment_list l;
	int found;

	for (;;) {
		if (segment_list_read(dir, &l, e) != 0)
			return e->code == CODE_log_wrong ? no_log(dir, e) : -1;
		*fd = tip_open(dir);
		if (*fd >= 0 && tip_load(*fd, t) && tip_is_there(&l, t)) {
			segment_list_fini(&l);
			return 0;
		}
		if (!log_is_held(dir))
			break;
		/* a writer is about to say where the end is */
		segment_list_fini(&l);
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		if (clock_mono_ms() >= deadline)
			return err_set(e, CODE_log_io,
				       "the log at \"%s\" is still being opened by its writer",
				       dir);
		poll(NULL, 0, 20);
	}
	found = scan_for_tip(dir, &l, t, e);
	segment_list_fini(&l);
	if (found <= 0) {
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
	}
	if (found == 0)
		return no_log(dir, e);
	return found < 0 ? -1 : 0;
}
