/* Code around handlers. */
#include "http/middleware.h"

/* Each layer has one of its own, on the stack of whoever runs the layer. */
struct gust_http_next {
    const gust_http_chain *chain;
    size_t at; /* the layer that comes next */
    gust_http_request *req;
    gust_http_response *res;
};

void gust_http_next_run(gust_http_next *next)
{
    const gust_http_chain *chain = next->chain;

    if (next->at == chain->layer_count) {
        chain->handler(next->req, next->res, chain->arg);
        return;
    }
    const gust_http_layer *layer = &chain->layers[next->at];
    gust_http_next inner = {chain, next->at + 1, next->req, next->res};
    layer->middleware(next->req, next->res, &inner, layer->arg);
}

void gust__http_chain_run(const gust_http_chain *chain, gust_http_request *req,
                          gust_http_response *res)
{
    gust_http_next_run(&(gust_http_next){chain, 0, req, res});
}

void gust_http_chain_serve(gust_http_request *req, gust_http_response *res, void *chain)
{
    gust__http_chain_run(chain, req, res);
}
