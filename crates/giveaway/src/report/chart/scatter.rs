//! Points with intervals both ways and names that do not cover each other.

use std::fmt::Write;

use super::{COLOURS, Drawing, RIGHT, TOP, WIDTH, at, colour, escape};

/// A point that has a name.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Ends of its interval from left to right.
    pub(crate) across: Option<(f64, f64)>,
    /// Ends of its interval up and down.
    pub(crate) up: Option<(f64, f64)>,
    /// A few characters.
    pub(crate) label: String,
    pub(crate) series: usize,
    /// Whether it has a ring, and its name goes first where there is little room.
    pub(crate) ringed: bool,
}

/// Height of a name, and the width of a character of it: a little more than fonts need.
const TALL: f64 = 13.0;
const WIDE: f64 = 7.6;

/// How far from its point a name may stand, nearest first; from the second on a line leads there.
const DISTANCES: [f64; 7] = [8.0, 15.0, 23.0, 32.0, 43.0, 56.0, 72.0];

/// Directions in which it may stand.
const DIRECTIONS: u32 = 16;

/// Half the side of the square in which nothing may cover a point.
const POINT: f64 = 5.0;

/// A rectangle on the drawing.
#[derive(Clone, Copy, Debug)]
struct Place {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Place {
    fn around(x: f64, y: f64, half: f64) -> Self {
        Self {
            left: x - half,
            top: y - half,
            right: x + half,
            bottom: y + half,
        }
    }

    /// The area that both cover.
    fn shared(&self, other: &Self) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }
}

/// Where each name stands so that it covers no point and no other name, or as little as can be:
/// one after another, those with a ring first, each as near to its point as there is room.
fn places(points: &[(f64, f64, f64, bool)], inside: Place) -> Vec<(Place, bool)> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|&index| !points[index].3);
    let squares: Vec<Place> = points
        .iter()
        .map(|&(x, y, _, ringed)| Place::around(x, y, if ringed { POINT + 5.0 } else { POINT }))
        .collect();
    let mut placed: Vec<Option<(Place, bool)>> = vec![None; points.len()];
    for index in order {
        let (x, y, width, ringed) = points[index];
        let mut best: Option<(f64, Place, bool)> = None;
        'search: for (step, distance) in DISTANCES.into_iter().enumerate() {
            let distance = distance + if ringed { 5.0 } else { 0.0 };
            for direction in 0..DIRECTIONS {
                // right, above and below first
                let turn = f64::from(direction.div_ceil(2)) / f64::from(DIRECTIONS);
                let angle = std::f64::consts::TAU * if direction % 2 == 0 { turn } else { -turn };
                let (dx, dy) = (angle.cos(), angle.sin());
                let middle_x = x + dx * (distance + width / 2.0);
                let middle_y = y + dy * (distance + TALL / 2.0);
                let place = Place {
                    left: middle_x - width / 2.0,
                    right: middle_x + width / 2.0,
                    top: middle_y - TALL / 2.0,
                    bottom: middle_y + TALL / 2.0,
                };
                let outside = width * TALL - place.shared(&inside);
                let names = placed.iter().flatten().map(|(other, _)| other);
                let covered: f64 = names
                    .chain(&squares)
                    .map(|other| place.shared(other))
                    .sum::<f64>()
                    + 4.0 * outside.max(0.0);
                if best.is_none_or(|(least, ..)| covered < least - 1e-9) {
                    best = Some((covered, place, step > 0));
                }
                if covered < 1e-6 {
                    break 'search;
                }
            }
        }
        placed[index] = best.map(|(_, place, away)| (place, away));
    }
    placed.into_iter().flatten().collect()
}

