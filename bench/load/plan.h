/* What a run is to do, as the command line says; made once, then read by everybody. */
#ifndef GUST_LOAD_PLAN_H
#define GUST_LOAD_PLAN_H

#include "bench/load/limits.h"

#include <stdio.h>

/* One of the URLs, as it is asked for. */
struct target {
    const char *url;
    unsigned weight;
    char *request; /* head and body */
    size_t request_len;
};

enum protocol { PROTOCOL_HTTP, PROTOCOL_ECHO };

/* A status that is not in `good` is an error. */
#define STATUS_MAX 999

struct plan {
    /* Where: all targets are of one server. */
    struct target targets[TARGETS_MAX];
    unsigned target_count;
    unsigned weight_sum;
    enum protocol protocol;
    bool tls;
    bool insecure;
    bool no_resumption;
    const char *ca_file;
    const char *unix_path; /* NULL: where the URLs say */
    char *host;            /* a name or an address, without brackets */
    uint16_t port;

    /* How. */
    unsigned connections;
    unsigned pipeline;
    unsigned threads; /* 0: as the runtime chooses */
    double rate;      /* per second; 0: a closed loop */
    bool constant;    /* else a Poisson process */
    uint64_t seed;
    int64_t ramp_ns;
    int64_t warm_up_ns;
    int64_t duration_ns; /* 0: until `requests` are done */
    int64_t timeout_ns;
    uint64_t requests; /* 0: until duration_ns is over */
    bool no_keepalive;
    uint64_t echo_size;

    /* What is sent. */
    const char *method;
    bool is_head;
    char *fields; /* lines that end in CRLF; malloc'd */
    size_t fields_len;
    bool has_host_field;
    const char *body_file; /* NULL: the body is what it is */
    char *body;            /* malloc'd */
    size_t body_len;

    /* What is expected. */
    bool good[STATUS_MAX + 1];
    int64_t expect_length; /* -1: any */

    /* Searching for the highest rate. */
    double sweep_rate;    /* to begin with; 0: no search */
    int64_t sweep_p99_ns; /* a higher p99 is too slow; 0: any */

    /* What is told. */
    const char *json; /* files; "-" is standard output; NULL: none */
    const char *csv;
    const char *html;
    bool quiet;
};

/* Reads the body, and makes the requests of the targets, once everything else is known.  Returns
 * false, and has said why, if something is not as it has to be.  From a goroutine. */
bool plan_finish(struct plan *p);

void plan_free(struct plan *p);

/* "gust-load: ..." on stderr. */
void complain(const char *format, ...) GUST_PRINTF(1, 2);

#endif
