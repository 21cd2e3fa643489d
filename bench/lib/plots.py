"""The plots of the suite, as SVG, by matplotlib (Debian's python3-matplotlib).

They stand on the page's own ground: text and axes take the colour of a reader's light or
dark mode, and the colours of the bars and lines are clear on both."""

import importlib.util
import math
import re

# Stands for "the colour of text" until the file is written.
INK = "#010203"
STYLE = """<style>
svg { color: #1f2328 }
@media (prefers-color-scheme: dark) { svg { color: #d1d7e0 } }
</style>
"""
COLORS = {
    "gust": "#2f7ae5",
    "gust-uring": "#2f7ae5",
    "gust-epoll": "#7aa7ee",
    "gust-sqpoll": "#8f6bd9",
    "nginx": "#2e9e5b",
    "h2o": "#c9a227",
    "haproxy": "#b5547b",
    "go": "#d9772b",
    "node": "#c2483f",
}
OTHER_COLOR = "#8b949e"
MARKERS = "osD^v<>P"
# A bar that is so many times as long as the next one is cut.
CUT = 2.5
# How much longer an axis is than its longest bar: a number stands there.
ROOM = 1.14
PANEL_WIDTH, BAR_HEIGHT, PANEL_ROOM = 7.2, 0.27, 0.75
LINES_SIZE = (7.2, 3.8)
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gust",
    "font.family": ["sans-serif"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid.which": "major",
    "grid.alpha": 0.25,
    "legend.frameon": False,
    **{name: INK for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color",
                              "ytick.color", "grid.color")},
}


def available():
    return importlib.util.find_spec("matplotlib") is not None


def color(name):
    return COLORS.get(name, OTHER_COLOR)


def _figure(**options):
    import matplotlib  # only who draws needs it
    matplotlib.use("svg")
    matplotlib.rcParams.update(SETTINGS)
    from matplotlib import pyplot
    return pyplot.subplots(**options)


def _write(figure, path):
    from matplotlib import pyplot
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    text = re.sub(r" +$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = text.replace(INK, "currentColor")
    end = text.index(">", text.index("<svg")) + 1
    path.write_text(f"{text[:end]}\n{STYLE}{text[end:]}", encoding="utf-8")


def _error(value):
    """How far the extremes are from the median, below and above."""
    return value.median - value.least, value.most - value.median


def room(values, reference):
    """How long the axis is.  A bar that is far longer than all others would leave nothing to
    see of them: it is cut."""
    mosts = sorted((value.most for value in values), reverse=True)
    while len(mosts) > 2 and mosts[0] > CUT * mosts[1]:
        mosts.pop(0)
    return max(mosts[0], reference or 0) * ROOM or 1


def _label_bar(axes, i, value, number, end):
    """The median, to the right of the bar or, if that is cut, inside it."""
    cut = value.most > end
    axes.annotate(format(value.median, number) + " →" * cut, (end if cut else value.most, i),
                  (-4 if cut else 5, 0), textcoords="offset points", va="center", fontsize=8,
                  ha="right" if cut else "left", color="white" if cut else INK)


def _panel(axes, title, label, number, values, reference):
    names = list(values)
    medians = [value.median for value in values.values()]
    errors = list(zip(*map(_error, values.values())))
    axes.barh(range(len(names)), medians, xerr=errors, color=[color(name) for name in names],
              height=0.7, error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 2.5})
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_title(title)
    axes.set_xlabel(label)
    end = room(values.values(), reference)
    axes.set_xlim(0, end)
    for i, value in enumerate(values.values()):
        _label_bar(axes, i, value, number, end)
    if reference is not None:
        axes.axvline(reference, color=INK, linewidth=1, linestyle="--")


def bars(path, panels, reference=None):
    """Panels one below the other, each (title, label, format, {name: Spread}); whiskers are
    the extremes.  reference: where a dashed line stands."""
    heights = [len(values) * BAR_HEIGHT + PANEL_ROOM for *_, values in panels]
    figure, axes = _figure(nrows=len(panels), squeeze=False, figsize=(PANEL_WIDTH, sum(heights)),
                           height_ratios=heights, layout="constrained")
    for each, panel in zip(axes[:, 0], panels):
        _panel(each, *panel, reference)
    _write(figure, path)


def _readable(value, _position=None):
    """10000 as "10 000", 0.5 as "0.5"."""
    return f"{value:,.0f}".replace(",", " ") if value >= 1 else f"{value:g}"


def _log(axis, values):
    """A logarithmic axis with plain numbers, 1 2 5 where it spans less than two decades."""
    from matplotlib import ticker
    wide = math.log10(max(values) / min(values)) > 2
    axis.set_major_locator(ticker.LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axis.set_major_formatter(_readable)
    axis.set_minor_formatter(ticker.NullFormatter())


def lines(path, title, x_label, y_label, series):
    """Lines of (x, Spread) by name, the extremes shaded; both axes are logarithmic, unless the
    x are texts."""
    figure, axes = _figure(figsize=LINES_SIZE, layout="constrained")
    points = [point for line in series.values() for point in line]
    for marker, (name, line) in zip(MARKERS, series.items()):
        x = [at for at, _ in line]
        axes.plot(x, [value.median for _, value in line], color=color(name), label=name,
                  marker=marker, markersize=4.5, linewidth=1.8)
        axes.fill_between(x, [value.least for _, value in line], [value.most for _, value in line],
                          color=color(name), alpha=0.15, linewidth=0)
    axes.set_yscale("log")
    _log(axes.yaxis, [value.median for _, value in points])
    if not isinstance(points[0][0], str):
        axes.set_xscale("log")
        axes.set_xticks(sorted({at for at, _ in points}))
        axes.xaxis.set_major_formatter(_readable)
        axes.minorticks_off()
    axes.grid(True)
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02))
    _write(figure, path)