impl Drawing<'_> {
    pub(super) fn scatter(&mut self, points: &[Point]) {
        for point in points {
            let (x, y) = (self.x(point.x), self.y(point.y));
            let series = point.series;
            let mut d = String::new();
            if let Some((low, high)) = point.across {
                let _ = write!(d, "M{} {}H{}", at(self.x(low)), at(y), at(self.x(high)));
            }
            if let Some((low, high)) = point.up {
                let _ = write!(d, "M{} {}V{}", at(x), at(self.y(low)), at(self.y(high)));
            }
            if !d.is_empty() {
                let _ = write!(
                    self.out,
                    "<path class=\"line s{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1\" stroke-opacity=\"{}\" d=\"{d}\"/>",
                    series % COLOURS.len(),
                    colour(series),
                    if point.ringed { "0.9" } else { "0.4" },
                );
            }
        }
        for point in points {
            self.shape(self.x(point.x), self.y(point.y), point.series);
            if point.ringed {
                let _ = write!(
                    self.out,
                    "<circle class=\"ring\" fill=\"none\" stroke=\"#111827\" stroke-width=\"2\" cx=\"{}\" cy=\"{}\" r=\"9\"/>",
                    at(self.x(point.x)),
                    at(self.y(point.y))
                );
            }
        }
        let drawn: Vec<(f64, f64, f64, bool)> = points
            .iter()
            .map(|point| {
                let width = WIDE * point.label.chars().count() as f64;
                (self.x(point.x), self.y(point.y), width, point.ringed)
            })
            .collect();
        let inside = Place {
            left: self.chart.left + 1.0,
            right: WIDTH - RIGHT - 1.0,
            top: TOP + 1.0,
            bottom: TOP + self.chart.height - 1.0,
        };
        for ((point, &(x, y, ..)), (place, away)) in
            points.iter().zip(&drawn).zip(places(&drawn, inside))
        {
            if away {
                let _ = write!(
                    self.out,
                    "<path class=\"leader\" stroke=\"#6b7280\" stroke-width=\"0.8\" d=\"M{} {}L{} {}\"/>",
                    at(x),
                    at(y),
                    at(x.clamp(place.left, place.right)),
                    at(y.clamp(place.top, place.bottom)),
                );
            }
            let _ = write!(
                self.out,
                "<text class=\"strong\" fill=\"#111827\" stroke=\"#ffffff\" stroke-width=\"3\" stroke-linejoin=\"round\" paint-order=\"stroke\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                at(f64::midpoint(place.left, place.right)),
                at(place.bottom - 2.0),
                escape(&point.label)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSIDE: Place = Place {
        left: 0.0,
        top: 0.0,
        right: 500.0,
        bottom: 300.0,
    };

    #[test]
    fn names_of_a_crowd_cover_nothing() {
        // thirty points in a small part of the plot, some on its edge
        let points: Vec<(f64, f64, f64, bool)> = (0..30_u32)
            .map(|i| {
                let x = f64::from(i * 37 % 150);
                let y = f64::from(i * 61 % 110);
                (x, y, 2.0 * WIDE, i == 17)
            })
            .collect();
        let found = places(&points, INSIDE);
        assert_eq!(found.len(), points.len());
        for (index, (place, _)) in found.iter().enumerate() {
            assert!(place.left >= 0.0 && place.top >= 0.0, "{place:?}");
            for (other, _) in &found[index + 1..] {
                assert!(place.shared(other) < 1e-6, "{place:?} {other:?}");
            }
            for &(x, y, ..) in &points {
                let own = Place::around(x, y, POINT);
                assert!(place.shared(&own) < 1e-6, "{place:?} covers {x}, {y}");
            }
        }
    }

    #[test]
    fn a_name_alone_stands_beside_its_point() {
        let found = places(&[(100.0, 100.0, 20.0, false)], INSIDE);
        let (place, away) = found[0];
        assert!(!away);
        assert!((place.left - 108.0).abs() < 1e-9 && (place.top - 93.5).abs() < 1e-9);
        // at the right edge it stands on another side
        let (place, _) = places(&[(495.0, 100.0, 20.0, false)], INSIDE)[0];
        assert!(place.right <= 500.0, "{place:?}");
    }
}
