#include "config.h"
#include "sources/my_gtid.h"

#include "t/tap.h"

#define A "2dcbaa1f-e4f9-11f1-ad2e-02fc00000001"
#define B "3e11fa47-71ca-11e1-9e33-c80aa9429562"

static struct buf text;

static const char *show(const struct my_gtid_set *set)
{
	buf_reset(&text, SIZE_MAX);
	my_gtid_set_print(set, &text);
	buf_u8(&text, 0);
	return text.p;
}

static struct my_gtid_set set_of(enum my_flavour flavour, const char *s)
{
	struct my_gtid_set set;

	my_gtid_set_init(&set, flavour);
	if (!my_gtid_set_parse(&set, slice_of(s)))
		printf("# %s is no set\n", s);
	return set;
}

static struct my_gtid one(enum my_flavour flavour, const char *s)
{
	struct my_gtid id;

	if (!my_gtid_parse(&id, flavour, slice_of(s)))
		printf("# %s is no GTID\n", s);
	return id;
}

static void is_set(enum my_flavour flavour, const char *in, const char *want)
{
	struct my_gtid_set set = set_of(flavour, in);

	is_str(show(&set), want, "\"%s\" is read and printed", in);
	my_gtid_set_fini(&set);
}

static void is_none(enum my_flavour flavour, const char *in)
{
	struct my_gtid_set set;

	my_gtid_set_init(&set, flavour);
	ok(!my_gtid_set_parse(&set, slice_of(in)), "\"%s\" is no set", in);
	my_gtid_set_fini(&set);
}

static void test_text(void)
{
	is_set(MY_MYSQL, "", "");
	is_set(MY_MYSQL, A ":1-5", A ":1-5");
	is_set(MY_MYSQL, A ":7:1-3:4-5", A ":1-5:7");
	is_set(MY_MYSQL, B ":1,\n" A ":2", A ":2," B ":1");
	is_set(MY_MYSQL, A ":1-13:mytag:1", A ":1-13:mytag:1");
	is_set(MY_MYSQL, A ":tag:5", A ":tag:5");
	is_set(MY_MYSQL, A ":1-3:5-9:4", A ":1-9");
	is_set(MY_MYSQL, A ":1-18446744073709551615:9", A ":1-18446744073709551615");
	is_set(MY_MARIADB, "1-1-5,0-2-12", "0-2-12,1-1-5");
	is_set(MY_MARIADB, "0-1-5,0-2-7", "0-2-7");
	is_none(MY_MYSQL, A);
	is_none(MY_MYSQL, A ":0");
	is_none(MY_MYSQL, A ":5-4");
	is_none(MY_MYSQL, A ":1-x");
	is_none(MY_MYSQL, "2dcbaa1f:1");
	is_none(MY_MARIADB, "0-1");
	is_none(MY_MARIADB, "0-1-2-3");
	is_none(MY_MARIADB, "4294967296-1-2");
}

static void test_add(void)
{
	struct my_gtid_set set = set_of(MY_MYSQL, A ":1-5");
	struct my_gtid six = one(MY_MYSQL, A ":6"), nine = one(MY_MYSQL, A ":9");
	struct my_gtid tagged = one(MY_MYSQL, A ":t:2");

	ok(my_gtid_set_add(&set, &nine) == 0 &&
		   my_gtid_set_add(&set, &tagged) == 0,
	   "transactions are added");
	is_str(show(&set), A ":1-5:9:t:2", "each to its interval and tag");
	ok(!my_gtid_set_has(&set, &six) && my_gtid_set_has(&set, &nine) &&
		   my_gtid_set_has(&set, &tagged),
	   "what is in it is found, and nothing else");
	ok(my_gtid_set_add(&set, &six) == 0, "one more is added");
	is_str(show(&set), A ":1-6:9:t:2", "and makes the interval longer");
	my_gtid_set_fini(&set);
}

static void test_domains(void)
{
	struct my_gtid_set set = set_of(MY_MARIADB, "0-1-5,7-1-3");
	struct my_gtid next = one(MY_MARIADB, "0-2-6"), old = one(MY_MARIADB, "0-9-4");
	struct my_gtid other = one(MY_MARIADB, "3-1-1");

	ok(my_gtid_set_has(&set, &old), "what is in front of a domain's last is in the set");
	ok(!my_gtid_set_has(&set, &next), "what is behind it is not");
	ok(!my_gtid_set_has(&set, &other), "nor is another domain's");
	ok(my_gtid_set_add(&set, &next) == 0 && my_gtid_set_add(&set, &other) == 0,
	   "both are added");
	is_str(show(&set), "0-2-6,3-1-1,7-1-3", "to their domains");
	my_gtid_set_fini(&set);
}

static void is_subset(enum my_flavour flavour, const char *a, const char *b,
		      bool want)
{
	struct my_gtid_set x = set_of(flavour, a), y = set_of(flavour, b);

	ok(my_gtid_set_is_subset(&x, &y) == want, "\"%s\" is %spart of \"%s\"", a,
	   want ? "" : "no ", b);
	if (my_gtid_set_merge(&y, &x) < 0)
		ok(false, "merging");
	ok(my_gtid_set_is_subset(&x, &y), "once merged it is");
	my_gtid_set_fini(&x);
	my_gtid_set_fini(&y);
}

static void test_subsets(void)
{
	is_subset(MY_MYSQL, "", A ":1", true);
	is_subset(MY_MYSQL, A ":2-3", A ":1-5", true);
	is_subset(MY_MYSQL, A ":1-3:5", A ":1-5", true);
	is_subset(MY_MYSQL, A ":1-5", A ":1-3:5", false);
	is_subset(MY_MYSQL, A ":1", B ":1", false);
	is_subset(MY_MYSQL, A ":t:1", A ":1", false);
	is_subset(MY_MARIADB, "0-1-5", "0-2-9,1-1-1", true);
	is_subset(MY_MARIADB, "0-1-5,2-1-1", "0-1-5", false);
}

static void is_encoded(const char *set, const char *want)
{
	static const char hex[] = "0123456789abcdef";
	struct my_gtid_set s = set_of(MY_MYSQL, set);
	struct buf b = BUF_INIT, out = BUF_INIT;

	my_gtid_set_encode(&s, &b);
	for (size_t i = 0; i < b.n; i++) {
		buf_u8(&out, (uint8_t)hex[(uint8_t)b.p[i] >> 4]);
		buf_u8(&out, (uint8_t)hex[b.p[i] & 15]);
	}
	is_slice(out, want, "%s as a dump asks for it", set);
	buf_fini(&b);
	buf_fini(&out);
	my_gtid_set_fini(&s);
}

int main(void)
{
	test_text();
	test_add();
	test_domains();
	test_subsets();
	is_encoded(A ":1-6",
		   "0100000000000000" "2dcbaa1fe4f911f1ad2e02fc00000001"
		   "0100000000000000" "0100000000000000" "0700000000000000");
	is_encoded(A ":1-13:mytag:1",
		   "0102000000000001" "2dcbaa1fe4f911f1ad2e02fc00000001" "00"
		   "0100000000000000" "0100000000000000" "0e00000000000000"
		   "2dcbaa1fe4f911f1ad2e02fc00000001" "0a6d79746167"
		   "0100000000000000" "0100000000000000" "0200000000000000");
	buf_fini(&text);
	return tap_done();
}
