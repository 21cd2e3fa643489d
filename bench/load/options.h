/* The command line. */
#ifndef GUST_LOAD_OPTIONS_H
#define GUST_LOAD_OPTIONS_H

#include "bench/load/plan.h"

enum options_verdict {
    OPTIONS_RUN,
    OPTIONS_HELP, /* the help was asked for, and is on stdout */
    OPTIONS_BAD,  /* it has been said what is wrong */
};

/* The plan is complete for OPTIONS_RUN; it is to be freed by plan_free in every case. */
enum options_verdict options_read(int argc, char **argv, struct plan *ret_plan);

#endif
