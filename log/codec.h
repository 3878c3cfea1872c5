/* codec.h: compression of frame bodies; the only place that knows zstd. */
#ifndef LEAT_LOG_CODEC_H
#define LEAT_LOG_CODEC_H

#include "base/buf.h"
#include "base/err.h"
#include "log/frame.h"

/* All zeros at first; contexts are made when they are needed. */
struct codec {
	void *compressor, *expander;
};

void codec_fini(struct codec *c);
/* Appends the body to out in the form that is to be stored, at most raw.n
 * bytes, and fills in codec, stored and raw of the frame.  level 0: as it is. */
int codec_store(struct codec *c, int level, struct slice raw, struct buf *out,
		struct frame *f, struct err *e) MUST_CHECK;
/* f->raw bytes at out.  CODE_log_corrupt when the stored bytes are not that. */
int codec_expand(struct codec *c, const struct frame *f, const void *stored,
		 void *out, struct err *e) MUST_CHECK;
/* The same for a text of which there is only one, such as a commit's cursor, in
 * place of what out held. */
int codec_expand_text(const struct frame *f, const void *stored, struct buf *out,
		      struct err *e) MUST_CHECK;

#endif
