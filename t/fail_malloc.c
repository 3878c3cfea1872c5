/* fail_malloc.c: an allocation of a whole program fails, whoever asked for it.
 *
 * For LD_PRELOAD; driven by t/lib/Leat/Memory.pm through a file that is named by
 * LEAT_TEST_MALLOC and holds a struct orders.  What libraries do before main() is
 * left to them: counting begins with the first allocation of the program's own. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

struct orders {
	int64_t at;	       /* which one fails, from 1; 0: none */
	int64_t own;	       /* count only what the program's own code asks for */
	_Atomic int64_t count; /* so far, from the program's first one on */
};

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static struct orders none, *orders;
static _Thread_local bool is_busy;
static uintptr_t text_start, text_end; /* of the program itself */

static void find_text(void)
{
	const ElfW(Phdr) *h = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	size_t n = getauxval(AT_PHNUM);
	uintptr_t base = 0;

	for (size_t i = 0; h != NULL && i < n; i++)
		if (h[i].p_type == PT_PHDR)
			base = (uintptr_t)h - h[i].p_vaddr;
	for (size_t i = 0; h != NULL && i < n; i++)
		if (h[i].p_type == PT_LOAD && (h[i].p_flags & PF_X)) {
			text_start = base + h[i].p_vaddr;
			text_end = text_start + h[i].p_memsz;
		}
}

/* There is only one thread when the first allocation is made. */
static void begin(void)
{
	const char *path = getenv("LEAT_TEST_MALLOC");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = MAP_FAILED;

	orders = &none;
	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return;
	find_text();
	orders = p;
}

/* These crash by themselves when they lack memory: libConfuse's lexer and lists,
 * and Kerberos, which libpq asks for a ticket (gss_indicate_mechs). */
static bool is_fragile(const char *library)
{
	return strstr(library, "/libconfuse.so") != NULL ||
	       strstr(library, "/libgssapi") != NULL;
}

static bool is_spared(void)
{
	void *frames[64];
	int n = backtrace(frames, 64);
	Dl_info info;

	for (int i = 0; i < n; i++)
		if (dladdr(frames[i], &info) != 0 && is_fragile(info.dli_fname))
			return true;
	if (getenv("LEAT_TEST_MALLOC_TRACE") != NULL)
		backtrace_symbols_fd(frames, n, STDERR_FILENO);
	return false;
}

static bool fails(const void *caller)
{
	uintptr_t at = (uintptr_t)caller;
	void *frame;
	bool is_hit;
	int64_t n;

	if (orders == NULL)
		begin();
	if (orders == &none || is_busy)
		return false;
	if ((orders->own || orders->count == 0) &&
	    (at < text_start || at >= text_end))
		return false;
	n = atomic_fetch_add(&orders->count, 1) + 1;
	if (n != 1 && n != orders->at)
		return false;
	is_busy = true;
	backtrace(&frame, 1); /* the first time it allocates */
	is_hit = n == orders->at && !is_spared();
	is_busy = false;
	if (is_hit)
		errno = ENOMEM;
	return is_hit;
}

void *malloc(size_t n)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL
						  : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails(__builtin_return_address(0)) ? NULL
						  : __libc_realloc(p, n);
}
