/* The stacks that nobody uses and no P keeps.
 *
 *   hot --gust__stack_free_age--> warm --the next one--> cold
 *
 * A hot or warm stack has the pages that its last goroutine touched, a cold one has none:
 * what is in use again before two calls have passed is never faulted in again.  The
 * hottest goes first. */
#ifndef GUST_CORE_STACK_FREE_H
#define GUST_CORE_STACK_FREE_H

#include <stdbool.h>
#include <stddef.h>

/* Stacks that one call makes cold. */
#define GUST__STACK_AGE_MAX 1024

/* Empty lists, of stacks of `size` usable bytes in pages of `page`. */
void gust__stack_free_setup(size_t size, size_t page);

/* Puts `n` stacks, the coldest of the caller's first.  n > 0. */
void gust__stack_free_put(char *const *low, unsigned n);

/* Takes at most `max` stacks, in the order of put: the hottest is the last one.  Returns how
 * many. */
unsigned gust__stack_free_take(char **low, unsigned max);

/* Makes warm stacks cold, and if these are done hot ones warm.  Returns true if some were
 * left, so that another call is due at once.  One thread at a time. */
bool gust__stack_free_age(void);

/* True if gust__stack_free_age has something to do. */
bool gust__stack_free_ages(void);

#endif
