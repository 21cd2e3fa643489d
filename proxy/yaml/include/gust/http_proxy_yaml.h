/* A proxy's options in a YAML file, read by libyaml (https://pyyaml.org/wiki/LibYAML).  In a
 * library of its own: link gust_http_proxy_yaml (pkg-config: gust-http-proxy-yaml).
 *
 *     listen: 0.0.0.0:8080
 *     balance: least_connections
 *     upstreams:
 *       - url: http://10.0.0.1:8080
 *       - url: http://10.0.0.2:8080
 *         weight: 2
 *
 * Keys are those of gust_http_proxy_options and gust_http_upstream; times are in seconds, with
 * a fraction if need be, and without "_ns" in the name.  docs/proxy.md lists them. */
#ifndef GUST_HTTP_PROXY_YAML_H
#define GUST_HTTP_PROXY_YAML_H

#include <gust/http_proxy.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Room for what is wrong with a file. */
#define GUST_HTTP_PROXY_YAML_ERROR_MAX 512

/* What a file says; strings belong to it.  What it does not say is NULL or 0. */
typedef struct gust_http_proxy_yaml {
    gust_http_proxy_options proxy; /* proxy.tls is the program's to set */
    const char *listen;
    const char *access_log;
    const char *stats; /* the path of the statistics, "/-/proxy" */
} gust_http_proxy_yaml;

/* Reads the file.  Blocks its thread, not others.  *ret_file is the caller's to free.
 * Errors: -EINVAL, and `error` is "FILE:LINE: what is wrong, what was expected"; what open(2)
 * answers, and -ENOMEM, in the same way. */
int gust_http_proxy_yaml_load(const char *path, char error[GUST_HTTP_PROXY_YAML_ERROR_MAX],
                              gust_http_proxy_yaml **ret_file);

/* NULL is accepted. */
void gust_http_proxy_yaml_free(gust_http_proxy_yaml *file);

#ifdef __cplusplus
}
#endif
#endif
