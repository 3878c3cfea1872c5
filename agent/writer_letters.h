/* writer_letters.h: dead letters that are delivered again, by the writer between
 * two commits of what comes from the source. */
#ifndef LEAT_AGENT_WRITER_LETTERS_H
#define LEAT_AGENT_WRITER_LETTERS_H

#include "agent/writer_steps.h"

/* Delivers the letters that are wanted, if this is a moment for it. */
enum step writer_redeliver(struct writer *w, struct err *e);

#endif
