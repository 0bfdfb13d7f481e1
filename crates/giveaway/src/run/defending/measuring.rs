//! What attacks and users get from the models of an arm: every model plays the target in turn.

use std::collections::BTreeMap;

use giveaway_stats::random::derive_seed;
use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::arms::{Arm, Shop};
use super::exposed::Protected;
use crate::attack::evidence::{Evidence, Outputs, Query, Scalar};
use crate::attack::method::{Attacker, Method, Parameters};
use crate::channel::{Channel, OutputKind};
use crate::defend::Fitted;
use crate::error::{Error, Result};
use crate::evaluate::leave_one_out::{self, Protocol};
use crate::evaluate::paired::{Accused, Compared, Draws, Figure, Part, ScoredTargets};
use crate::evaluate::utility::{Answered, Measured, Usefulness, class_auc};
use crate::evaluate::{Decision, Estimate};
use crate::membership::Membership;
use crate::run::progress::Progress;
use crate::select::{Amount, Rule, loss_vulnerability, take};
use crate::signals::Signals;

/// From so many models on LiRA estimates each record's own variance.
const OWN_VARIANCE_MODELS: usize = 64;

/// Share of the units on which direct inference is judged.
const DIRECT_SHARE: f64 = 0.01;

/// The level of direct inference.
const DIRECT_LEVEL: f64 = 0.01;

/// Parts of families and units: all, those by which a defence is chosen, and the others, by which
/// the chosen one is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    All,
    Choosing,
    Reporting,
}

/// An attack and what it finds, in each part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AttackFound {
    pub(super) name: String,
    pub(super) adaptive: bool,
    parts: Vec<Compared>,
    /// Per judged unit, how often it is accused at 1 % false alarms over all.
    pub(super) accused: Vec<Accused>,
    /// Per unit to be protected, in the order of their exposure, how often it is accused at 1 %
    /// false alarms among these.
    pub(super) protected: Vec<Accused>,
}

impl AttackFound {
    #[cfg(test)]
    pub(super) fn of_parts(
        name: &str,
        adaptive: bool,
        parts: Vec<Compared>,
        accused: Vec<Accused>,
        protected: Vec<Accused>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            adaptive,
            parts,
            accused,
            protected,
        }
    }

    pub(super) fn of(&self, share: Share) -> &Compared {
        &self.parts[share as usize]
    }

    /// A figure, 0 where there is none.
    fn value(&self, figure: Figure, share: Share) -> f64 {
        self.of(share).figure(figure).value.unwrap_or(0.0)
    }
}

/// Everything that was measured of an arm.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ArmFound {
    /// What it depends on.
    pub(super) identity: String,
    pub(super) name: String,
    /// The attack that finds most comes first.
    pub(super) attacks: Vec<AttackFound>,
    pub(super) precision: Estimate,
    pub(super) recall: Estimate,
    /// What training on each judged unit changes.
    pub(super) influence: Vec<f64>,
    /// In each part.
    pub(super) utility: Vec<Usefulness>,
    pub(super) auc: Option<f64>,
    pub(super) flagged: Option<f64>,
    pub(super) seconds_per_model: f64,
}

impl ArmFound {
    pub(super) fn utility_of(&self, share: Share) -> &Usefulness {
        &self.utility[share as usize]
    }

    /// Of the attacks that know of the defence, the one that finds most of the records to be
    /// protected in a part; where thresholds cannot be had, the area under their curve decides.
    pub(super) fn on_exposed(&self, share: Share) -> Option<&AttackFound> {
        self.best([Figure::MarkedFound, Figure::MarkedAuc], share)
    }

    /// Of the attacks that know of the defence, the strongest on all records of a part.
    pub(super) fn strongest(&self, share: Share) -> Option<&AttackFound> {
        self.best([Figure::AtOnePercent, Figure::Auc], share)
    }

    fn best(&self, figures: [Figure; 2], share: Share) -> Option<&AttackFound> {
        let known = self.attacks.iter().filter(|attack| attack.adaptive);
        known.max_by(|a, b| {
            let by = |figure| a.value(figure, share).total_cmp(&b.value(figure, share));
            by(figures[0]).then(by(figures[1]))
        })
    }

    pub(super) fn attack(&self, name: &str) -> Option<&AttackFound> {
        self.attacks.iter().find(|attack| attack.name == name)
    }
}

