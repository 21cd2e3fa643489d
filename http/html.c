/* Text inside of HTML. */
#include "http/html.h"

/* Empty for a byte that stands for itself. */
static gust_span entity(char c)
{
    switch (c) {
    case '&': return (gust_span){"&amp;", 5};
    case '<': return (gust_span){"&lt;", 4};
    case '>': return (gust_span){"&gt;", 4};
    case '"': return (gust_span){"&quot;", 6};
    case '\'': return (gust_span){"&#39;", 5};
    default: return (gust_span){NULL, 0};
    }
}

bool gust__http_html_next(gust_span *text, gust_span *ret_piece)
{
    size_t plain = 0;

    if (text->len == 0)
        return false;
    while (plain < text->len && entity(text->data[plain]).len == 0)
        plain++;
    *ret_piece = plain > 0 ? (gust_span){text->data, plain} : entity(text->data[0]);
    size_t taken = plain > 0 ? plain : 1;
    *text = (gust_span){text->data + taken, text->len - taken};
    return true;
}

int gust__http_html_write(gust_http_response *res, gust_span text)
{
    gust_span piece;
    ssize_t n = 0;

    while (n >= 0 && gust__http_html_next(&text, &piece))
        n = gust_http_write(res, piece.data, piece.len);
    return n < 0 ? (int)n : 0;
}
