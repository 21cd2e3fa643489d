/* Taking the P from a goroutine that keeps it too long; see demote.c. */
#ifndef GUST_CORE_DEMOTE_H
#define GUST_CORE_DEMOTE_H

#include "core/proc.h"

/* What may be used to take a P; tests leave one out. */
typedef enum gust__demote_fence {
    GUST__FENCE_AUTO,
    GUST__FENCE_BARRIER, /* membarrier alone */
    GUST__FENCE_SIGNAL,  /* SIGURG alone, as where membarrier is refused */
    GUST__FENCE_NONE,    /* nothing is taken and nobody asked: for tests of order */
} gust__demote_fence;

/* Before gust_run. */
extern gust__demote_fence gust__demote_fence_wanted;

/* Tries membarrier and takes SIGURG; gives it back.  Once per gust_run. */
void gust__demote_setup(void);
void gust__demote_teardown(void);

/* Takes p, which has run one goroutine for too long; `asleep`: its thread sleeps
 * in the kernel.  True: p is RUNNING and the caller's.  False: it was not to be
 * had, or a signal is on its way that will turn p into P_SYSCALL.  sysmon only. */
bool gust__demote(P *p, bool asleep);

/* Asks p's goroutine to yield at its next call.  True if nothing had been asked
 * before.  sysmon only. */
bool gust__demote_ask(P *p);

#endif