/// What measurements of all arms share.
pub(super) struct Judges<'a> {
    pub(super) shop: &'a Shop<'a>,
    pub(super) protected: &'a Protected,
    /// Membership of the judging models alone.
    membership: Membership,
    /// Families of the judging models.
    families: usize,
    /// Per judged unit, whether it is to be protected.
    marked: Vec<bool>,
    /// Per record, the place of its unit among the judged.
    place: Vec<Option<u32>>,
    draws: Draws,
    /// Which families and units choose.
    choosing: (Vec<bool>, Vec<bool>),
    /// Groups of records, by column.
    groupings: &'a [(usize, Vec<u32>)],
    inside: Vec<Vec<bool>>,
}

/// Signals of the judged units on one model.
struct ModelAnswers {
    scaled_logit: Vec<f32>,
    loss: Vec<f32>,
    correct_units: Outputs,
    answered: Answered,
    auc: Option<f64>,
    fitted: Option<Fitted>,
}

impl<'a> Judges<'a> {
    pub(super) fn new(
        shop: &'a Shop<'a>,
        protected: &'a Protected,
        groupings: &'a [(usize, Vec<u32>)],
    ) -> Self {
        let pool = shop.pool;
        let membership = pool.membership.of_models(shop.models.clone());
        let families = membership.families();
        let judged = &protected.judged;
        let seed = derive_seed(pool.config.seed, "figures on defences", 0);
        let mut stream =
            giveaway_stats::random::Stream::new(seed, "records that choose a defence", 0);
        let units_choose = judged.iter().map(|_| stream.uniform() < 0.5).collect();
        let mut place = vec![None; pool.dataset.len()];
        for (at, &unit) in judged.iter().enumerate() {
            for &record in pool.units.records(unit as usize) {
                place[record as usize] = Some(at as u32);
            }
        }
        let inside = (0..membership.models())
            .map(|model| {
                judged
                    .iter()
                    .map(|&unit| membership.is_in(model, unit as usize))
                    .collect()
            })
            .collect();
        Self {
            shop,
            protected,
            families,
            marked: judged
                .iter()
                .map(|&unit| {
                    let records = pool.units.records(unit as usize);
                    protected.exposed[records[0] as usize]
                })
                .collect(),
            place,
            draws: Draws::new(seed, judged.len(), families),
            choosing: (
                (0..families).map(|family| family % 2 == 0).collect(),
                units_choose,
            ),
            groupings,
            membership,
            inside,
        }
    }

    /// Number of families of targets.
    pub(super) fn families(&self) -> usize {
        self.families
    }

    /// Reads and attacks the models of an arm.
    pub(super) fn measure(&self, arm: &Arm, progress: &dyn Progress) -> Result<ArmFound> {
        let models = self.answers(arm)?;
        let attacks = self.attacks(arm, &models, progress)?;
        let (precision, recall, influence) = self.direct(&models)?;
        let answered: Vec<Answered> = models.iter().map(|m| m.answered.clone()).collect();
        let groupings: Vec<(usize, &[u32])> = self
            .groupings
            .iter()
            .map(|(groups, of)| (*groups, &of[..]))
            .collect();
        let measured = Measured {
            labels: &self.shop.pool.dataset.labels,
            classes: self.shop.pool.dataset.schema.classes.len(),
            unit: &self.place,
            groupings: &groupings,
        };
        let utility = self
            .parts()
            .iter()
            .map(|(families, units)| {
                let part = Part {
                    families,
                    records: units,
                };
                measured.usefulness(&answered, part, &self.draws)
            })
            .collect();
        let aucs: Vec<f64> = models.iter().filter_map(|model| model.auc).collect();
        Ok(ArmFound {
            identity: self.shop.identity.clone(),
            name: arm.name(),
            attacks,
            precision,
            recall,
            influence,
            utility,
            auc: (!aucs.is_empty()).then(|| aucs.iter().sum::<f64>() / aucs.len() as f64),
            flagged: self.flagged(&models),
            seconds_per_model: self.shop.seconds_per_model(arm),
        })
    }

    /// Families and units of each [`Share`], in their order.
    fn parts(&self) -> [(Vec<bool>, Vec<bool>); 3] {
        let (families, units) = &self.choosing;
        let not = |of: &[bool]| of.iter().map(|x| !x).collect();
        [
            (vec![true; families.len()], vec![true; units.len()]),
            (families.clone(), units.clone()),
            (not(families), not(units)),
        ]
    }

