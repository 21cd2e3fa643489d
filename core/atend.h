/* What the layers above core want done when a run ends: to free what goroutines have
 * left that were abandoned with it. */
#ifndef GUST_CORE_ATEND_H
#define GUST_CORE_ATEND_H

typedef struct gust__at_end {
    void (*fn)(void);
    struct gust__at_end *next;
} gust__at_end;

/* Has e->fn called once all threads of this run have ended, by the thread that called
 * gust_run.  It may use what needs no P (memory, descriptors), and no goroutine runs
 * any more that could look.  Not called if a thread never came back from foreign code,
 * since that may still look.  Once per run and e; e must stay valid. */
void gust__at_end_add(gust__at_end *e);

/* By gust_run. */
void gust__at_end_run(void);

#endif
