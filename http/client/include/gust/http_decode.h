/* Bodies of responses that are decompressed as they are read: gzip and brotli.
 *
 *     gust_http_client_new(&(gust_http_client_options){.decoding = gust_http_decoding()}, &client);
 *
 * As with Go's net/http: calls with a URL ask for these codings ("Accept-Encoding: gzip, br"),
 * unless the program sets Accept-Encoding or Range itself, or the method is HEAD.  If the
 * response has one of them, gust_http_call_next and all that read the body hand out what it
 * stands for, its length is not known beforehand (-1), and gust_http_call_body_limit is for
 * what is handed out.  Fields stay as they were sent, Content-Encoding among them.  A body that
 * is decoded takes some 60 KiB, by brotli up to 17 MiB, as its sender has chosen.
 *
 * Its library is apart (gust_http_decode; pkg-config: gust-http-decode): programs without it
 * link neither zlib nor brotli. */
#ifndef GUST_HTTP_DECODE_H
#define GUST_HTTP_DECODE_H

#ifdef __cplusplus
extern "C" {
#endif

struct gust_http_decoding;

/* For gust_http_client_options.decoding.  Valid for ever. */
const struct gust_http_decoding *gust_http_decoding(void);

#ifdef __cplusplus
}
#endif
#endif
