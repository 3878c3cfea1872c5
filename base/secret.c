/* secret.c: reads secrets, and hides those inside connection strings.
 *
 * The reading of connection strings follows libpq's ("Connection Strings" in
 * its manual), but where libpq would refuse a string this errs towards hiding
 * too much. */
#include "config.h"
#include "base/secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { SECRET_LIMIT = 64 * 1024 };

static const char hidden[] = "***";

static const char *after_prefix(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

bool secret_is_clear(const char *ref)
{
	return after_prefix(ref, "file:") == NULL &&
	       after_prefix(ref, "env:") == NULL &&
	       after_prefix(ref, "credential:") == NULL;
}

static int read_all(int fd, struct buf *out)
{
	size_t start = out->n;
	ssize_t got;

	do {
		if (!buf_room(out, 4096))
			return ENOMEM;
		got = read(fd, out->p + out->n, 4096);
		if (got < 0 && errno != EINTR)
			return errno;
		out->n += got > 0 ? (size_t)got : 0;
		if (out->n - start > SECRET_LIMIT)
			return EFBIG;
	} while (got != 0);
	return 0;
}

static int read_file(const char *path, struct buf *out, struct err *e)
{
	size_t start = out->n;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int errnum;

	if (fd < 0)
		return err_sys(e, CODE_conf_secret, errno,
			       "could not open secret file \"%s\"", path);
	errnum = read_all(fd, out);
	close(fd);
	if (errnum == ENOMEM)
		return err_no_memory(e);
	if (errnum != 0) {
		out->n = start;
		return err_sys(e, CODE_conf_secret, errnum,
			       "could not read secret file \"%s\"", path);
	}
	if (out->n > start && out->p[out->n - 1] == '\n')
		out->n--;
	return 0;
}

static int read_credential(const char *name, struct buf *out, struct err *e)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[4096];
	int n;

	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL)
		return err_set(e, CODE_conf_secret,
			       "invalid name of a credential: \"%s\"", name);
	if (dir == NULL || dir[0] == '\0') {
		err_set(e, CODE_conf_secret,
			"credential \"%s\" is not to be had: CREDENTIALS_DIRECTORY is not set",
			name);
		err_hint(e,
			 "Add LoadCredential=%s:PATH to the service unit, or write file:PATH.",
			 name);
		return -1;
	}
	n = snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_sys(e, CODE_conf_secret, ENAMETOOLONG,
			       "credential \"%s\"", name);
	return read_file(path, out, e);
}

static int read_env(const char *name, struct buf *out, struct err *e)
{
	const char *value = getenv(name);

	if (value == NULL)
		return err_set(e, CODE_conf_secret,
			       "environment variable \"%s\" is not set", name);
	buf_text(out, value);
	return out->failed ? err_no_memory(e) : 0;
}

int secret_read(const char *ref, struct buf *out, struct err *e)
{
	size_t start = out->n;
	const char *name;
	int rc;

	if ((name = after_prefix(ref, "file:")) != NULL) {
		rc = read_file(name, out, e);
	} else if ((name = after_prefix(ref, "credential:")) != NULL) {
		rc = read_credential(name, out, e);
	} else if ((name = after_prefix(ref, "env:")) != NULL) {
		rc = read_env(name, out, e);
	} else {
		buf_text(out, ref);
		return out->failed ? err_no_memory(e) : 0;
	}
	if (rc != 0)
		return rc;
	if (out->n == start)
		return err_set(e, CODE_conf_secret, "secret \"%s\" is empty",
			       ref);
	if (memchr(out->p + start, '\0', out->n - start) != NULL) {
		out->n = start;
		return err_set(e, CODE_conf_secret,
			       "secret \"%s\" holds a zero byte", ref);
	}
	return 0;
}

/* --- connection strings ---------------------------------------------- */

static bool is_secret_key(struct slice key)
{
	static const char *const keys[] = {
		"password", "sslpassword", "oauth_client_secret",
		"scram_client_key", "scram_server_key",
	};

	for (size_t i = 0; i < countof(keys); i++)
		if (key.n == strlen(keys[i]) &&
		    strncasecmp(key.p, keys[i], key.n) == 0)
			return true;
	return false;
}

