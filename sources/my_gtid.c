#include "config.h"
#include "sources/my_gtid.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- one ---------------------------------------------------------------- */

void my_uuid_print(char out[MY_UUID_TEXT], const uint8_t uuid[MY_UUID_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	size_t at = 0;

	for (size_t i = 0; i < MY_UUID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		out[at++] = hex[uuid[i] >> 4];
		out[at++] = hex[uuid[i] & 15];
	}
	out[at] = '\0';
}

bool my_uuid_parse(uint8_t uuid[MY_UUID_SIZE], struct slice text)
{
	size_t at = 0;

	for (size_t i = 0; i < MY_UUID_SIZE; i++) {
		uint64_t byte;

		if (i == 4 || i == 6 || i == 8 || i == 10) {
			if (at >= text.n || text.p[at] != '-')
				return false;
			at++;
		}
		if (at + 2 > text.n ||
		    !slice_hex_to_u64((struct slice){text.p + at, 2}, &byte))
			return false;
		uuid[i] = (uint8_t)byte;
		at += 2;
	}
	return at == text.n;
}

size_t my_gtid_print(char out[MY_GTID_SIZE], enum my_flavour flavour,
		     const struct my_gtid *id)
{
	char uuid[MY_UUID_TEXT];

	if (flavour == MY_MARIADB)
		return (size_t)snprintf(out, MY_GTID_SIZE,
					"%" PRIu32 "-%" PRIu32 "-%" PRIu64,
					id->domain, id->server, id->number);
	my_uuid_print(uuid, id->uuid);
	return (size_t)snprintf(out, MY_GTID_SIZE, "%s%s%s:%" PRIu64, uuid,
				id->tag[0] ? ":" : "", id->tag, id->number);
}

/* MySQL manual, "GTID Format": a letter or underscore, then digits too. */
static bool is_tag(struct slice s)
{
	if (s.n == 0 || s.n >= MY_TAG_SIZE || (s.p[0] >= '0' && s.p[0] <= '9'))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || s.p[i] == '_' ||
		      (s.p[i] >= '0' && s.p[i] <= '9')))
			return false;
	return true;
}

static void set_tag(struct my_gtid *id, struct slice tag)
{
	memset(id->tag, 0, sizeof(id->tag));
	memcpy(id->tag, tag.p, tag.n);
}

static bool parse_mariadb(struct my_gtid *id, struct slice text)
{
	struct slice rest = text;
	uint64_t domain, server;

	if (!slice_to_u64(slice_cut(&rest, '-'), &domain) ||
	    !slice_to_u64(slice_cut(&rest, '-'), &server) ||
	    !slice_to_u64(rest, &id->number) || domain > UINT32_MAX ||
	    server > UINT32_MAX)
		return false;
	id->domain = (uint32_t)domain;
	id->server = (uint32_t)server;
	return true;
}

bool my_gtid_parse(struct my_gtid *id, enum my_flavour flavour,
		   struct slice text)
{
	struct slice rest = text, one;

	*id = (struct my_gtid){0};
	if (flavour == MY_MARIADB)
		return parse_mariadb(id, text) && id->number > 0;
	if (!my_uuid_parse(id->uuid, slice_cut(&rest, ':')))
		return false;
	one = slice_cut(&rest, ':');
	if (is_tag(one)) {
		set_tag(id, one);
		one = slice_cut(&rest, ':');
	}
	return rest.p == NULL && slice_to_u64(one, &id->number) &&
	       id->number > 0;
}

bool my_gtid_eq(const struct my_gtid *a, const struct my_gtid *b)
{
	return memcmp(a->uuid, b->uuid, MY_UUID_SIZE) == 0 &&
	       strcmp(a->tag, b->tag) == 0 && a->domain == b->domain &&
	       a->server == b->server && a->number == b->number;
}

/* --- parts of a set ------------------------------------------------------ */

void my_gtid_set_init(struct my_gtid_set *set, enum my_flavour flavour)
{
	*set = (struct my_gtid_set){.flavour = flavour};
}

void my_gtid_set_fini(struct my_gtid_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		free(set->v[i].v);
	free(set->v);
	*set = (struct my_gtid_set){.flavour = set->flavour};
}

static int compare(enum my_flavour flavour, const struct my_gtid *a,
		   const struct my_gtid *b)
{
	int d;

	if (flavour == MY_MARIADB)
		return a->domain < b->domain ? -1 : a->domain > b->domain;
	d = memcmp(a->uuid, b->uuid, MY_UUID_SIZE);
	return d != 0 ? d : strcmp(a->tag, b->tag);
}

