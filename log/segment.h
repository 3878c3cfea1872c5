/* segment.h: the files of a log, and going from frame to frame in one. */
#ifndef LEAT_LOG_SEGMENT_H
#define LEAT_LOG_SEGMENT_H

#include "base/buf.h"
#include "log/frame.h"

enum { LOG_PATH_MAX = 4096 };

/* "dir/name"; CODE_log_io when that is too long. */
int log_path(char out[LOG_PATH_MAX], const char *dir, const char *name,
	     struct err *e) MUST_CHECK;

struct segment_name {
	uint64_t first_seq, size;
};

struct segment_list {
	struct segment_name *v; /* in order */
	size_t n;
	bool has_foreign; /* files that are no log's */
};

/* CODE_log_wrong when there is no such directory. */
int segment_list_read(const char *dir, struct segment_list *l, struct err *e)
	MUST_CHECK;
void segment_list_fini(struct segment_list *l);
/* Index of the last segment that begins at or before seq, or -1. */
ptrdiff_t segment_list_find(const struct segment_list *l, uint64_t seq);

struct segment {
	int fd; /* -1: none */
	uint64_t first_seq;
	struct segment_head head;
	uint32_t salt;
	bool has_no_salt; /* the header is damaged: frames by their bodies */
	char path[LOG_PATH_MAX];
	/* what was read last: bytes below the committed end never change */
	struct buf window;
	uint64_t window_at;
	size_t ahead; /* how much is read at once, at least */
};

#define SEGMENT_NONE ((struct segment){.fd = -1})

int segment_path(char out[LOG_PATH_MAX], const char *dir, uint64_t first_seq,
		 struct err *e) MUST_CHECK;
/* Opens and checks the header.  flags: O_RDONLY or O_RDWR.  Of a file that is
 * there but damaged (CODE_log_corrupt) the descriptor stays open. */
int segment_open(struct segment *s, const char *dir, uint64_t first_seq,
		 int flags, struct err *e) MUST_CHECK;
void segment_close(struct segment *s);
/* Forgets the window: the file was written to. */
void segment_written(struct segment *s);

enum step {
	STEP_FRAME, /* there is a frame */
	STEP_END,   /* there is the end of the file, `end`, or zeros */
	STEP_BAD,   /* there is something else */
	STEP_ERROR, /* it could not be read; err is set */
};

/* Looks at what is at `at`.  The frame's CRC must go on from `chain`.  stored:
 * where its body is, valid until the next call; NULL: the body is not even
 * read.  Never looks at or behind `end`. */
enum step segment_step(struct segment *s, uint64_t at, uint64_t end,
		       uint32_t chain, struct frame *f, const uint8_t **stored,
		       struct err *e);
/* The same without a chain: is there a sound frame at all? */
enum step segment_probe(struct segment *s, uint64_t at, uint64_t end,
			struct frame *f, struct err *e);
/* err for STEP_BAD and the like: CODE_log_corrupt naming segment and offset. */
int segment_damaged(const struct segment *s, uint64_t at, const char *what,
		    struct err *e);

#endif
