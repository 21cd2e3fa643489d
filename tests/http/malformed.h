/* Requests that must be refused, and with what.  Used on the parser alone and on
 * a running server.  "llhttp" marks what llhttp 8.1 would let pass. */
#ifndef GUST_TESTS_HTTP_MALFORMED_H
#define GUST_TESTS_HTTP_MALFORMED_H

#include <stddef.h>

struct malformed {
    const char *name;
    const char *text;
    size_t len;
    int status;
};

#define BAD(status, name, text)              \
    {                                        \
        name, text, sizeof(text) - 1, status \
    }

/* A request whose line is fine and that has a Host. */
#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static const struct malformed malformed[] = {
    /* Request line */
    BAD(400, "HTTP/0.9", "GET /\r\n"),
    BAD(400, "no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "two spaces before the target (llhttp)", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "two spaces before the version (llhttp)", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "tab for a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "space before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    BAD(400, "two empty lines before (llhttp)", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "bare LF before (llhttp)", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "method with a bad byte", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "TLS on a plain port", "\x16\x03\x01\x02"),
    BAD(501, "unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(501, "method in lower case", "get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(501, "CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    BAD(505, "HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    BAD(505, "HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    BAD(505, "HTTP/0.9 spelled out", "GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
    BAD(400, "HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    BAD(400, "HTTP/1", "GET / HTTP/1\r\nHost: a\r\n\r\n"),
    BAD(400, "http in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "other protocol", "GET / RTSP/1.0\r\nHost: a\r\n\r\n"),

    /* Target */
    BAD(400, "NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "byte above ASCII in the target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "DEL in the target", "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "fragment (llhttp)", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "relative target", "GET a/b HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "* for GET (llhttp)", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "scheme that is not http (llhttp)", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "no authority", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "authority is only a port", "GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "userinfo (llhttp)", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    BAD(400, "absolute target without Host (llhttp)", "GET http://a/ HTTP/1.1\r\n\r\n"),

    /* Line ends */
    BAD(400, "LF after the request line (llhttp)", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    BAD(400, "LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    BAD(400, "LF for the empty line", GET "\n"),
    BAD(400, "CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
    BAD(400, "CR in a value", GET "X: a\rb\r\n\r\n"),
    BAD(400, "CR in a name", GET "X\rY: b\r\n\r\n"),
    BAD(400, "CR before the empty line", GET "\r\r\n\r\n"),

    /* Fields */
    BAD(400, "space before the colon", GET "X : b\r\n\r\n"),
    BAD(400, "tab before the colon", GET "X\t: b\r\n\r\n"),
    BAD(400, "space before the name", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    BAD(400, "folded line (llhttp)", GET "X: a\r\n b\r\n\r\n"),
    BAD(400, "line folded with a tab (llhttp)", GET "X: a\r\n\tb\r\n\r\n"),
    BAD(400, "empty name", GET ": b\r\n\r\n"),
    BAD(400, "no colon", GET "X\r\n\r\n"),
    BAD(400, "NUL in a name", GET "X\0: b\r\n\r\n"),
    BAD(400, "NUL in a value", GET "X: a\0b\r\n\r\n"),
    BAD(400, "control byte in a value", GET "X: a\x01\r\n\r\n"),
    BAD(400, "vertical tab in a value", GET "X: a\x0b\r\n\r\n"),
    BAD(400, "DEL in a value", GET "X: a\x7f\r\n\r\n"),
    BAD(400, "byte above ASCII in a name", GET "X\xe4: b\r\n\r\n"),
    BAD(400, "bracket in a name", GET "X[0]: b\r\n\r\n"),

    /* Host */
    BAD(400, "no Host (llhttp)", "GET / HTTP/1.1\r\nX: a\r\n\r\n"),
    BAD(400, "two Hosts (llhttp)", GET "Host: a\r\n\r\n"),
    BAD(400, "two Hosts in HTTP/1.0 (llhttp)", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    BAD(400, "Host with a space (llhttp)", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    BAD(400, "Host with a path (llhttp)", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    BAD(400, "Host with userinfo (llhttp)", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    BAD(400, "Host list (llhttp)", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    BAD(400, "Host with a bad port (llhttp)", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    BAD(400, "Host with two ports (llhttp)", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"),
    BAD(400, "Host is only a port (llhttp)", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"),
    BAD(400, "Host bracket left open (llhttp)", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    BAD(400, "Host with empty brackets (llhttp)", "GET / HTTP/1.1\r\nHost: []\r\n\r\n"),
    BAD(400, "Host with text after brackets", "GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n"),

    /* Content-Length */
    BAD(400, "Content-Length +5", POST "Content-Length: +5\r\n\r\nhello"),
    BAD(400, "Content-Length -5", POST "Content-Length: -5\r\n\r\nhello"),
    BAD(400, "Content-Length 5, 5", POST "Content-Length: 5, 5\r\n\r\nhello"),
    BAD(400, "Content-Length 5 5", POST "Content-Length: 5 5\r\n\r\nhello"),
    BAD(400, "Content-Length 0x5", POST "Content-Length: 0x5\r\n\r\nhello"),
    BAD(400, "Content-Length 5.0", POST "Content-Length: 5.0\r\n\r\nhello"),
    BAD(400, "Content-Length empty", POST "Content-Length:\r\n\r\nhello"),
    BAD(400, "Content-Length in words", POST "Content-Length: five\r\n\r\nhello"),
    BAD(400, "Content-Length above INT64_MAX (llhttp)",
        POST "Content-Length: 9223372036854775808\r\n\r\n"),
    BAD(400, "Content-Length above UINT64_MAX",
        POST "Content-Length: 18446744073709551621\r\n\r\n"),
    BAD(400, "two differing Content-Lengths",
        POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    BAD(400, "two equal Content-Lengths",
        POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    BAD(400, "Content-Length and Transfer-Encoding",
        POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD(400, "Transfer-Encoding and Content-Length",
        POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),

    /* Transfer-Encoding */
    BAD(501, "gzip, chunked (llhttp)", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    BAD(400, "chunked, gzip", POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    BAD(400, "chunked, chunked", POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    BAD(400, "chunked twice",
        POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD(400, "identity (llhttp)", POST "Transfer-Encoding: identity\r\n\r\n"),
    BAD(400, "xchunked (llhttp)", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    BAD(400, "chunked with a parameter", POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
    BAD(400, "chunked, with nothing after", POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"),
    BAD(400, "empty Transfer-Encoding", POST "Transfer-Encoding:\r\n\r\n"),
    BAD(400, "quoted chunked", POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    BAD(400, "chunked behind a vertical tab",
        POST "Transfer-Encoding: \x0b"
             "chunked\r\n\r\n"),
    BAD(400, "Transfer-Encoding in HTTP/1.0 (llhttp)",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD(400, "chunked, then identity",
        POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    BAD(400, "identity, then chunked",
        POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD(400, "Transfer-Encoding before a space",
        POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    BAD(400, "Transfer-Encoding behind a space",
        POST " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD(400, "Transfer-Encoding folded", POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    BAD(400, "Transfer-Encoding behind a bare LF",
        POST "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD(400, "Transfer-Encoding behind a bare CR",
        POST "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD(400, "Transfer-Encoding with a NUL", POST "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n"),
    BAD(400, "Transfer-Encoding with a NUL in its name",
        POST "Transfer\0-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD(400, "Content-Length before a space", POST "Content-Length : 5\r\n\r\nhello"),
    BAD(400, "Content-Length folded", POST "Content-Length:\r\n 5\r\n\r\nhello"),
    BAD(400, "Content-Length with a NUL", POST "Content-Length: 5\0\r\n\r\nhello"),
    BAD(400, "Content-Length behind a vertical tab",
        POST "Content-Length: \x0b"
             "5\r\n\r\nhello"),
    BAD(400, "Content-Length, and 0 in another case",
        POST "Content-Length: 5\r\ncontent-length: 0\r\n\r\nhello"),

    /* Expect */
    BAD(417, "other expectation", POST "Expect: 200-ok\r\nContent-Length: 5\r\n\r\n"),
    BAD(417, "two expectations", POST "Expect: 100-continue, x\r\nContent-Length: 5\r\n\r\n"),
};

#undef GET
#undef POST

#define MALFORMED_COUNT (sizeof(malformed) / sizeof(malformed[0]))

#endif
