//! A key that two patterns have in common.
//!
//! A shortest common key is made of shortest common segments. So there are two products: of two segments, byte by byte,
//! and of the two patterns, segment by segment. Each pair of bytes in the patterns is looked at a fixed number of
//! times.

use super::nfa::desugared;
use super::pattern::{DEEP, Pattern};
use super::scan::Caps;
use super::{Key, segment};

/// A key in both, with as few segments as there can be and then as short; none if there is none.
pub(super) fn common_key(one: &Pattern, other: &Pattern, caps: Caps) -> Option<Key> {
    let product = Product::new(one, other, caps);
    let mut layers = vec![product.first_layer()];
    for _ in 0..caps.segments {
        let layer = product.next_layer(layers.last()?);
        let end = layer.last().copied().flatten();
        layers.push(layer);
        if end.is_some_and(|end| end.len <= caps.len) {
            return product.spell(&layers);
        }
    }
    None
}

/// The pairs of places in two patterns, between segments.
struct Product<'a> {
    one: Vec<&'a str>,
    other: Vec<&'a str>,
    /// For each pair of segments, a shortest segment in both. A `**` takes up any.
    common: Vec<Option<String>>,
}

/// How a pair is reached with a certain number of segments.
#[derive(Clone, Copy)]
struct Reached {
    /// In how many bytes at least.
    len: usize,
    /// The pair of segments that took up the last segment of the key. For what is reached with none it says nothing.
    by: (usize, usize),
}

/// For each pair whether and how it is reached with a certain number of segments.
type Layer = Vec<Option<Reached>>;

impl<'a> Product<'a> {
    fn new(one: &'a Pattern, other: &'a Pattern, caps: Caps) -> Self {
        let (one, other): (Vec<_>, Vec<_>) = (desugared(one).collect(), desugared(other).collect());
        let glob = |segment: &&'a str| if *segment == DEEP { "*" } else { *segment };
        let pairs = one.iter().map(glob).flat_map(|one| other.iter().map(glob).map(move |other| (one, other)));
        let fits = |common: &String| common.len() <= caps.segment_len;
        let common = pairs.map(|(one, other)| segment::shortest_common(one, other).filter(fits)).collect();
        Self { one, other, common }
    }

    /// Where the pair is in a layer: in the order of its first place, then of its second.
    fn index(&self, (i, j): (usize, usize)) -> usize {
        i * (self.other.len() + 1) + j
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (one, other) = (self.one.len(), self.other.len());
        (0..=one).flat_map(move |i| (0..=other).map(move |j| (i, j)))
    }

    fn is_deep(segments: &[&str], at: usize) -> bool {
        segments.get(at).is_some_and(|segment| *segment == DEEP)
    }

    fn common(&self, (i, j): (usize, usize)) -> Option<&str> {
        if i >= self.one.len() || j >= self.other.len() {
            return None;
        }
        self.common.get(i * self.other.len() + j)?.as_deref()
    }

    fn first_layer(&self) -> Layer {
        let mut layer = vec![None; (self.one.len() + 1) * (self.other.len() + 1)];
        relax(&mut layer, 0, Reached { len: 0, by: (0, 0) });
        self.skip_deep(layer)
    }

    /// A `**` may take up nothing more.
    fn skip_deep(&self, mut layer: Layer) -> Layer {
        for (i, j) in self.pairs() {
            let Some(reached) = layer.get(self.index((i, j))).copied().flatten() else { continue };
            if Self::is_deep(&self.one, i) {
                relax(&mut layer, self.index((i + 1, j)), reached);
            }
            if Self::is_deep(&self.other, j) {
                relax(&mut layer, self.index((i, j + 1)), reached);
            }
        }
        layer
    }

    /// What is reached with one segment more.
    fn next_layer(&self, layer: &Layer) -> Layer {
        let mut next = vec![None; layer.len()];
        for (pair, reached) in self.pairs().zip(layer) {
            let (Some(reached), Some(common)) = (reached, self.common(pair)) else { continue };
            let (i, j) = pair;
            let to = (i + usize::from(!Self::is_deep(&self.one, i)), j + usize::from(!Self::is_deep(&self.other, j)));
            relax(&mut next, self.index(to), Reached { len: reached.len + 1 + common.len(), by: pair });
        }
        self.skip_deep(next)
    }

    /// The key that reaches the last pair in the last layer.
    fn spell(&self, layers: &[Layer]) -> Option<Key> {
        let mut segments = Vec::new();
        let mut pair = (self.one.len(), self.other.len());
        for layer in layers.iter().skip(1).rev() {
            pair = layer.get(self.index(pair)).copied().flatten()?.by;
            segments.push(self.common(pair)?);
        }
        let text: String = segments.iter().rev().flat_map(|segment| ["/", segment]).collect();
        Key::new(&text).ok()
    }
}

/// Keeps the shorter way.
fn relax(layer: &mut Layer, index: usize, reached: Reached) {
    if let Some(known) = layer.get_mut(index)
        && known.is_none_or(|known| reached.len < known.len)
    {
        *known = Some(reached);
    }
}
