/* Stack overflows get a report instead of a bare SIGSEGV.
 *
 * Every thread that runs goroutines needs an alternate signal stack, since the
 * stack that overflowed has no room for a handler. */
#ifndef GUST_CORE_FAULT_H
#define GUST_CORE_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a report says of the goroutine that runs on the calling thread. */
typedef struct gust__fault_who {
    uint64_t goid;
    const char *name;      /* NULL or "": it has none */
    const char *stack_low; /* usable stack, above the guard */
    size_t stack_size;
    const void *spawn_pc; /* return address of the gust_go that started it */
} gust__fault_who;

/* Fills *ret_who; false on g0 and on foreign threads.  Runs in signal handlers. */
typedef bool gust__fault_who_fn(gust__fault_who *ret_who);

/* Takes SIGSEGV and SIGBUS.  What is not an overflow goes on to the actions
 * that were set before; uninstall restores them.  Once per gust_run, before
 * its threads start and after they ended. */
void gust__fault_install(gust__fault_who_fn *who);
void gust__fault_uninstall(void);

/* Gives the calling thread an alternate signal stack, and back the one it had.
 * Without memory for it the thread runs all the same; then an overflow on it is
 * a plain SIGSEGV. */
void gust__fault_thread_init(void);
void gust__fault_thread_fini(void);

/* The goroutine of the calling thread; false if there is none. */
bool gust__fault_whoami(gust__fault_who *ret_who);

#endif
