/* Option tables: text to values and back (base/opt.c, base/nearest.c). */
#include "config.h"

#include "base/opt.h"

#include "t/tap.h"

static const char *const colours[] = {"red", "green", "blue", NULL};

struct conf {
	char *text, *given, *secret, *conninfo;
	struct opt_list list, other;
	bool yes;
	int64_t number, size, time, window;
	int colour, unset;
};

#define AT(field) .offset = offsetof(struct conf, field)

static const struct opt opts[] = {
	{.name = "text", .type = OPT_TEXT, AT(text)},
	{.name = "given", .type = OPT_TEXT, .dflt = "a \"b\"", AT(given)},
	{.name = "secret", .type = OPT_SECRET, AT(secret)},
	{.name = "conninfo", .type = OPT_TEXT, .flags = OPT_CONNINFO,
	 AT(conninfo)},
	{.name = "list", .type = OPT_LIST, .dflt = "{ \"x y\", \"z\" }",
	 AT(list)},
	{.name = "other", .type = OPT_LIST, .dflt = "public.*", AT(other)},
	{.name = "yes", .type = OPT_BOOL, .dflt = "yes", AT(yes)},
	{.name = "number", .type = OPT_INT, .dflt = "-3", .min = -5, .max = 9,
	 AT(number)},
	{.name = "size", .type = OPT_SIZE, .dflt = "8MiB", .min = 1024,
	 AT(size)},
	{.name = "time", .type = OPT_TIME, .dflt = "10s", AT(time)},
	{.name = "window", .type = OPT_SIZE, .min = 1024, .max = 4096,
	 AT(window)},
	{.name = "colour", .type = OPT_CHOICE, .dflt = "green",
	 .choices = colours, AT(colour)},
	{.name = "unset", .type = OPT_CHOICE, .choices = colours, AT(unset)},
	OPT_END,
};

static struct conf c;

static bool set(const char *name, const char *text, struct err *e)
{
	*e = ERR_INIT;
	return opt_set(opt_find(opts, name), &c, &text, 1, e) == 0;
}

static void takes_size(const char *text, int64_t want)
{
	struct err e;

	ok(set("size", text, &e) && c.size == want, "%s is %lld bytes", text,
	   (long long)want);
}

static void takes_time(const char *text, int64_t want)
{
	struct err e;

	ok(set("time", text, &e) && c.time == want, "%s is %lld ms", text,
	   (long long)want);
}

static void refuses(const char *name, const char *text, const char *msg,
		    const char *hint)
{
	struct err e;
	struct conf before = c;

	ok(!set(name, text, &e) && memcmp(&before, &c, sizeof(c)) == 0,
	   "%s = %s is refused and changes nothing", name, text);
	is_str(e.msg, msg, "and the message says what was given");
	is_str(e.hint, hint, "and the hint what would be right");
}

static void test_defaults(void)
{
	struct err e = ERR_INIT;

	is_int(opt_defaults(opts, &c, &e), 0, "a table's defaults are valid");
	ok(c.text == NULL, "a text without a default stays empty");
	is_str(c.given, "a \"b\"", "a default text stands as it is");
	is_int((long long)c.list.n, 2, "a default list has its items");
	is_str(c.list.v[0], "x y", "each of them without its quotes");
	is_str(c.list.v[1], "z", "and in order");
	is_int((long long)c.other.n, 1, "a bare default text is a list of one");
	ok(c.yes && c.number == -3 && c.size == 8 << 20 && c.time == 10000,
	   "numbers are read as from the conf");
	is_int(c.colour, 1, "a choice is the index of its word");
	is_int(c.unset, -1, "a choice without a default is none");
}

static void test_numbers(void)
{
	takes_size("1024", 1024);
	takes_size("2048B", 2048);
	takes_size("64KiB", 65536);
	takes_size("1MiB", 1 << 20);
	takes_size("2GiB", INT64_C(2) << 30);
	takes_size("10MB", 10000000);
	takes_size("3kB", 3000);
	takes_size("1TiB", INT64_C(1) << 40);
	takes_time("0", 0);
	takes_time("250ms", 250);
	takes_time("10s", 10000);
	takes_time("5m", 300000);
	takes_time("2h", 7200000);
	takes_time("7d", 604800000);
	refuses("size", "64K", "invalid value for \"size\": \"64K\"",
		"Write a size such as 512, 64KiB, 10MB or 2GiB.");
	refuses("size", "", "invalid value for \"size\": \"\"",
		"Write a size such as 512, 64KiB, 10MB or 2GiB.");
	refuses("size", "9999999TiB", "invalid value for \"size\": \"9999999TiB\"",
		"Write a size such as 512, 64KiB, 10MB or 2GiB.");
	refuses("size", "1023", "\"size\" is out of range: 1023",
		"It may be 1KiB or more.");
	refuses("window", "5KiB", "\"window\" is out of range: 5KiB",
		"It may be 1KiB to 4KiB.");
	refuses("time", "10", "invalid value for \"time\": \"10\"",
		"Write a time with its unit, such as 250ms, 10s, 5m, 2h or 7d.");
	refuses("time", "-1s", "invalid value for \"time\": \"-1s\"",
		"Write a time with its unit, such as 250ms, 10s, 5m, 2h or 7d.");
	refuses("number", "1.5", "invalid value for \"number\": \"1.5\"",
		"Write a whole number.");
	refuses("number", "10", "\"number\" is out of range: 10",
		"It may be -5 to 9.");
}

