/* conf_print.c: see conf_print.h. */
#include "config.h"
#include "agent/conf_print.h"

#include "agent/conf.h"

static void print_sections(const char *kind, const struct conf_section *section,
			   struct buf *out)
{
	for (; section != NULL; section = section->next) {
		buf_printf(out, "\n%s %s {\n", kind, section->name);
		if (section->opts != log_opts)
			buf_printf(out, "\ttype = %s\n",
				   section->source ? section->source->type
						   : section->sink->type);
		opt_print(section->opts, section->values, 1, out);
		buf_text(out, "}\n");
	}
}

void conf_print(const struct conf *c, struct buf *out)
{
	opt_print(conf_top_opts, c, 0, out);
	print_sections("source", c->sources, out);
	print_sections("sink", c->sinks, out);
	print_sections("log", c->logs, out);
	for (const struct conf_pipeline *p = c->pipelines; p; p = p->next) {
		buf_printf(out, "\npipeline %s {\n", p->name);
		opt_print(pipeline_opts, p, 1, out);
		buf_text(out, "}\n");
	}
}