    /// Share of the inputs that a model was not trained on that are treated otherwise.
    fn flagged(&self, models: &[ModelAnswers]) -> Option<f64> {
        let (mut flagged, mut all) = (0usize, 0usize);
        for model in models {
            let fitted = model.fitted.as_ref()?;
            if fitted.flags.is_empty() {
                return None;
            }
            for (record, &flag) in fitted.flags.iter().enumerate() {
                if self.place[record].is_some() && !model.answered.inside[record] {
                    flagged += usize::from(flag);
                    all += 1;
                }
            }
        }
        (all > 0).then(|| flagged as f64 / all as f64)
    }

    fn answers(&self, arm: &Arm) -> Result<Vec<ModelAnswers>> {
        let first = self.shop.models.start;
        (0..self.membership.models())
            .into_par_iter()
            .map(|model| {
                let answers = self.shop.read(arm, first + model)?;
                let notes = self
                    .shop
                    .notes(arm, first + model)
                    .ok_or_else(|| Error::unexpected("the notes of a model are gone"))?;
                Ok(self.of_model(model, &answers, notes.kind(), notes.fitted()))
            })
            .collect()
    }

    fn of_model(
        &self,
        model: usize,
        answers: &Array2<f32>,
        kind: OutputKind,
        fitted: Option<Fitted>,
    ) -> ModelAnswers {
        let pool = self.shop.pool;
        let labels = &pool.dataset.labels;
        let channel = Channel {
            kind,
            ..Channel::default()
        };
        let standard = answers.as_standard_layout();
        let rows: Vec<&[f32]> = standard
            .rows()
            .into_iter()
            .map(|row| row.to_slice().unwrap_or_default())
            .collect();
        let signals: Vec<_> = rows
            .iter()
            .zip(labels)
            .map(|(row, &label)| channel.signal(row, label as usize))
            .collect();
        let judged = &self.protected.judged;
        let mean = |of: &dyn Fn(usize) -> f64| -> Vec<f64> {
            judged
                .iter()
                .map(|&unit| {
                    let records = pool.units.records(unit as usize);
                    records.iter().map(|&r| of(r as usize)).sum::<f64>() / records.len() as f64
                })
                .collect()
        };
        let single = |values: Vec<f64>| values.into_iter().map(|x| x as f32).collect();
        let inside: Vec<bool> = (0..labels.len())
            .map(|record| self.membership.is_in(model, pool.units.of_record(record)))
            .collect();
        let unseen: Vec<usize> = (0..labels.len())
            .filter(|&record| self.place[record].is_some() && !inside[record])
            .collect();
        let probabilities = unseen
            .iter()
            .map(|&record| probability_row(rows[record], kind));
        let probabilities: Vec<Vec<f32>> = probabilities.collect();
        let of_unseen: Vec<&[f32]> = probabilities.iter().map(Vec::as_slice).collect();
        let own: Vec<u32> = unseen.iter().map(|&record| labels[record]).collect();
        ModelAnswers {
            scaled_logit: single(mean(&|record| signals[record].scaled_logit)),
            loss: single(mean(&|record| signals[record].loss)),
            correct_units: Outputs {
                correct: mean(&|record| f64::from(u8::from(signals[record].correct))),
                ..Outputs::default()
            },
            auc: class_auc(&of_unseen, &own, pool.dataset.schema.classes.len()),
            answered: Answered {
                family: self.membership.family(model),
                inside,
                correct: signals.iter().map(|signal| signal.correct).collect(),
                loss: signals.iter().map(|signal| signal.loss as f32).collect(),
            },
            fitted,
        }
    }

