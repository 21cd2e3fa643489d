/* Every bound of gust-load.  Beyond one is a usage error, or what the comment says. */
#ifndef GUST_LOAD_LIMITS_H
#define GUST_LOAD_LIMITS_H

#include <gust/base.h>

#define CONNECTIONS_MAX 1000000
#define PIPELINE_MAX 1024
#define THREADS_MAX 1024
#define REQUESTS_MAX INT64_C(1000000000000)
#define RATE_MAX 10000000.0             /* requests per second */
#define TIME_MAX (24 * 3600 * GUST_SEC) /* any time on the command line; of a run, too */
#define TARGETS_MAX 64
#define WEIGHT_MAX 1000000
#define HEADER_BYTES_MAX 65536            /* of a request: its line and fields */
#define BODY_BYTES_MAX ((size_t)64 << 20) /* of a file, or of --data */
#define ECHO_BYTES_MAX ((size_t)1 << 30)

/* Of an answer: more is a malformed one. */
#define ANSWER_HEAD_MAX 65536
#define ANSWER_FIELDS_MAX 256

/* Descriptors for other things than connections: pollers, files, names. */
#define DESCRIPTORS_KEPT 64

#define SWEEP_STEPS_MAX 40

#endif
