/* Contexts: cancelling goroutines that belong together, with deadlines and values
 * that travel with them, as Go's package context.
 *
 * Contexts form a tree.  Cancelling one cancels everything below it and nothing
 * above.  NULL is the root of all trees (Go's context.Background): it is never
 * cancelled, has no deadline and no values.
 *
 * Unlike in Go, nobody passes a context along: every goroutine has one (NULL at
 * first), and the goroutines it starts inherit it.  Once it is cancelled, calls
 * that take a deadline do not wait any more:
 *   - channels, select, locks, wait groups and sleep return -ECANCELED where they
 *     would have to wait; what can be done at once is still done;
 *   - network operations return -ECANCELED before they try;
 *   - with GUST_NOW a call never waits, and so is not concerned at all;
 *   - calls without a deadline are not concerned either, nor are gust_conn_close
 *     and gust_group_wait, which must do their work in every case.
 * A wait under way ends either by what it waited for or by -ECANCELED, never by
 * both: no element or byte is lost, and a send that failed sent nothing (for
 * gust_conn_write see there).  For work that must go on after a cancellation,
 * take the context off: gust_context_swap(NULL).
 *
 * Contexts are counted.  They belong to the gust_run in which they were made, and
 * all calls are from goroutines. */
#ifndef GUST_CONTEXT_H
#define GUST_CONTEXT_H

#include <gust/base.h>
#include <gust/chan.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gust_context gust_context;

/* Makes a context below `parent` (or NULL), cancelled already if that is.  On
 * success *ret_context holds one reference, the caller's; it keeps the parent
 * alive, but the parent does not keep it.  Errors: -ENOMEM. */
int gust_context_new(gust_context *parent, gust_context **ret_context);

/* The same, and it is cancelled once `when` has come (at once, if it has): then
 * gust_context_err says -ETIMEDOUT.  A parent's earlier deadline counts too. */
int gust_context_with_deadline(gust_context *parent, gust_time when, gust_context **ret_context);

/* The same without a deadline of its own, and with a value: gust_context_value
 * finds it here and below.  Keys are compared by address; a static variable makes
 * one nobody else has.  When the context is freed it calls free_fn(value), unless
 * that is NULL; free_fn must not block nor call gust: it may run on any thread of
 * the runtime, and after the last goroutine.
 * Errors: -EINVAL if key is NULL, -ENOMEM; value is still the caller's then. */
int gust_context_with_value(gust_context *parent, const void *key, void *value,
                            void (*free_fn)(void *value), gust_context **ret_context);

/* Counts one more owner; returns c, which may be NULL. */
gust_context *gust_context_ref(gust_context *c);

/* Drops one owner.  The last one takes the context off its parent and frees it; it
 * does not count as a cancellation.  NULL is accepted. */
void gust_context_unref(gust_context *c);

/* True if c is as good as new: not cancelled, and known to nobody but the caller, who has
 * `refs` references to it (its channel and the contexts below it count as others').  Then
 * it can serve for something else, as a server's does for the next request. */
bool gust_context_unshared(gust_context *c, uint32_t refs);

/* Cancels c and everything below it.  `error` is kept as the cause, usually a
 * negative errno value; 0 stands for -ECANCELED.  Does nothing if c is cancelled
 * already.  Panics if c is NULL.  Never waits for anybody. */
void gust_context_cancel(gust_context *c, int error);

/* 0 while c is not cancelled; then -ECANCELED, or -ETIMEDOUT if it was a deadline,
 * of c or of a context above it, that cancelled it.  Any thread. */
int gust_context_err(gust_context *c);

/* Why it was cancelled: the `error` of the gust_context_cancel that did it, here
 * or above; -ETIMEDOUT for a deadline; 0 while it is not.  Any thread. */
int gust_context_cause(gust_context *c);

/* When it will be cancelled at the latest; GUST_FOREVER if no deadline is set. */
gust_time gust_context_deadline(gust_context *c);

/* The value that c or the nearest context above has for `key`; NULL: none. */
void *gust_context_value(gust_context *c, const void *key);

/* A channel that is closed when c is cancelled, for selects of goroutines that
 * live under another context.  Only to receive from; valid as long as c is (take
 * a reference to keep it longer).  NULL for NULL, which select never chooses. */
gust_chan *gust_context_done(gust_context *c);

/* --- The calling goroutine's context ------------------------------------- */

/* Borrowed; NULL if there is none.  A goroutine starts with its spawner's, unless
 * gust_go_options.context says otherwise; those that timers start have none. */
gust_context *gust_context_current(void);

/* Puts the caller under c (NULL: under none) until the next swap, and returns the
 * context it was under.  References move along: the goroutine takes over the
 * caller's to c and drops it when it ends, and the caller gets the goroutine's to
 * the context returned.  So to limit a stretch of code:
 *
 *     gust_context_with_deadline(gust_context_current(), when, &c);
 *     c = gust_context_swap(c);
 *     ...
 *     c = gust_context_swap(c);
 *     gust_context_unref(c);
 */
gust_context *gust_context_swap(gust_context *c);

#ifdef __cplusplus
}
#endif
#endif
