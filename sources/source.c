#include "config.h"
#include "sources/source.h"

#include <stdlib.h>

struct source *source_new(const struct source_ops *ops, const char *name,
			  const char *pipeline, const void *conf)
{
	struct source *src = calloc(1, ops->size);

	if (src == NULL)
		return NULL;
	src->ops = ops;
	src->name = name;
	src->pipeline = pipeline;
	src->conf = conf;
	src->wake_fd = -1;
	atomic_init(&src->behind_bytes, UINT64_MAX);
	return src;
}

void source_free(struct source *src)
{
	if (src == NULL)
		return;
	src->ops->close(src);
	free(src);
}
