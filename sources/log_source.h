/* log_source.h: `log NAME { }` as a source; leat-sources(7).
 *
 * Source part of the cursor: "log uuid=U seq=N crc=X" (log/readers.h).  Events
 * keep ids, origin and seq of the pipeline that wrote the log; only where the
 * reading pipeline's cursor is ahead of its place in the log (it was set back,
 * or had a gap) the seqs are moved up by the difference, so that they never
 * repeat.  The claim is a flock on DIR/readers/PIPELINE.lock, the ack a cursor
 * in DIR/readers/PIPELINE. */
#ifndef LEAT_SOURCES_LOG_SOURCE_H
#define LEAT_SOURCES_LOG_SOURCE_H

#include "sources/source.h"

extern const struct source_ops log_source;

#endif