/* The first part that is not before id's. */
static size_t find(const struct my_gtid_set *set, const struct my_gtid *id,
		   bool *found)
{
	size_t lo = 0, hi = set->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare(set->flavour, &set->v[mid].id, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = lo < set->n && compare(set->flavour, &set->v[lo].id, id) == 0;
	return lo;
}

/* Room for one more at `at` in an array; NULL on lack of memory. */
static void *open_gap(void *v, size_t *n, size_t *cap, size_t at, size_t size)
{
	char *p = v;

	if (*n == *cap) {
		size_t more = *cap ? *cap * 2 : 4;

		p = realloc(v, more * size);
		if (p == NULL)
			return NULL;
		*cap = more;
	}
	memmove(p + (at + 1) * size, p + at * size, (*n - at) * size);
	(*n)++;
	return p;
}

static struct my_gtid_part *use_part(struct my_gtid_set *set,
				     const struct my_gtid *id)
{
	bool found;
	size_t at = find(set, id, &found);
	struct my_gtid_part *v;

	if (found)
		return &set->v[at];
	v = open_gap(set->v, &set->n, &set->cap, at, sizeof(*v));
	if (v == NULL)
		return NULL;
	set->v = v;
	v[at] = (struct my_gtid_part){.id = *id};
	v[at].id.number = 0;
	return &v[at];
}

/* --- intervals ------------------------------------------------------------ */

/* The first interval that does not end before `number`. */
static size_t find_interval(const struct my_gtid_part *part, uint64_t number)
{
	size_t lo = 0, hi = part->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (part->v[mid].last < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Takes in the intervals behind `at` that now touch it. */
static void merge(struct my_gtid_part *part, size_t at)
{
	struct my_interval *iv = &part->v[at];
	size_t end = at + 1;

	while (end < part->n && (iv->last == UINT64_MAX ||
				 part->v[end].first <= iv->last + 1)) {
		if (part->v[end].last > iv->last)
			iv->last = part->v[end].last;
		end++;
	}
	memmove(iv + 1, part->v + end, (part->n - end) * sizeof(*iv));
	part->n -= end - at - 1;
}

static int add_interval(struct my_gtid_part *part, uint64_t first, uint64_t last)
{
	size_t at = find_interval(part, first - 1);
	struct my_interval *v;

	if (at < part->n && (last == UINT64_MAX ||
			     part->v[at].first <= last + 1)) {
		if (first < part->v[at].first)
			part->v[at].first = first;
		if (last > part->v[at].last)
			part->v[at].last = last;
		merge(part, at);
		return 0;
	}
	v = open_gap(part->v, &part->n, &part->cap, at, sizeof(*v));
	if (v == NULL)
		return -1;
	part->v = v;
	v[at] = (struct my_interval){first, last};
	return 0;
}

/* --- sets ------------------------------------------------------------------ */

int my_gtid_set_add(struct my_gtid_set *set, const struct my_gtid *id)
{
	struct my_gtid_part *part = use_part(set, id);

	if (part == NULL)
		return -1;
	if (set->flavour == MY_MARIADB) {
		part->id = *id;
		return 0;
	}
	return add_interval(part, id->number, id->number);
}

int my_gtid_set_merge(struct my_gtid_set *to, const struct my_gtid_set *from)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct my_gtid_part *part = &from->v[i];
		struct my_gtid_part *into = use_part(to, &part->id);

		if (into == NULL)
			return -1;
		if (part->id.number > into->id.number)
			into->id = part->id;
		for (size_t k = 0; k < part->n; k++)
			if (add_interval(into, part->v[k].first,
					 part->v[k].last) < 0)
				return -1;
	}
	return 0;
}

bool my_gtid_set_has(const struct my_gtid_set *set, const struct my_gtid *id)
{
	const struct my_gtid_part *part;
	bool found;
	size_t at = find(set, id, &found);

	if (!found)
		return false;
	part = &set->v[at];
	if (set->flavour == MY_MARIADB)
		return id->number <= part->id.number;
	at = find_interval(part, id->number);
	return at < part->n && part->v[at].first <= id->number;
}

static bool covers(const struct my_gtid_part *part, const struct my_interval *iv)
{
	size_t at = find_interval(part, iv->first);

	return at < part->n && part->v[at].first <= iv->first &&
	       part->v[at].last >= iv->last;
}

bool my_gtid_set_is_subset(const struct my_gtid_set *a,
			   const struct my_gtid_set *b)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct my_gtid_part *part = &a->v[i];
		bool found;
		size_t at = find(b, &part->id, &found);

		if (!found)
			return false;
		if (part->id.number > b->v[at].id.number)
			return false;
		for (size_t k = 0; k < part->n; k++)
			if (!covers(&b->v[at], &part->v[k]))
				return false;
	}
	return true;
}

