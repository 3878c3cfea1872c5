/* my_check.h: `leat check` of a MySQL or MariaDB source. */
#ifndef LEAT_SOURCES_MY_CHECK_H
#define LEAT_SOURCES_MY_CHECK_H

#include "sources/my.h"

int my_check(struct source *src, struct report *r, struct err *e) MUST_CHECK;

#endif
