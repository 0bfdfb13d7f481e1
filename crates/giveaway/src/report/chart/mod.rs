//! Figures as static SVG: they need no script, print well, and stand alone as files for papers.
//!
//! Colours are written twice: as attributes, which hold in a file that stands alone, and as
//! classes, by which a page sets others for the dark. Series differ in colour and in dashes or
//! marks, for readers who see no colours.

mod map;
mod scale;
mod scatter;

use std::fmt::Write;

pub(crate) use map::{Map, MapDot};
pub(crate) use scale::Axis;
pub(crate) use scatter::Point;

/// Colours that stay apart for the colour-blind (after Okabe and Ito), dark enough for thin
/// lines on white.
const COLOURS: [&str; 8] = [
    "#0060a8", "#c24a00", "#00795a", "#a8488a", "#7a6200", "#3a3a3a", "#2a86c8", "#8f2d2d",
];

/// Dashes of the series beside their colours.
const DASHES: [&str; 4] = ["", "7 3", "2 3", "9 3 2 3"];

const WIDTH: f64 = 540.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 14.0;
const PLOT_HEIGHT: f64 = 310.0;
const BELOW: f64 = 52.0;
const LEGEND_ROW: f64 = 21.0;

/// A point with an interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dot {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Ends of the interval, up and down or from left to right.
    pub(crate) interval: Option<(f64, f64)>,
}

/// What is drawn, in order.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    /// A line through points, in a series' colour and dash.
    Line {
        points: Vec<(f64, f64)>,
        series: usize,
    },
    /// An area between two lines: x, lower, upper.
    Band {
        points: Vec<(f64, f64, f64)>,
        series: usize,
    },
    /// Points with intervals along y.
    Dots { dots: Vec<Dot>, series: usize },
    /// Points with intervals along x, for charts whose rows have names.
    Across { dots: Vec<Dot>, series: usize },
    /// A histogram: edges, and a height for each bin.
    Steps {
        edges: Vec<f64>,
        heights: Vec<f64>,
        series: usize,
    },
    /// What would be if nothing were there.
    Diagonal,
    /// A line up at x, with a few words.
    RuleX { x: f64, label: String },
    /// Filled rectangles: left, right, bottom, top, and how dark from 0 to 1.
    Cells(Vec<[f64; 5]>),
    /// Single marks of a series' colour and shape.
    Marks {
        points: Vec<(f64, f64)>,
        series: usize,
    },
    /// Points with intervals both ways, and names.
    Scatter(Vec<Point>),
    /// A ring around a point, with a few words.
    Ring { x: f64, y: f64, label: String },
    /// Words beside the axis, for charts whose rows have names: y and the name, which may have
    /// several lines.
    Rows(Vec<(f64, String)>),
}

/// A figure.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    /// Its name in one line.
    pub(crate) title: String,
    /// What it shows, for who cannot see it.
    pub(crate) description: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) marks: Vec<Mark>,
    /// Series and their names, below the plot.
    pub(crate) legend: Vec<(usize, String)>,
    /// Height of the plot; [`Chart::new`] sets the usual one.
    pub(crate) height: f64,
    /// Room at the left for the names of rows or numbers.
    pub(crate) left: f64,
}

impl Chart {
    pub(crate) fn new(title: &str, description: &str, x: Axis, y: Axis) -> Self {
        Self {
            title: title.to_owned(),
            description: description.to_owned(),
            x,
            y,
            marks: Vec::new(),
            legend: Vec::new(),
            height: PLOT_HEIGHT,
            left: LEFT,
        }
    }

    /// A chart whose rows have names, one mark's height each.
    pub(crate) fn of_rows(title: &str, description: &str, x: Axis, names: &[String]) -> Self {
        let mut chart = Self::new(
            title,
            description,
            x,
            Axis::linear("", 0.0, names.len().max(1) as f64),
        );
        chart.height = 30.0 * names.len().max(1) as f64;
        let longest = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
        chart.left = (7.4 * longest as f64 + 16.0).clamp(LEFT, 230.0);
        let rows = names.iter().enumerate();
        chart.marks.push(Mark::Rows(
            rows.map(|(row, name)| (row_height(names.len(), row), name.clone()))
                .collect(),
        ));
        chart
    }

    pub(crate) fn with(mut self, mark: Mark) -> Self {
        self.marks.push(mark);
        self
    }

    pub(crate) fn name(&mut self, series: usize, name: &str) {
        self.legend.push((series, name.to_owned()));
    }

    /// The SVG, as an element of a page; `id` is unique on it.
    pub(crate) fn svg(&self, id: &str) -> String {
        Drawing::new(self, id).finish()
    }