    /// The attacks, the one that finds most at a false-positive rate of .01 first.
    fn attacks(
        &self,
        arm: &Arm,
        models: &[ModelAnswers],
        progress: &dyn Progress,
    ) -> Result<Vec<AttackFound>> {
        let methods = methods(models.len());
        let undone = self.undone(arm, models)?;
        let evidence = self.evidence(models);
        let plain = match &undone {
            Some(_) => Some(self.answers(&Arm::Undefended)?),
            None => None,
        };
        let of_plain = plain.as_deref().map(|models| self.evidence(models));
        let parameters = Parameters::default();
        progress.begin(
            &format!("attacking through {}", arm.name()),
            models.len() as u64,
        );
        // Per target, scores by name.
        let scored: Vec<BTreeMap<String, Vec<f64>>> = (0..models.len())
            .into_par_iter()
            .map(|target| {
                let leave: Vec<usize> = (0..models.len())
                    .filter(|&other| {
                        self.membership.family(other) == self.membership.family(target)
                    })
                    .collect();
                let mut scores = BTreeMap::new();
                let played = evidence.with_target(target, &leave);
                let attacker = Attacker::new(&played, parameters);
                for &method in &methods {
                    if let Ok(found) = attacker.score(method) {
                        scores.insert(method.name().to_owned(), found.scores);
                    }
                }
                if let (Some(of_plain), Some(undone)) = (&of_plain, &undone) {
                    let mut played = of_plain.with_target(target, &leave);
                    let (scaled_logit, loss) = &undone[target];
                    played.queries[0].target.clone_from(scaled_logit);
                    if let Some(losses) = &mut played.losses {
                        losses.target.clone_from(loss);
                    }
                    let attacker = Attacker::new(&played, parameters);
                    for &method in methods.iter().filter(|method| !sees_labels(**method)) {
                        if let Ok(found) = attacker.score(method) {
                            scores.insert(format!("undone-{}", method.name()), found.scores);
                        }
                    }
                }
                progress.advance(1);
                scores
            })
            .collect();
        progress.end();
        let mut names: std::collections::BTreeSet<&String> =
            scored.iter().flat_map(BTreeMap::keys).collect();
        // Figures of fewer targets could not be compared with those of other recipes.
        names.retain(|name| {
            let everywhere = scored.iter().all(|scores| scores.contains_key(*name));
            if !everywhere {
                progress.note(&format!(
                    "{}: {name} cannot be made on every model and is left out",
                    arm.name()
                ));
            }
            everywhere
        });
        let parts = self.parts();
        let mut found: Vec<AttackFound> = names
            .into_iter()
            .map(|name| {
                let mut targets = ScoredTargets::default();
                for (target, scores) in scored.iter().enumerate() {
                    if let Some(scores) = scores.get(name) {
                        targets.add(scores, &self.inside[target], self.membership.family(target));
                    }
                }
                let of_part = |(families, units): &(Vec<bool>, Vec<bool>)| {
                    let part = Part {
                        families,
                        records: units,
                    };
                    targets.compare(&self.marked, part, &self.draws)
                };
                let among = targets.accused_among(&self.marked);
                AttackFound {
                    adaptive: is_adaptive(name),
                    name: name.clone(),
                    parts: parts.iter().map(of_part).collect(),
                    accused: targets.accused(self.marked.len()),
                    protected: self.protected.places().map(|place| among[place]).collect(),
                }
            })
            .collect();
        found.sort_by(|a, b| {
            let by = |figure| {
                b.value(figure, Share::All)
                    .total_cmp(&a.value(figure, Share::All))
            };
            by(Figure::AtOnePercent)
                .then(by(Figure::Auc))
                .then(a.name.cmp(&b.name))
        });
        Ok(found)
    }

    fn evidence<'m>(&'m self, models: &'m [ModelAnswers]) -> Evidence<'m, f32> {
        let mut evidence = Evidence::new(
            Scalar::ScaledLogit,
            models.iter().map(|m| m.scaled_logit.as_slice()).collect(),
            self.inside.iter().map(Vec::as_slice).collect(),
            vec![0.0; self.marked.len()],
        );
        evidence.losses = Some(Query {
            references: models.iter().map(|m| m.loss.as_slice()).collect(),
            target: vec![0.0; self.marked.len()],
        });
        evidence.reference_outputs = models.iter().map(|m| &m.correct_units).collect();
        evidence
    }

