//! From what was measured of each arm to the section of the report: changes, verdicts, the
//! frontier and the advice.

use super::arms::Arm;
use super::exposed::Protected;
use super::measuring::{ArmFound, AttackFound, Share};
use crate::defend::{About, Stage};
use crate::evaluate::Estimate;
use crate::evaluate::paired::{Accused, Figure, Replicated};
use crate::evaluate::utility::Usefulness;
use crate::report::defence::{
    AttackOnDefence, DefenceFigures, DirectFigures, ExposedFigures, GroupUtility, Onion,
    Recommendation, Utility, Verdict, WorstUnit,
};
use giveaway_stats::random::Stream;

/// Share of the units whose influence counts as large, before any defence.
const INFLUENTIAL_SHARE: f64 = 0.01;

/// Fewer units to be protected than these are no sample.
const FEWEST_UNITS: usize = 5;

/// Bootstrap replicates of newly exposed units.
const REPLICATES: u64 = 1000;

/// An arm with what is said of it and what was found.
pub(super) struct Finished<'a> {
    pub(super) about: About,
    pub(super) found: &'a ArmFound,
}

/// What all arms are compared with and told by.
pub(super) struct Conclusion<'a> {
    pub(super) protected: &'a Protected,
    pub(super) undefended: Finished<'a>,
    pub(super) control: Option<Finished<'a>>,
    pub(super) defended: Vec<Finished<'a>>,
    /// Identifier of each judged unit.
    pub(super) ids: &'a [String],
    pub(super) classes: &'a [String],
    /// Records of each class among the judged.
    pub(super) class_sizes: &'a [usize],
    /// Columns with the names of their groups and the records of each among the judged.
    pub(super) groups: &'a [(String, Vec<(String, usize)>)],
    pub(super) accuracy_budget: f64,
    pub(super) seed: u64,
    pub(super) unit_name: &'a str,
}

/// What is said of the recipe as it is.
pub(super) fn about_undefended() -> About {
    About {
        title: "No defence".to_owned(),
        source: "",
        what: "The recipe as it was audited.".to_owned(),
        promise: None,
        stage: Stage::Training,
        sample_aware: false,
        keeps_labels: true,
        scikit_learn: String::new(),
        pytorch: String::new(),
    }
}

/// What is said of the recipe trained again.
pub(super) fn about_control() -> About {
    About {
        title: "No defence, trained again".to_owned(),
        what: "The same training sets with other seeds: what changes here changes by chance."
            .to_owned(),
        ..about_undefended()
    }
}

/// What the section says of arms and advice.
pub(super) struct Concluded {
    pub(super) undefended: DefenceFigures,
    pub(super) control: Option<DefenceFigures>,
    pub(super) defences: Vec<DefenceFigures>,
    pub(super) recommendation: Recommendation,
}

