/* nearest.h: "did you mean" for names that are not known. */
#ifndef LEAT_BASE_NEAREST_H
#define LEAT_BASE_NEAREST_H

struct nearest {
	const char *wanted;
	const char *name;  /* the most like it so far; NULL: none is near */
	unsigned distance; /* edits between the two */
};

#define NEAREST_INIT(name) ((struct nearest){.wanted = (name)})

/* *Borrows* the candidate.  Of equally near ones the first stays. */
void nearest_try(struct nearest *n, const char *candidate);

#endif
