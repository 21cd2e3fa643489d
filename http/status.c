/* Status lines, ready to send. */
#include "http/status.h"

#include <string.h>

/* The codes of the IANA registry. */
#define STATUSES(X)                           \
    X(100, "Continue")                        \
    X(101, "Switching Protocols")             \
    X(102, "Processing")                      \
    X(103, "Early Hints")                     \
    X(200, "OK")                              \
    X(201, "Created")                         \
    X(202, "Accepted")                        \
    X(203, "Non-Authoritative Information")   \
    X(204, "No Content")                      \
    X(205, "Reset Content")                   \
    X(206, "Partial Content")                 \
    X(207, "Multi-Status")                    \
    X(208, "Already Reported")                \
    X(226, "IM Used")                         \
    X(300, "Multiple Choices")                \
    X(301, "Moved Permanently")               \
    X(302, "Found")                           \
    X(303, "See Other")                       \
    X(304, "Not Modified")                    \
    X(305, "Use Proxy")                       \
    X(307, "Temporary Redirect")              \
    X(308, "Permanent Redirect")              \
    X(400, "Bad Request")                     \
    X(401, "Unauthorized")                    \
    X(402, "Payment Required")                \
    X(403, "Forbidden")                       \
    X(404, "Not Found")                       \
    X(405, "Method Not Allowed")              \
    X(406, "Not Acceptable")                  \
    X(407, "Proxy Authentication Required")   \
    X(408, "Request Timeout")                 \
    X(409, "Conflict")                        \
    X(410, "Gone")                            \
    X(411, "Length Required")                 \
    X(412, "Precondition Failed")             \
    X(413, "Content Too Large")               \
    X(414, "URI Too Long")                    \
    X(415, "Unsupported Media Type")          \
    X(416, "Range Not Satisfiable")           \
    X(417, "Expectation Failed")              \
    X(421, "Misdirected Request")             \
    X(422, "Unprocessable Content")           \
    X(423, "Locked")                          \
    X(424, "Failed Dependency")               \
    X(425, "Too Early")                       \
    X(426, "Upgrade Required")                \
    X(428, "Precondition Required")           \
    X(429, "Too Many Requests")               \
    X(431, "Request Header Fields Too Large") \
    X(451, "Unavailable For Legal Reasons")   \
    X(500, "Internal Server Error")           \
    X(501, "Not Implemented")                 \
    X(502, "Bad Gateway")                     \
    X(503, "Service Unavailable")             \
    X(504, "Gateway Timeout")                 \
    X(505, "HTTP Version Not Supported")      \
    X(506, "Variant Also Negotiates")         \
    X(507, "Insufficient Storage")            \
    X(508, "Loop Detected")                   \
    X(511, "Network Authentication Required")

#define STATUS_FIRST 100
#define STATUS_END 512

/* A length of 0 means "no such code".  The array is sparse and small. */
static const gust_span status_lines[STATUS_END - STATUS_FIRST] = {
#define LINE(code, reason) \
    [code - STATUS_FIRST] = {"HTTP/1.1 " #code " " reason "\r\n", sizeof(reason) - 1 + 15},
    STATUSES(LINE)
#undef LINE
};

#define CHECK_LENGTH(code, reason) \
    _Static_assert(sizeof(reason) - 1 + 15 <= STATUS_LINE_MAX, "STATUS_LINE_MAX");
STATUSES(CHECK_LENGTH)
#undef CHECK_LENGTH

static const gust_span *find(int status)
{
    if (status < STATUS_FIRST || status >= STATUS_END)
        return NULL;
    const gust_span *line = &status_lines[status - STATUS_FIRST];
    return line->len ? line : NULL;
}

size_t gust__http_status_line(int status, char line[STATUS_LINE_MAX])
{
    const gust_span *known = find(status);

    if (known) {
        memcpy(line, known->data, known->len);
        return known->len;
    }
    memcpy(line, "HTTP/1.1 000 \r\n", 15);
    line[9] = (char)('0' + status / 100);
    line[10] = (char)('0' + status / 10 % 10);
    line[11] = (char)('0' + status % 10);
    return 15;
}

gust_span gust__http_reason(int status)
{
    const gust_span *known = find(status);
    return known ? (gust_span){known->data + 13, known->len - 15} : (gust_span){"", 0};
}