impl Conclusion<'_> {
    pub(super) fn conclude(&self) -> Concluded {
        let undefended = self.figures(&self.undefended, false);
        let control = self.control.as_ref().map(|arm| self.figures(arm, true));
        let mut defences: Vec<DefenceFigures> = self
            .defended
            .iter()
            .map(|arm| self.figures(arm, true))
            .collect();
        mark_frontier(&undefended, &mut defences);
        let recommendation = self.recommend(&defences);
        Concluded {
            undefended,
            control,
            defences,
            recommendation,
        }
    }

    fn before(&self) -> &ArmFound {
        self.undefended.found
    }

    /// Of an arm, the figures; `compared` says that it is not the one compared with.
    fn figures(&self, arm: &Finished<'_>, compared: bool) -> DefenceFigures {
        let found = arm.found;
        let about = &arm.about;
        let exposed = self.exposed(found, compared);
        let strongest_change = self.strongest_change(found);
        let verdict = compared.then(|| {
            let few = self.protected.units.len() < FEWEST_UNITS;
            verdict(exposed.found_change, strongest_change, few)
        });
        let time = found.seconds_per_model;
        let usual = self.before().seconds_per_model;
        DefenceFigures {
            name: found.name.clone(),
            title: about.title.clone(),
            source: about.source.to_owned(),
            what: about.what.clone(),
            promise: about.promise.clone(),
            stage: match about.stage {
                Stage::Training => "training",
                Stage::Answers => "answers",
                Stage::Both => "both",
            }
            .to_owned(),
            sample_aware: about.sample_aware,
            scikit_learn: about.scikit_learn.clone(),
            pytorch: about.pytorch.clone(),
            sentence: match verdict {
                None => String::new(),
                Some(verdict) => self.sentence(verdict, &exposed, strongest_change, found),
            },
            verdict,
            on_frontier: false,
            attacks: found
                .attacks
                .iter()
                .map(|attack| self.attack(attack))
                .collect(),
            onion: self.onion(found),
            direct: self.direct(found),
            utility: self.utility(found),
            exposed,
            seconds_per_model: time,
            time_ratio: (usual > 0.0 && time > 0.0).then(|| time / usual),
        }
    }

    /// The attack of the same name on the undefended recipe, or the strongest there.
    fn counterpart(&self, name: &str) -> Option<&AttackFound> {
        let before = self.before();
        before
            .attack(name)
            .or_else(|| before.attack(name.strip_prefix("undone-").unwrap_or(name)))
            .or_else(|| before.strongest(Share::All))
    }

    fn attack(&self, attack: &AttackFound) -> AttackOnDefence {
        let of = attack.of(Share::All);
        let before = self.counterpart(&attack.name).map(|a| a.of(Share::All));
        let estimate = |figure| of.figure(figure).estimate();
        let change = |figure| {
            before.map_or_else(Estimate::default, |before| {
                of.figure(figure).less(before.figure(figure)).estimate()
            })
        };
        AttackOnDefence {
            name: attack.name.clone(),
            adaptive: attack.adaptive,
            auc: estimate(Figure::Auc),
            advantage: of.figure(Figure::Advantage).estimate_of_a_maximum(),
            at_ten_percent: estimate(Figure::AtTenPercent),
            at_one_percent: estimate(Figure::AtOnePercent),
            at_one_in_thousand: estimate(Figure::AtOneInThousand),
            auc_change: change(Figure::Auc),
            at_one_percent_change: change(Figure::AtOnePercent),
            exposed_found: estimate(Figure::MarkedFound),
        }
    }

    /// The change of what the strongest attack finds of all records.
    fn strongest_change(&self, found: &ArmFound) -> Estimate {
        self.strongest_change_in(found, Share::All)
    }

    fn strongest_change_in(&self, found: &ArmFound, share: Share) -> Estimate {
        let (Some(after), Some(before)) = (found.strongest(share), self.before().strongest(share))
        else {
            return Estimate::default();
        };
        change(after, before, Figure::AtOnePercent, share).estimate()
    }

    fn exposed(&self, found: &ArmFound, compared: bool) -> ExposedFigures {
        let (Some(after), Some(before)) = (
            found.on_exposed(Share::All),
            self.before().on_exposed(Share::All),
        ) else {
            return ExposedFigures {
                attack: String::new(),
                found: Estimate::default(),
                found_change: Estimate::default(),
                wrongly_accused: Estimate::default(),
                auc: Estimate::default(),
                worst: None,
            };
        };
        let of = after.of(Share::All);
        let share =
            |accused: &Accused| f64::from(accused.found) / f64::from(accused.in_targets.max(1));
        let worst = self
            .protected
            .places()
            .enumerate()
            .max_by(|&(a, _), &(b, _)| {
                share(&after.protected[a])
                    .total_cmp(&share(&after.protected[b]))
                    .then(b.cmp(&a))
            })
            .map(|(number, place)| WorstUnit {
                id: Some(self.ids[place].clone()),
                in_targets: after.protected[number].in_targets,
                found: after.protected[number].found,
                found_before: before.protected[number].found,
            });
        ExposedFigures {
            attack: after.name.clone(),
            found: of.figure(Figure::MarkedFound).estimate(),
            found_change: if compared {
                change(after, before, Figure::MarkedFound, Share::All).estimate()
            } else {
                Estimate::default()
            },
            wrongly_accused: of.figure(Figure::MarkedAccused).estimate(),
            auc: of.figure(Figure::MarkedAuc).estimate(),
            worst,
        }
    }

    /// The same attack on an arm, on the recipe as it is and on the control: the strongest on the
    /// arm; where that undoes the defence, the one that is made on what comes of it.
    fn same_attack<'f>(&'f self, found: &'f ArmFound) -> Option<[Option<&'f AttackFound>; 3]> {
        let after = found.strongest(Share::All)?;
        let name = after.name.strip_prefix("undone-").unwrap_or(&after.name);
        let control = self.control.as_ref();
        Some([
            Some(after),
            self.before().attack(name),
            control.and_then(|control| control.found.attack(name)),
        ])
    }

    /// Whether each judged unit is newly exposed, by two attacks.
    fn newly(&self, after: &AttackFound, before: &AttackFound) -> Vec<bool> {
        let mut newly: Vec<bool> = after
            .accused
            .iter()
            .zip(&before.accused)
            .map(|(after, before)| after.mostly_found() && !before.mostly_found())
            .collect();
        for place in self.protected.places() {
            newly[place] = false;
        }
        newly
    }

    fn onion(&self, found: &ArmFound) -> Onion {
        let Some([Some(after), Some(before), control]) = self.same_attack(found) else {
            return Onion::default();
        };
        let mostly =
            |attack: &AttackFound| attack.accused.iter().filter(|a| a.mostly_found()).count();
        let newly = self.newly(after, before);
        let by_chance = control.map(|control| self.newly(control, before));
        let count = |of: &[bool]| of.iter().filter(|&&x| x).count();
        Onion {
            before: mostly(before),
            after: mostly(after),
            newly_exposed: count(&newly),
            newly_exposed_by_chance: by_chance.as_ref().map(|c| count(c)),
            beyond_chance: by_chance
                .map_or_else(Estimate::default, |chance| self.beyond(&newly, &chance)),
        }
    }

    /// How many more there are, bootstrapped over units.
    fn beyond(&self, newly: &[bool], chance: &[bool]) -> Estimate {
        let differences: Vec<f64> = newly
            .iter()
            .zip(chance)
            .map(|(&a, &b)| f64::from(i8::from(a) - i8::from(b)))
            .collect();
        let replicates = (0..REPLICATES)
            .map(|replicate| {
                let mut stream = Stream::new(self.seed, "newly exposed", replicate);
                let draw = |_| differences[stream.below(differences.len())];
                (0..differences.len()).map(draw).sum()
            })
            .collect();
        Estimate::with_replicates(Some(differences.iter().sum()), replicates)
    }

    fn direct(&self, found: &ArmFound) -> DirectFigures {
        // the influence that the most influential have before any defence
        let mut before: Vec<f64> = self.before().influence.clone();
        before.retain(|x| !x.is_nan());
        before.sort_by(|a, b| b.total_cmp(a));
        let many = (before.len() as f64 * INFLUENTIAL_SHARE).ceil() as usize;
        let threshold = before.get(many.saturating_sub(1)).copied();
        DirectFigures {
            selected: threshold.map_or(0, |t| found.influence.iter().filter(|&&x| x >= t).count()),
            precision: found.precision,
            recall: found.recall,
        }
    }

    fn utility(&self, found: &ArmFound) -> Utility {
        let now = found.utility_of(Share::All);
        let before = self.before().utility_of(Share::All);
        let changed = |of: &dyn Fn(&Usefulness) -> &Replicated| of(now).less(of(before)).estimate();
        let mut groups = Vec::new();
        for (column, (name, values)) in self.groups.iter().enumerate() {
            for (group, (value, records)) in values.iter().enumerate() {
                groups.push(GroupUtility {
                    column: name.clone(),
                    value: value.clone(),
                    records: *records,
                    accuracy: now.groups[column][group].value,
                    change: now.groups[column][group]
                        .less(&before.groups[column][group])
                        .estimate(),
                });
            }
        }
        Utility {
            train_accuracy: now.train_accuracy,
            accuracy: now.accuracy.estimate(),
            accuracy_change: changed(&|of| &of.accuracy),
            balanced_accuracy: now.balanced_accuracy.estimate(),
            balanced_accuracy_change: changed(&|of| &of.balanced_accuracy),
            auc: found.auc,
            log_loss: now.log_loss.estimate(),
            log_loss_change: changed(&|of| &of.log_loss),
            flagged: found.flagged,
            classes: self
                .classes
                .iter()
                .enumerate()
                .map(|(class, name)| GroupUtility {
                    column: String::new(),
                    value: name.clone(),
                    records: self.class_sizes[class],
                    accuracy: now.classes[class].value,
                    change: now.classes[class].less(&before.classes[class]).estimate(),
                })
                .collect(),
            groups,
        }
    }

    fn sentence(
        &self,
        verdict: Verdict,
        exposed: &ExposedFigures,
        strongest: Estimate,
        found: &ArmFound,
    ) -> String {
        let units = self.unit_name;
        let by = format!("by {}, which knows of it", exposed.attack);
        let rate = |e: Estimate| e.value.map_or_else(|| "n/a".to_owned(), percent);
        let before = self
            .before()
            .on_exposed(Share::All)
            .and_then(|a| a.of(Share::All).figure(Figure::MarkedFound).value);
        let from = before.map_or_else(|| "n/a".to_owned(), percent);
        let first = match verdict {
            Verdict::Helps => format!(
                "The most exposed {units} are found in {} of the models trained on them rather than {from}, {by}.",
                rate(exposed.found)
            ),
            Verdict::NotShown => format!(
                "Whether it protects the most exposed {units} is not shown: {by} they are found in {} rather than {from}, and that may be chance.",
                rate(exposed.found)
            ),
            Verdict::Harms if exposed.found_change.lower.is_some_and(|low| low > 0.0) => format!(
                "It harms: the most exposed {units} are found in {} of the models trained on them rather than {from}, {by}.",
                rate(exposed.found)
            ),
            Verdict::Harms => {
                let at = found
                    .strongest(Share::All)
                    .map_or(Estimate::default(), |attack| {
                        attack
                            .of(Share::All)
                            .figure(Figure::AtOnePercent)
                            .estimate()
                    });
                format!(
                    "It harms: of all members, {} are found at 1 % false alarms, {} points more than without.",
                    rate(at),
                    strongest
                        .value
                        .map_or_else(|| "n/a".to_owned(), |x| format!("{:.2}", 100.0 * x)),
                )
            }
        };
        let ignorant = found.attacks.iter().find(|attack| !attack.adaptive);
        let seems = ignorant
            .and_then(|attack| {
                let now = attack.of(Share::All).figure(Figure::Auc);
                let then = self.before().attack(&attack.name)?;
                now.less(then.of(Share::All).figure(Figure::Auc))
                    .estimate()
                    .upper
            })
            .is_some_and(|upper| upper < 0.0);
        if seems && verdict != Verdict::Helps {
            format!(
                "{first} Only an attack that does not know of the defence does worse, which protects nobody."
            )
        } else {
            first
        }
    }

    /// What a defence changes in a part of models and units: of the records to be protected, by
    /// the attack that finds most of them there, of all, and of accuracy.
    fn changed(&self, found: &ArmFound, share: Share) -> Option<Changed> {
        let before = self.before();
        let after = found.on_exposed(share)?;
        let then = before.on_exposed(share)?;
        Some(Changed {
            before: then.of(share).figure(Figure::MarkedFound).estimate(),
            after: after.of(share).figure(Figure::MarkedFound).estimate(),
            found: change(after, then, Figure::MarkedFound, share).estimate(),
            all: self.strongest_change_in(found, share),
            accuracy: found
                .utility_of(share)
                .accuracy
                .less(&before.utility_of(share).accuracy)
                .estimate(),
        })
    }

    /// The advice: of the defences that help within the budget of accuracy the one that leaves
    /// least, chosen on one part of models and units and confirmed on the other.
    fn recommend(&self, figures: &[DefenceFigures]) -> Recommendation {
        let few = self.protected.units.len() < FEWEST_UNITS;
        let helping: Vec<(Changed, &Finished<'_>, &DefenceFigures)> = self
            .defended
            .iter()
            .zip(figures)
            .filter_map(|(arm, figures)| {
                let changed = self.changed(arm.found, Share::Choosing)?;
                (verdict(changed.found, changed.all, few) == Verdict::Helps)
                    .then_some((changed, arm, figures))
            })
            .collect();
        let affordable = |changed: &Changed| {
            let change = changed.accuracy.value;
            change.is_some_and(|change| change >= -self.accuracy_budget)
        };
        let best = helping
            .iter()
            .filter(|(changed, ..)| affordable(changed))
            .min_by(|(a, ..), (b, ..)| {
                let value = |e: Estimate| e.value.unwrap_or(f64::INFINITY);
                value(a.after)
                    .total_cmp(&value(b.after))
                    .then(value(b.accuracy).total_cmp(&value(a.accuracy)))
            });
        let Some((_, arm, of_best)) = best else {
            let dear: Vec<&DefenceFigures> = helping.iter().map(|(.., of)| *of).collect();
            return self.nothing(figures, &dear);
        };
        let Some(told) = self.changed(arm.found, Share::Reporting) else {
            return self.nothing(figures, &[]);
        };
        let units = self.unit_name;
        if verdict(told.found, told.all, few) != Verdict::Helps {
            return Recommendation {
                defence: None,
                headline: "No defence was confirmed to protect the most exposed at this price."
                    .to_owned(),
                reasons: vec![format!(
                    "{} did best on one half of the models and {units}. On the other half the most exposed are found in {} of the models trained on them rather than {}, and that may be chance. More --models, or a larger --exposed share, would tell.",
                    of_best.title,
                    with_interval(told.after),
                    with_interval(told.before)
                )],
                found_before: told.before,
                found_after: told.after,
                accuracy_change: told.accuracy,
            };
        }
        let mut reasons = vec![
            format!(
                "On models and {units} that this choice was not made on, the most exposed are found in {} of the models trained on them rather than {}, at 1 % false alarms among them, by the strongest attack that knows of the defence.",
                with_interval(told.after),
                with_interval(told.before),
            ),
            format!(
                "The price: accuracy changes by {} points on {units} that a model was not trained on.",
                points(told.accuracy),
            ),
        ];
        reasons.extend(of_best.promise.clone());
        reasons.extend(onion_sentence(&of_best.onion, units));
        reasons.push(match figures.len() - 1 {
            0 => "No other defence was tried.".to_owned(),
            1 => "One other defence was tried.".to_owned(),
            others => format!(
                "{others} other defences were tried; the table has what each leaves and costs."
            ),
        });
        Recommendation {
            defence: Some(of_best.name.clone()),
            headline: format!("Take: {}. {}", of_best.title, of_best.what),
            reasons,
            found_before: told.before,
            found_after: told.after,
            accuracy_change: told.accuracy,
        }
    }

    /// What to say where no defence helps at the price; those of `dear` help and cost more.
    fn nothing(&self, figures: &[DefenceFigures], dear: &[&DefenceFigures]) -> Recommendation {
        let units = self.unit_name;
        let price = |of: &&DefenceFigures| {
            format!(
                "{} ({} points of accuracy, the most exposed found in {})",
                of.title,
                points(of.utility.accuracy_change),
                with_interval(of.exposed.found)
            )
        };
        let kind = |of: &DefenceFigures| of.name.split(':').next().unwrap_or_default().to_owned();
        let mut reasons = Vec::new();
        if figures.is_empty() {
            reasons.push("No defence was tried; what was left out is named below.".to_owned());
        } else if dear.is_empty() {
            reasons.push(format!(
                "On the half of models and {units} by which one would be chosen, none was shown to protect the most exposed against attacks that know of it. Tried: {}.",
                figures.len()
            ));
        } else {
            reasons.push(format!(
                "Some help, but cost more than {} points of accuracy: {}.",
                100.0 * self.accuracy_budget,
                dear.iter().map(price).collect::<Vec<_>>().join("; ")
            ));
            let last = ["dp-sgd", "harder-clipping", "remove"];
            let others = figures.iter().any(|of| !last.contains(&&*kind(of)));
            if others && dear.iter().all(|of| last.contains(&&*kind(of))) {
                reasons.push(format!(
                    "Of what was tried, nothing but differential privacy or leaving the {units} out helps."
                ));
            }
            reasons.push(
                "Allow a higher price with --max-accuracy-loss to have one of them recommended."
                    .to_owned(),
            );
        }
        let untried: Vec<&str> = [
            ("remove", "leaving the exposed out of training (remove)"),
            ("dp-sgd", "differential privacy (dp-sgd)"),
        ]
        .into_iter()
        .filter(|(name, _)| !figures.iter().any(|of| kind(of) == *name))
        .map(|(_, what)| what)
        .collect();
        if !untried.is_empty() {
            reasons.push(format!("Not tried: {}.", untried.join(", ")));
        }
        let before = self.before().on_exposed(Share::All);
        Recommendation {
            defence: None,
            headline: "No defence that was tried protects the most exposed at this price."
                .to_owned(),
            reasons,
            found_before: before.map_or_else(Estimate::default, |attack| {
                attack.of(Share::All).figure(Figure::MarkedFound).estimate()
            }),
            found_after: Estimate::default(),
            accuracy_change: Estimate::default(),
        }
    }
}

