#include "config.h"
#include "base/pattern.h"

#include "t/tap.h"

static const struct {
	const char *pattern, *schema, *name;
	bool matches;
} cases[] = {
	{"public.users", "public", "users", true},
	{"public.users", "public", "user", false},
	{"public.users", "public", "users2", false},
	{"public.users", "Public", "users", false},
	{"public.*", "public", "users", true},
	{"public.*", "publicx", "users", false},
	{"public.*", "public", "", true},
	{"*.*", "a.b", "c.d", true},
	{"*.users", "any", "users", true},
	{"public.audit_*", "public", "audit_", true},
	{"public.audit_*", "public", "audit", false},
	{"p*c.*_*_z", "public", "a_b_c_z", true},
	{"p*c.*_*_z", "public", "a_b_c_", false},
	{"public.a?c", "public", "abc", true},
	{"public.a?c", "public", "ac", false},
	{"public.a?c", "public", "a\xc3\xa4" "c", true},
	{"public.a??c", "public", "a\xc3\xa4" "c", false},
	{"\"odd.schema\".t", "odd.schema", "t", true},
	{"odd.schema.t", "odd.schema", "t", false},
	{"public.\"a*b\"", "public", "a*b", true},
	{"public.\"a*b\"", "public", "axb", false},
	{"public.\"say \"\"hi\"\"\"", "public", "say \"hi\"", true},
	{"app.\"2024.\"*", "app", "2024.orders", true},
	{"*.*a*a*a*a*b", "s", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	{"public", "public", "users", false},
	{"public.\"users", "public", "users", false},
	{"", "", "", false},
};

int main(void)
{
	static const char *const bad[] = {"", "users", ".", "a.", ".b", "a.b.c",
					  "a.\"b", "\"a.b\""};
	struct err e = ERR_INIT;

	for (size_t i = 0; i < countof(cases); i++)
		is_int(pattern_match(slice_of(cases[i].pattern),
				     slice_of(cases[i].schema),
				     slice_of(cases[i].name)),
		       cases[i].matches, "%s %s %s.%s", cases[i].pattern,
		       cases[i].matches ? "matches" : "does not match",
		       cases[i].schema, cases[i].name);
	for (size_t i = 0; i < countof(bad); i++) {
		e = ERR_INIT;
		ok(pattern_check(slice_of(bad[i]), &e) < 0 &&
			   e.code == CODE_conf_value,
		   "'%s' is refused: %s", bad[i], e.msg);
	}
	e = ERR_INIT;
	is_int(pattern_check(SLICE("\"a.b\".\"c*\"?"), &e), 0,
	       "quotes and wildcards may be mixed");
	ok(pattern_is_plain(SLICE("public.\"a*b\"")), "a quoted star is a plain name");
	ok(!pattern_is_plain(SLICE("public.a*b")), "a star is not");
	return tap_done();
}
