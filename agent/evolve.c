#include "config.h"
#include "agent/evolve.h"

#include <string.h>

#include "schema/change.h"

static const char *const policies[] = {
	[POLICY_EVOLVE] = "evolve",
	[POLICY_PAUSE] = "pause",
	[POLICY_FAIL] = "fail",
};

static int find(struct slice name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_is(name, names[i]))
			return (int)i;
	return -1;
}

/* "kind=policy"; kind is CHANGE_KINDS for "default". */
static bool parse(const char *text, int *kind, int *policy)
{
	struct slice rest = slice_of(text), name = slice_cut(&rest, '=');

	*kind = slice_is(name, "default")
			? CHANGE_KINDS
			: find(name, change_names, CHANGE_KINDS);
	*policy = find(rest, policies, countof(policies));
	return *kind >= 0 && *policy >= 0;
}

int evolve_check(const struct opt_list *list, struct err *e)
{
	unsigned seen = 0;

	for (size_t i = 0; i < list->n; i++) {
		int kind, policy;

		if (!parse(list->v[i], &kind, &policy)) {
			err_set(e, CODE_conf_value,
				"on_schema_change: \"%s\" is not kind=policy",
				list->v[i]);
			err_hint(e, "Kinds are default, add_column, drop_column, rename_column, widen_type, change_type, change_key and replace_table; policies evolve, pause and fail.");
			return -1;
		}
		if (seen & 1u << kind)
			return err_set(e, CODE_conf_value,
				       "on_schema_change: \"%s\" is the second policy of its kind",
				       list->v[i]);
		seen |= 1u << kind;
	}
	return 0;
}

static enum policy policy_of(const struct opt_list *list, int wanted)
{
	int found = POLICY_EVOLVE;

	for (size_t i = 0; i < list->n; i++) {
		int kind, policy;

		if (!parse(list->v[i], &kind, &policy))
			continue;
		if (kind == wanted)
			return (enum policy)policy;
		if (kind == CHANGE_KINDS)
			found = policy;
	}
	return (enum policy)found;
}

/* The strictest one; *kind is the first that has it. */
static enum policy strictest(const struct opt_list *list, unsigned kinds,
			     int *kind)
{
	enum policy worst = POLICY_EVOLVE;

	*kind = -1;
	for (int i = 0; i < CHANGE_KINDS; i++) {
		enum policy p = policy_of(list, i);

		if (!(kinds & 1u << i) || p <= worst)
			continue;
		worst = p;
		*kind = i;
	}
	return worst;
}

static int stop(const struct event *ev, const char *pipeline, int kind,
		enum policy policy, struct slice changes, struct err *e)
{
	int n = (int)changes.n - (changes.n > 0); /* the last line's end */
	struct slice name = ev->table->full_name;

	err_set(e, CODE_schema_stopped,
		"table \"%.*s\" has changed (%s): %.*s", SLICE_ARG(name),
		change_names[kind], n < 400 ? n : 400, changes.p);
	for (char *p = e->msg; *p != '\0'; p++)
		if (*p == '\n')
			*p = ',';
	if (policy == POLICY_PAUSE)
		err_hint(e, "Make the destination ready, let the change pass with `leat schema accept %s`, and start the pipeline again.",
			 pipeline);
	else
		err_hint(e, "The policy of pipeline \"%s\" for it is fail: %s=evolve in on_schema_change lets such changes pass, %s=pause each after `leat schema accept %s`.",
			 pipeline, change_names[kind], change_names[kind],
			 pipeline);
	return -1;
}

int evolve_judge(const struct opt_list *list, const char *pipeline,
		 struct state *st, const struct event *ev, struct err *e)
{
	struct buf changes = BUF_INIT;
	bool is_accepted = false;
	enum policy policy;
	int kind, rc = 0;

	if (list->n == 0)
		return 0;
	policy = strictest(list, change_kinds(ev->schema->prev, ev->table), &kind);
	if (policy == POLICY_EVOLVE)
		return 0;
	table_diff(ev->schema->prev, ev->table, &changes);
	if (changes.failed)
		rc = err_no_memory(e);
	else if (policy == POLICY_PAUSE)
		rc = state_ask(st, ev->table, ev->seq, buf_get(&changes),
			       &is_accepted, e);
	if (rc == 0 && !is_accepted)
		rc = stop(ev, pipeline, kind, policy, buf_get(&changes), e);
	buf_fini(&changes);
	return rc;
}
