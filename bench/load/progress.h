/* The line that shows, on a terminal, how a run goes. */
#ifndef GUST_LOAD_PROGRESS_H
#define GUST_LOAD_PROGRESS_H

#include "bench/load/run.h"

/* Does nothing if stderr is no terminal, or the plan is to be quiet. */
void progress_opening(const struct plan *p);
void progress_warming(const struct plan *p);
void progress_second(const struct plan *p, double rate, const struct second *s);
void progress_draining(const struct plan *p);
void progress_clear(const struct plan *p);

#endif