    /// Per target, scaled logits and losses of the judged units as an attacker guesses them who
    /// undoes the defence; nothing where it cannot be undone.
    #[expect(
        clippy::type_complexity,
        reason = "a pair of signals for each target, used at once"
    )]
    fn undone(
        &self,
        arm: &Arm,
        models: &[ModelAnswers],
    ) -> Result<Option<Vec<(Vec<f64>, Vec<f64>)>>> {
        let Arm::Defended(defence) = arm else {
            return Ok(None);
        };
        let first = self.shop.models.start;
        let guessed: Vec<Option<(Vec<f64>, Vec<f64>)>> = (0..models.len())
            .into_par_iter()
            .map(|target| {
                let own = self.membership.family(target);
                let others: Vec<&Fitted> = models
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| self.membership.family(*other) != own)
                    .filter_map(|(_, model)| model.fitted.as_ref())
                    .collect();
                let answers = self.shop.read(arm, first + target)?;
                let Some(logits) = defence.undo(answers.view(), &others)? else {
                    return Ok(None);
                };
                let of = self.of_model(target, &logits, OutputKind::Logits, None);
                let double = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
                Ok(Some((double(of.scaled_logit), double(of.loss))))
            })
            .collect::<Result<_>>()?;
        Ok(guessed.into_iter().collect())
    }

    /// Precision and recall of direct inference on the most influential units, as each half of
    /// the models selects them for the other, and every unit's influence.
    fn direct(&self, models: &[ModelAnswers]) -> Result<(Estimate, Estimate, Vec<f64>)> {
        let judged = &self.protected.judged;
        let columns = |of: &dyn Fn(&ModelAnswers) -> &[f32]| {
            // rows of units that are not judged stay 0 and are never asked for
            let mut all = Array2::zeros((self.shop.pool.units.len(), models.len()));
            for (column, model) in models.iter().enumerate() {
                for (&unit, &value) in judged.iter().zip(of(model)) {
                    all[[unit as usize, column]] = value;
                }
            }
            all
        };
        let signals = Signals::from_arrays(
            &columns(&|model| &model.loss),
            &columns(&|model| &model.scaled_logit),
        );
        let influence =
            |range| loss_vulnerability(Rule::Influence, &signals, &self.membership, judged, range);
        let halves = self.membership.halves();
        let select = |half: usize| -> Result<Vec<u32>> {
            let vulnerability = influence(halves[half].clone())?;
            let amount = Amount::Share(DIRECT_SHARE);
            Ok(take(Rule::Influence, vulnerability, judged, amount)?.selected)
        };
        let decision = Decision::Level(DIRECT_LEVEL);
        let null = self.shop.pool.config.test.null();
        let left_out = leave_one_out::run(
            &Protocol {
                signals: &signals,
                membership: &self.membership,
                candidates: judged,
                selections: &[(Rule::Influence, [select(0)?, select(1)?])],
                nulls: &[null],
                decisions: &[decision],
                headline: (null, decision),
                drawn: Rule::Influence,
                misfit_sample: usize::MAX,
                seed: derive_seed(self.shop.pool.config.seed, "figures on defences", 1),
            },
            || (),
        );
        let rates = left_out
            .evaluations
            .first()
            .and_then(|evaluation| evaluation.rates(decision));
        let (precision, recall) = rates.map_or_else(Default::default, |rates| {
            (rates.precision, rates.true_positive_rate)
        });
        Ok((precision, recall, influence(0..models.len())?))
    }
}

/// Probabilities of an answer.
fn probability_row(row: &[f32], kind: OutputKind) -> Vec<f32> {
    let mut probabilities = Vec::new();
    match kind {
        OutputKind::Probabilities | OutputKind::Labels => {
            probabilities.extend_from_slice(row);
        }
        OutputKind::Logits => Channel {
            kind: OutputKind::Probabilities,
            ..Channel::default()
        }
        .pass(row, &mut probabilities),
    }
    probabilities
}

/// Whether an attack sees labels alone: undoing a defence of answers gives it nothing.
fn sees_labels(method: Method) -> bool {
    matches!(method, Method::Gap | Method::LabelOnly)
}

/// Attacks with so many models: one of each kind, of which all but the first know of the defence.
fn methods(models: usize) -> Vec<Method> {
    vec![
        Method::Loss,
        Method::Gap,
        if models >= OWN_VARIANCE_MODELS {
            Method::LiraOnline
        } else {
            Method::LiraOnlineFixed
        },
        Method::RmiaOnline,
        Method::BavariaTOnline,
        Method::LabelOnly,
    ]
}

/// Whether an attack knows of the defence: one threshold on the loss does not; reference models
/// that are trained and asked through the defence do, and so do answers that are undone. To the
/// gap attack, which sees labels alone, there is nothing to know.
fn is_adaptive(name: &str) -> bool {
    name != Method::Loss.name()
}