static void test_words(void)
{
	struct err e;

	ok(set("yes", "off", &e) && !c.yes, "off is no");
	ok(set("yes", "true", &e) && c.yes, "true is yes");
	ok(set("colour", "blue", &e) && c.colour == 2, "a choice is set");
	refuses("yes", "maybe", "invalid value for \"yes\": \"maybe\"",
		"Write yes or no.");
	refuses("colour", "gren",
		"invalid value for \"colour\": \"gren\"; did you mean \"green\"?",
		"It may be: red, green, blue.");
	refuses("colour", "violet", "invalid value for \"colour\": \"violet\"",
		"It may be: red, green, blue.");
}

static void test_lists(void)
{
	const char *const items[] = {"a", "b"};
	struct err e = ERR_INIT;
	const struct opt *o = opt_find(opts, "list");

	is_int(opt_set(o, &c, items, 2, &e), 0, "a list is set");
	is_int(opt_append(o, &c, items, 1, &e), 0, "and added to");
	ok(c.list.n == 3 && !strcmp(c.list.v[2], "a"), "at its end");
	is_int(opt_set(opt_find(opts, "text"), &c, items, 2, &e), -1,
	       "a text takes no list");
	is_str(e.msg, "\"text\" takes one value, not a list", "and says so");
	e = ERR_INIT;
	is_int(opt_append(opt_find(opts, "text"), &c, items, 1, &e), -1,
	       "nothing can be added to a text");
	e = ERR_INIT;
	is_int(opt_set(o, &c, items, 0, &e), 0, "a list may be empty");
	is_int((long long)c.list.n, 0, "and then is");
}

static void test_print(void)
{
	struct buf out = BUF_INIT;
	struct err e;

	set("text", "C:\\x ${HOME} $5 \x01", &e);
	set("secret", "hunter2", &e);
	set("conninfo", "host=a password=hunter2", &e);
	set("size", "10MB", &e);
	set("time", "36h", &e);
	opt_print(opts, &c, 1, &out);
	is_slice(out,
		 "\ttext = \"C:\\\\x \\${HOME} $5 \\x01\"\n"
		 "\tgiven = \"a \\\"b\\\"\"\n"
		 "\tsecret = \"***\"\n"
		 "\tconninfo = \"host=a password=***\"\n"
		 "\tlist = {}\n"
		 "\tother = { \"public.*\" }\n"
		 "\tyes = yes\n"
		 "\tnumber = -3\n"
		 "\tsize = 10MB\n"
		 "\ttime = 36h\n"
		 "\tcolour = blue\n",
		 "values are printed in conf syntax, secrets hidden");
	set("secret", "file:/run/s", &e);
	buf_reset(&out, 0);
	opt_print(opt_find(opts, "secret"), &c, 0, &out);
	ok(out.n > 24 && !memcmp(out.p, "secret = \"file:/run/s\"\n", 23),
	   "a reference to a secret is shown");
	buf_fini(&out);
}

static void prints(int64_t v, bool time, const char *want)
{
	struct buf b = BUF_INIT;

	if (time)
		opt_put_time(&b, v);
	else
		opt_put_size(&b, v);
	is_slice(b, want, "%lld is shown as %s", (long long)v, want);
	buf_fini(&b);
}

static void test_units(void)
{
	prints(0, false, "0");
	prints(1000, false, "1kB");
	prints(1024, false, "1KiB");
	prints(1500, false, "1500");
	prints(16 * INT64_C(1000000000), false, "16GB");
	prints(INT64_C(200) << 30, false, "200GiB");
	prints(0, true, "0");
	prints(1500, true, "1500ms");
	prints(86400000, true, "1d");
	prints(90000, true, "90s");
}

static void test_nearest(void)
{
	static const struct opt more[] = {{.name = "retention_age"}, OPT_END};
	const struct opt *const tables[] = {opts, more, NULL};

	is_str(opt_nearest(tables, "retenton_age"), "retention_age",
	       "a name with a letter left out is recognised");
	is_str(opt_nearest(tables, "coluor"), "colour",
	       "and one with two letters swapped");
	is_str(opt_nearest(tables, "Time"), "time", "and one in another case");
	ok(opt_nearest(tables, "frobnicate") == NULL,
	   "what is like nothing has no suggestion");
	ok(opt_nearest(tables, "") == NULL, "nor has the empty name");
	ok(opt_find(opts, "tim") == NULL, "only whole names are found");
}

int main(void)
{
	test_defaults();
	test_numbers();
	test_words();
	test_lists();
	test_print();
	test_units();
	test_nearest();
	opt_free(opts, &c);
	return tap_done();
}