void my_gtid_set_print(const struct my_gtid_set *set, struct buf *out)
{
	char text[MY_GTID_SIZE];

	for (size_t i = 0; i < set->n; i++) {
		const struct my_gtid_part *part = &set->v[i];
		bool same = i > 0 && set->flavour == MY_MYSQL &&
			    memcmp(part->id.uuid, part[-1].id.uuid,
				   MY_UUID_SIZE) == 0;

		if (i > 0 && !same)
			buf_u8(out, ',');
		if (set->flavour == MY_MARIADB) {
			buf_put(out, text,
				my_gtid_print(text, set->flavour, &part->id));
			continue;
		}
		my_uuid_print(text, part->id.uuid);
		if (!same)
			buf_text(out, text);
		if (part->id.tag[0] != '\0')
			buf_printf(out, ":%s", part->id.tag);
		for (size_t k = 0; k < part->n; k++) {
			buf_u8(out, ':');
			buf_u64(out, part->v[k].first);
			if (part->v[k].last == part->v[k].first)
				continue;
			buf_u8(out, '-');
			buf_u64(out, part->v[k].last);
		}
	}
}

static struct slice trim(struct slice s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\n' || s.p[0] == '\r')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\n' ||
			   s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

static bool parse_interval(struct my_gtid_set *set, const struct my_gtid *id,
			   struct slice text)
{
	struct slice last = text, first = slice_cut(&last, '-');
	struct my_gtid_part *part;
	struct my_interval iv;

	if (!slice_to_u64(first, &iv.first) || iv.first == 0)
		return false;
	iv.last = iv.first;
	if (last.p != NULL &&
	    (!slice_to_u64(last, &iv.last) || iv.last < iv.first))
		return false;
	part = use_part(set, id);
	return part != NULL && add_interval(part, iv.first, iv.last) == 0;
}

/* "uuid:1-5:7:tag:1-2" */
static bool parse_source(struct my_gtid_set *set, struct slice text)
{
	struct slice rest = text;
	struct my_gtid id = {0};

	if (!my_uuid_parse(id.uuid, trim(slice_cut(&rest, ':'))) ||
	    rest.p == NULL)
		return false;
	while (rest.p != NULL) {
		struct slice one = trim(slice_cut(&rest, ':'));

		if (is_tag(one))
			set_tag(&id, one);
		else if (!parse_interval(set, &id, one))
			return false;
	}
	return true;
}

bool my_gtid_set_parse(struct my_gtid_set *set, struct slice text)
{
	struct slice rest = trim(text);

	if (rest.n == 0)
		return true;
	while (rest.p != NULL) {
		struct slice one = trim(slice_cut(&rest, ','));
		struct my_gtid id = {0};

		bool good = set->flavour == MY_MYSQL
				    ? parse_source(set, one)
				    : parse_mariadb(&id, one) &&
					      my_gtid_set_add(set, &id) == 0;

		if (!good)
			return false;
	}
	return true;
}

static bool has_tags(const struct my_gtid_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->v[i].id.tag[0] != '\0')
			return true;
	return false;
}

void my_gtid_set_encode(const struct my_gtid_set *set, struct buf *out)
{
	bool tagged = has_tags(set);

	buf_le64(out, tagged ? UINT64_C(1) | (uint64_t)set->n << 8 |
				       UINT64_C(1) << 56
			     : (uint64_t)set->n);
	for (size_t i = 0; i < set->n; i++) {
		const struct my_gtid_part *part = &set->v[i];

		buf_put(out, part->id.uuid, MY_UUID_SIZE);
		if (tagged) {
			size_t n = strlen(part->id.tag);

			buf_u8(out, (uint8_t)(n << 1));
			buf_put(out, part->id.tag, n);
		}
		buf_le64(out, part->n);
		for (size_t k = 0; k < part->n; k++) {
			buf_le64(out, part->v[k].first);
			buf_le64(out, part->v[k].last + 1);
		}
	}
}
