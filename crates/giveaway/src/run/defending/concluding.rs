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
        let undefended = self.figures(&self.undefended, None);
        let control = self.control.as_ref().map(|arm| self.figures(arm, Some(())));
        let mut defences: Vec<DefenceFigures> = self
            .defended
            .iter()
            .map(|arm| self.figures(arm, Some(())))
            .collect();
        mark_frontier(&mut defences);
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
    fn figures(&self, arm: &Finished<'_>, compared: Option<()>) -> DefenceFigures {
        let found = arm.found;
        let about = &arm.about;
        let exposed = self.exposed(found, compared.is_some());
        let strongest_change = self.strongest_change(found);
        let verdict = compared.map(|()| verdict(&exposed, strongest_change));
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
            .or_else(|| before.strongest())
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
        let (Some(after), Some(before)) = (found.strongest(), self.before().strongest()) else {
            return Estimate::default();
        };
        change(after, before, Figure::AtOnePercent, Share::All).estimate()
    }

    fn exposed(&self, found: &ArmFound, compared: bool) -> ExposedFigures {
        let (Some(after), Some(before)) = (found.on_exposed(), self.before().on_exposed()) else {
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
            .places()
            .max_by(|&a, &b| {
                share(&after.accused[a])
                    .total_cmp(&share(&after.accused[b]))
                    .then(b.cmp(&a))
            })
            .map(|place| WorstUnit {
                id: Some(self.ids[place].clone()),
                in_targets: after.accused[place].in_targets,
                found: after.accused[place].found,
                found_before: before.accused[place].found,
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

    /// Places of the units to be protected among the judged.
    fn places(&self) -> impl Iterator<Item = usize> {
        let judged = &self.protected.judged;
        self.protected
            .units
            .iter()
            .filter_map(|unit| judged.binary_search(unit).ok())
    }

    /// Whether each judged unit is newly exposed in an arm.
    fn newly(&self, found: &ArmFound) -> Option<Vec<bool>> {
        let after = &found.strongest()?.accused;
        let before = &self.before().strongest()?.accused;
        let mut newly: Vec<bool> = after
            .iter()
            .zip(before)
            .map(|(after, before)| after.mostly_found() && !before.mostly_found())
            .collect();
        for place in self.places() {
            newly[place] = false;
        }
        Some(newly)
    }

    fn onion(&self, found: &ArmFound) -> Onion {
        let (Some(after), Some(before)) = (found.strongest(), self.before().strongest()) else {
            return Onion::default();
        };
        let mostly =
            |attack: &AttackFound| attack.accused.iter().filter(|a| a.mostly_found()).count();
        let newly = self.newly(found).unwrap_or_default();
        let by_chance = self.control.as_ref().and_then(|arm| self.newly(arm.found));
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
        let now = found.utility(Share::All);
        let before = self.before().utility(Share::All);
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
            .on_exposed()
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
                let at = found.strongest().map_or(Estimate::default(), |attack| {
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

    /// The advice: of the defences that help within the budget of accuracy the one that leaves
    /// least, chosen on one part of models and records and reported on the other.
    fn recommend(&self, figures: &[DefenceFigures]) -> Recommendation {
        let before = self.before();
        let exposed_before = |share: Share| {
            before
                .on_exposed()
                .map(|attack| attack.of(share).figure(Figure::MarkedFound))
        };
        let candidate = |arm: &Finished<'_>, figures: &DefenceFigures| -> Option<(f64, f64)> {
            if figures.verdict == Some(Verdict::Harms) {
                return None;
            }
            let after = arm
                .found
                .on_exposed()?
                .of(Share::Choosing)
                .figure(Figure::MarkedFound);
            let helps = after.less(exposed_before(Share::Choosing)?).estimate();
            let lost = arm
                .found
                .utility(Share::Choosing)
                .accuracy
                .less(&before.utility(Share::Choosing).accuracy)
                .value?;
            (helps.upper? < 0.0 && lost >= -self.accuracy_budget).then_some((after.value?, -lost))
        };
        let best = self
            .defended
            .iter()
            .zip(figures)
            .filter_map(|(arm, figures)| Some((candidate(arm, figures)?, arm, figures)))
            .min_by(|((a, lost_a), ..), ((b, lost_b), ..)| {
                a.total_cmp(b).then(lost_a.total_cmp(lost_b))
            });
        let found_before =
            exposed_before(Share::Reporting).map_or_else(Estimate::default, Replicated::estimate);
        let Some((_, arm, figures_of_best)) = best else {
            return self.nothing(figures, found_before);
        };
        let after = arm
            .found
            .on_exposed()
            .map(|attack| attack.of(Share::Reporting).figure(Figure::MarkedFound));
        let found_after = after.map_or_else(Estimate::default, Replicated::estimate);
        let confirmed = match (after, exposed_before(Share::Reporting)) {
            (Some(after), Some(before)) => after.less(before).estimate(),
            _ => Estimate::default(),
        };
        let accuracy_change = arm
            .found
            .utility(Share::Reporting)
            .accuracy
            .less(&before.utility(Share::Reporting).accuracy)
            .estimate();
        let units = self.unit_name;
        let mut reasons = vec![
            format!(
                "On models and {units} that this choice was not made on, the most exposed are found in {} of the models trained on them rather than {}{}.",
                with_interval(found_after),
                with_interval(found_before),
                if confirmed.upper.is_some_and(|upper| upper < 0.0) {
                    ""
                } else {
                    "; there the difference alone may be chance"
                }
            ),
            format!(
                "The price: accuracy changes by {} points on {units} that a model was not trained on{}.",
                points(accuracy_change),
                figures_of_best
                    .time_ratio
                    .map_or_else(String::new, |ratio| format!(
                        ", and a model takes {ratio:.1} times as long"
                    ))
            ),
        ];
        reasons.extend(figures_of_best.promise.clone());
        reasons.extend(onion_sentence(&figures_of_best.onion, units));
        reasons.push(format!(
            "{} other defences were tried; the table has what each leaves and costs.",
            figures.len() - 1
        ));
        Recommendation {
            defence: Some(figures_of_best.name.clone()),
            headline: format!("Take: {}. {}", figures_of_best.title, figures_of_best.what),
            reasons,
            found_before,
            found_after,
            accuracy_change,
        }
    }

    /// What to say where no defence helps at the price.
    fn nothing(&self, figures: &[DefenceFigures], found_before: Estimate) -> Recommendation {
        let units = self.unit_name;
        let helping: Vec<&DefenceFigures> = figures
            .iter()
            .filter(|of| of.verdict == Some(Verdict::Helps))
            .collect();
        let price = |of: &DefenceFigures| {
            format!(
                "{} ({} points of accuracy, the most exposed found in {})",
                of.title,
                points(of.utility.accuracy_change),
                with_interval(of.exposed.found)
            )
        };
        let mut reasons = Vec::new();
        if helping.is_empty() {
            reasons.push(format!(
                "None of the {} defences tried was shown to protect the most exposed {units} against attacks that know of it.",
                figures.len()
            ));
            reasons.push(format!(
                "What is left is to leave these {units} out of training, or to train with differential privacy at a price in accuracy that was not tried here; and to say that the model gives them away."
            ));
        } else {
            reasons.push(format!(
                "Some help, but cost more than {} points of accuracy: {}.",
                100.0 * self.accuracy_budget,
                helping
                    .iter()
                    .map(|of| price(of))
                    .collect::<Vec<_>>()
                    .join("; ")
            ));
            if helping.iter().all(|of| {
                of.name.starts_with("dp-sgd")
                    || of.name.starts_with("remove")
                    || of.name.starts_with("fine-tune")
            }) {
                reasons.push(format!(
                    "Nothing but differential privacy or leaving the {units} out helps here."
                ));
            }
            reasons.push(
                "Allow a higher price with --max-accuracy-loss to have one of them recommended."
                    .to_owned(),
            );
        }
        Recommendation {
            defence: None,
            headline: "No defence that was tried protects the most exposed at this price."
                .to_owned(),
            reasons,
            found_before,
            found_after: Estimate::default(),
            accuracy_change: Estimate::default(),
        }
    }
}

fn change(after: &AttackFound, before: &AttackFound, figure: Figure, share: Share) -> Replicated {
    after
        .of(share)
        .figure(figure)
        .less(before.of(share).figure(figure))
}

/// By attackers who know of the defence alone.
fn verdict(exposed: &ExposedFigures, strongest: Estimate) -> Verdict {
    let up = |e: Estimate| e.lower.is_some_and(|low| low > 0.0);
    if up(exposed.found_change) || up(strongest) {
        Verdict::Harms
    } else if exposed.found_change.upper.is_some_and(|high| high < 0.0) {
        Verdict::Helps
    } else {
        Verdict::NotShown
    }
}

/// A defence is on the frontier unless another leaves less and is more accurate.
fn mark_frontier(defences: &mut [DefenceFigures]) {
    let points: Vec<Option<(f64, f64)>> = defences
        .iter()
        .map(|of| Some((of.exposed.found.value?, of.utility.accuracy.value?)))
        .collect();
    for (of, own) in defences.iter_mut().zip(&points) {
        of.on_frontier = own.is_some_and(|(found, accuracy)| {
            !points
                .iter()
                .flatten()
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
