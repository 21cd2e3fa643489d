/* For tests whose goroutines use core's inside: there everything that needs a P
 * must be in a call (core/call.h), which user code is not.  Each of these becomes
 * one, as if it were public. */
#ifndef GUST_TESTS_CORE_CALLS_H
#define GUST_TESTS_CORE_CALLS_H

#include "core/call.h"
#include "core/netpoll.h"
#include "core/sched.h"

#define IN_CALL_(expression) \
    ({                       \
        GUST__CALL();        \
        expression;          \
    })

#define gust__park(...) IN_CALL_((gust__park)(__VA_ARGS__))
#define gust__ready(g) IN_CALL_((gust__ready)(g))
#define gust__ready_tail(g) IN_CALL_((gust__ready_tail)(g))
#define gust__yield_local() IN_CALL_((gust__yield_local)())
#define gust__op_wait(...) IN_CALL_((gust__op_wait)(__VA_ARGS__))
#define gust__op_start(op) IN_CALL_((gust__op_start)(op))
#define gust__op_cancel(op) IN_CALL_((gust__op_cancel)(op))
#define gust__timer_set(...) IN_CALL_((gust__timer_set)(__VA_ARGS__))
#define gust__timer_stop(t) IN_CALL_((gust__timer_stop)(t))
#define gust__deadline_begin(...) IN_CALL_((gust__deadline_begin)(__VA_ARGS__))
#define gust__deadline_end(d) IN_CALL_((gust__deadline_end)(d))
#define gust__deadline_fini(d) IN_CALL_((gust__deadline_fini)(d))

#endif
