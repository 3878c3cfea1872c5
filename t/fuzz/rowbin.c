/* Bodies of log frames: stored table versions and events.  What is read is also
 * encoded in every format, as `leat log cat` would, and stored again. */
#include "config.h"

#include <stdint.h>

#include "t/fuzz/round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct table *find(void *arg, struct slice full_name, uint32_t version)
{
	(void)version;
	return full_name.n > 0 && full_name.p[0] != '?' ? arg : NULL;
}

static void read_events(struct slice body, struct table *tab)
{
	struct batch *b = batch_new();
	struct err e = ERR_INIT;

	if (b == NULL)
		return;
	if (rowbin_read(body, b, find, tab, &e) == 0)
		round_trip(b);
	batch_free(b);
}

/* A table version, then a body that speaks of it. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct wire w = wire_of((struct slice){(const char *)p, n});
	struct err e = ERR_INIT;
	struct table *tab = table_decode(&w, &e);

	if (tab == NULL)
		return 0;
	read_events((struct slice){(const char *)w.p, wire_left(&w)}, tab);
	table_unref(tab);
	return 0;
}
