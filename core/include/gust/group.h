/* Groups of goroutines that work on one task, as Go's errgroup.
 *
 * The goroutines of a group run under a context of its own.  The first of them
 * that fails cancels it, so the others stop waiting and end; gust_group_wait waits
 * for all of them and says what the first error was. */
#ifndef GUST_GROUP_H
#define GUST_GROUP_H

#include <gust/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gust_group gust_group;

/* Makes a group whose context is below `parent` (or NULL; usually it is
 * gust_context_current()).  Errors: -ENOMEM. */
int gust_group_new(gust_context *parent, gust_group **ret_group);

/* Starts fn(arg) as a goroutine under the group's context.  The first that returns
 * another value than 0 sets the group's error and cancels the context with it as
 * the cause.  fn must return, not call gust_goexit.  Waits while the group has as
 * many goroutines as its limit allows.
 * Errors: -ENOMEM; -ECANCELED if the caller's context was cancelled while it would
 * have had to wait.  From goroutines inside and outside of the group. */
int gust_group_go(gust_group *g, int (*fn)(void *arg), void *arg);

/* The same without waiting: -EAGAIN if the limit is reached. */
int gust_group_try_go(gust_group *g, int (*fn)(void *arg), void *arg);

/* At most `n` goroutines at a time; negative: any number, as at first.  With 0
 * none can be started.  Panics while the group has goroutines. */
void gust_group_limit(gust_group *g, int n);

/* Waits until no goroutine of the group is left, then cancels its context: what is
 * started in the group later finds it cancelled.
 * Returns the group's error, 0 if there was none.  The cancellation of the
 * caller's context does not end the wait: if the group's context is below, the
 * goroutines are told by that, and what they use of the caller's stays valid until
 * they have ended.
 * Errors of its own: -ETIMEDOUT; -EAGAIN in its place if the deadline was
 * GUST_NOW; then goroutines of the group still run. */
int gust_group_wait(gust_group *g, gust_time deadline);

/* Borrowed; lives as long as the group, and longer by a reference. */
gust_context *gust_group_context(gust_group *g);

/* Frees the group.  Panics while it has goroutines.  NULL is accepted. */
void gust_group_free(gust_group *g);

#ifdef __cplusplus
}
#endif
#endif
