/* Secrets: references are read, connection strings are redacted. */
#include "config.h"

#include "base/secret.h"

#include <unistd.h>

#include "t/tap.h"

/* apart, so that no URL with a password stands in the tree */
#define PG "postgresql:"
#define SHORT "postgres:"

static char dir[] = "/tmp/leat-secret-XXXXXX";

static void put_file(const char *name, const char *bytes, size_t n)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (f == NULL || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
		abort();
}

static void reads(const char *ref, const char *want, const char *what)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;

	buf_text(&b, "kept:");
	is_int(secret_read(ref, &b, &e), 0, "%s is read", what);
	ok(b.n >= 5 && b.n - 5 == strlen(want) &&
		   !memcmp(b.p + 5, want, b.n - 5),
	   "and is what it should be");
	buf_fini(&b);
}

static void fails(const char *ref, const char *msg)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;

	is_int(secret_read(ref, &b, &e), -1, "%s fails", ref);
	ok(e.code == CODE_conf_secret && strstr(e.msg, msg) != NULL,
	   "and says: %s", msg);
	is_int((long long)b.n, 0, "and yields nothing");
	buf_fini(&b);
}

static void test_read(void)
{
	char ref[200];
	static char large[70000];

	put_file("good", "s3cret\n", 7);
	put_file("two", "a\n\n", 3);
	put_file("empty", "\n", 1);
	put_file("zero", "a\0b", 3);
	memset(large, 'x', sizeof(large));
	put_file("large", large, sizeof(large));

	snprintf(ref, sizeof(ref), "file:%s/good", dir);
	reads(ref, "s3cret", "a file");
	snprintf(ref, sizeof(ref), "file:%s/two", dir);
	reads(ref, "a\n", "a file with two newlines, less one,");
	reads("plain text", "plain text", "a secret in the clear");
	setenv("LEAT_T_SECRET", "from env", 1);
	reads("env:LEAT_T_SECRET", "from env", "an environment variable");
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	reads("credential:good", "s3cret", "a credential");

	fails("credential:none", "No such file or directory");
	fails("credential:../etc/passwd", "invalid name of a credential");
	fails("credential:a/b", "invalid name of a credential");
	fails("env:LEAT_T_UNSET", "is not set");
	fails("file:/nonexistent/leat", "could not open secret file");
	fails("file:/", "could not read secret file");
	snprintf(ref, sizeof(ref), "file:%s/empty", dir);
	fails(ref, "is empty");
	snprintf(ref, sizeof(ref), "file:%s/zero", dir);
	fails(ref, "zero byte");
	snprintf(ref, sizeof(ref), "file:%s/large", dir);
	fails(ref, "File too large");
	unsetenv("CREDENTIALS_DIRECTORY");
	fails("credential:good", "CREDENTIALS_DIRECTORY is not set");
}

static void shows(const char *conninfo, const char *want)
{
	struct buf b = BUF_INIT, again = BUF_INIT;
	bool hid = secret_redact_conninfo(conninfo, &b);

	is_int(secret_is_conninfo(conninfo), strcmp(want, "***") != 0,
	       "%s is%s one as libpq reads it", conninfo,
	       strcmp(want, "***") != 0 ? "" : " not");

	is_slice(b, want, "%s is shown as %s", conninfo, want);
	ok(hid == (strstr(want, "***") != NULL && strcmp(want, "***") != 0),
	   "and it is told whether it held a secret");
	buf_u8(&b, '\0');
	secret_redact_conninfo(b.p, &again);
	is_slice(again, want, "and what is shown is shown the same");
	buf_fini(&b);
	buf_fini(&again);
}

static void test_pairs(void)
{
	shows("", "");
	shows("host=db user=leat", "host=db user=leat");
	shows("host=db password=pw user=leat", "host=db password=*** user=leat");
	shows("password = 'a \\' b'  host = 'x y'", "password = ***  host = 'x y'");
	shows("password=a\\ b host=x", "password=*** host=x");
	shows("passfile=/x sslpassword=q sslkey=/k", "passfile=/x sslpassword=*** sslkey=/k");
	shows("PASSWORD=x", "PASSWORD=***");
	shows("password=", "password=***");
	shows("password='a'host=b", "password=*** host=b");
	shows("application_name='password=x'", "application_name='password=x'");
	shows("host='open password=x", "***");
	shows("secret", "***");
	shows("my pass word", "***");
}

static void test_uris(void)
{
	shows(PG "//db/shop", PG "//db/shop");
	shows(PG "//leat@db/shop", PG "//leat@db/shop");
	shows(PG "//leat:pw@db/shop", PG "//leat:***@db/shop");
	shows(SHORT "//leat:p%40w@a:1,b:2/shop?sslmode=require",
	      SHORT "//leat:***@a:1,b:2/shop?sslmode=require");
	shows(PG "//:pw@/shop", PG "//:***@/shop");
	shows(PG "//u:p@w@h/d", "***");
	shows(PG "//u:p/w@h/d", "***");
	shows(PG "//u:1/w@h/d", "***");
	shows(PG "//u:p/w?x@h/d", "***");
	shows(PG "//u:p@h:x/d", "***");
	shows(PG "//[::1", "***");
	shows(PG "//[::1]x/d", "***");
	shows(PG "//u:p@[::1],[::2]:5/d", PG "//u:***@[::1],[::2]:5/d");
	shows(PG "///d", PG "///d");
	shows(PG "//u:p?w@h/d", PG "//u:***@h/d");
	shows(PG "//db:5432/shop?password=pw&user=x",
	      PG "//db:5432/shop?password=***&user=x");
	shows(PG "//db?user=x&pass%77ord=pw",
	      PG "//db?user=x&pass%77ord=***");
	shows(PG "//db?sslpassword=a=b&x", PG "//db?sslpassword=***&x");
	shows(PG "//[::1]:5432/d?options=a%20b", PG "//[::1]:5432/d?options=a%20b");
	shows(PG "//", PG "//");
}

int main(void)
{
	char command[100];

	if (mkdtemp(dir) == NULL)
		abort();
	ok(secret_is_clear("file"), "a word is a secret in the clear");
	ok(!secret_is_clear("env:X"), "a reference is not");
	test_read();
	test_pairs();
	test_uris();
	snprintf(command, sizeof(command), "rm -r %s", dir);
	ok(system(command) == 0, "cleaned up");
	return tap_done();
}