/// What a defence changes in a part of models and units.
struct Changed {
    before: Estimate,
    after: Estimate,
    found: Estimate,
    all: Estimate,
    accuracy: Estimate,
}

fn change(after: &AttackFound, before: &AttackFound, figure: Figure, share: Share) -> Replicated {
    after
        .of(share)
        .figure(figure)
        .less(before.of(share).figure(figure))
}

/// By attackers who know of the defence alone. Of a few records nothing is said.
fn verdict(exposed: Estimate, strongest: Estimate, few: bool) -> Verdict {
    let up = |e: Estimate| e.lower.is_some_and(|low| low > 0.0);
    if up(strongest) || (up(exposed) && !few) {
        Verdict::Harms
    } else if exposed.upper.is_some_and(|high| high < 0.0) && !few {
        Verdict::Helps
    } else {
        Verdict::NotShown
    }
}

/// A defence is on the frontier unless another, or none, leaves less and is more accurate.
fn mark_frontier(undefended: &DefenceFigures, defences: &mut [DefenceFigures]) {
    let point = |of: &DefenceFigures| Some((of.exposed.found.value?, of.utility.accuracy.value?));
    let points: Vec<(f64, f64)> = defences
        .iter()
        .chain([undefended])
        .filter_map(point)
        .collect();
    for of in defences {
        of.on_frontier = point(of).is_some_and(|(found, accuracy)| {
            !points
                .iter()
                .any(|&(f, a)| f <= found && a >= accuracy && (f < found || a > accuracy))
        });
    }
}

