/* Running a chain that may lie on the stack. */
#ifndef GUST_HTTP_MIDDLEWARE_INTERNAL_H
#define GUST_HTTP_MIDDLEWARE_INTERNAL_H

#include <gust/http_middleware.h>

void gust__http_chain_run(const gust_http_chain *chain, gust_http_request *req,
                          gust_http_response *res);

#endif
