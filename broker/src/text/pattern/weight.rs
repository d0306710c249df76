//! How many steps a match may take before it goes back once. The library counts how often it goes back, but `(?=a)` a
//! thousand times over, or `(?:(?=a)){1000}`, does not go back at all.

use fancy_regex::{Expr, LookAround};

/// A step that looks at several characters counts once for this many.
const STRIDE: usize = 8;
/// What a loop without an end counts that passes over the rest of a long name.
const SCAN: usize = 32;
/// What looking around counts besides what it looks for.
const LOOK: usize = 6;
/// The repetitions of a loop without an end that count. It ends by going back, so that loops in it do not multiply.
const LOOP: usize = 8;

/// What a part of a pattern may cost.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// The steps to get through it once.
    path: usize,
    /// The steps through the body of its longest loop without an end.
    body: usize,
    /// Whether it always consumes a character and never looks around, so that the text ends its repetitions.
    advances: bool,
    /// Whether it looks around.
    looks: bool,
}

/// Returns the steps, or `None` if the pattern contains calls, whose steps are not known.
pub(super) fn of(pattern: &Expr) -> Option<usize> {
    let cost = cost(pattern)?;
    Some(cost.path.saturating_add(cost.body.saturating_mul(LOOP)))
}

/// Recurses as deeply as the parser, which has a limit.
fn cost(expr: &Expr) -> Option<Cost> {
    let leaf = |path, advances| Cost {
        path,
        advances,
        ..Cost::default()
    };
    Some(match expr {
        Expr::Empty => Cost::default(),
        Expr::Any { .. } | Expr::Delegate { .. } | Expr::GeneralNewline { .. } => leaf(1, true),
        Expr::Literal { val, .. } => leaf(1 + val.len() / STRIDE, !val.is_empty()),
        Expr::LiteralBytes { bytes } => leaf(1 + bytes.len() / STRIDE, !bytes.is_empty()),
        Expr::Assertion(_)
        | Expr::KeepOut
        | Expr::ContinueFromPreviousMatchEnd
        | Expr::BackrefExistsCondition { .. }
        | Expr::BacktrackingControlVerb(_) => leaf(1, false),
        // The text may be long.
        Expr::Backref { .. } => leaf(STRIDE, false),
        Expr::Concat(parts) => sequence(parts.iter())?,
        Expr::Alt(branches) => alternatives(branches.iter())?,
        Expr::Group(inner) => more(2, cost(inner)?),
        Expr::AtomicGroup(inner) => more(2, cost(inner)?),
        Expr::LookAround(inner, direction) => {
            let inner = cost(inner)?;
            let path = match direction {
                LookAround::LookAhead | LookAround::LookAheadNeg => inner.path,
                // It may begin anywhere before.
                LookAround::LookBehind | LookAround::LookBehindNeg => {
                    inner.path.saturating_mul(STRIDE)
                }
            };
            Cost {
                path: path.saturating_add(LOOK),
                body: inner.body,
                advances: false,
                looks: true,
            }
        }
        Expr::Repeat { child, lo, hi, .. } => repeated(cost(child)?, *lo, *hi),
        Expr::Conditional {
            condition,
            true_branch,
            false_branch,
        } => {
            let branches = alternatives([&**true_branch, &**false_branch].into_iter())?;
            joined(cost(condition)?, branches)
        }
        _ => return None,
    })
}

fn more(steps: usize, cost: Cost) -> Cost {
    Cost {
        path: cost.path.saturating_add(steps),
        ..cost
    }
}

fn joined(a: Cost, b: Cost) -> Cost {
    let looks = a.looks || b.looks;
    Cost {
        path: a.path.saturating_add(b.path),
        body: a.body.max(b.body),
        advances: (a.advances || b.advances) && !looks,
        looks,
    }
}

fn sequence<'a>(mut parts: impl Iterator<Item = &'a Expr>) -> Option<Cost> {
    parts.try_fold(Cost::default(), |sum, part| Some(joined(sum, cost(part)?)))
}

/// Between two branches the match goes back, so that only the longest one counts.
fn alternatives<'a>(mut branches: impl Iterator<Item = &'a Expr>) -> Option<Cost> {
    let none = Cost {
        advances: true,
        ..Cost::default()
    };
    let longest = branches.try_fold(none, |longest: Cost, branch| {
        let branch = cost(branch)?;
        Some(Cost {
            path: longest.path.max(branch.path),
            body: longest.body.max(branch.body),
            advances: longest.advances && branch.advances,
            looks: longest.looks || branch.looks,
        })
    })?;
    Some(more(1, longest))
}

fn repeated(child: Cost, lo: usize, hi: usize) -> Cost {
    let endless = hi == usize::MAX;
    let times = if endless { lo } else { hi };
    let times = match child.advances {
        true => times.min(LOOP),
        false => times,
    };
    let path = more(1, child).path.saturating_mul(times.max(1));
    Cost {
        path: if endless {
            path.saturating_add(SCAN)
        } else {
            path
        },
        body: if endless {
            child.body.max(child.path)
        } else {
            child.body
        },
        advances: child.advances && lo > 0,
        looks: child.looks,
    }
}
