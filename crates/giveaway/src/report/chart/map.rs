//! A map of records: many points, a few of them marked and linked.
//!
//! Classes differ in colour and shape, what is marked has a ring around it and is larger, so
//! nothing hangs on colours alone. Points of a class are one path, which keeps thousands small.

use std::fmt::Write as _;

use super::{COLOURS, LEGEND_ROW, WIDTH, at, colour, escape};

/// Room around the points.
const MARGIN: f64 = 14.0;
/// Height of the points' field.
const HEIGHT: f64 = 400.0;

/// A point.
#[derive(Clone, Debug)]
pub(crate) struct MapDot {
    /// Its place.
    pub(crate) x: f64,
    /// Its place.
    pub(crate) y: f64,
    /// Its class, by which it is painted; beyond the names of the map all are alike.
    pub(crate) class: usize,
    /// Whether it is marked.
    pub(crate) marked: bool,
    /// Where a link leads, and its name, for a marked one.
    pub(crate) link: Option<(String, String)>,
}

/// A map.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    /// Its name in one line.
    pub(crate) title: String,
    /// What it shows, for who cannot see it.
    pub(crate) description: String,
    /// The points.
    pub(crate) dots: Vec<MapDot>,
    /// The names of classes that are told apart.
    pub(crate) classes: Vec<String>,
    /// What a mark means.
    pub(crate) marked: String,
    /// What all points are where classes are not told apart.
    pub(crate) others: String,
}

impl Map {
    /// The SVG, as an element of a page; `id` is unique on it.
    pub(crate) fn svg(&self, id: &str) -> String {
        let mut entries: Vec<(Option<usize>, &str)> = self
            .classes
            .iter()
            .enumerate()
            .map(|(class, name)| (Some(class), name.as_str()))
            .collect();
        if entries.is_empty() {
            entries.push((Some(0), &self.others));
        }
        entries.push((None, &self.marked));
        let longest = entries
            .iter()
            .map(|e| e.1.chars().count())
            .max()
            .unwrap_or(0);
        let columns = (((WIDTH - 20.0) / (7.2 * longest as f64 + 40.0)) as usize).clamp(1, 5);
        let rows = entries.len().div_ceil(columns);
        let height = HEIGHT + LEGEND_ROW * rows as f64 + 18.0;
        let mut out = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"group\" aria-labelledby=\"{id}-title {id}-description\" font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\" font-size=\"13\"><title id=\"{id}-title\">{}</title><desc id=\"{id}-description\">{}</desc><rect class=\"frame\" fill=\"none\" stroke=\"#6b7280\" x=\"1\" y=\"1\" width=\"{}\" height=\"{}\"/>",
            at(WIDTH),
            at(height),
            escape(&self.title),
            escape(&self.description),
            at(WIDTH - 2.0),
            at(HEIGHT - 2.0),
        );
        let place = self.places();
        let classes = self.classes.len().max(1);
        for class in 0..classes {
            let mut path = String::new();
            for (dot, &(x, y)) in self.dots.iter().zip(&place) {
                if !dot.marked && self.class_of(dot) == class {
                    small(&mut path, class, x, y);
                }
            }
            if !path.is_empty() {
                let _ = write!(out, "<path {} d=\"{path}\"/>", paint(class, 0.55));
            }
        }
        for (dot, &(x, y)) in self.dots.iter().zip(&place).filter(|(dot, _)| dot.marked) {
            let class = self.class_of(dot);
            let mark = marked(class, x, y);
            let _ = match &dot.link {
                Some((link, name)) => write!(
                    out,
                    "<a class=\"dot\" href=\"#{}\" aria-label=\"{name}\"><title>{name}</title>{mark}</a>",
                    escape(link),
                    name = escape(name)
                ),
                None => write!(out, "<g>{mark}</g>"),
            };
        }
        let width = (WIDTH - 20.0) / columns as f64;
        for (index, (class, name)) in entries.into_iter().enumerate() {
            let x = 14.0 + width * (index % columns) as f64;
            let y = HEIGHT + 16.0 + LEGEND_ROW * (index / columns) as f64;
            match class {
                Some(class) => {
                    let mut path = String::new();
                    small(&mut path, class, x, y);
                    let _ = write!(out, "<path {} d=\"{path}\"/>", paint(class, 1.0));
                }
                None => out.push_str(&marked(0, x, y)),
            }
            let _ = write!(
                out,
                "<text class=\"row\" fill=\"#1f2937\" x=\"{}\" y=\"{}\">{}</text>",
                at(x + 14.0),
                at(y + 4.5),
                escape(name)
            );
        }
        out.push_str("</svg>");
        out
    }

    fn class_of(&self, dot: &MapDot) -> usize {
        if self.classes.is_empty() {
            0
        } else {
            dot.class.min(self.classes.len() - 1)
        }
    }

    /// Where each point is drawn. Both axes have the same scale: distances are what maps are
    /// looked at for.
    fn places(&self) -> Vec<(f64, f64)> {
        let range = |of: fn(&MapDot) -> f64| {
            self.dots
                .iter()
                .map(of)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                    (low.min(value), high.max(value))
                })
        };
        let (left, right) = range(|dot| dot.x);
        let (bottom, top) = range(|dot| dot.y);
        let fit = |room: f64, low: f64, high: f64| {
            if high > low {
                room / (high - low)
            } else {
                f64::INFINITY
            }
        };
        let scale =
            fit(WIDTH - 2.0 * MARGIN, left, right).min(fit(HEIGHT - 2.0 * MARGIN, bottom, top));
        let scale = if scale.is_finite() { scale } else { 1.0 };
        let middle = [f64::midpoint(left, right), f64::midpoint(bottom, top)];
        self.dots
            .iter()
            .map(|dot| {
                (
                    WIDTH / 2.0 + scale * (dot.x - middle[0]),
                    HEIGHT / 2.0 - scale * (dot.y - middle[1]),
                )
            })
            .collect()
    }
}

