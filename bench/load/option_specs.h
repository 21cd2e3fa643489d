/* The options, as a table. */
#ifndef GUST_LOAD_OPTION_SPECS_H
#define GUST_LOAD_OPTION_SPECS_H

#include "bench/load/plan.h"

struct option_spec {
    char letter;       /* 0: none */
    const char *name;  /* NULL: `help` is the heading of those that follow */
    const char *param; /* NULL: it is a switch */
    const char *help;
    /* False: it cannot be that.  NULL: the help is asked for. */
    bool (*parse)(const char *value, struct plan *p);
};

/* Room for all of them, and more. */
#define OPTION_SPECS_MAX 64

extern const struct option_spec option_specs[]; /* the last one has no help */

#endif
