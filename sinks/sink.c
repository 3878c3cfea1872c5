#include "config.h"
#include "sinks/sink.h"

#include <stdlib.h>

struct sink *sink_new(const struct sink_ops *ops, const char *name,
		      const char *pipeline, const void *conf)
{
	struct sink *snk = calloc(1, ops->size);

	if (snk == NULL)
		return NULL;
	snk->ops = ops;
	snk->name = name;
	snk->pipeline = pipeline;
	snk->conf = conf;
	return snk;
}

void sink_free(struct sink *snk)
{
	if (snk == NULL)
		return;
	snk->ops->close(snk);
	free(snk);
}
