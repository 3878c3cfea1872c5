/* my_conn.c: see my_conn.h.
 *
 * The dump is read packet by packet with the library's own functions (they know
 * of frames and TLS), below its reader of binlogs.  A packet is u8 0 and an
 * event; 0xfe and less than nine bytes: the end; 0xff: an error.
 *
 * Connector/C takes no TLS for an answer when the server has none: the cipher is
 * looked at once the connection stands. */
#include "config.h"
#include "sources/my_conn.h"

#include <errno.h>
#include <mysql.h>
#include <ma_pvio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

unsigned long STDCALL mysql_net_read_packet(MYSQL *mysql);

#define COMMAND_DUMP 0x12
#define COMMAND_DUMP_GTID 0x1e
#define FIRST_POSITION 4
#define PACKET_EVENT 0x00
#define PACKET_END 0xfe

#define ERROR_BINLOG 1236
#define MAX_PACKET (1ul << 30)

static MYSQL *lib(const struct my_session *s)
{
	return (MYSQL *)s->c;
}

/* --- errors ------------------------------------------------------------------ */

/* Of error 1236 only the text tells what it is about. */
static const struct {
	const char *part;
	enum code code;
	const char *hint;
} dump_errors[] = {
	{"purged required binary logs", CODE_purged, NULL},
	{"has purged binary logs", CODE_purged, NULL},
	{"Could not find GTID state requested", CODE_purged, NULL},
	{"Could not find first log file name", CODE_purged, NULL},
	{"has more GTIDs than", CODE_diverged, NULL},
	{"which is not in the master's binlog", CODE_diverged, NULL},
	{"has diverged", CODE_diverged, NULL},
	{"> file size", CODE_diverged, NULL},
	{"with the same server_uuid", CODE_source_config,
	 "Give each reader a server_id of its own."},
	{"with the same server_id", CODE_source_config,
	 "Give each reader a server_id of its own."},
	{"exceeded max_allowed_packet", CODE_source_config,
	 "SET GLOBAL max_allowed_packet = 1073741824; on MySQL replica_max_allowed_packet too."},
	{"GTID_MODE = OFF", CODE_source_config,
	 "SET PERSIST gtid_mode to ON, by way of OFF_PERMISSIVE and ON_PERMISSIVE."},
};

static int dump_error(const char *text, struct err *e)
{
	for (size_t i = 0; i < countof(dump_errors); i++) {
		if (strstr(text, dump_errors[i].part) == NULL)
			continue;
		err_set(e, dump_errors[i].code, "%s", text);
		if (dump_errors[i].hint != NULL)
			err_hint(e, "%s", dump_errors[i].hint);
		return -1;
	}
	return err_set(e, CODE_source_protocol, "%s", text);
}

static bool is_refusal(unsigned number)
{
	switch (number) {
	case 1040: /* too many connections */
	case 1044: /* access to the database */
	case 1045: /* password */
	case 1129: /* host blocked */
	case 1130: /* host not allowed */
	case 1142: /* table */
	case 1203: /* connections of the user */
	case 1226: /* some other limit of the user */
	case 1227: /* privilege */
	case 1251: /* method of authentication */
	case 1698: /* the same, without a password */
	case 1862: /* expired password */
	case 2026: /* TLS */
	case 2059: /* plug-in of authentication */
	case 2061:
		return true;
	default:
		return false;
	}
}

int my_conn_error(unsigned number, const char *state, const char *text,
		  struct err *e)
{
	if (number == ERROR_BINLOG)
		return dump_error(text, e);
	if (is_refusal(number)) {
		err_set(e, CODE_source_refused, "%s", text);
		if (number == 1227)
			err_hint(e, "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO the user; on MariaDB BINLOG MONITOR too.");
		if (number == 1045)
			err_hint(e, "A user that was made with REQUIRE SSL is refused like this without tls = require.");
		return -1;
	}
	/* the library's own, shutdown, killed, and the network in between */
	if (number == 0 || number >= 2000 || number == 1053 ||
	    number == 1077 || number == 1152 || number == 1159 ||
	    number == 1161 || number == 1317 || number == 1927)
		return err_set(e, CODE_source_unreachable, "%s",
			       text[0] ? text
				       : "the server has closed the connection");
	return err_set(e, CODE_source_protocol, "error %u (%s): %s", number,
		       state, text);
}

static int lost(struct my_session *s, struct err *e)
{
	return my_conn_error(mysql_errno(lib(s)), mysql_sqlstate(lib(s)),
			     mysql_error(lib(s)), e);
}

/* --- connecting ---------------------------------------------------------------- */

/* Overwritten before it is freed: a core dump need not hold it. */
static void forget(struct buf *secret)
{
	if (secret->p != NULL)
		explicit_bzero(secret->p, secret->cap);
	buf_fini(secret);
}

