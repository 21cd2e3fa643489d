/* A directory as a web site:
 *
 *     static_site --root DIRECTORY [--listen ADDR:PORT] [--tls-cert FILE --tls-key FILE]
 *
 * A file's neighbours "name.br" and "name.gz" are sent to who takes them. */
#include <gust/http_files.h>

#include "examples/serve.h"

static const char *root;

static int serve(void *arg)
{
    gust_http_files *files;
    int r = gust_http_files_new(&(gust_http_files_options){.root = root, .precompressed = true},
                                &files);
    if (r < 0)
        return failed(root, r);
    int status = app_serve(&(app){{.handler = gust_http_files_serve, .arg = files}});
    gust_http_files_free(files);
    return status;
}

int main(int argc, char **argv)
{
    static const option options[] = {
        {"--root", "DIRECTORY", "what to serve", option_text, &root, .required = true},
        APP_OPTIONS,
        {0}};
    return app_main(argv, options, serve);
}