    /// The SVG as a file of its own: with its namespace, on white.
    pub(crate) fn file(&self, id: &str) -> String {
        let svg = self.svg(id);
        let svg = svg.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 1);
        let place = svg.find("</desc>").map_or(0, |at| at + "</desc>".len());
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>{}\n",
            &svg[..place],
            &svg[place..]
        )
    }
}

/// The height of a row's middle; rows count from the top.
pub(crate) fn row_height(rows: usize, row: usize) -> f64 {
    (rows - row) as f64 - 0.5
}

/// Text made safe in XML and HTML, in contents and in attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // No XML file may hold these.
            '\u{0}'..='\u{8}'
            | '\u{b}'
            | '\u{c}'
            | '\u{e}'..='\u{1f}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                safe.push('\u{fffd}');
            }
            other => safe.push(other),
        }
    }
    safe
}

/// A coordinate: a tenth of a pixel is enough.
fn at(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

struct Drawing<'a> {
    chart: &'a Chart,
    id: &'a str,
    out: String,
}

impl<'a> Drawing<'a> {
    fn new(chart: &'a Chart, id: &'a str) -> Self {
        Self {
            chart,
            id,
            out: String::new(),
        }
    }

    fn x(&self, value: f64) -> f64 {
        let left = self.chart.left;
        left + self.chart.x.place(value) * (WIDTH - left - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        TOP + (1.0 - self.chart.y.place(value)) * self.chart.height
    }

    fn finish(mut self) -> String {
        let columns = self.legend_columns();
        let rows = self.chart.legend.len().div_ceil(columns);
        let height = TOP + self.chart.height + BELOW + LEGEND_ROW * rows as f64;
        let id = self.id;
        let _ = write!(
            self.out,
            "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-title {id}-description\" font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\" font-size=\"13\"><title id=\"{id}-title\">{}</title><desc id=\"{id}-description\">{}</desc>",
            at(WIDTH),
            at(height),
            escape(&self.chart.title),
            escape(&self.chart.description),
        );
        let _ = write!(
            self.out,
            "<clipPath id=\"{id}-clip\"><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/></clipPath>",
            at(self.chart.left - 1.0),
            at(TOP - 1.0),
            at(WIDTH - self.chart.left - RIGHT + 2.0),
            at(self.chart.height + 2.0),
        );
        let cells = |mark: &&Mark| matches!(mark, Mark::Cells(_));
        for mark in self.chart.marks.iter().filter(cells) {
            self.mark(mark);
        }
        self.axes();
        let _ = write!(self.out, "<g clip-path=\"url(#{id}-clip)\">");
        let (inside, outside): (Vec<&Mark>, Vec<&Mark>) = self
            .chart
            .marks
            .iter()
            .filter(|mark| !cells(mark))
            .partition(|mark| !matches!(mark, Mark::Rows(_)));
        for mark in inside {
            self.mark(mark);
        }
        self.out.push_str("</g>");
        for mark in outside {
            self.mark(mark);
        }
        self.legend(columns);
        self.out.push_str("</svg>");
        self.out
    }

    fn legend_columns(&self) -> usize {
        let longest = self
            .chart
            .legend
            .iter()
            .map(|(_, name)| name.chars().count())
            .max()
            .unwrap_or(0);
        (((WIDTH - 20.0) / (7.2 * longest as f64 + 46.0)) as usize).clamp(1, 4)
    }

    fn axes(&mut self) {
        let (left, right) = (self.chart.left, WIDTH - RIGHT);
        let (top, bottom) = (TOP, TOP + self.chart.height);
        self.out
            .push_str("<g class=\"grid\" stroke=\"#d9dce1\" stroke-width=\"1\">");
        for minor in self.chart.x.minor() {
            let x = at(self.x(minor));
            let _ = write!(
                self.out,
                "<path class=\"minor\" stroke=\"#eef0f2\" d=\"M{x} {}V{}\"/>",
                at(top),
                at(bottom)
            );
        }
        let names_rows = self.chart.marks.iter().any(|m| matches!(m, Mark::Rows(_)));
        if !names_rows {
            for minor in self.chart.y.minor() {
                let y = at(self.y(minor));
                let _ = write!(
                    self.out,
                    "<path class=\"minor\" stroke=\"#eef0f2\" d=\"M{} {y}H{}\"/>",
                    at(left),
                    at(right)
                );
            }
        }
        let x_ticks = self.chart.x.ticks();
        for (value, _) in &x_ticks {
            let x = at(self.x(*value));
            let _ = write!(self.out, "<path d=\"M{x} {}V{}\"/>", at(top), at(bottom));
        }
        let y_ticks = if names_rows {
            Vec::new()
        } else {
            self.chart.y.ticks()
        };
        for (value, _) in &y_ticks {
            let y = at(self.y(*value));
            let _ = write!(self.out, "<path d=\"M{} {y}H{}\"/>", at(left), at(right));
        }
        let _ = write!(
            self.out,
            "</g><path class=\"frame\" fill=\"none\" stroke=\"#6b7280\" d=\"M{} {}V{}H{}\"/><g class=\"ticks\" fill=\"#4b5563\">",
            at(left),
            at(top),
            at(bottom),
            at(right)
        );
        for (value, text) in &x_ticks {
            let x = at(self.x(*value));
            let _ = write!(
                self.out,
                "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                at(bottom + 18.0),
                escape(text)
            );
        }
        for (value, text) in &y_ticks {
            let y = self.y(*value);
            let _ = write!(
                self.out,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                at(left - 8.0),
                at(y + 4.5),
                escape(text)
            );
        }
        let _ = write!(
            self.out,
            "</g><g class=\"labels\" fill=\"#1f2937\"><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            at(f64::midpoint(left, right)),
            at(bottom + 40.0),
            escape(&self.chart.x.label)
        );
        if !self.chart.y.label.is_empty() {
            let middle = f64::midpoint(top, bottom);
            let _ = write!(
                self.out,
                "<text transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
                at(middle),
                escape(&self.chart.y.label)
            );
        }
        self.out.push_str("</g>");
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        for (index, (x, y)) in points.enumerate() {
            let _ = write!(
                path,
                "{}{} {}",
                if index == 0 { 'M' } else { 'L' },
                at(self.x(x)),
                at(self.y(y))
            );
        }
        path
    }

    fn mark(&mut self, mark: &Mark) {
        match mark {
            Mark::Line { points, series } => {
                let d = self.path(points.iter().copied());
                let _ = write!(
                    self.out,
                    "<path class=\"line s{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{} d=\"{d}\"/>",
                    series % COLOURS.len(),
                    colour(*series),
                    dash(*series)
                );
            }
            Mark::Band { points, series } => {
                let upper = points.iter().map(|p| (p.0, p.2));
                let lower = points.iter().rev().map(|p| (p.0, p.1));
                let d = self.path(upper.chain(lower));
                let _ = write!(
                    self.out,
                    "<path class=\"band f{}\" fill=\"{}\" fill-opacity=\"0.16\" d=\"{d}Z\"/>",
                    series % COLOURS.len(),
                    colour(*series)
                );
            }
            Mark::Dots { dots, series } => self.dots(dots, *series, false),
            Mark::Across { dots, series } => self.dots(dots, *series, true),
            Mark::Steps {
                edges,
                heights,
                series,
            } => self.steps(edges, heights, *series),
            Mark::Diagonal => self.diagonal(),
            Mark::RuleX { x, label } => {
                let x = self.x(*x);
                let (top, bottom) = (TOP, TOP + self.chart.height);
                let end = x > WIDTH - 150.0;
                let _ = write!(
                    self.out,
                    "<path class=\"rule\" stroke=\"#6b7280\" stroke-dasharray=\"4 3\" d=\"M{} {}V{}\"/><text class=\"note\" fill=\"#4b5563\" font-size=\"12\" x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>",
                    at(x),
                    at(top),
                    at(bottom),
                    at(if end { x - 5.0 } else { x + 5.0 }),
                    at(bottom - 9.0),
                    if end { "end" } else { "start" },
                    escape(label)
                );
            }
            Mark::Cells(cells) => self.cells(cells),
            Mark::Marks { points, series } => {
                for &(x, y) in points {
                    self.shape(self.x(x), self.y(y), *series);
                }
            }
            Mark::Scatter(points) => self.scatter(points),
            Mark::Ring { x, y, label } => {
                let (x, y) = (self.x(*x), self.y(*y));
                let end = x > WIDTH - 170.0;
                let _ = write!(
                    self.out,
                    "<circle class=\"ring\" fill=\"none\" stroke=\"#111827\" stroke-width=\"2\" cx=\"{}\" cy=\"{}\" r=\"9\"/><text class=\"strong\" fill=\"#111827\" stroke=\"#ffffff\" stroke-width=\"3.5\" stroke-linejoin=\"round\" paint-order=\"stroke\" x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>",
                    at(x),
                    at(y),
                    at(if end { x - 14.0 } else { x + 14.0 }),
                    at(y + 4.5),
                    if end { "end" } else { "start" },
                    escape(label)
                );
            }
            Mark::Rows(rows) => {
                for (y, name) in rows {
                    let lines: Vec<&str> = name.split('\n').collect();
                    let first = self.y(*y) + 4.5 - 7.5 * (lines.len() - 1) as f64;
                    for (index, line) in lines.into_iter().enumerate() {
                        let _ = write!(
                            self.out,
                            "<text class=\"row\" fill=\"#1f2937\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                            at(self.chart.left - 8.0),
                            at(first + 15.0 * index as f64),
                            escape(line)
                        );
                    }
                }
            }
        }
    }

    fn dots(&mut self, dots: &[Dot], series: usize, across: bool) {
        for dot in dots {
            let (x, y) = (self.x(dot.x), self.y(dot.y));
            if let Some((low, high)) = dot.interval {
                let d = if across {
                    format!("M{} {}H{}", at(self.x(low)), at(y), at(self.x(high)))
                } else {
                    format!("M{} {}V{}", at(x), at(self.y(low)), at(self.y(high)))
                };
                let _ = write!(
                    self.out,
                    "<path class=\"line s{}\" stroke=\"{}\" stroke-width=\"2\" stroke-opacity=\"0.65\" d=\"{d}\"/>",
                    series % COLOURS.len(),
                    colour(series)
                );
            }
            // A logarithmic axis has no place for nothing: there is the interval only.
            let shown = matches!(self.chart.y.scale, scale::Scale::Linear(..)) || dot.y > 0.0;
            if shown {
                self.shape(x, y, series);
            }
        }
    }

    /// A mark whose shape tells the series, too.
    fn shape(&mut self, x: f64, y: f64, series: usize) {
        let paint = format!(
            "class=\"mark f{}\" fill=\"{}\"",
            series % COLOURS.len(),
            colour(series)
        );
        let _ = match series % 4 {
            0 => write!(
                self.out,
                "<circle {paint} cx=\"{}\" cy=\"{}\" r=\"4\"/>",
                at(x),
                at(y)
            ),
            1 => write!(
                self.out,
                "<path {paint} d=\"M{} {}l4.8 8.4h-9.6Z\"/>",
                at(x),
                at(y - 5.4)
            ),
            2 => write!(
                self.out,
                "<rect {paint} x=\"{}\" y=\"{}\" width=\"7.4\" height=\"7.4\"/>",
                at(x - 3.7),
                at(y - 3.7)
            ),
            _ => write!(
                self.out,
                "<path {paint} d=\"M{} {}l5.2 5.2-5.2 5.2-5.2-5.2Z\"/>",
                at(x),
                at(y - 5.2)
            ),
        };
    }

    fn steps(&mut self, edges: &[f64], heights: &[f64], series: usize) {
        let Some((first, last)) = edges.first().zip(edges.last()) else {
            return;
        };
        let mut points = vec![(*first, 0.0)];
        for (bin, height) in heights.iter().enumerate() {
            points.push((edges[bin], *height));
            points.push((edges[bin + 1], *height));
        }
        points.push((*last, 0.0));
        let d = self.path(points.into_iter());
        let _ = write!(
            self.out,
            "<path class=\"band f{0}\" fill=\"{1}\" fill-opacity=\"0.16\" d=\"{d}Z\"/><path class=\"line s{0}\" fill=\"none\" stroke=\"{1}\" stroke-width=\"1.8\"{2} d=\"{d}\"/>",
            series % COLOURS.len(),
            colour(series),
            dash(series)
        );
    }

    /// Where y is as large as x. On two logarithmic axes, or two linear ones, it is straight;
    /// on one of each it bends, so it is drawn through many points.
    fn diagonal(&mut self) {
        let points = (0..=100).map(|i| {
            let share = f64::from(i) / 100.0;
            let x = match self.chart.x.scale {
                scale::Scale::Linear(lowest, highest) => lowest + share * (highest - lowest),
                scale::Scale::Log(lowest, highest) => lowest * (highest / lowest).powf(share),
            };
            (x, x)
        });
        let d = self.path(points.collect::<Vec<_>>().into_iter());
        let _ = write!(
            self.out,
            "<path class=\"rule\" fill=\"none\" stroke=\"#6b7280\" stroke-dasharray=\"4 3\" d=\"{d}\"/>"
        );
    }

    fn cells(&mut self, cells: &[[f64; 5]]) {
        self.out
            .push_str("<g class=\"cells\" fill=\"#0060a8\" shape-rendering=\"crispEdges\">");
        for &[left, right, bottom, top, dark] in cells {
            // Rounded before they are subtracted, or neighbours would part or overlap.
            let tenth = |value: f64| (10.0 * value).round() / 10.0;
            let (x, y) = (tenth(self.x(left)), tenth(self.y(top)));
            let _ = write!(
                self.out,
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill-opacity=\"{:.2}\"/>",
                at(x),
                at(y),
                at(tenth(self.x(right)) - x),
                at(tenth(self.y(bottom)) - y),
                dark.clamp(0.0, 1.0)
            );
        }
        self.out.push_str("</g>");
    }

    fn legend(&mut self, columns: usize) {
        let width = (WIDTH - 20.0) / columns as f64;
        let top = TOP + self.chart.height + BELOW + 6.0;
        let entries = self.chart.legend.clone();
        let is_points = |series: usize| {
            self.chart.marks.iter().any(|mark| {
                matches!(mark, Mark::Marks { series: s, .. } | Mark::Dots { series: s, .. } | Mark::Across { series: s, .. } if *s == series)
                    || matches!(mark, Mark::Scatter(points) if points.iter().any(|p| p.series == series))
            })
        };
        let points: Vec<bool> = entries
            .iter()
            .map(|(series, _)| is_points(*series))
            .collect();
        for (index, (series, name)) in entries.into_iter().enumerate() {
            let x = 14.0 + width * (index % columns) as f64;
            let y = top + LEGEND_ROW * (index / columns) as f64;
            if points[index] {
                self.shape(x + 14.0, y, series);
            } else {
                let _ = write!(
                    self.out,
                    "<path class=\"line s{}\" stroke=\"{}\" stroke-width=\"2.5\"{} d=\"M{} {}h28\"/>",
                    series % COLOURS.len(),
                    colour(series),
                    dash(series),
                    at(x),
                    at(y)
                );
            }
            let _ = write!(
                self.out,
                "<text class=\"row\" fill=\"#1f2937\" x=\"{}\" y=\"{}\">{}</text>",
                at(x + 35.0),
                at(y + 4.5),
                escape(&name)
            );
        }
    }
}

fn colour(series: usize) -> &'static str {
    COLOURS[series % COLOURS.len()]
}

