#include "config.h"
#include "log/codec.h"

#include <zstd.h>

/* Below this, compressing costs more than it saves. */
#define LEAST_BYTES 128u

void codec_fini(struct codec *c)
{
	ZSTD_freeCCtx(c->compressor);
	ZSTD_freeDCtx(c->expander);
	*c = (struct codec){0};
}

static int compress(struct codec *c, int level, struct slice raw,
		    struct buf *out, struct frame *f, struct err *e)
{
	size_t bound = ZSTD_compressBound(raw.n), n;

	if (c->compressor == NULL)
		c->compressor = ZSTD_createCCtx();
	if (c->compressor == NULL || !buf_room(out, bound))
		return err_no_memory(e);
	n = ZSTD_compressCCtx(c->compressor, out->p + out->n, bound, raw.p,
			      raw.n, level);
	if (ZSTD_isError(n))
		return err_set(e, CODE_no_memory,
			       "could not compress a frame: %s",
			       ZSTD_getErrorName(n));
	if (n < raw.n) {
		out->n += n;
		f->codec = CODEC_ZSTD;
		f->stored = (uint32_t)n;
	}
	return 0;
}

int codec_store(struct codec *c, int level, struct slice raw, struct buf *out,
		struct frame *f, struct err *e)
{
	f->codec = CODEC_NONE;
	f->raw = f->stored = (uint32_t)raw.n;
	if (raw.n > FRAME_BODY_MAX)
		return err_set(e, CODE_internal,
			       "a frame of %zu bytes is larger than the log can hold",
			       raw.n);
	if (level != 0 && raw.n >= LEAST_BYTES &&
	    compress(c, level, raw, out, f, e) != 0)
		return -1;
	if (f->codec == CODEC_NONE)
		buf_slice(out, raw);
	return out->failed ? err_no_memory(e) : 0;
}

int codec_expand(struct codec *c, const struct frame *f, const void *stored,
		 void *out, struct err *e)
{
	size_t n;

	if (f->codec == CODEC_NONE) {
		if (f->raw > 0)
			memcpy(out, stored, f->raw);
		return 0;
	}
	if (c->expander == NULL)
		c->expander = ZSTD_createDCtx();
	if (c->expander == NULL)
		return err_no_memory(e);
	n = ZSTD_decompressDCtx(c->expander, out, f->raw, stored, f->stored);
	if (ZSTD_isError(n))
		return err_set(e, CODE_log_corrupt,
			       "a frame's body cannot be decompressed: %s",
			       ZSTD_getErrorName(n));
	if (n != f->raw)
		return err_set(e, CODE_log_corrupt,
			       "a frame's body has %zu bytes in place of %u", n,
			       f->raw);
	return 0;
}

int codec_expand_text(const struct frame *f, const void *stored, struct buf *out,
		      struct err *e)
{
	struct codec c = {0};
	int rc;

	buf_reset(out, SIZE_MAX);
	if (!buf_room(out, f->raw))
		return err_no_memory(e);
	rc = codec_expand(&c, f, stored, out->p, e);
	if (rc == 0)
		out->n = f->raw;
	codec_fini(&c);
	return rc;
}
