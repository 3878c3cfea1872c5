#include "config.h"
#include "sources/my_statement.h"

#include "t/tap.h"

static void is(const char *sql, enum my_statement want, const char *db,
	       const char *table)
{
	struct slice d, t;
	enum my_statement got = my_statement_read(slice_of(sql), &d, &t);

	is_int(got, want, "%s", sql);
	is_slice(d, db, "... its database");
	is_slice(t, table, "... its table");
}

int main(void)
{
	is("BEGIN", MY_STATEMENT_BEGIN, "", "");
	is("COMMIT", MY_STATEMENT_COMMIT, "", "");
	is("ROLLBACK", MY_STATEMENT_ROLLBACK, "", "");
	is("ROLLBACK TO `s`", MY_STATEMENT_SAVEPOINT, "", "");
	is("SAVEPOINT `s`", MY_STATEMENT_SAVEPOINT, "", "");
	is("XA START X'31',X'',1", MY_STATEMENT_XA_BEGIN, "", "");
	is("XA END X'31',X'',1", MY_STATEMENT_XA_END, "", "");
	is("XA COMMIT X'31',X'',1", MY_STATEMENT_XA_FINISH, "", "");
	is("truncate t", MY_STATEMENT_TRUNCATE, "", "t");
	is("/* c */ TRUNCATE TABLE `d`.`t` -- x", MY_STATEMENT_TRUNCATE, "d", "t");
	is("/*!40000 TRUNCATE TABLE d . t */", MY_STATEMENT_TRUNCATE, "d", "t");
	is("SET STATEMENT max_statement_time=10 FOR TRUNCATE t",
	   MY_STATEMENT_TRUNCATE, "", "t");
	is("INSERT INTO t VALUES (1)", MY_STATEMENT_CHANGE, "", "t");
	is("insert low_priority ignore into d.t set a = 1", MY_STATEMENT_CHANGE,
	   "d", "t");
	is("DELETE FROM `d`.`t` WHERE 1", MY_STATEMENT_CHANGE, "d", "t");
	is("UPDATE t SET a = 1", MY_STATEMENT_CHANGE, "", "t");
	is("REPLACE INTO t VALUES (1)", MY_STATEMENT_CHANGE, "", "t");
	is("LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE d.t FIELDS",
	   MY_STATEMENT_CHANGE, "d", "t");
	is("CREATE TABLE t (a int)", MY_STATEMENT_OTHER, "", "");
	is("ALTER TABLE t COMMENT 'TRUNCATE x'", MY_STATEMENT_OTHER, "", "");
	is("", MY_STATEMENT_OTHER, "", "");
	is("/* never ends", MY_STATEMENT_OTHER, "", "");
	is("TRUNCATE `t", MY_STATEMENT_TRUNCATE, "", "");
	return tap_done();
}
