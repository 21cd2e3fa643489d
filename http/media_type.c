/* Media types of files. */
#include "http/media_type.h"

#include <stdlib.h>
#include <string.h>

#include "http/params.h"

/* In the order of their extensions.  Text is UTF-8 these days; of XML, which can say so
 * itself, nothing is said. */
static const gust_http_type types[] = {
    {"3gp", "video/3gpp"},
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"apk", "application/vnd.android.package-archive"},
    {"apng", "image/apng"},
    {"atom", "application/atom+xml"},
    {"avi", "video/x-msvideo"},
    {"avif", "image/avif"},
    {"bin", "application/octet-stream"},
    {"bmp", "image/bmp"},
    {"br", "application/x-brotli"},
    {"bz2", "application/x-bzip2"},
    {"c", "text/plain; charset=utf-8"},
    {"cjs", "text/javascript; charset=utf-8"},
    {"conf", "text/plain; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"deb", "application/vnd.debian.binary-package"},
    {"doc", "application/msword"},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"eot", "application/vnd.ms-fontobject"},
    {"epub", "application/epub+zip"},
    {"flac", "audio/flac"},
    {"geojson", "application/geo+json"},
    {"gif", "image/gif"},
    {"glb", "model/gltf-binary"},
    {"gltf", "model/gltf+json"},
    {"gz", "application/gzip"},
    {"h", "text/plain; charset=utf-8"},
    {"heic", "image/heic"},
    {"heif", "image/heif"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/x-icon"},
    {"ics", "text/calendar; charset=utf-8"},
    {"ini", "text/plain; charset=utf-8"},
    {"iso", "application/x-iso9660-image"},
    {"jar", "application/java-archive"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"jsonld", "application/ld+json"},
    {"jxl", "image/jxl"},
    {"log", "text/plain; charset=utf-8"},
    {"m3u8", "application/vnd.apple.mpegurl"},
    {"m4a", "audio/mp4"},
    {"m4s", "video/iso.segment"},
    {"m4v", "video/mp4"},
    {"map", "application/json"},
    {"markdown", "text/markdown; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"mid", "audio/midi"},
    {"midi", "audio/midi"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mkv", "video/x-matroska"},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"mpd", "application/dash+xml"},
    {"mpeg", "video/mpeg"},
    {"mpg", "video/mpeg"},
    {"odp", "application/vnd.oasis.opendocument.presentation"},
    {"ods", "application/vnd.oasis.opendocument.spreadsheet"},
    {"odt", "application/vnd.oasis.opendocument.text"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"ppt", "application/vnd.ms-powerpoint"},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {"ps", "application/postscript"},
    {"py", "text/x-python; charset=utf-8"},
    {"rar", "application/vnd.rar"},
    {"rss", "application/rss+xml"},
    {"rtf", "application/rtf"},
    {"sh", "application/x-sh"},
    {"sql", "application/sql"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"tgz", "application/gzip"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"toml", "application/toml"},
    {"ts", "video/mp2t"},
    {"tsv", "text/tab-separated-values; charset=utf-8"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"vcf", "text/vcard; charset=utf-8"},
    {"vtt", "text/vtt; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"weba", "audio/webm"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xls", "application/vnd.ms-excel"},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {"xml", "application/xml"},
    {"xsl", "application/xml"},
    {"xz", "application/x-xz"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

/* What is behind the last dot of the name's last segment, in lower case.  Empty if there
 * is none, or it is too long. */
static void read_extension(const char *name, char ret_extension[EXTENSION_MAX + 1])
{
    const char *slash = strrchr(name, '/');
    const char *dot = strrchr(slash ? slash : name, '.');
    size_t len = dot ? strlen(dot + 1) : 0;

    if (len > EXTENSION_MAX)
        len = 0;
    if (len > 0)
        gust__http_lower((gust_span){dot + 1, len}, ret_extension);
    ret_extension[len] = '\0';
}

static int compare(const void *extension, const void *type)
{
    return strcmp(extension, ((const gust_http_type *)type)->extension);
}

const char *gust__http_type_find(const gust_http_type *table, size_t count, const char *name)
{
    char extension[EXTENSION_MAX + 1];

    if (count == 0)
        return NULL;
    read_extension(name, extension);
    const gust_http_type *found = bsearch(extension, table, count, sizeof(*table), compare);
    return found ? found->type : NULL;
}

const char *gust_http_file_type(const char *name)
{
    return gust__http_type_find(types, sizeof(types) / sizeof(types[0]), name);
}

/* --- What compresses --------------------------------------------------------------- */

static bool ends_with(gust_span s, const char *lower)
{
    size_t len = strlen(lower);

    return s.len >= len && gust__http_equals((gust_span){s.data + s.len - len, len}, lower);
}

static bool begins_with(gust_span s, const char *lower)
{
    size_t len = strlen(lower);

    return s.len >= len && gust__http_equals((gust_span){s.data, len}, lower);
}

bool gust__http_type_compresses(gust_span type)
{
    static const char *const others[] = {
        "application/javascript",
        "application/wasm",
        "application/x-javascript",
        "application/yaml",
        "application/toml",
        "application/sql",
        "application/x-sh",
        "application/rtf",
        "font/ttf",
        "font/otf",
        "image/bmp",
        "image/x-icon",
        "application/vnd.apple.mpegurl",
        "application/x-ndjson",
        "application/vnd.ms-fontobject",
        "application/postscript",
    };
    size_t cursor;
    gust_span s = gust__http_params_main(type, &cursor);

    if (begins_with(s, "text/") || ends_with(s, "json") || ends_with(s, "xml"))
        return true;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (gust__http_equals(s, others[i]))
            return true;
    return false;
}
