#include "bench/load/plot.h"

#include <math.h>

/* Pixels; the page scales the whole. */
#define WIDTH 720
#define HEIGHT 260
#define LEFT 80
#define RIGHT 20
#define TOP 34
#define BOTTOM 34

#define TICKS 6 /* about so many */
#define LEGEND_STEP 110

/* --- Axes ------------------------------------------------------------------------------------ */

struct axis axis_of(double min, double max, bool is_log,
                    char *(*format)(double value, char text[UNITS_TEXT_MAX]))
{
    if (is_log) {
        min = pow(10, floor(log10(fmax(min, 1)) * 2) / 2);
        max = fmax(max, min * 10);
    } else if (!(max > min)) {
        max = min + 1;
    }
    return (struct axis){min, max, is_log, format};
}

/* From 0 to 1. */
static double share(const struct axis *a, double value)
{
    double at = a->is_log ? log(fmax(value, a->min) / a->min) / log(a->max / a->min)
                          : (value - a->min) / (a->max - a->min);
    return at < 0 ? 0 : at > 1 ? 1 : at;
}

static double x_of(const struct plot *p, double value)
{
    return LEFT + share(&p->x, value) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct plot *p, double value)
{
    return HEIGHT - BOTTOM - share(&p->y, value) * (HEIGHT - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten. */
static double round_step(double step)
{
    double unit = pow(10, floor(log10(step)));
    double times = step / unit;
    return unit * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

/* The tick after `tick`; before the first, NAN is given. */
static double next_tick(const struct axis *a, double tick)
{
    if (a->is_log)
        return isnan(tick) ? pow(10, ceil(log10(a->min) - 1e-9)) : tick * 10;
    double step = round_step((a->max - a->min) / TICKS);
    return isnan(tick) ? ceil(a->min / step) * step : tick + step;
}

static bool is_on(const struct axis *a, double tick)
{
    return tick <= a->max + (a->max - a->min) * 1e-9;
}

static void draw_x_axis(struct plot *p)
{
    char text[UNITS_TEXT_MAX];
    for (double t = next_tick(&p->x, NAN); is_on(&p->x, t); t = next_tick(&p->x, t))
        fprintf(p->out,
                "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                x_of(p, t), HEIGHT - BOTTOM + 18, p->x.format(t, text));
}

static void draw_y_axis(struct plot *p)
{
    char text[UNITS_TEXT_MAX];
    for (double t = next_tick(&p->y, NAN); is_on(&p->y, t); t = next_tick(&p->y, t))
        fprintf(p->out,
                "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                LEFT, WIDTH - RIGHT, y_of(p, t), y_of(p, t), LEFT - 8, y_of(p, t) + 4,
                p->y.format(t, text));
}

/* --- Plots ------------------------------------------------------------------------------------- */

void plot_begin(struct plot *p, FILE *out, const char *title, struct axis x, struct axis y)
{
    *p = (struct plot){.out = out, .x = x, .y = y};
    fprintf(out, "<h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", title,
            WIDTH, HEIGHT, title);
    draw_x_axis(p);
    draw_y_axis(p);
}

static void draw_legend(struct plot *p, const char *name)
{
    int x = LEFT + (int)p->lines * LEGEND_STEP;
    fprintf(p->out,
            "<line class=\"line l%u\" x1=\"%d\" x2=\"%d\" y1=\"16\" y2=\"16\"/>"
            "<text class=\"tick\" x=\"%d\" y=\"20\">%s</text>\n",
            p->lines, x, x + 18, x + 24, name);
}

void plot_line(struct plot *p, const char *name, const struct point *points, size_t count)
{
    draw_legend(p, name);
    fprintf(p->out, "<polyline class=\"line l%u\" points=\"", p->lines);
    for (size_t i = 0; i < count; i++)
        fprintf(p->out, "%.1f,%.1f ", x_of(p, points[i].x), y_of(p, points[i].y));
    fputs("\"/>\n", p->out);
    /* A line of one point is none. */
    if (count == 1)
        fprintf(p->out, "<circle class=\"l%u\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n", p->lines,
                x_of(p, points[0].x), y_of(p, points[0].y));
    p->lines++;
}

void plot_bar(struct plot *p, double from, double to, double height, const char *text)
{
    double x = x_of(p, from), y = y_of(p, height);
    fprintf(p->out,
            "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">"
            "<title>%s</title></rect>\n",
            x, y, fmax(x_of(p, to) - x - 1, 0.5), HEIGHT - BOTTOM - y, text);
}

void plot_mark(struct plot *p, double x, const char *text)
{
    fprintf(p->out,
            "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
            "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
            x_of(p, x), x_of(p, x), TOP, HEIGHT - BOTTOM, x_of(p, x), TOP - 4, text);
}

void plot_end(struct plot *p)
{
    fputs("</svg>\n", p->out);
}