static int read_password(const struct my_conf *conf, struct buf *out,
			 struct err *e)
{
	if (conf->password != NULL && secret_read(conf->password, out, e) < 0)
		return -1;
	buf_u8(out, '\0');
	return out->failed ? err_no_memory(e) : 0;
}

static void set_tls(MYSQL *m, const struct my_conf *conf)
{
	my_bool on = conf->tls != MY_TLS_OFF;
	my_bool verifies = conf->tls >= MY_TLS_VERIFY_CA;

	if (!on)
		return;
	mysql_ssl_set(m, conf->tls_key, conf->tls_cert, conf->tls_ca, NULL, NULL);
	mysql_options(m, MYSQL_OPT_SSL_ENFORCE, &on);
	mysql_options(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verifies);
}

static unsigned seconds(int64_t ms)
{
	return ms < 1000 ? 1 : (unsigned)((ms + 999) / 1000);
}

static void set_options(MYSQL *m, const struct my_session *s)
{
	unsigned connect = seconds(s->conf->connect_timeout);
	unsigned silence = seconds(3 * s->conf->heartbeat);
	unsigned long packet = MAX_PACKET;

	if (silence < connect)
		silence = connect;
	mysql_options(m, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
	mysql_options(m, MYSQL_OPT_READ_TIMEOUT, &silence);
	mysql_options(m, MYSQL_OPT_WRITE_TIMEOUT, &silence);
	mysql_options(m, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
	mysql_options(m, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_options(m, MYSQL_OPT_CONNECT_ATTR_RESET, NULL);
	mysql_options4(m, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "leat");
	mysql_options4(m, MYSQL_OPT_CONNECT_ATTR_ADD, "leat_pipeline",
		       s->pipeline);
	set_tls(m, s->conf);
}

static int check_tls(struct my_session *s, struct err *e)
{
	s->is_encrypted = mysql_get_ssl_cipher(lib(s)) != NULL;
	if (s->conf->tls == MY_TLS_OFF || s->is_encrypted)
		return 0;
	err_set(e, CODE_source_refused, "the server has no TLS, and tls is %s",
		s->conf->tls == MY_TLS_REQUIRE ? "require" : "verify");
	return -1;
}

/* What keeps results the same wherever we connect, and patience with a reader
 * that waits for its sink. */
static const char *const settings[] = {
	"SET SESSION sql_mode = '', SESSION time_zone = '+00:00'",
	"SET SESSION wait_timeout = 31536000, SESSION net_write_timeout = 3600",
};

static int set_up(struct my_session *s, struct err *e)
{
	s->version = (unsigned)mysql_get_server_version(lib(s));
	s->is_mariadb = mariadb_connection(lib(s));
	if (check_tls(s, e) < 0)
		return -1;
	for (size_t i = 0; i < countof(settings); i++)
		if (my_query_run(s, settings[i], e) < 0)
			return -1;
	return 0;
}

static int connect_to(struct my_session *s, MYSQL *m, struct err *e)
{
	const struct my_conf *conf = s->conf;
	struct buf password = BUF_INIT;
	int rc = -1;

	if (read_password(conf, &password, e) == 0) {
		rc = mysql_real_connect(m, conf->host, conf->user, password.p,
					NULL, (unsigned)conf->port, conf->socket,
					0) != NULL
			     ? 0
			     : lost(s, e);
	}
	forget(&password);
	return rc;
}

int my_conn_open(struct my_session *s, struct err *e)
{
	MYSQL *m;

	my_conn_close(s);
	m = mysql_init(NULL);
	if (m == NULL)
		return err_no_memory(e);
	s->c = (struct my_conn *)m;
	set_options(m, s);
	if (connect_to(s, m, e) == 0 && set_up(s, e) == 0)
		return 0;
	my_conn_close(s);
	return -1;
}

void my_conn_close(struct my_session *s)
{
	if (s->c != NULL)
		mysql_close(lib(s));
	s->c = NULL;
}

bool my_conn_is_open(const struct my_session *s)
{
	return s->c != NULL;
}

uint64_t my_conn_id(const struct my_session *s)
{
	return mysql_thread_id(lib(s));
}

/* --- statements ------------------------------------------------------------------ */

struct my_result *my_query(struct my_session *s, const char *sql, struct err *e)
{
	MYSQL_RES *res;

	if (mysql_query(lib(s), sql) != 0) {
		lost(s, e);
		return NULL;
	}
	res = mysql_store_result(lib(s));
	if (res == NULL)
		lost(s, e);
	return (struct my_result *)res;
}

int my_query_run(struct my_session *s, const char *sql, struct err *e)
{
	MYSQL_RES *res;

	if (mysql_query(lib(s), sql) != 0)
		return lost(s, e);
	res = mysql_store_result(lib(s));
	if (res != NULL)
		mysql_free_result(res);
	return 0;
}

void my_result_free(struct my_result *res)
{
	if (res != NULL)
		mysql_free_result((MYSQL_RES *)res);
}

uint64_t my_result_rows(const struct my_result *res)
{
	return mysql_num_rows((MYSQL_RES *)res);
}

struct slice my_cell(struct my_result *res, uint64_t row, unsigned col)
{
	MYSQL_RES *r = (MYSQL_RES *)res;
	MYSQL_ROW cells;

	if (row >= mysql_num_rows(r) || col >= mysql_num_fields(r))
		return SLICE("");
	mysql_data_seek(r, row);
	cells = mysql_fetch_row(r);
	if (cells == NULL || cells[col] == NULL)
		return SLICE("");
	return (struct slice){cells[col], mysql_fetch_lengths(r)[col]};
}

bool my_cell_is(struct my_result *res, uint64_t row, unsigned col,
		const char *text)
{
	return slice_is(my_cell(res, row, col), text);
}

void my_quote_text(struct buf *b, struct slice text)
{
	static const char hex[] = "0123456789abcdef";

	buf_text(b, text.n > 0 ? "_utf8mb4 0x" : "''");
	for (size_t i = 0; i < text.n; i++) {
		buf_u8(b, (uint8_t)hex[(uint8_t)text.p[i] >> 4]);
		buf_u8(b, (uint8_t)hex[text.p[i] & 15]);
	}
}

/* --- the dump ----------------------------------------------------------------------- */

static void put_dump_gtid(struct buf *b, uint32_t server_id,
			  const struct my_gtid_set *from)
{
	struct buf set = BUF_INIT;

	my_gtid_set_encode(from, &set);
	buf_le16(b, 0);
	buf_le32(b, server_id);
	buf_le32(b, 0); /* no file's name */
	buf_le64(b, FIRST_POSITION);
	buf_le32(b, (uint32_t)set.n);
	buf_slice(b, buf_get(&set));
	b->failed |= set.failed;
	buf_fini(&set);
}

/* MariaDB has been told where from by @slave_connect_state. */
static void put_dump(struct buf *b, uint32_t server_id)
{
	buf_le32(b, FIRST_POSITION);
	buf_le16(b, 0);
	buf_le32(b, server_id);
}

int my_conn_dump(struct my_session *s, uint32_t server_id,
		 const struct my_gtid_set *from, struct err *e)
{
	bool is_mysql = s->flavour == MY_MYSQL;
	struct buf b = BUF_INIT;
	int rc = 0;

	if (is_mysql)
		put_dump_gtid(&b, server_id, from);
	else
		put_dump(&b, server_id);
	if (b.failed)
		rc = err_no_memory(e);
	else if (lib(s)->methods->db_command(
			 lib(s), is_mysql ? COMMAND_DUMP_GTID : COMMAND_DUMP,
			 b.p, b.n, 1, NULL) != 0)
		rc = lost(s, e);
	buf_fini(&b);
	return rc;
}

int my_conn_event(struct my_session *s, struct slice *event, struct err *e)
{
	unsigned long n = mysql_net_read_packet(lib(s));
	const char *p = (const char *)lib(s)->net.read_pos;

	if (n == packet_error || n == 0)
		return lost(s, e);
	if ((uint8_t)p[0] == PACKET_END && n < 9)
		return err_set(e, CODE_source_unreachable,
			       "the server has ended the dump");
	if ((uint8_t)p[0] != PACKET_EVENT)
		return err_set(e, CODE_source_protocol,
			       "a packet that begins with 0x%02x", (uint8_t)p[0]);
	*event = (struct slice){p + 1, n - 1};
	return 0;
}

/* What the library has read ahead. */
static bool is_buffered(const struct my_session *s)
{
	const MARIADB_PVIO *io = lib(s)->net.pvio;

	return io == NULL || io->cache + io->cache_size > io->cache_pos;
}

bool my_conn_has_input(const struct my_session *s)
{
	struct pollfd f = {.fd = mysql_get_socket(lib(s)), .events = POLLIN};

	return is_buffered(s) || poll(&f, 1, 0) != 0;
}

struct my_wait my_conn_wait(const struct my_session *dump,
			    const struct my_session *side, int wake_fd,
			    int64_t until_ms)
{
	struct pollfd fds[3] = {
		{.fd = mysql_get_socket(lib(dump)), .events = POLLIN},
		{.fd = mysql_get_socket(lib(side)), .events = POLLIN},
		{.fd = wake_fd, .events = POLLIN},
	};
	bool buffered = is_buffered(dump);

	if (poll(fds, 3, buffered ? 0 : clock_poll_ms(until_ms)) < 0 &&
	    errno != EINTR)
		return (struct my_wait){.input = true};
	return (struct my_wait){.input = buffered || fds[0].revents != 0,
				.side = fds[1].revents != 0,
				.woken = fds[2].revents != 0};
}