fn onion_sentence(onion: &Onion, units: &str) -> Option<String> {
    let chance = onion.newly_exposed_by_chance?;
    let beyond = onion.beyond_chance;
    Some(if beyond.lower.is_some_and(|low| low > 0.0) {
        format!(
            "{} other {units} come to be exposed, {chance} by chance alone: protecting some exposes others.",
            onion.newly_exposed
        )
    } else {
        format!(
            "{} other {units} come to be exposed, and {chance} do by chance alone: no more than that is shown.",
            onion.newly_exposed
        )
    })
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn with_interval(of: Estimate) -> String {
    match (of.value, of.lower, of.upper) {
        (Some(value), Some(lower), Some(upper)) => format!(
            "{:.1} % [{:.1}, {:.1}]",
            100.0 * value,
            100.0 * lower,
            100.0 * upper
        ),
        (Some(value), ..) => percent(value),
        _ => "n/a".to_owned(),
    }
}

fn points(of: Estimate) -> String {
    let sign = |x: f64| format!("{:+.2}", 100.0 * x);
    match (of.value, of.lower, of.upper) {
        (Some(value), Some(lower), Some(upper)) => {
            format!("{} [{}, {}]", sign(value), sign(lower), sign(upper))
        }
        (Some(value), ..) => sign(value),
        _ => "n/a".to_owned(),
    }
}

/// What is said of an arm.
pub(super) fn about(arm: &Arm) -> About {
    match arm {
        Arm::Undefended => about_undefended(),
        Arm::Control => about_control(),
        Arm::Defended(defence) => defence.about(),
    }
}

#[cfg(test)]
mod tests;