/// Classes beyond the colours have another shape than those with the same colour.
fn shape(class: usize) -> usize {
    (class + class / COLOURS.len()) % 4
}

fn paint(class: usize, opacity: f64) -> String {
    format!(
        "class=\"f{}\" fill=\"{}\" fill-opacity=\"{opacity}\"",
        class % COLOURS.len(),
        colour(class)
    )
}

/// A point without a mark, as a part of a path.
fn small(path: &mut String, class: usize, x: f64, y: f64) {
    let (x1, y1) = (at(x), at(y));
    // Writing to a String cannot fail.
    let _ = match shape(class) {
        0 => write!(
            path,
            "M{} {y1}a2.3 2.3 0 1 0 4.6 0a2.3 2.3 0 1 0-4.6 0",
            at(x - 2.3)
        ),
        1 => write!(path, "M{x1} {}l2.9 5h-5.8z", at(y - 3.2)),
        2 => write!(path, "M{} {}h4.2v4.2h-4.2z", at(x - 2.1), at(y - 2.1)),
        _ => write!(path, "M{x1} {}l3 3-3 3-3-3z", at(y - 3.0)),
    };
}

/// A marked point: twice as large, with a ring around it.
fn marked(class: usize, x: f64, y: f64) -> String {
    let (x1, y1) = (at(x), at(y));
    let core = match shape(class) {
        0 => format!(
            "M{} {y1}a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0-7.2 0",
            at(x - 3.6)
        ),
        1 => format!("M{x1} {}l4 7h-8z", at(y - 4.5)),
        2 => format!("M{} {}h6v6h-6z", at(x - 3.0), at(y - 3.0)),
        _ => format!("M{x1} {}l4.4 4.4-4.4 4.4-4.4-4.4z", at(y - 4.4)),
    };
    format!(
        "<path {} d=\"{core}\"/><circle class=\"ring\" fill=\"#ffffff\" fill-opacity=\"0\" stroke=\"#111827\" stroke-width=\"1.6\" cx=\"{x1}\" cy=\"{y1}\" r=\"6.5\"/>",
        paint(class, 1.0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(x: f64, y: f64, class: usize) -> MapDot {
        MapDot {
            x,
            y,
            class,
            marked: false,
            link: None,
        }
    }

    fn map(dots: Vec<MapDot>, classes: usize) -> Map {
        Map {
            title: "a <map>".to_owned(),
            description: "of \"records\"".to_owned(),
            dots,
            classes: (0..classes)
                .map(|class| format!("class & {class}"))
                .collect(),
            marked: "exposed".to_owned(),
            others: "records".to_owned(),
        }
    }

    #[test]
    fn points_are_where_they_should_be() {
        let map = map(
            vec![dot(0.0, 0.0, 0), dot(10.0, 5.0, 1), dot(5.0, 2.5, 0)],
            2,
        );
        let places = map.places();
        assert!((places[0].0 - MARGIN).abs() < 1e-9);
        assert!((places[1].0 - (WIDTH - MARGIN)).abs() < 1e-9);
        // One scale for both axes: half as high as wide, and up is up.
        let wide = places[1].0 - places[0].0;
        assert!((places[0].1 - places[1].1 - wide / 2.0).abs() < 1e-9);
        assert!((places[2].1 - HEIGHT / 2.0).abs() < 1e-9);
    }

    #[test]
    fn one_point_or_none_is_no_fault() {
        for dots in [vec![], vec![dot(3.0, 3.0, 7)]] {
            let svg = map(dots, 0).svg("a");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn marked_points_are_linked_and_named() {
        let mut one = dot(0.0, 0.0, 0);
        one.marked = true;
        one.link = Some(("record-a%20b".to_owned(), "a <b>: rare".to_owned()));
        let svg = map(vec![one, dot(1.0, 1.0, 0)], 1).svg("a");
        assert!(
            svg.contains(
                "<a class=\"dot\" href=\"#record-a%20b\" aria-label=\"a &lt;b&gt;: rare\">"
            )
        );
        assert!(svg.contains("a &lt;map&gt;") && svg.contains("of &quot;records&quot;"));
        assert!(svg.contains("class &amp; 0"));
        assert_eq!(
            svg.matches("<circle").count(),
            2,
            "the point and the legend"
        );
    }

    #[test]
    fn ten_classes_look_different() {
        let mut looks: Vec<(&str, usize)> = (0..10).map(|c| (colour(c), shape(c))).collect();
        looks.sort_unstable();
        looks.dedup();
        assert_eq!(looks.len(), 10);
    }
}