fn dash(series: usize) -> String {
    // The dashes change with every series and the colours, so that no two of 32 are alike.
    let pattern = DASHES[(series + series / COLOURS.len()) % DASHES.len()];
    if pattern.is_empty() {
        String::new()
    } else {
        format!(" stroke-dasharray=\"{pattern}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let mut chart = Chart::new(
            "a <title>",
            "what \"it\" shows",
            Axis::log("FPR", 1e-4, 1.0).percent(),
            Axis::linear("y", 0.0, 1.0),
        )
        .with(Mark::Diagonal)
        .with(Mark::Line {
            points: vec![(1e-4, 0.0), (1.0, 1.0)],
            series: 0,
        })
        .with(Mark::Dots {
            dots: vec![Dot {
                x: 0.01,
                y: 0.5,
                interval: Some((0.25, 0.75)),
            }],
            series: 1,
        });
        chart.name(0, "line & co");
        chart.name(1, "dots");
        chart
    }

    #[test]
    fn points_lie_where_the_axes_say() {
        let svg = chart().svg("a");
        // The plot goes from x 72 to 512 and from y 14 to 324.
        assert!(svg.contains("d=\"M72 324L512 14\""), "{svg}");
        assert!(svg.contains("d=\"M292 246.5V91.5\""), "{svg}");
        assert!(
            svg.contains("M292 163.6l"),
            "the triangle is centred: {svg}"
        );
    }

    #[test]
    fn text_is_escaped() {
        let svg = chart().svg("a");
        assert!(svg.contains("a &lt;title&gt;") && svg.contains("what &quot;it&quot; shows"));
        assert!(svg.contains("line &amp; co") && !svg.contains("<title>a"));
        assert_eq!(escape("'\u{1}"), "&#39;\u{fffd}");
    }

    #[test]
    fn a_file_stands_alone() {
        let file = chart().file("a");
        assert!(file.starts_with("<?xml"));
        assert!(file.contains("xmlns=\"http://www.w3.org/2000/svg\""));
        assert!(file.contains("fill=\"#ffffff\""));
    }

    #[test]
    fn no_two_series_look_alike() {
        let mut looks: Vec<(&str, String)> = (0..32).map(|s| (colour(s), dash(s))).collect();
        looks.sort_unstable();
        looks.dedup();
        assert_eq!(looks.len(), 32);
    }
}
