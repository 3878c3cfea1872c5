#include "config.h"
#include "base/note.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "t/tap.h"

static char line[4096];

/* What one call wrote to stderr. */
static const char *captured(void (*emit)(void))
{
	int saved = dup(STDERR_FILENO), ends[2];
	ssize_t n;

	if (pipe(ends) != 0)
		abort();
	dup2(ends[1], STDERR_FILENO);
	emit();
	dup2(saved, STDERR_FILENO);
	close(ends[1]);
	n = read(ends[0], line, sizeof(line) - 1);
	line[n < 0 ? 0 : n] = '\0';
	close(ends[0]);
	close(saved);
	return line;
}

static void plain(void)
{
	note(NOTE_INFO, "pipeline \"p\"", CODE_started,
	     NOTE_KV({"slot", "leat_p"}, {"why", "two words"}), "began\nnow");
}

static void failure(void)
{
	struct err e = ERR_INIT;

	err_set(&e, CODE_slot_lost, "slot \"x\" is gone");
	err_hint(&e, "Run `leat offsets set`.");
	err_wrap(&e, "source \"%s\"", "shop");
	err_set(&e, CODE_diverged, "a later error does not win");
	note_err(NOTE_ERROR, "agent", &e, NULL);
}

static void quiet(void)
{
	note(NOTE_DEBUG, "agent", CODE_progress, NULL, "row data");
}

/* What a server says, cut in the middle of a character, and with what a terminal
 * would obey. */
static void foreign(void)
{
	struct err e = ERR_INIT;

	err_set(&e, CODE_source_refused, "caf\xc3\xa9 \xe9 \x1b[31m%0600d", 0);
	memcpy(e.msg + sizeof(e.msg) - 2, "\xc3", 2);
	err_detail(&e, "\xe2\x82");
	note_err(NOTE_ERROR, "agent", &e, NOTE_KV({"sql", "\xff\x07"}));
}

static void test_foreign(void)
{
	json_error_t je;
	json_t *o;

	note_setup(NOTE_INFO, true);
	o = json_loads(captured(foreign), 0, &je);
	ok(o != NULL, "text that is not UTF-8 leaves a line JSON");
	ok(strstr(json_string_value(json_object_get(o, "message")),
		  "caf\xc3\xa9 ? \x1b[31m") != NULL,
	   "with marks for what it is not");
	is_str(json_string_value(json_object_get(o, "detail")), "??",
	       "also in what goes with it");
	json_decref(o);
	note_setup(NOTE_INFO, false);
	captured(foreign);
	ok(strchr(line, '\x1b') == NULL && strchr(line, '\x07') == NULL,
	   "a line for people commands no terminal");
}

int main(void)
{
	json_error_t je;
	json_t *o;

	note_setup(NOTE_INFO, false);
	captured(plain);
	ok(strstr(line, " info pipeline \"p\": began now code=started "
			"slot=leat_p why=\"two words\"\n") != NULL,
	   "a line has level, component, message, code and keys");
	ok(line[4] == '-' && line[10] == 'T' && line[26] == 'Z',
	   "and begins with the time in UTC");
	captured(failure);
	ok(strstr(line, "source \"shop\": slot \"x\" is gone code=slot_lost "
			"hint=\"Run `leat offsets set`.\"") != NULL,
	   "an error keeps its first cause and gains context");
	is_str(captured(quiet), "", "debug is not for production");
	note_setup(NOTE_INFO, true);
	o = json_loads(captured(plain), 0, &je);
	ok(o != NULL, "the other form is one JSON object a line");
	is_str(json_string_value(json_object_get(o, "message")), "began\nnow",
	       "with the message as it was");
	is_str(json_string_value(json_object_get(o, "code")), "started",
	       "and the code");
	json_decref(o);
	ok(code_find("slot_lost") == CODE_slot_lost &&
	   code_find("no such") == CODE_COUNT, "codes are found by name");
	test_foreign();
	return tap_done();
}