static const char *skip_space(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

/* Behind the value that begins at p; NULL when its quote does not end. */
static const char *skip_value(const char *p)
{
	bool quoted = *p == '\'';

	for (p += quoted; *p != '\0'; p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		else if (quoted ? *p == '\'' : isspace((unsigned char)*p))
			return p + quoted;
	}
	return quoted ? NULL : p;
}

/* -1 when the string is none that libpq would take. */
static int redact_pairs(const char *p, struct buf *out, bool *found)
{
	while (*p != '\0') {
		const char *start = p, *value;
		struct slice key;

		key.p = p = skip_space(p);
		while (*p != '\0' && *p != '=' && !isspace((unsigned char)*p))
			p++;
		key.n = (size_t)(p - key.p);
		p = skip_space(p);
		if (key.n == 0 && *p == '\0')
			break;
		if (*p != '=')
			return -1;
		value = skip_space(p + 1);
		p = skip_value(value);
		if (p == NULL)
			return -1;
		if (is_secret_key(key)) {
			buf_put(out, start, (size_t)(value - start));
			buf_text(out, hidden);
			/* the next key may touch a closing quote */
			if (*p != '\0' && !isspace((unsigned char)*p))
				buf_u8(out, ' ');
			*found = true;
		} else {
			buf_put(out, start, (size_t)(p - start));
		}
	}
	return 0;
}

/* The name of a URI's parameter may itself be written in %XX. */
static bool is_secret_param(struct slice name)
{
	char plain[64];
	size_t n = 0;

	for (size_t i = 0; i < name.n; i++, n++) {
		uint64_t byte;

		if (n == sizeof(plain))
			return false;
		plain[n] = name.p[i];
		if (name.p[i] != '%' || i + 2 >= name.n)
			continue;
		if (!slice_hex_to_u64((struct slice){name.p + i + 1, 2}, &byte))
			return true;
		plain[n] = (char)byte;
		i += 2;
	}
	return is_secret_key((struct slice){plain, n});
}

static void redact_params(struct slice rest, struct buf *out, bool *found)
{
	while (rest.p != NULL) {
		struct slice value = slice_cut(&rest, '&');
		struct slice name = slice_cut(&value, '=');

		buf_slice(out, name);
		if (value.p != NULL) {
			buf_u8(out, '=');
			if (is_secret_param(name)) {
				buf_text(out, hidden);
				*found = true;
			} else {
				buf_slice(out, value);
			}
		}
		if (rest.p != NULL)
			buf_u8(out, '&');
	}
}

/* HOST[:PORT],... with addresses of IPv6 in brackets, and nothing else? */
static bool are_hosts(struct slice s)
{
	do {
		struct slice host = slice_cut(&s, ','), port = host;

		if (host.n > 0 && host.p[0] == '[') {
			slice_cut(&port, ']');
			if (port.p == NULL || (port.n > 0 && port.p[0] != ':'))
				return false;
		}
		slice_cut(&port, ':');
		for (size_t i = 0; i < port.n; i++)
			if (!isdigit((unsigned char)port.p[i]))
				return false;
	} while (s.p != NULL);
	return true;
}

/* s begins behind "://".  What stands before an @ is the user's, and the only @
 * comes before the first slash: of what is not so, a part may be a password with
 * bare slashes or @ in it.  -1 for that. */
static int redact_uri(const char *s, struct buf *out, bool *found)
{
	const char *at = memrchr(s, '@', strcspn(s, "/")), *colon, *query;

	if (at != NULL && memchr(s, '@', (size_t)(at - s)) != NULL)
		return -1;
	if (at != NULL) {
		colon = memchr(s, ':', (size_t)(at - s));
		if (colon != NULL) {
			buf_put(out, s, (size_t)(colon + 1 - s));
			buf_text(out, hidden);
			*found = true;
		} else {
			buf_put(out, s, (size_t)(at - s));
		}
		buf_u8(out, '@');
		s = at + 1;
	}
	query = s + strcspn(s, "?");
	if (!are_hosts((struct slice){s, strcspn(s, "/?")}) ||
	    memchr(s, '@', (size_t)(query - s)) != NULL)
		return -1;
	buf_put(out, s, (size_t)(query - s));
	if (*query == '?') {
		buf_u8(out, '?');
		redact_params(slice_of(query + 1), out, found);
	}
	return 0;
}

static int redact(const char *conninfo, struct buf *out, bool *found)
{
	const char *uri = after_prefix(conninfo, "postgresql://");

	if (uri == NULL)
		uri = after_prefix(conninfo, "postgres://");
	if (uri == NULL)
		return redact_pairs(conninfo, out, found);
	buf_put(out, conninfo, (size_t)(uri - conninfo));
	return redact_uri(uri, out, found);
}

bool secret_is_conninfo(const char *conninfo)
{
	struct buf ignored = BUF_INIT;
	bool found = false;
	int rc = redact(conninfo, &ignored, &found);

	buf_fini(&ignored);
	return rc == 0;
}

bool secret_redact_conninfo(const char *conninfo, struct buf *out)
{
	size_t start = out->n;
	bool found = false;
	int rc = redact(conninfo, out, &found);

	if (rc != 0) {
		out->n = start;
		buf_text(out, hidden);
	}
	return rc == 0 && found;
}
